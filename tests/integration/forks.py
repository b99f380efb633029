"""A program, loaded once, that forks a process for each wish: loading is what takes time, and a fork is as real."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.machine import PROJECT

# Longer than anything that is asked of a fork at its end, on a busy machine.
PATIENCE_SECONDS = 100.0
_LONGEST_WORD = 100_000


class Forks:
    """The program `python COMMAND NUMBER`, which calls `fork_for_each` with the file of that number."""

    def __init__(self, *command: str, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._control.settimeout(PATIENCE_SECONDS)
        number = theirs.fileno()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *command, str(number)], env=environment, cwd=PROJECT, pass_fds=[number]
            )

    def begin(self, files: Sequence[int], word: str = "-") -> int:
        """Fork a process that gets these files, and `word`; its process id."""
        socket.send_fds(self._control, [word.encode()], files)
        return int(self._control.recv(100))

    def exit_status(self, process_id: int) -> int:
        """Of a fork that ends now; less than 0 is a signal."""
        self._control.send(str(process_id).encode())
        return int(self._control.recv(100))

    def end(self) -> None:
        """Fork no more."""
        self._control.close()
        self._process.wait(PATIENCE_SECONDS)


def fork_for_each(number: int, work: Callable[[str], object]) -> None:
    """Fork for each word that comes with files, which become 0, 1 and so on; tell how one ended when asked."""
    control = socket.socket(fileno=number)
    while True:
        word, files, _, _ = socket.recv_fds(control, _LONGEST_WORD, 3)
        if not word:
            break
        told = os.fork() if files else os.waitstatus_to_exitcode(os.waitpid(int(word), 0)[1])
        if files and not told:
            control.close()
            _end(_status_of(work, word.decode(), files))
        for file in files:
            os.close(file)
        control.send(str(told).encode())
    _end(0)


def _status_of(work: Callable[[str], object], word: str, files: Sequence[int]) -> int:
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    try:
        work(word)
    except SystemExit as end:
        return _exit_code(end.code)
    return 0


def _exit_code(code: Any) -> int:
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        return 1
    return int(code or 0)


def _end(status: int) -> None:
    """What the interpreter does at its end, without the freeing of all objects, which takes longest."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
