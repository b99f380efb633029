"""What the product says to the ledger, and asks of it: intent before, outcome after, events in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from django.db.models import Exists, OuterRef, QuerySet

from containers_app.audit.appending import answering, append, append_at_once, appending
from containers_app.audit.canonical import Unrecordable
from containers_app.audit.inspection import disclosed, disclosed_all
from containers_app.audit.merkle import leaf_hash
from containers_app.audit.models import Entry
from containers_app.audit.recomputing import SelfCheck, self_check
from containers_app.audit.record import NOTHING, Actor, ActorType, Channel, Fact, OnBehalf, Outcome, Source, Subject
from containers_app.audit.router import ALIAS
from containers_app.audit.statements import told_of
from containers_app.errors import AuditUnavailable
from containers_app.specs.receipt import Receipt

__all__ = [
    "Actor",
    "Channel",
    "Entry",
    "OnBehalf",
    "OpenIntent",
    "Outcome",
    "ReceiptRefused",
    "SelfCheck",
    "Source",
    "Subject",
    "Unrecordable",
    "disclosed",
    "disclosed_all",
    "entries",
    "event",
    "has_outcome",
    "intent",
    "open_intents",
    "outcome",
    "self_check",
    "together",
    "verify_receipt",
]

_EMPTY: Final[Mapping[str, object]] = {}


class ReceiptRefused(AuditUnavailable):
    """The receipt does not stand for an intent in the ledger: nothing may be run on it, and trying again is no help."""

    retryable = False


@dataclass(frozen=True, kw_only=True)
class OpenIntent:
    """An intent whose outcome is not recorded yet."""

    receipt: Receipt
    action: str
    recorded_at: datetime
    asker: OnBehalf
    subject: Subject


@contextmanager
def together() -> Iterator[None]:
    """What is recorded inside is written at its end, with one flush: all of it, or nothing if anything is raised.

    Nothing may be done on a receipt before that. Raises `AuditUnavailable`.
    """
    with appending():
        yield


def intent(
    *,
    action: str,
    actor: Actor,
    source: Source,
    subject: Subject,
    operation_id: str,
    params: Mapping[str, object] = _EMPTY,
    reason: str = "",
    ticket: str = "",
) -> Receipt:
    """Record that `operation_id` is about to be run, durably, and return the receipt that the Engine gateway asks for.

    `params` are the caller's allow-listed ones, see `values.recordable`. Raises `Unrecordable` for what has no place
    in the ledger and for an operation that has an intent already, `AuditUnavailable` when the ledger does not answer:
    in each case nothing may be run.
    """
    fact = Fact(
        phase="intent",
        action=action,
        actor=actor,
        source=source,
        subject=subject,
        operation_id=operation_id,
        params=params,
        reason=reason,
        ticket=ticket,
    )
    done = append_at_once(fact)
    if done is not None:
        return done
    with appending():
        if "intent" in told_of(operation_id):
            raise Unrecordable(f"The operation {operation_id} has an intent in the ledger already.")
        return _receipt(append(fact))


def outcome(
    *,
    action: str,
    actor: Actor,
    source: Source,
    subject: Subject,
    operation_id: str,
    outcome: Outcome,
    error_code: str = "",
    error_message: str = "",
    duration_ms: int | None = None,
    size_bytes: int | None = None,
    details: Mapping[str, object] = _EMPTY,
    late: bool = False,
) -> int:
    """Record how `operation_id` ended and return the leaf index, bound to the intent by its position and hash.

    An operation has one outcome: when there is one already, its index is returned and nothing is written. `late` says
    that somebody other than the runner wrote it afterwards. Raises `AuditUnavailable`; then call again.
    """
    fact = Fact(
        phase="outcome",
        action=action,
        actor=actor,
        source=source,
        subject=subject,
        operation_id=operation_id,
        outcome=outcome,
        error_code=error_code,
        error_message=error_message,
        duration_ms=duration_ms,
        size_bytes=size_bytes,
        details=details,
        late=late,
    )
    with answering():
        told = told_of(operation_id)
    done = append_at_once(replace(fact, intent=told["intent"])) if set(told) == {"intent"} else None
    if done is not None:
        return done.leaf_index
    with appending():
        told = told_of(operation_id)
        if "outcome" in told:
            return told["outcome"].leaf_index
        return append(replace(fact, intent=told.get("intent"))).leaf_index


def event(
    *,
    action: str,
    actor: Actor,
    source: Source,
    outcome: Outcome = "success",
    subject: Subject = NOTHING,
    operation_id: str = "",
    error_code: str = "",
    error_message: str = "",
    details: Mapping[str, object] = _EMPTY,
    reason: str = "",
    ticket: str = "",
    suppressed: int = 0,
) -> int:
    """Record what has no intent: a log-in, a refused request, the use of a key, a changed setting. Return its index.

    Requests that strangers can repeat at will go through `denials.record`. `suppressed` counts the like that this
    entry stands for besides itself. Raises `Unrecordable` and `AuditUnavailable`.
    """
    fact = Fact(
        phase="event",
        action=action,
        actor=actor,
        source=source,
        outcome=outcome,
        subject=subject,
        operation_id=operation_id,
        error_code=error_code,
        error_message=error_message,
        details=details,
        reason=reason,
        ticket=ticket,
        suppressed=suppressed,
    )
    done = append_at_once(fact)
    if done is not None:
        return done.leaf_index
    with appending():
        return append(fact).leaf_index


def verify_receipt(receipt: Receipt) -> None:
    """Return when `receipt` stands for the intent of its operation, as the ledger has it stored now.

    Raises `ReceiptRefused` when it does not, `AuditUnavailable` when the ledger does not answer.
    """
    with answering():
        found = Entry.objects.using(ALIAS).filter(shard=receipt.shard, leaf_index=receipt.leaf_index).first()
    if found is None or found.phase != "intent" or found.operation_id != receipt.operation_id:
        raise ReceiptRefused("The ledger has no such intent; nothing was run.")
    if leaf_hash(found.payload.encode()).hex() != receipt.leaf_hash:
        raise ReceiptRefused("The intent in the ledger is not the one that was recorded; nothing was run.")


def has_outcome(operation_id: str) -> bool:
    """Say whether the ledger knows how `operation_id` ended. Raises `AuditUnavailable`."""
    with answering():
        return "outcome" in told_of(operation_id)


def open_intents(older_than: timedelta, *, younger_than: timedelta | None = None) -> tuple[OpenIntent, ...]:
    """Return the intents without an outcome that were recorded longer ago than `older_than`, oldest first.

    `younger_than` bounds the search for callers that ask often. Raises `AuditUnavailable`.
    """
    now = datetime.now(UTC)
    ended = Entry.objects.filter(operation_id=OuterRef("operation_id"), phase="outcome")
    intents = Entry.objects.using(ALIAS).filter(~Exists(ended), phase="intent", time__lte=now - older_than)
    if younger_than is not None:
        intents = intents.filter(time__gt=now - younger_than)
    with answering():
        return tuple(_open_intent(entry) for entry in intents.order_by("id"))


def entries() -> QuerySet[Entry]:
    """Return all entries, newest first, to be filtered and shown; nothing can be written through them."""
    found: QuerySet[Entry] = Entry.objects.using(ALIAS).order_by("-id")
    return found


def _receipt(entry: Entry) -> Receipt:
    return Receipt(
        operation_id=entry.operation_id,
        shard=entry.shard,
        leaf_index=entry.leaf_index,
        leaf_hash=entry.leaf_hash,
    )


def _open_intent(entry: Entry) -> OpenIntent:
    return OpenIntent(
        receipt=_receipt(entry),
        action=entry.action,
        recorded_at=entry.time,
        asker=OnBehalf(type=cast(ActorType, entry.actor_type), id=entry.actor_id),
        subject=Subject(type=entry.object_type, id=entry.object_id, name=entry.object_name, host=entry.host),
    )
