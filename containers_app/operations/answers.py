"""An operation's error as everybody reads it: the published code and words, whatever the cause was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        "BACKUP_UNUSABLE",
        "KEY_MISSING",
        "WRONG_KEY",
        "NOT_FOUND",
        "BACKUP_CORRUPT",
        "BACKUP_MISSING",
        "BACKUP_DELETED",
        "BACKUP_PINNED",
        "BACKUP_HELD",
        "LAST_GOOD_BACKUP",
        "LEDGER_TAMPERED",
        "LEDGER_UNVERIFIED",
        "STORAGE_FULL",
        "AUDIT_UNAVAILABLE",
        "QUEUE_UNAVAILABLE",
    }
)
# Every field that a result may have, in the order in which it is published.
RESULT_ORDER = (
    "success",
    "message",
    "action",
    "service",
    "sourceId",
    "newId",
    "newName",
    "mode",
    "containerId",
    "backupFile",
    "backupPath",
    "sizeBytes",
    "sizeMB",
    "timestamp",
    "backupId",
    "sha256",
    "consistencyGrade",
    "state",
    "verifiedAt",
    "bytesRead",
    "passed",
    "proven",
    "rtoSeconds",
    "rpoSeconds",
    "name",
    "stateBefore",
    "stateAfter",
    "exitCode",
    "health",
    "project",
    "newProject",
    "containers",
    "backups",
    "quietSeconds",
    "keptFiles",
    "kind",
    "path",
    "verdict",
    "decoded",
    "problem",
    "parts",
    "dryRun",
    "plan",
    "proof",
    "host",
    "engineVersion",
    "apiVersion",
    "operationId",
    "warnings",
)


def published_error(operation: Operation) -> dict[str, str] | None:
    """`{"error", "code"}` of an operation that ended without a result, else None."""
    if State(operation.state) in (State.QUEUED, State.RUNNING, State.SUCCEEDED, State.PARTIAL):
        return None
    return error_body(KINDS[operation.kind], code=operation.error_code, message=operation.error_message)


def published_result(operation: Operation) -> dict[str, Any] | None:
    """The stored result, in the published order."""
    return None if operation.result is None else in_published_order(operation.result)


def finished_body(operation: Operation) -> dict[str, Any]:
    """The answer of an operation that ended well: its result, plan and proof, its id and its warnings."""
    proven = {name: value for name in ("plan", "proof") if (value := getattr(operation, name)) is not None}
    warnings = [{"code": entry["code"], "message": entry["message"]} for entry in operation.warnings]
    more = {"operationId": str(operation.pk), "warnings": warnings}
    return in_published_order({**(operation.result or {}), **proven, **more})


def in_published_order(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields, those of objects in lists too: PostgreSQL's jsonb orders them by the length of their names."""
    return {name: _ordered(body[name]) for name in (*RESULT_ORDER, *body) if name in body}


def _ordered(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [in_published_order(entry) if isinstance(entry, Mapping) else entry for entry in value]


def error_body(kind: Kind, *, code: str, message: str) -> dict[str, str]:
    """The published two fields for an error of this verb."""
    return {"error": kind.failure_prefix + message, "code": code if code in PASSED_ON else kind.failure_code}
