"""A restore that dies at each of its stages: nothing of it is left, and the backup is as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.clone_bench import inspect, word
from tests.integration.restore_bench import Lost, back_up, begin, everything_on, left_of, own_image, restore
from tests.integration.stack import Stack, embedded
from tests.integration.test_clone_faults_stack import cancel, kill_child, kill_worker

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, embedded]
REACHED_SECONDS = 30.0
# The stage, the part of the request's line whose answer is held there, and how many such requests come before.
STAGES = {
    "import the file system": ("/images/create", 0),
    "create the container": ("/containers/create?name", 0),
    "fill volume 1": ("/start", 0),
    "check the content": ("/export", 0),
    "start the container": ("/start", 2),
}


def hurt_at(stack: Stack, stage: str, hurt: Callable[[Stack, str], None], lost: Lost, **body: Any) -> dict[str, Any]:
    """Begin a restore, hurt it at this stage, and wait for its end."""
    path, skip = STAGES[stage]
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        operation = begin(stack, lost.backup, start=True, **body)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        stack.wait(lambda: stack.ask("operation", operation)["stage"] == stage, what=f"the stage {stage}")
        hurt(stack, operation)
    return stack.finished(operation)


def assert_nothing_is_left(stack: Stack, operation: str, before: set[str]) -> None:
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    stack.wait(lambda: left_of(stack, operation) == [], what="the removal of what was made")
    assert everything_on(stack) == before
    phases = [row["phase"] for row in stack.ask("facts")["entries"] if row["operation_id"] == operation]
    assert (phases.count("intent"), phases.count("outcome")) == (1, 1)


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_killed_at_any_stage_leaves_nothing(stack: Stack, stage: str) -> None:
    lost = Lost(stack)
    before = everything_on(stack)
    ended = hurt_at(stack, stage, kill_worker if stage == "check the content" else kill_child, lost)
    assert (ended["state"], ended["code"]) == ("interrupted", "INTERRUPTED")
    assert_nothing_is_left(stack, ended["id"], before)
    assert restore(stack, lost.backup)["newName"] == lost.name


@pytest.mark.parametrize("stage", ["import the file system", "fill volume 1"])
def test_a_restore_that_is_cancelled_leaves_nothing(stack: Stack, stage: str) -> None:
    lost = Lost(stack)
    before = everything_on(stack)
    ended = hurt_at(stack, stage, cancel, lost)
    assert (ended["state"], ended["code"]) == ("cancelled", "CANCELLED")
    assert_nothing_is_left(stack, ended["id"], before)


def test_an_engine_that_dies_while_a_volume_is_filled_has_nothing_of_it_when_it_is_back(stack: Stack) -> None:
    lost = Lost(stack)
    before = everything_on(stack)
    path, skip = STAGES["fill volume 1"]
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        operation = begin(stack, lost.backup)
        assert held.reached.wait(REACHED_SECONDS)
        stack.engine.power_cut()
    try:
        ended = stack.finished(operation)
    finally:
        stack.engine.begin()
    assert ended["state"] == "failed"
    # An Engine that begins anew removes by itself what was to go with its end, of any other test too.
    assert_nothing_is_left(stack, operation, before & everything_on(stack))
    assert restore(stack, lost.backup)["newName"] == lost.name


def test_a_start_that_fails_leaves_nothing(stack: Stack) -> None:
    lost = Lost(stack)
    before = everything_on(stack)
    operation = begin(stack, lost.backup, start=True, overrides={"entrypoint": ["/no/such/program"]})
    assert stack.finished(operation)["state"] == "failed"
    assert_nothing_is_left(stack, operation, before)


def test_an_image_that_was_loaded_goes_with_the_worker_that_is_killed(stack: Stack) -> None:
    name = own_image(stack)
    source = stack.docker.containers.create(name, name=word())
    backup = back_up(stack, source, contents=["config", "image"])
    source.remove()
    stack.docker.images.remove(name)
    before = everything_on(stack)
    with stack.proxy.fault("/images/load", hold_bytes=0) as held:
        operation = begin(stack, backup)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        kill_child(stack, operation)
    assert stack.finished(operation)["state"] == "interrupted"
    assert_nothing_is_left(stack, operation, before)
    assert inspect(stack, restore(stack, backup)["newId"])["Config"]["Image"] == name
