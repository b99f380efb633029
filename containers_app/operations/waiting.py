"""Waiting for an operation in a request: a limited number of places, so that waiting starves nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from containers_app.conf import load
from containers_app.errors import TooManyWaiting
from containers_app.models import Operation

_SHORTEST_SECONDS, _LONGEST_SECONDS, _SHARE = 0.001, 0.05, 0.05


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
    _pause_until(lambda: _ended(operation), seconds=seconds)
    return _row(operation)


def wait_until(operation: Operation, *, seconds: float, reached: Callable[[Operation], bool]) -> Operation:
    """Read the row until it is so, or the time is over; returns the newest row."""
    _pause_until(lambda: reached(_row(operation)), seconds=seconds)
    return _row(operation)


def _pause_until(reached: Callable[[], bool], *, seconds: float) -> None:
    """The pause is a twentieth of the time waited so far: nobody is late by more, and long waits are cheap."""
    begun = time.monotonic()
    while not reached() and (waited := time.monotonic() - begun) < seconds:
        pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, waited * _SHARE))
        time.sleep(min(pause, seconds - waited))


def _ended(operation: Operation) -> bool:
    """What `is_finished` says, by the two columns alone: a row is large, and this is asked every few milliseconds."""
    ended = Operation.objects.filter(pk=operation.pk).exclude(outcome_index=None)
    return ended.values_list("state", flat=True).first() in Operation.TERMINAL_STATES


def _row(operation: Operation) -> Operation:
    return Operation.objects.select_related("host", "api_key").get(pk=operation.pk)
