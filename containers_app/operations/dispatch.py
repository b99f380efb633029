"""Tell a worker: the message is the operation's id and nothing else. A lost message is found by the reconciler."""

from __future__ import annotations

import logging

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError

from containers_app.models import Operation

TASK_NAME = "containers_app.run_operation"
logger = logging.getLogger(__name__)


def publish(operation: Operation) -> bool:
    """Send the id to the host's queue. False when the broker does not take it, and the row says so."""
    message = current_app.signature(TASK_NAME, args=[str(operation.pk)], queue=operation.host.queue)
    try:
        message.apply_async()
    except (OperationalError, OSError) as error:
        logger.warning("the broker took no message: %s", type(error).__name__, extra={"operation": str(operation.pk)})
        Operation.objects.filter(pk=operation.pk).update(published_at=None)
        return False
    return True


def republish(operation: Operation) -> bool:
    """Send the id again and note when."""
    Operation.objects.filter(pk=operation.pk).update(published_at=timezone.now())
    return publish(operation)


def broker_answers() -> bool:
    """Whether the broker takes a connection now."""
    try:
        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError):
        return False
    return True
