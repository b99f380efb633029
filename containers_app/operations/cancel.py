"""Stop an operation on somebody's wish: recorded first, then asked."""

from __future__ import annotations

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import PermissionDenied
from containers_app.models import Operation
from containers_app.operations.authority import Asker
from containers_app.operations.evidence import subject_of
from containers_app.operations.transitions import request_cancel
from containers_app.operations.visibility import visible_to


def cancel(operation: Operation, *, asker: Asker, source: Source) -> bool:
    """Ask the operation to stop; a part stops with its whole. False when it is over already.

    Raises PermissionDenied and AuditUnavailable.
    """
    operation = operation.parent or operation
    if not visible_to(asker, "operation", "cancel").filter(pk=operation.pk).exists():
        raise PermissionDenied("you may not cancel operations: ask an administrator for the group 'operators'")
    ledger.event(
        action="operation.cancel",
        actor=asker.as_actor(),
        source=source,
        subject=subject_of(operation),
        operation_id=str(operation.pk),
    )
    return request_cancel(operation, reason=f"cancelled by {asker.label}")
