"""What the ledger is told about an operation: one intent before, one outcome after."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Actor, Outcome, Source, Subject
from containers_app.models import Operation, State
from containers_app.operations.kinds import KINDS
from containers_app.specs.receipt import Receipt

_OUTCOMES: dict[State, Outcome] = {
    State.SUCCEEDED: "success",
    State.PARTIAL: "success",
    State.FAILED: "failure",
    State.ERRORED: "error",
    State.CANCELLED: "failure",
    State.INTERRUPTED: "unknown",
}


def receipt_of(operation: Operation) -> Receipt:
    """The receipt that the operation's intent got."""
    return Receipt(
        operation_id=str(operation.id),
        shard=operation.intent_shard,
        leaf_index=operation.intent_index,
        leaf_hash=operation.intent_hash,
    )


def record_outcome(operation: Operation, *, late: bool = False) -> int:
    """Write the one outcome of a terminal operation, and note its index in the row. Returns the leaf index.

    Safe to repeat: a second call finds the first entry. Raises AuditUnavailable.
    """
    kind = KINDS[operation.kind]
    index = ledger.outcome(
        action=kind.action,
        actor=actor_of(operation),
        source=Source(channel="worker", request_id=operation.request_id),
        subject=subject_of(operation),
        operation_id=str(operation.id),
        outcome=_OUTCOMES[State(operation.state)],
        error_code=operation.error_code,
        error_message=operation.error_message,
        duration_ms=_duration_milliseconds(operation),
        size_bytes=operation.bytes_done or None,
        details=_details(operation),
        late=late,
    )
    Operation.objects.filter(pk=operation.pk, outcome_index=None).update(outcome_index=index)
    operation.outcome_index = index
    return index


def actor_of(operation: Operation) -> Actor:
    """The asker as the ledger names it, copied from the row."""
    key = operation.api_key
    return Actor(
        type="key" if key else "user" if operation.user_id else "system",
        id=str(operation.user_id or ""),
        label=operation.actor,
        auth="key" if key else "session" if operation.user_id else "none",
        key_prefix=key.prefix if key else "",
    )


def subject_of(operation: Operation) -> Subject:
    """The container or host that it is about."""
    kind = KINDS[operation.kind]
    return Subject(type=kind.subject_type, id=operation.target_id, name=operation.target_name, host=operation.host.name)


def _details(operation: Operation) -> dict[str, Any]:
    """What the ledger keeps of a result: whole numbers and words, no fractions."""
    result = {name: value for name, value in (operation.result or {}).items() if not isinstance(value, float)}
    return {"state": operation.state, "result": result, "warnings": [entry["code"] for entry in operation.warnings]}


def _duration_milliseconds(operation: Operation) -> int:
    finished = operation.finished_at or timezone.now()
    return max(0, int((finished - operation.created_at).total_seconds() * 1000))
