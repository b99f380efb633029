"""A pause beside `docker exec`: nothing is frozen in its start, on any version of the Engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.specs.endpoint import Endpoint
from containers_app.workflows.quiesce import quiet
from tests.engine_fixture import EVERY_ENGINE, SAMPLE_IMAGE, PrivateEngine, started_engine
from tests.integration.laboratory import RECEIPT
from tests.throwaway import wait_until

# A pause that does not wait takes less than a tenth of this.
NOT_PAUSED_SECONDS = 1.0
LONGEST_SECONDS = 20.0


class Noted:
    """A context that nobody interrupts; `begun` is set when the source is about to be paused."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def stage(self, name: str, *, undo: Any) -> None:
        self.begun.set()

    def checkpoint(self) -> None:
        """Nobody wishes it to stop."""

    def forget_undo(self, step: Any) -> None:
        """The source goes on."""


class SlowStart:
    """A runtime that holds every exec in its start until it is let go, and the Engine that uses it."""

    def __init__(self, folder: Path, suite: str | None) -> None:
        self.reached, self._gate, program = folder / "reached", folder / "gate", folder / "held-runc"
        os.mkfifo(self._gate)
        program.write_text(
            "#!/bin/sh\n"
            f'for word; do if [ "$word" = exec ]; then touch {self.reached}; read -r _ <{self._gate}; break; fi; done\n'
            'exec runc "$@"\n'
        )
        program.chmod(0o755)
        self.options = ("--add-runtime", f"held={program}")
        self.suite = suite

    def let_go(self) -> None:
        """Let the one exec that is held start."""
        self._gate.write_text("go\n")


@pytest.fixture(params=EVERY_ENGINE)
def slow_start(request: pytest.FixtureRequest, tmp_path: Path) -> SlowStart:
    return SlowStart(tmp_path, request.param)


@pytest.fixture
def held_engine(slow_start: SlowStart) -> Iterator[PrivateEngine]:
    with started_engine(*slow_start.options, suite=slow_start.suite) as engine:
        yield engine


@pytest.fixture
def gateway(held_engine: PrivateEngine) -> Iterator[EngineGateway]:
    with open_gateway(Endpoint.parse(held_engine.url), EngineLimits(), RECEIPT) as opened:
        yield opened


@pytest.fixture
def client(held_engine: PrivateEngine) -> Iterator[docker.DockerClient]:
    with closing(held_engine.client()) as opened:
        yield opened


def test_a_source_is_paused_only_when_what_starts_in_it_has_started(
    slow_start: SlowStart, gateway: EngineGateway, client: docker.DockerClient
) -> None:
    source = client.containers.run(SAMPLE_IMAGE, runtime="held", detach=True)
    inspected, context, paused = gateway.inspect(str(source.id)), Noted(), threading.Event()
    anything: Any = context

    def pause_and_go_on() -> None:
        with quiet(anything, gateway, inspected, "pause"):
            paused.set()

    with ThreadPoolExecutor() as threads:
        told = threads.submit(source.exec_run, ["echo", "told"])
        wait_until(slow_start.reached.exists, what="a start")
        ended = threads.submit(pause_and_go_on)
        assert context.begun.wait(LONGEST_SECONDS)
        early = paused.wait(NOT_PAUSED_SECONDS)
        slow_start.let_go()
        assert told.result(LONGEST_SECONDS).output == b"told\n"
        ended.result(LONGEST_SECONDS)
    assert (early, gateway.inspect(str(source.id))["State"]["Status"]) == (False, "running")
