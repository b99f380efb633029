"""Operations that are parts of another one: recorded like any, run by their parent, and ended with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Source, Subject
from containers_app.errors import Busy
from containers_app.models import Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.operations import transitions
from containers_app.operations.evidence import actor_of
from containers_app.operations.kinds import KINDS
from containers_app.operations.transitions import Ending
from containers_app.workflows.context import ChildTarget, Done

_DONE = (State.SUCCEEDED, State.PARTIAL)


def begin(parent: Operation, target: ChildTarget, params: Mapping[str, Any]) -> str:
    """Write the intent, then the row. It has no lease: its parent's decides. Raises AuditUnavailable."""
    kind, child_id = KINDS[target.kind], uuid7()
    receipt = ledger.intent(
        action=kind.action,
        actor=actor_of(parent),
        source=Source(channel="worker", request_id=parent.request_id),
        subject=Subject(type=kind.subject_type, id=target.container_id, name=target.name, host=parent.host.name),
        operation_id=str(child_id),
        params={**params, "parent": str(parent.pk)},
        reason=parent.reason,
        ticket=parent.ticket,
    )
    now = timezone.now()
    row = Operation(
        id=child_id,
        kind=target.kind,
        parent=parent,
        state=State.RUNNING,
        host=parent.host,
        params=dict(params),
        target_id=target.container_id,
        target_name=target.name,
        user_id=parent.user_id,
        api_key_id=parent.api_key_id,
        actor=parent.actor,
        channel=parent.channel,
        reason=parent.reason,
        ticket=parent.ticket,
        request_id=parent.request_id,
        worker=parent.worker,
        intent_shard=receipt.shard,
        intent_index=receipt.leaf_index,
        intent_hash=receipt.leaf_hash,
        created_at=now,
        started_at=now,
        target_lock=f"{parent.host_id}:{target.container_id}" if target.lock else None,
    )
    _store(row)
    return str(child_id)


def _store(row: Operation) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Busy(f"another operation works on {row.target_name}: wait for it, or cancel it") from error


def describe(parent: Operation, child_id: str, part: Done) -> None:
    """Keep what came of a part; it is not over before its parent is."""
    changes = {"result": dict(part.result), "proof": None if part.proof is None else dict(part.proof)}
    stage = "partial" if part.partial else "done"
    Operation.objects.filter(pk=child_id, parent=parent, state=State.RUNNING).update(stage=stage, **changes)


def end_with(parent: Operation) -> int:
    """End the parts of an operation that is over: those of one that failed are taken back. Returns how many ended."""
    parts = Operation.objects.select_related("host", "api_key").filter(parent=parent, state=State.RUNNING)
    return sum(transitions.end_part(part, _ending(parent, part)) for part in parts)


def _ending(parent: Operation, part: Operation) -> Ending:
    if State(parent.state) in _DONE and part.result is not None:
        state = State.PARTIAL if part.stage == "partial" else State.SUCCEEDED
        return Ending(state=state, result=part.result, proof=part.proof)
    if State(parent.state) == State.INTERRUPTED:
        message = "the worker of the whole died; what it had begun is taken back"
        return Ending(state=State.INTERRUPTED, error_code="INTERRUPTED", error_message=message)
    message = "the whole did not come to its end, so this part is taken back"
    return Ending(state=State.CANCELLED, error_code="CANCELLED", error_message=message)
