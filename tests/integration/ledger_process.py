"""Processes that use the ledger, as the tests ask them to: the other end of `ledger_child.py`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.forks import PATIENCE_SECONDS, Forks

CHILD = Path(__file__).with_name("ledger_child.py")


class LedgerProgram:
    """The program in one environment: each process is a fork of it, with no connection to a database yet."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._forks = Forks(str(CHILD), environment=environment)
        self.end = self._forks.end

    def begin(self) -> LedgerProcess:
        """A new process."""
        ours, theirs = socket.socketpair()
        with theirs:
            process_id = self._forks.begin([theirs.fileno(), theirs.fileno()])
        return LedgerProcess(self._forks, ours, process_id)

    @contextmanager
    def process(self) -> Iterator[LedgerProcess]:
        """The same, ended afterwards."""
        child = self.begin()
        try:
            yield child
        finally:
            child.end()

    def ask(self, what: str, **arguments: Any) -> Any:
        """Ask a process that does nothing else."""
        with self.process() as child:
            return child.ask(what, **arguments)


class LedgerProcess:
    """One process, asked one thing at a time."""

    def __init__(self, forks: Forks, line: socket.socket, process_id: int) -> None:
        self._forks = forks
        self._process_id = process_id
        self._line = line
        line.settimeout(PATIENCE_SECONDS)
        self._answers = line.makefile()
        self._status: int | None = None

    def send(self, what: str, **arguments: Any) -> None:
        self._line.sendall(json.dumps({"do": what, **arguments}).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer

    def ask(self, what: str, **arguments: Any) -> Any:
        """The result. Fails when there was an error instead."""
        self.send(what, **arguments)
        answer = self.receive()
        assert "result" in answer, answer
        return answer["result"]

    def error_of(self, what: str, **arguments: Any) -> str:
        """The name of the error that it ends in."""
        self.send(what, **arguments)
        return str(self.receive()["error"])

    def terminate(self) -> None:
        """What a process manager does first."""
        os.kill(self._process_id, signal.SIGTERM)

    def end(self) -> int:
        """Let it end by itself and return its exit status; again: the same."""
        if self._status is None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_WR)
            self._status = self._forks.exit_status(self._process_id)
            self._answers.close()
            self._line.close()
        return self._status
