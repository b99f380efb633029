"""Counts what a process does, and kills it before a chosen one: the code says which steps there are, not the test."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any


class Steps:
    """Kills this process by SIGKILL before the `last`-th step of its main thread."""

    def __init__(self, last: int) -> None:
        self._left = last

    def next(self) -> None:
        """Come to a step."""
        if threading.current_thread() is threading.main_thread():
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, each call of which is a step."""

        def counted(*arguments: Any, **named: Any) -> Any:
            self.next()
            return original(*arguments, **named)

        return counted


def killed_child(work: Callable[[], object]) -> bool:
    """Do it in a child, which ends with it; say whether it was killed before."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code == -signal.SIGKILL
