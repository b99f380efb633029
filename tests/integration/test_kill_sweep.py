"""kill -9 before every step of an operation, from the wish to the row's end: the ledger is honest, nothing is left."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from containers_app.specs.engine import OPERATION_LABEL
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.integration.test_fail_closed import ask, started

MOST_STEPS = 120


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, engine: PrivateEngine) -> Iterator[subprocess.Popen[str]]:
    """One for all: starting it is what takes time."""
    with started(tmp_path_factory.mktemp("swept"), engine.url, {}) as (made, _):
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clone", "backup", "start"])
def test_an_operation_killed_before_any_step_has_one_outcome_and_leaves_nothing(
    process: subprocess.Popen[str], engine: PrivateEngine, kind: str
) -> None:
    docker = engine.client()
    source = docker.containers.create(SAMPLE_IMAGE, ["true"], name=f"swept-{uuid.uuid4().hex[:8]}")
    was_killed, step = True, 0
    try:
        for step in range(1, MOST_STEPS):
            was_killed = ask(process, "die_in", step, kind, str(source.id))
            assert ask(process, "mend") == [], step
            kept = set(ask(process, "kept"))
            made = {one.id for one in docker.containers.list(all=True, filters={"label": OPERATION_LABEL})}
            assert made <= kept, step
            if not was_killed:
                break
        assert not was_killed
        assert step > 10
    finally:
        for container in docker.containers.list(all=True, filters={"label": OPERATION_LABEL}):
            container.remove(force=True)
        source.remove(force=True)
        docker.close()
