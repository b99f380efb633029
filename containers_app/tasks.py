"""What Celery workers run: one call to the runner."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from containers_app.audit.verbs import records
from containers_app.operations import runner
from containers_app.operations.dispatch import TASK_NAME
from containers_app.operations.kinds import KINDS


@shared_task(name=TASK_NAME)
@records(*(kind.action for kind in KINDS.values()), "operation.fenced")
def run_operation(operation_id: str) -> None:
    """Run the operation of this id, if it still waits."""
    runner.run(UUID(operation_id))
