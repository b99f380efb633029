"""Processes that use the ledger, as the tests ask them to: the other end of `ledger_child.py`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("ledger_child.py")
# Longer than anything that is asked here, on a busy machine.
PATIENCE_SECONDS = 100.0


class LedgerProgram:
    """The program in one environment, loaded once: each process is a fork of it, since loading is what takes time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._control.settimeout(PATIENCE_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, CHILD, str(theirs.fileno())], env=environment, pass_fds=[theirs.fileno()]
            )

    def begin(self) -> LedgerProcess:
        """A new process, with no connection to a database yet."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"fork"], [theirs.fileno()])
        return LedgerProcess(self, ours, int(self._control.recv(100)))

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

    def exit_status(self, process_id: int) -> int:
        """Of a process that ends now."""
        self._control.send(str(process_id).encode())
        return int(self._control.recv(100))

    def end(self) -> None:
        """No process is begun any more."""
        self._control.close()
        self._process.wait(PATIENCE_SECONDS)


class LedgerProcess:
    """One process, asked one thing at a time."""

    def __init__(self, program: LedgerProgram, line: socket.socket, process_id: int) -> None:
        self._program = program
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
            self._status = self._program.exit_status(self._process_id)
            self._answers.close()
            self._line.close()
        return self._status
