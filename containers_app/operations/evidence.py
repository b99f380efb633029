"""What the ledger is told about an operation: one intent before, one outcome after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.canonical import Unrecordable
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
    (index,) = record_outcomes([operation], late=late)
    return index


def record_outcomes(operations: Iterable[Operation], *, late: bool = False) -> list[int]:
    """The same for several, which are told at one moment. Raises AuditUnavailable; then none is told."""
    # What the other database is asked is asked before: the ledger's one lock waits for nobody.
    askers = [(operation, actor_of(operation), subject_of(operation)) for operation in operations]
    with ledger.together():
        told = [(operation, _told(operation, actor, subject, late=late)) for operation, actor, subject in askers]
    for operation, index in told:
        Operation.objects.filter(pk=operation.pk, outcome_index=None).update(outcome_index=index)
        operation.outcome_index = index
    return [index for _, index in told]


def _told(operation: Operation, actor: Actor, subject: Subject, *, late: bool) -> int:
    try:
        return _outcome(operation, actor, subject, _details(operation), late=late)
    except Unrecordable:
        # An end must be told whatever a container's names may hold; the row has the rest.
        return _outcome(operation, actor, subject, {"state": operation.state, "unrecordable": True}, late=late)


def _outcome(operation: Operation, actor: Actor, subject: Subject, details: dict[str, Any], *, late: bool) -> int:
    return ledger.outcome(
        action=KINDS[operation.kind].action,
        actor=actor,
        source=Source(channel="worker", request_id=operation.request_id),
        subject=subject,
        operation_id=str(operation.id),
        outcome=_OUTCOMES[State(operation.state)],
        error_code=operation.error_code,
        error_message=operation.error_message,
        duration_ms=_duration_milliseconds(operation),
        size_bytes=operation.bytes_done or None,
        details=details,
        late=late,
    )


def actor_of(operation: Operation) -> Actor:
    """The asker as the ledger names it, copied from the row."""
    key = operation.api_key
    return Actor(
        type="key" if key else "user" if operation.user_id else "system",
        id=str(operation.user_id or ""),
        label=operation.actor,
        auth="key" if key else "session" if operation.user_id and operation.channel != "cli" else "none",
        key_prefix=key.prefix if key else "",
    )


def subject_of(operation: Operation) -> Subject:
    """The container or host that it is about."""
    kind = KINDS[operation.kind]
    return Subject(type=kind.subject_type, id=operation.target_id, name=operation.target_name, host=operation.host.name)


def _details(operation: Operation) -> dict[str, Any]:
    """What the ledger keeps of a result: whole numbers and words; of a plan its hash, of a proof its verdict."""
    told = KINDS[operation.kind].told_result(operation.result or {})
    result = {name: _recorded(name, value) for name, value in told.items() if name != "plan"}
    details = {
        "state": operation.state,
        "result": result,
        "warnings": sorted({entry["code"] for entry in operation.warnings}),
        "undoPending": len(operation.undo),
    }
    if operation.parent_id:
        details["parent"] = str(operation.parent_id)
    if operation.plan:
        details["planHash"] = operation.plan["hash"]
    if operation.proof:
        details["proof"] = _verdict(operation.proof)
    return details


def _recorded(name: str, value: Any) -> Any:
    """A duration in seconds as whole milliseconds; the ledger's numbers have no fractions."""
    return int(value * 1000) if isinstance(value, float) else value


def _verdict(proof: dict[str, Any]) -> dict[str, Any]:
    """How many fields were compared and differ, and each tree with its hash."""
    configuration = proof.get("configuration") or {}
    trees = [
        {"name": tree["name"], "equal": str(tree["equal"]), "sha256": (tree.get("copy") or {}).get("sha256", "")}
        for tree in proof.get("content") or []
    ]
    differing = [entry for entry in configuration.get("differences") or [] if entry["reason"] is None]
    return {"fields": configuration.get("comparedFields", 0), "unexplained": len(differing), "trees": trees}


def _duration_milliseconds(operation: Operation) -> int:
    finished = operation.finished_at or timezone.now()
    return max(0, int((finished - operation.created_at).total_seconds() * 1000))
