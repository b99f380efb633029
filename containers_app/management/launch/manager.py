"""Runs the processes under one process manager, waits until they take work, and ends every one of them."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from containers_app.management.launch.death_signal import dying_with_parent
from containers_app.management.launch.failures import CannotStart
from containers_app.management.launch.places import PROJECT, Places
from containers_app.management.launch.programs import BROKER_STOP_SECONDS, STOP_SECONDS

READY_SECONDS = 60.0
# Two groups of processes end one after the other; the manager itself looks once a second.
END_SECONDS = STOP_SECONDS + BROKER_STOP_SECONDS + 4.0
_KILL_SECONDS = 1.0
_LOG_END_BYTES = 1500
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal raise KeyboardInterrupt, as Ctrl-C does, once: the end itself is not disturbed.

    A shell starts what runs in the background with SIGINT ignored; whoever sends it to this process means it all the
    same. An ignored SIGHUP is a wish to outlive the terminal, and stays.
    """

    def interrupt(number: int, frame: object) -> None:
        ignore_signals()
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From here on nothing interrupts the end."""
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def running(config: str, places: Places, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process manager with its processes; leaving the context ends all of them."""
    places.supervisor_config.unlink(missing_ok=True)
    places.supervisor_config.write_text(config)
    places.supervisor_config.chmod(0o600)
    places.worker_ready.unlink(missing_ok=True)
    words = (sys.executable, "-m", "containers_app.management.launch.supervise", "-c", str(places.supervisor_config))
    # A session of its own: Ctrl-C must reach the processes in order, and through the manager only.
    with (places.log / "supervisor.err").open("wb") as errors:
        process = subprocess.Popen(
            (*dying_with_parent("TERM"), *words),
            cwd=PROJECT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        ignore_signals()
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, and after END_SECONDS kill: then the system ends the children, who wished to die with their parent."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_SECONDS)


def wait_until_ready(process: subprocess.Popen[bytes], places: Places, *, address: str, port: int) -> None:
    """Return when the web server answers and the worker takes work. Raises CannotStart with the end of the log."""
    deadline = time.monotonic() + READY_SECONDS
    waiting = {"web": lambda: web_answers(address, port), "worker": places.worker_ready.exists}
    while waiting:
        name, is_ready = next(iter(waiting.items()))
        if is_ready():
            del waiting[name]
        elif process.poll() is not None:
            raise CannotStart(f"The process manager ended at once:\n{log_end(places.log / 'supervisor.err')}")
        elif time.monotonic() > deadline:
            log = places.log / f"{name}.log"
            raise CannotStart(f"{name} is not ready after {READY_SECONDS:g} s; the end of {log}:\n{log_end(log)}")
        else:
            time.sleep(0.05)


def web_answers(address: str, port: int) -> bool:
    """Whether the web server says that it lives."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    connection = http.client.HTTPConnection(reachable, port, timeout=5)
    try:
        connection.request("GET", "/livez", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def log_end(path: Path) -> str:
    """The last lines of a log."""
    return path.read_bytes()[-_LOG_END_BYTES:].decode(errors="replace") if path.exists() else "(no log was written)"
