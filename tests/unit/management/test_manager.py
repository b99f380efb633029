"""The processes start at once, and end within a limit whatever they think of it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from containers_app.management.launch import engines, manager
from containers_app.management.launch.death_signal import dying_with_parent
from containers_app.management.launch.manager import ended_by_signals, running
from containers_app.management.launch.places import Places
from containers_app.management.launch.programs import Program, render
from tests.throwaway import wait_until

STUBBORN = "import pathlib, signal, sys; {}; pathlib.Path(sys.argv[1]).touch(); signal.pause()"
DEAF = "[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)]"


@pytest.fixture
def places() -> Iterator[Places]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        made = Places(Path(folder) / "var")
        made.prepare()
        yield made


@pytest.fixture
def handlers() -> Iterator[None]:
    """The usual handlers, whatever whoever runs the tests ignores; afterwards as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    usual: tuple[Any, ...] = (signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in zip(numbers, usual, strict=True)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def program(places: Places, preparation: str, stop_seconds: int) -> Program:
    """A process that says in a file that it runs, and then waits for a signal."""
    words = (*dying_with_parent("KILL"), sys.executable, "-c", STUBBORN.format(preparation), str(places.run / "runs"))
    return Program(name="web", command=words, priority=10, stop_seconds=stop_seconds)


def ending_seconds(places: Places, preparation: str, stop_seconds: int = 10) -> float:
    """How long the end took of a process that did this first."""
    runs = places.run / "runs"
    with running(render([program(places, preparation, stop_seconds)], places), places, os.environ):
        wait_until(runs.exists, what="a process that runs")
        begun = time.monotonic()
    return time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("handlers")
def test_each_signal_of_an_end_is_ctrl_c_and_the_next_ones_disturb_nothing(number: signal.Signals) -> None:
    with ended_by_signals():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        for later in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), later)


@pytest.mark.usefixtures("handlers")
def test_an_interrupt_that_a_background_shell_had_ignored_is_heard() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ended_by_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("handlers")
def test_a_wish_to_outlive_the_terminal_is_kept() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("handlers")
def test_a_process_that_hears_nothing_is_killed_at_its_limit(places: Places) -> None:
    assert 1 <= ending_seconds(places, DEAF, 1) < manager.END_SECONDS
    assert "killing 'web'" in (places.log / "supervisor.log").read_text()


@pytest.mark.usefixtures("handlers")
def test_a_process_that_listens_is_not_killed(places: Places) -> None:
    assert ending_seconds(places, "pass") < manager.END_SECONDS
    assert "killing" not in (places.log / "supervisor.log").read_text()


@pytest.mark.usefixtures("handlers")
def test_a_manager_that_hangs_is_killed_with_its_processes(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "END_SECONDS", 1.0)
    runs = places.run / "runs"
    with running(render([program(places, "pass", 10)], places), places, os.environ) as process:
        wait_until(runs.exists, what="a process that runs")
        child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        os.kill(process.pid, signal.SIGSTOP)
    assert process.poll() == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{child}").exists(), what="the end of the process")


@pytest.mark.usefixtures("handlers")
def test_the_processes_do_not_wait_for_the_managers_first_second(places: Places) -> None:
    ending_seconds(places, "pass")
    lines = (places.log / "supervisor.log").read_text().splitlines()
    moments = [
        datetime.fromisoformat(line[:23].replace(",", "."))
        for line in lines
        if "supervisord started" in line or "spawned: 'web'" in line
    ]
    assert (moments[1] - moments[0]).total_seconds() < 0.9


def test_the_whole_end_has_one_limit() -> None:
    assert manager.END_SECONDS + engines.STOP_SECONDS < 60
