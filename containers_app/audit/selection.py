"""Which entries an export is about: a period and plain equalities, read in the ledger's order, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db.models import Q, QuerySet

from containers_app.audit.canonical import timestamp
from containers_app.audit.models import Entry
from containers_app.audit.router import ALIAS
from containers_app.audit.verbs import ALL as VERBS

ROWS_AT_ONCE: Final = 2_000
# What each filter that equals a value is called outside, and the columns of which one has to have it.
EQUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "actor": ("actor_id",),
    "verb": ("action",),
    "category": ("category",),
    "object": ("object_id", "object_name"),
    "host": ("host",),
    "outcome": ("outcome",),
    "channel": ("channel",),
    "operation": ("operation_id",),
    "request": ("request_id",),
    "ticket": ("ticket",),
    "q": ("object_id", "object_name", "operation_id", "request_id", "ticket", "action"),
}
PLAIN: Final[Mapping[str, str]] = {"phase": "phase", "actorType": "actor_type"}
# Those that are "true" or not there, and the column with the values that it may have.
FLAGS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "denied": ("outcome", ("denied",)),
    "reads": ("action", tuple(sorted(name for name, verb in VERBS.items() if verb.is_read))),
}
# What an entry tells by itself: marks of auditors are other entries, which no proof of this one has.
NAMES: Final = frozenset((*EQUAL, *PLAIN, *FLAGS, "shard"))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Entries recorded at `since` or later and before `until`, that fulfil each of `equal` (keys are of NAMES)."""

    since: datetime | None = None
    until: datetime | None = None
    equal: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> QuerySet[Entry]:
        """The entries, oldest first."""
        rows: QuerySet[Entry] = Entry.objects.using(ALIAS).order_by("shard", "leaf_index")
        if self.since:
            rows = rows.filter(time__gte=self.since)
        if self.until:
            rows = rows.filter(time__lt=self.until)
        return rows.filter(*(_condition(name, value) for name, value in self.equal.items()))

    def includes(self, moment: datetime) -> bool:
        """Whether the period has this moment."""
        return (not self.since or self.since <= moment) and (not self.until or moment < self.until)

    def words(self) -> dict[str, Any]:
        """What was asked for, as manifests and answers say it: `since`, `until` (null: open) and `filter`."""
        return {
            "since": timestamp(self.since) if self.since else None,
            "until": timestamp(self.until) if self.until else None,
            "filter": dict(self.equal),
        }


def _condition(name: str, value: str) -> Q:
    """What the entries that a filter means fulfil. Raises KeyError for a name that is not of NAMES."""
    if name in FLAGS:
        column, values = FLAGS[name]
        return Q(**{f"{column}__in": values})
    if name == "shard":
        return Q(shard=int(value))
    columns = (PLAIN[name],) if name in PLAIN else EQUAL[name]
    return Q(*((column, value) for column in columns), _connector=Q.OR)


def in_pieces(rows: QuerySet[Entry], *, shard: int, size: int) -> Iterator[list[Entry]]:
    """The rows of one shard below leaf index `size`, at most 2,000 at a time, so that memory is bounded."""
    reached = -1
    rows = rows.filter(shard=shard, leaf_index__lt=size).order_by("leaf_index")
    while piece := list(rows.filter(leaf_index__gt=reached)[:ROWS_AT_ONCE]):
        yield piece
        reached = piece[-1].leaf_index
