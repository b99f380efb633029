"""A process that uses the ledger, as the tests ask it to: the other end of `ledger_child.py`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("ledger_child.py")


class LedgerProcess:
    """One child process, asked one thing at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, CHILD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, what: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, what: str, **arguments: Any) -> Any:
        """The result. Raises KeyError when there was an error instead."""
        self.send(what, **arguments)
        answer = self.receive()
        assert "result" in answer, answer
        return answer["result"]

    def error_of(self, what: str, **arguments: Any) -> str:
        """The name of the error that it ends in."""
        self.send(what, **arguments)
        return str(self.receive()["error"])

    def end(self) -> int:
        """Let it end by itself and return its exit status."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=60)
        return self._process.wait(timeout=60)
