"""Servers that belong to one test process: started by the scripts of bin/, gone with it even after kill -9."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.machine import PROJECT

# Short, because a socket's path is limited to 107 bytes, and open to the user that PostgreSQL runs as.
ROOT = Path("/tmp")
START_SECONDS = 30.0


def wait_until(condition: Callable[[], bool], *, seconds: float = START_SECONDS, what: str = "it") -> None:
    """Poll until `condition()` is true; raise TimeoutError, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)


def run_script(script: str, *arguments: str | Path) -> str:
    """Run bin/`script` and return what it printed; raise RuntimeError with its complaint when it fails."""
    done = subprocess.run(
        [PROJECT / "bin" / script, *arguments], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise RuntimeError(f"bin/{script} {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout.strip()


class Throwaway:
    """One server in a folder of its own, started in the foreground by bin/`script DIR OPTIONS`."""

    def __init__(self, script: str, *options: str | Path) -> None:
        self.script = script
        self.options = options
        self._sweep()
        self.directory = ROOT / f"myco-{script}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def _sweep(self) -> None:
        """Remove the folders of test processes that were killed; their servers are gone already."""
        for left in ROOT.glob(f"myco-{self.script}-*-??????"):
            if not Path("/proc", left.name.split("-")[2]).exists():
                with contextlib.suppress(RuntimeError):
                    run_script(self.script, "destroy", left)
                shutil.rmtree(left, ignore_errors=True)

    def start(self, answers: Callable[[], bool]) -> None:
        """Start the server and return when `answers()` is true; raise RuntimeError with its log when it ends before.

        The server dies with the *thread* that calls this, so a fixture does, and never a helper thread.
        """
        self._process = process = subprocess.Popen(
            [PROJECT / "bin" / self.script, "fg", self.directory, *self.options],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: process.poll() is not None or answers(), what=f"the start of {self.script}")
        except TimeoutError as error:
            raise RuntimeError(f"{self.script} does not answer: {self.log_end()}") from error
        if process.poll() is not None:
            raise RuntimeError(f"{self.script} ended at once: {self.log_end()}")

    def reap(self) -> None:
        """Take note that the server has ended, so that no zombie is left."""
        if self._process is not None:
            self._process.wait(timeout=START_SECONDS)
            self._process = None

    def destroy(self) -> None:
        """End the server and remove every trace of it."""
        run_script(self.script, "destroy", self.directory)
        self.reap()

    def log_end(self) -> str:
        """The last 2000 characters of the server's log."""
        log = self.directory / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "it has no log"
