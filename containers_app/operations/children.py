"""Operations that are parts of another one: recorded like any, run by their parent, and ended with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Actor, Source, Subject
from containers_app.errors import Busy
from containers_app.models import Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.operations import transitions
from containers_app.operations.evidence import actor_of, subject_of
from containers_app.operations.kinds import KINDS
from containers_app.operations.transitions import Ending
from containers_app.workflows.context import ChildTarget, Done

_DONE = (State.SUCCEEDED, State.PARTIAL)


def begin(parent: Operation, targets: Sequence[ChildTarget]) -> tuple[str, ...]:
    """Write all intents, then all rows; returns their ids. They have no lease: their parent's decides.

    Raises AuditUnavailable, and Busy when another operation holds a target; then there is none of them.
    """
    actor = actor_of(parent)
    with ledger.together():
        rows = [_recorded(parent, actor, target) for target in targets]
    try:
        with transaction.atomic():
            Operation.objects.bulk_create(rows)
    except IntegrityError as error:
        held = Operation.objects.filter(target_lock__in=[row.target_lock for row in rows if row.target_lock]).first()
        why = f"another operation works on {held.target_name if held else 'one of them'}: wait for it, or cancel it"
        _close_intents(rows, actor, why)
        raise Busy(why) from error
    return tuple(str(row.pk) for row in rows)


def _recorded(parent: Operation, actor: Actor, target: ChildTarget) -> Operation:
    """The row of a part whose intent was written just now."""
    kind, child_id, now = KINDS[target.kind], uuid7(), timezone.now()
    receipt = ledger.intent(
        action=kind.action,
        actor=actor,
        source=Source(channel="worker", request_id=parent.request_id),
        subject=Subject(type=kind.subject_type, id=target.container_id, name=target.name, host=parent.host.name),
        operation_id=str(child_id),
        params={**target.params, "parent": str(parent.pk)},
        reason=parent.reason,
        ticket=parent.ticket,
    )
    return Operation(
        id=child_id,
        kind=target.kind,
        parent=parent,
        state=State.RUNNING,
        host=parent.host,
        params=dict(target.params),
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


def _close_intents(rows: Iterable[Operation], actor: Actor, why: str) -> None:
    with ledger.together():
        for row in rows:
            ledger.outcome(
                action=KINDS[row.kind].action,
                actor=actor,
                source=Source(channel="worker", request_id=row.request_id),
                subject=subject_of(row),
                operation_id=str(row.pk),
                outcome="failure",
                error_code="NOT_STARTED",
                error_message=why,
            )


def describe(parent: Operation, child_id: str, part: Done) -> None:
    """Keep what came of a part; it is not over before its parent is."""
    changes = {"result": dict(part.result), "proof": None if part.proof is None else dict(part.proof)}
    stage = "partial" if part.partial else "done"
    Operation.objects.filter(pk=child_id, parent=parent, state=State.RUNNING).update(stage=stage, **changes)


def end_with(parent: Operation) -> int:
    """End the parts of an operation that is over: those of one that failed are taken back. Returns how many ended."""
    parts = Operation.objects.select_related("host", "api_key").filter(parent=parent, state=State.RUNNING)
    return transitions.end_parts([(part, _ending(parent, part)) for part in parts])


def _ending(parent: Operation, part: Operation) -> Ending:
    if State(parent.state) in _DONE and part.result is not None:
        state = State.PARTIAL if part.stage == "partial" else State.SUCCEEDED
        return Ending(state=state, result=part.result, proof=part.proof)
    if State(parent.state) == State.INTERRUPTED:
        message = "the worker of the whole died; what it had begun is taken back"
        return Ending(state=State.INTERRUPTED, error_code="INTERRUPTED", error_message=message)
    message = "the whole did not come to its end, so this part is taken back"
    return Ending(state=State.CANCELLED, error_code="CANCELLED", error_message=message)
