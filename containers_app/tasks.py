"""What Celery workers run: one call to the runner."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from containers_app.operations import runner
from containers_app.operations.dispatch import TASK_NAME


@shared_task(name=TASK_NAME)
def run_operation(operation_id: str) -> None:
    """Run the operation of this id, if it still waits."""
    runner.run(UUID(operation_id))
