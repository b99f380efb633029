"""Erasure of personal data: the values of one person go, the entries and every proof stay as they are."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Max

from containers_app.audit import ledger
from containers_app.audit.appending import answering
from containers_app.audit.canonical import canonical
from containers_app.audit.holds import check_not_held
from containers_app.audit.inspection import committed_in
from containers_app.audit.ledger import Subject
from containers_app.audit.models import Disclosure, Entry
from containers_app.audit.record import Actor, Source
from containers_app.audit.removing import ROWS_AT_ONCE, delete_disclosures, removing
from containers_app.audit.router import ALIAS
from containers_app.audit.values import printable
from containers_app.errors import InvalidRequest, MycoError

ACTION: Final = "privacy.erase"
# The ways to say whose data goes, and the kind of disclosure that a value is looked for in.
_KINDS: Final[Mapping[str, str]] = {"address": "source_ip", "label": "actor_label"}
BY: Final = ("actor", *_KINDS)
_IDS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whose data: `by` is one of BY, `value` the actor's id (of a user), or the exact address or name."""

    by: str
    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.by not in BY or not self.value:
            raise InvalidRequest(f"say whose data, by one of: {', '.join(BY)}", field="by")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there of it: the commitments whose values are disclosed still, and how many of each kind."""

    commitments: tuple[str, ...] = field(repr=False)
    kinds: Mapping[str, int]

    @property
    def values(self) -> int:
        """How many values."""
        return len(self.commitments)


def find(target: Target) -> Found:
    """What an erasure would take away now. Raises `AuditUnavailable`."""
    with answering():
        pairs = dict(_of_actor(target.value) if target.by == "actor" else _of_value(target))
    return Found(commitments=tuple(sorted(pairs)), kinds=dict(sorted(Counter(pairs.values()).items())))


def erase(target: Target, *, actor: Actor, source: Source, reason: str, ticket: str = "") -> Found:
    """Delete the values; the ledger has the intent before the first and the outcome after the last one.

    Whose they were is not written down again, save an actor's id, which names nobody. Raises InvalidRequest without a
    reason or when there is nothing, LedgerHeld, PermissionDenied for a database role that may not, and
    `AuditUnavailable`; then ask again: what is missing is erased then.
    """
    if not reason:
        raise InvalidRequest("'reason' is required: it says why", field="reason")
    with answering():
        check_not_held()
    found = find(target)
    if not found.values:
        raise InvalidRequest("there is nothing to erase: no such value is in the ledger, or it is erased already")
    about: dict[str, Any] = {
        "action": ACTION,
        "actor": actor,
        "source": source,
        "subject": Subject(type="person", id=target.value if target.by == "actor" else ""),
        "operation_id": str(uuid.uuid4()),
    }
    told = {"by": target.by, "values": found.values, "kinds": found.kinds}
    ledger.intent(**about, params=told, reason=reason, ticket=ticket)
    _delete(found, about, told)
    return found


def erased_so_far() -> tuple[int, int]:
    """How many values were erased, by how many acts, as the ledger tells. Raises `AuditUnavailable`."""
    with answering():
        acts = Entry.objects.using(ALIAS).filter(action=ACTION, phase="outcome").values_list("payload", flat=True)
        counts = [json.loads(payload).get("details", {}).get("erased", 0) for payload in acts]
    return sum(counts), len(counts)


def _delete(found: Found, about: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    gone = 0
    try:
        for begin in range(0, found.values, ROWS_AT_ONCE):
            with removing("erase") as using:
                erased = delete_disclosures(list(found.commitments[begin : begin + ROWS_AT_ONCE]), using)
            gone += erased
    except MycoError as error:
        ledger.outcome(
            **about, outcome="failure", error_code=error.code, error_message=error.message, details={"erased": gone}
        )
        raise
    ledger.outcome(**about, outcome="success", details={**told, "erased": gone})


def _of_actor(actor_id: str) -> Iterator[tuple[str, str]]:
    """Everything personal that stands in the entries of one user, also through keys."""
    rows = Entry.objects.using(ALIAS).filter(actor_id=actor_id, actor_type__in=("user", "key")).order_by("id")
    reached = 0
    while piece := list(rows.filter(id__gt=reached)[:ROWS_AT_ONCE]):
        reached = piece[-1].pk
        named = committed_in(piece)
        for begin in range(0, len(named), ROWS_AT_ONCE):
            wanted = named[begin : begin + ROWS_AT_ONCE]
            yield from Disclosure.objects.using(ALIAS).filter(commitment__in=wanted).values_list("commitment", "kind")


def _of_value(target: Target) -> Iterator[tuple[str, str]]:
    """A text ends with the value in its canonical form; there is no index over what is to be erasable."""
    kind = _KINDS[target.by]
    ending = canonical([kind, printable(target.value)]).decode().removeprefix("[")
    rows = Disclosure.objects.using(ALIAS)
    last = rows.aggregate(last=Max("id"))["last"] or 0
    for begin in range(0, last, _IDS_AT_ONCE):
        here = rows.filter(id__gt=begin, id__lte=begin + _IDS_AT_ONCE, kind=kind, text__endswith=ending)
        for commitment, text in here.values_list("commitment", "text"):
            if text.endswith(ending):  # SQLite's LIKE does not tell A from a
                yield commitment, kind
