"""Legal holds: while one is on the ledger, nothing of it is erased or pruned. They are nothing but entries of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from containers_app.audit import ledger
from containers_app.audit.appending import answering
from containers_app.audit.inspection import disclosed_all
from containers_app.audit.ledger import Subject
from containers_app.audit.models import Entry
from containers_app.audit.record import Actor, Source
from containers_app.audit.router import ALIAS
from containers_app.errors import InvalidRequest, LedgerHeld, NotFound

PLACED: Final = "audit.hold_placed"
RELEASED: Final = "audit.hold_released"


@dataclass(frozen=True, kw_only=True)
class Act:
    """Who placed or released a hold, when, and why; a text that was erased reads "erased"."""

    at: datetime
    by: str
    reason: str = field(repr=False)
    ticket: str = ""


@dataclass(frozen=True, kw_only=True)
class LegalHold:
    """One hold on the whole ledger; it holds until it is released."""

    id: str
    placed: Act
    released: Act | None = None

    @property
    def is_active(self) -> bool:
        """Whether it still holds."""
        return self.released is None


def place(*, actor: Actor, source: Source, reason: str, ticket: str = "") -> LegalHold:
    """Put a hold on the ledger. Raises InvalidRequest without a reason, `AuditUnavailable`."""
    return _told(str(uuid.uuid4()), PLACED, actor=actor, source=source, reason=reason, ticket=ticket)


def release(hold_id: str, *, actor: Actor, source: Source, reason: str, ticket: str = "") -> LegalHold:
    """Take one hold off. Raises NotFound, InvalidRequest for one that is released already, `AuditUnavailable`."""
    with ledger.together():
        known = {hold.id: hold for hold in holds()}
        if hold_id not in known:
            raise NotFound("there is no such hold")
        if not known[hold_id].is_active:
            raise InvalidRequest("this hold is released already")
        return _told(hold_id, RELEASED, actor=actor, source=source, reason=reason, ticket=ticket)


def holds() -> list[LegalHold]:
    """All holds there ever were, the newest first. Raises `AuditUnavailable`."""
    with answering():
        acts = list(Entry.objects.using(ALIAS).filter(action__in=(PLACED, RELEASED), outcome="success").order_by("id"))
    found: dict[str, LegalHold] = {}
    for entry, shown in zip(acts, disclosed_all(acts), strict=True):
        act = _act(entry, shown)
        if entry.action == PLACED:
            found[entry.object_id] = LegalHold(id=entry.object_id, placed=act)
        elif entry.object_id in found:
            found[entry.object_id] = LegalHold(id=entry.object_id, placed=found[entry.object_id].placed, released=act)
    return list(reversed(found.values()))


def check_not_held(using: str = ALIAS) -> None:
    """Return when nothing is on hold. Raises LedgerHeld that counts the holds, django.db.Error."""
    acts = Entry.objects.using(using).filter(outcome="success")
    held = _ids(acts.filter(action=PLACED)) - _ids(acts.filter(action=RELEASED))
    if held:
        words = "1 legal hold is" if len(held) == 1 else f"{len(held)} legal holds are"
        raise LedgerHeld(f"{words} on the ledger: nothing is erased or pruned before they are released")


def _ids(acts: Any) -> set[str]:
    rows: Iterable[str] = acts.values_list("object_id", flat=True)
    return set(rows)


def _told(hold_id: str, action: str, *, actor: Actor, source: Source, reason: str, ticket: str) -> LegalHold:
    if not reason:
        raise InvalidRequest("'reason' is required: it says why", field="reason")
    subject = Subject(type="hold", id=hold_id)
    ledger.event(action=action, actor=actor, source=source, subject=subject, reason=reason, ticket=ticket)
    return next(hold for hold in holds() if hold.id == hold_id)


def _act(entry: Entry, shown: dict[str, Any]) -> Act:
    actor = shown.get("actor")
    by = str(actor.get("label", "")) if isinstance(actor, dict) else ""
    return Act(at=entry.time, by=by, reason=str(shown.get("reason", "")), ticket=entry.ticket)
