"""Every state change of an operation: a conditional UPDATE that returns whether it won, then the ledger's outcome.

A running operation belongs to whoever holds its lease token; a write with an old token changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from containers_app.errors import AuditUnavailable, Busy, LeaseLost
from containers_app.models import Operation, State
from containers_app.operations.evidence import record_outcomes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an operation ends. `undo` is what could not be taken back yet; `stages` None leaves them as they are."""

    state: State
    stages: Sequence[Mapping[str, Any]] | None = None
    result: Mapping[str, Any] | None = None
    proof: Mapping[str, Any] | None = None
    error_code: str = ""
    error_message: str = ""
    error_trace: str = ""
    undo: Sequence[Mapping[str, Any]] = ()


def claim(operation_id: UUID, *, worker: str, lease_seconds: float) -> Operation | None:
    """Take a queued operation. None when somebody else did, or it is over: a second delivery is a no-op."""
    won = Operation.objects.filter(pk=operation_id, state=State.QUEUED).update(
        state=State.RUNNING,
        lease_token=F("lease_token") + 1,
        lease_until=Now() + timedelta(seconds=lease_seconds),
        worker=worker,
        started_at=timezone.now(),
    )
    if not won:
        return None
    return Operation.objects.select_related("host", "api_key").get(pk=operation_id)


def held(operation_id: UUID, token: int) -> QuerySet[Operation]:
    """The running operation, if this lease token still holds it."""
    return Operation.objects.filter(pk=operation_id, state=State.RUNNING, lease_token=token)


def has_succeeded(operation_id: UUID) -> bool:
    """Whether its end is stored, as a success; only the worker that held it stores that."""
    return Operation.objects.filter(pk=operation_id, state__in=(State.SUCCEEDED, State.PARTIAL)).exists()


def renew(operation_id: UUID, *, token: int, lease_seconds: float) -> bool:
    """Push the lease's end away. False when the lease is lost."""
    return bool(held(operation_id, token).update(lease_until=Now() + timedelta(seconds=lease_seconds)))


def write(operation_id: UUID, *, token: int, **values: Any) -> None:
    """Write fields of a running operation. Raises LeaseLost when the token no longer holds it."""
    if not held(operation_id, token).update(**values):
        raise LeaseLost("another worker or the reconciler took the operation over")


def lock_target(operation_id: UUID, *, token: int, lock: str, **values: Any) -> None:
    """Take the lock on the target, with the fields that name it. Raises Busy when another operation holds it."""
    try:
        with transaction.atomic():
            write(operation_id, token=token, target_lock=lock, **values)
    except IntegrityError as error:
        raise Busy("another operation works on this container: wait for it, or cancel it") from error


def finish(
    operation: Operation,
    ending: Ending,
    *,
    record: Callable[[], None] | None = None,
    then: Callable[[], object] = lambda: None,
) -> bool:
    """End a running operation, with the rows that belong to its result. False when its lease was lost.

    `then` is done before anybody is told of the end: the operation's parts end.
    The ledger's outcome follows at once; if the ledger does not answer, the reconciler writes it late, and until then
    the operation is shown as running.
    """
    values = _ended(ending)
    with transaction.atomic():
        if not held(operation.pk, operation.lease_token).update(**values):
            return False
        if record:
            record()
    _keep(operation, values)
    then()
    _record(operation)
    return True


def end_queued(operation: Operation, ending: Ending) -> bool:
    """End an operation that no worker has claimed. False when one has."""
    if not _end(operation, Operation.objects.filter(pk=operation.pk, state=State.QUEUED), ending):
        return False
    _record(operation)
    return True


def unqueue(operation: Operation) -> bool:
    """End an operation that no worker could be told of. False when one has it all the same."""
    ending = Ending(state=State.FAILED, error_code="QUEUE_UNAVAILABLE", error_message="no worker could be told")
    return end_queued(operation, ending)


def interrupt(operation: Operation, ending: Ending, *, then: Callable[[], object] = lambda: None) -> bool:
    """End a running operation whose lease ran out, judged by the database's clock. False when it lives after all.

    `then` as of `finish`.
    """
    dead = held(operation.pk, operation.lease_token).filter(lease_until__lt=Now())
    if not _end(operation, dead, ending):
        return False
    # The worker may have written more since this row was read.
    operation.refresh_from_db()
    then()
    _record(operation)
    return True


def end_parts(endings: Sequence[tuple[Operation, Ending]]) -> int:
    """End the running parts of an operation that is over. Returns how many somebody else had not ended already."""
    ended = []
    for operation, ending in endings:
        parts = Operation.objects.filter(pk=operation.pk, state=State.RUNNING, parent__isnull=False)
        if _end(operation, parts.exclude(parent__state__in=(State.QUEUED, State.RUNNING)), ending):
            ended.append(operation)
    _record(*ended)
    return len(ended)


def request_cancel(operation: Operation, *, reason: str) -> bool:
    """Ask for a stop: a queued operation ends at once, a running one when its worker sees it. False when it is over."""
    if end_queued(operation, Ending(state=State.CANCELLED, error_code="CANCELLED", error_message=reason)):
        return True
    running = Operation.objects.filter(pk=operation.pk, state=State.RUNNING)
    asked = running.filter(cancel_requested_at=None).update(cancel_requested_at=timezone.now(), cancel_reason=reason)
    return bool(asked) or running.exists()


def _end(operation: Operation, rows: QuerySet[Operation], ending: Ending) -> bool:
    """Store the end in the row if it still is among `rows`; only then the object has it too."""
    values = _ended(ending)
    if not rows.update(**values):
        return False
    _keep(operation, values)
    return True


def _keep(operation: Operation, values: Mapping[str, Any]) -> None:
    """Never before the values are committed: what is to be taken back is read from the object."""
    for name, value in values.items():
        setattr(operation, name, value)


def _ended(ending: Ending) -> dict[str, Any]:
    stages = {} if ending.stages is None else {"stages": list(ending.stages)}
    return {
        **stages,
        "state": ending.state,
        "result": dict(ending.result) if ending.result is not None else None,
        "proof": dict(ending.proof) if ending.proof is not None else None,
        "sealed": "",
        "error_code": ending.error_code,
        "error_message": ending.error_message[:1000],
        "error_trace": ending.error_trace,
        "undo": list(ending.undo),
        "finished_at": timezone.now(),
        "lease_until": None,
        "target_lock": None,
    }


def _record(*operations: Operation) -> None:
    try:
        record_outcomes(operations)
    except AuditUnavailable:
        for operation in operations:
            logger.error("the ledger took no outcome; the reconciler will", extra={"operation": str(operation.pk)})
