"""The scheduler's timers do not wait for each other, and its end waits for nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from containers_app.models import DockerHost, Operation, State
from containers_app.operations import schedules
from containers_app.operations.schedules import Scheduler
from tests import recipes
from tests.engine_fixture import PrivateEngine
from tests.machine import PROJECT
from tests.throwaway import wait_until

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)
TIMERS = {"reconcile", "backups", "hosts", "inventory of local", "events of local"}


@pytest.fixture
def quick(settings: Any) -> None:
    """Sweeps that follow each other, and an Engine that is waited for longer than any test."""
    changes = {"reconcile_seconds": 0.1, "inventory_seconds": 0.1, "engine_connect_seconds": 60.0}
    settings.MYCODOCKER = {**settings.MYCODOCKER, **changes}


@pytest.fixture
def scheduler(disposable_engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch, quick: None) -> Iterator[Scheduler]:
    """A scheduler of the Engine; at the end none of its threads is left."""
    monkeypatch.setenv("DOCKER_API_URL", disposable_engine.url)
    made = Scheduler()
    yield made
    made.stop()
    wait_until(lambda: not timers(), seconds=90, what="the end of the threads")


def timers() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & TIMERS


def expired() -> Operation:
    return recipes.operation(deadline_at=timezone.now() - timedelta(seconds=1))


def is_over(operation: Operation) -> bool:
    return Operation.objects.filter(pk=operation.pk, state=State.CANCELLED).exists()


@pytest.mark.engine
def test_a_frozen_engine_delays_no_sweep_and_no_end(scheduler: Scheduler, disposable_engine: PrivateEngine) -> None:
    with disposable_engine.frozen():
        scheduler.start()
        for _sweep in range(3):
            operation = expired()
            wait_until(partial(is_over, operation), seconds=20, what="a sweep")
        assert timers() == TIMERS
        assert not DockerHost.objects.filter(checked_at__isnull=False).exists()
        begun = time.monotonic()
        scheduler.stop()
        assert time.monotonic() - begun < schedules.JOIN_SECONDS + 5
        assert "reconcile" not in timers()


@pytest.mark.engine
def test_with_a_good_engine_every_thread_ends_at_once(scheduler: Scheduler) -> None:
    scheduler.start()
    wait_until(lambda: DockerHost.objects.filter(reachable=True).exists(), what="the inventory")
    scheduler.stop()
    assert timers() == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_by_itself_when_it_is_asked(number: signal.Signals) -> None:
    environment = {**os.environ, "DOCKER_API_URL": "unix:///nonexistent/engine.sock", "PYTHONUNBUFFERED": "1"}
    words = [sys.executable, "manage.py", "scheduler", "--skip-checks"]
    process = subprocess.Popen(words, cwd=PROJECT, env=environment, stderr=subprocess.PIPE)
    assert process.stderr
    # It says that the Engine is away, which shows that its threads work.
    assert process.stderr.readline()
    process.send_signal(number)
    assert process.wait(30) == 0
    process.stderr.close()
