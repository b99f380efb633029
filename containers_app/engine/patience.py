"""A call that may last for an hour, made so that its operation can be cancelled and is not taken for stuck."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

_TICK_SECONDS = 0.25
Answer = TypeVar("Answer")


def patiently(call: Callable[[], Answer], *, tick: Callable[[], None]) -> Answer:
    """Make the call in a thread of its own and run `tick` until it is over; returns or raises what the call does.

    What `tick` raises abandons the call: the Engine goes on with what it was asked, and the thread ends with it.
    The connection that the call uses must not be used again then.
    """
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="long call")
    try:
        answer = thread.submit(call)
        while not wait([answer], timeout=_TICK_SECONDS).done:
            tick()
        return answer.result()
    finally:
        thread.shutdown(wait=False)
