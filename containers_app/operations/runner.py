"""The life of a claimed operation: check, work, take back on failure, end. The one broad `except` is here."""

from __future__ import annotations

import logging
import os
import socket
import traceback
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from django.db import InterfaceError, OperationalError

from containers_app.audit import ledger
from containers_app.conf import load
from containers_app.errors import (
    AuditUnavailable,
    Cancelled,
    CheckFailed,
    DrillFailed,
    LeaseLost,
    MycoError,
    PermissionDenied,
    TimedOut,
)
from containers_app.models import Operation, State
from containers_app.operations import transitions
from containers_app.operations.authority import still_may
from containers_app.operations.children import end_with
from containers_app.operations.evidence import actor_of, receipt_of, subject_of
from containers_app.operations.kinds import KINDS, lasts
from containers_app.operations.progress import OperationContext, closed_stages
from containers_app.operations.secrets import unsealed
from containers_app.operations.transitions import Ending
from containers_app.workflows.context import Done
from containers_app.workflows.undo import replay

logger = logging.getLogger(__name__)
_DATABASE_AWAY = (OperationalError, InterfaceError)
_HERE = Path(__file__).resolve().parents[2]


def run(operation_id: UUID) -> None:
    """Run the operation if it still waits. Never raises for a failure of the work: the row and the ledger have it."""
    conf = load()
    worker = f"{socket.gethostname()}/{os.getpid()}"
    operation = transitions.claim(operation_id, worker=worker, lease_seconds=conf.lease_seconds)
    if operation is None:
        logger.info("nothing to claim", extra={"operation": str(operation_id)})
        return
    try:
        with OperationContext(operation, conf=conf, may=lambda permission: still_may(operation, permission)) as context:
            _attempt(operation, context)
    except _DATABASE_AWAY as error:
        # Whether the end was stored is unknown, so nothing is taken back here: the reconciler sees which it was.
        logger.error("left to the reconciler: %s", type(error).__name__, extra={"operation": str(operation_id)})


def _attempt(operation: Operation, context: OperationContext) -> None:
    try:
        done = _work(operation, context)
        state = State.PARTIAL if done.partial else State.SUCCEEDED
        stages = closed_stages(operation.stages, state="done")
        ending = Ending(state=state, stages=stages, result=done.result, proof=done.proof, undo=done.settling)
        if not transitions.finish(operation, ending, record=done.record, then=lambda: _end_parts(operation, context)):
            raise LeaseLost("the lease ran out before the end")
    except LeaseLost:
        _give_up(operation, context)
    except MycoError as error:
        _fail(operation, context, _foreseen(error))
    except _DATABASE_AWAY:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where a bug must become a state
        logger.error("a bug ended the operation", extra={"operation": str(operation.pk)})
        _fail(operation, context, _unforeseen(operation, context, error))


def _work(operation: Operation, context: OperationContext) -> Done:
    kind = KINDS[operation.kind]
    ledger.verify_receipt(receipt_of(operation))
    if not still_may(operation, kind.permission):
        raise PermissionDenied("the asker is no longer allowed to do this; nothing was done")
    return kind.workflow(context, kind.restore(operation.params, unsealed(operation)))


def _foreseen(error: MycoError) -> Ending:
    cancelled = isinstance(error, Cancelled | TimedOut)
    state = State.CANCELLED if cancelled else State.FAILED
    finding = error.finding if isinstance(error, CheckFailed) else None
    proof = error.proof if isinstance(error, DrillFailed) else None
    return Ending(state=state, error_code=error.code, error_message=error.message, result=finding, proof=proof)


def _unforeseen(operation: Operation, context: OperationContext, error: Exception) -> Ending:
    """The user gets a reference; staff get the frames, without values and without install paths."""
    frames = traceback.format_tb(error.__traceback__)
    trace = "".join(frames).replace(f"{_HERE}/", "") + type(error).__name__
    lasting = lasts(operation.kind) or not context.undo
    look = f"look at the {KINDS[operation.kind].subject_type}'s state"
    left = look if lasting else "what it had begun is being taken back"
    message = f"internal error, reference {operation.pk}: {left}; tell your administrator"
    return Ending(state=State.ERRORED, error_code="INTERNAL", error_message=message, error_trace=trace)


def _fail(operation: Operation, context: OperationContext, ending: Ending) -> None:
    if transitions.has_succeeded(operation.pk):
        # What failed came after the end was stored: nothing of the result is taken back for it.
        logger.error("a success was stored and not told", extra={"operation": str(operation.pk)})
        return
    pending = replay(context.undo, open_gateway=context.clean_up_gateway, store=context.store)
    stages = closed_stages(operation.stages, state="failed")
    ending = replace(ending, stages=stages, undo=pending)
    if not transitions.finish(operation, ending, then=lambda: _end_parts(operation, context)):
        _note_fenced(operation)


def _end_parts(operation: Operation, context: OperationContext) -> None:
    if context.has_parts:
        end_with(operation)


def _give_up(operation: Operation, context: OperationContext) -> None:
    """The lease is somebody else's: take back our own effects, write nothing into the row, tell the ledger."""
    replay(context.undo, open_gateway=context.clean_up_gateway, store=context.store)
    _note_fenced(operation)


def _note_fenced(operation: Operation) -> None:
    try:
        ledger.event(
            action="operation.fenced",
            actor=actor_of(operation),
            source=ledger.Source(channel="worker", request_id=operation.request_id),
            subject=subject_of(operation),
            operation_id=str(operation.pk),
            outcome="failure",
            error_code=LeaseLost.code,
        )
    except AuditUnavailable:
        logger.error("the ledger took no note of the fenced worker", extra={"operation": str(operation.pk)})
