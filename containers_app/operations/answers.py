"""An operation's error as everybody reads it: the published code and words, whatever the cause was."""

from __future__ import annotations

from containers_app.models import Operation, State
from containers_app.operations.kinds import KINDS, Kind

# Codes that clients may act on; every other foreseen failure carries the verb's published code.
PASSED_ON = frozenset(
    {
        "INVALID_REQUEST",
        "PERMISSION_DENIED",
        "PROTECTED",
        "NAME_TAKEN",
        "BUSY",
        "PLAN_CHANGED",
        "COLLISION",
        "CONTAINER_RUNNING",
        "PORT_TAKEN",
        "AMBIGUOUS_REFERENCE",
        "STORAGE_FULL",
        "AUDIT_UNAVAILABLE",
        "QUEUE_UNAVAILABLE",
    }
)


def published_error(operation: Operation) -> dict[str, str] | None:
    """`{"error", "code"}` of an operation that ended without a result, else None."""
    if State(operation.state) in (State.QUEUED, State.RUNNING, State.SUCCEEDED, State.PARTIAL):
        return None
    return error_body(KINDS[operation.kind], code=operation.error_code, message=operation.error_message)


def error_body(kind: Kind, *, code: str, message: str) -> dict[str, str]:
    """The published two fields for an error of this verb."""
    return {"error": kind.failure_prefix + message, "code": code if code in PASSED_ON else kind.failure_code}
