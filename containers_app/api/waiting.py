"""Waiting for an operation in a request: a limited number of places, so that waiting starves nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from containers_app.conf import load
from containers_app.errors import TooManyWaiting
from containers_app.models import Operation

_FIRST_SECONDS, _GROWTH, _LONGEST_SECONDS = 0.002, 1.6, 0.05


@cache
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(load().max_waiting_requests)


@contextmanager
def place() -> Iterator[None]:
    """Hold one of this process's places. Raises TooManyWaiting at once when all are taken."""
    if not _places().acquire(blocking=False):
        raise TooManyWaiting(
            "too many requests wait for their operation; try again soon, or send 'Prefer: respond-async'"
        )
    try:
        yield
    finally:
        _places().release()


def wait_until_finished(operation: Operation, *, seconds: float) -> Operation:
    """Read the row until the operation is finished or the time is over; returns the newest row."""
    ends_at = time.monotonic() + seconds
    pause = _FIRST_SECONDS
    while True:
        row = Operation.objects.select_related("host", "api_key").get(pk=operation.pk)
        if row.is_finished or time.monotonic() >= ends_at:
            return row
        time.sleep(min(pause, max(0.0, ends_at - time.monotonic())))
        pause = min(pause * _GROWTH, _LONGEST_SECONDS)
