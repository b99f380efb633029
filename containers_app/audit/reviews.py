"""What auditors say of entries: each mark is an entry of its own, with its words where they can be erased."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from containers_app.audit.appending import answering, append, appending, writable
from containers_app.audit.models import Entry, Review
from containers_app.audit.record import Actor, Fact, Source, Subject
from containers_app.audit.router import ALIAS

ACTION: Final = "audit.review"
OBJECT_TYPE: Final = "ledger_entry"
Kind = Literal["reviewed", "comment", "flag"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
_MOST_SHOWN: Final = 100


def review(entry: Entry, kind: Kind, *, actor: Actor, source: Source, comment: str = "") -> int:
    """Record a mark and note it for the lists, both or neither, and return the leaf index of its entry.

    `comment` stands in no leaf, only a commitment to it. Raises `Unrecordable`, `AuditUnavailable`.
    """
    fact = Fact(
        phase="event",
        action=ACTION,
        actor=actor,
        source=source,
        outcome="success",
        subject=Subject(type=OBJECT_TYPE, id=entry.place, name=entry.action),
        details={"mark": kind, "leaf_hash": entry.leaf_hash},
        reason=comment,
    )
    with appending():
        said = append(fact)
        row = Review(entry_id=entry.pk, entry_time=entry.time, kind=kind, said_in=said.shard, said_at=said.leaf_index)
        writable(Review).bulk_create([row])
    return said.leaf_index


def reviews_of(entry: Entry) -> list[Any]:
    """The entries that record marks of `entry`, oldest first, the last 100 at most. Raises `AuditUnavailable`."""
    rows = Entry.objects.using(ALIAS).filter(object_id=entry.place, object_type=OBJECT_TYPE, action=ACTION)
    with answering():
        return list(rows.order_by("-time", "-id")[:_MOST_SHOWN])[::-1]
