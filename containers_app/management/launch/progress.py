"""Says what a start is doing and how long it took, in lines that can be read in a terminal and in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol


class Output(Protocol):
    """A text stream, such as a command's."""

    def write(self, msg: str = "", *, ending: str | None = None) -> None: ...

    def flush(self) -> None: ...


class Progress:
    """Lines for the person at the terminal. A terminal that is gone does not end the start."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def say(self, text: str = "", *, ending: str | None = None) -> None:
        """One line, at once."""
        with suppress(OSError):
            self._output.write(text, ending=ending)
            self._output.flush()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """`what ... 0.4 s`, the time when it is over."""
        started = time.monotonic()
        self.say(f"{what} ... ", ending="")
        try:
            yield
        except BaseException:
            self.say("stopped")
            raise
        self.say(f"{time.monotonic() - started:.1f} s")
