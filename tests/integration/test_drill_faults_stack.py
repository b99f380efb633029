"""A drill that dies at each of its stages: nothing of it is left, nothing is proven, and the backup is as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.clone_bench import full_source
from tests.integration.drill_bench import (
    REACHED_SECONDS,
    assert_nothing_is_left,
    begin,
    booted,
    drill,
    health,
    proven_at,
)
from tests.integration.restore_bench import EVERYTHING, back_up, everything_on
from tests.integration.stack import Stack, embedded
from tests.integration.test_clone_faults_stack import cancel, kill_child, kill_worker

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, embedded]
# The stage, the part of the request's line whose answer is held there, and how many such requests come before.
STAGES = {
    "make networks and image": ("/networks/create", 0),
    "import the file system": ("/images/create", 0),
    "create the container": ("/containers/create?name", 0),
    "fill volume 1": ("/start", 0),
    "check the content": ("/export", 0),
    "start {name}": ("/start", 2),
    "remove everything": ("?force", 2),
}


def saved(stack: Stack) -> tuple[str, dict[str, Any]]:
    """A backup of a healthy container, with its name."""
    source = full_source(stack, healthcheck=health("test -d /data"))
    return str(source.name), back_up(stack, source, contents=EVERYTHING, consistency="pause")


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_killed_at_any_stage_leaves_nothing(stack: Stack, stage: str) -> None:
    name, backup = saved(stack)
    before, (path, skip) = everything_on(stack), STAGES[stage]
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        operation = begin(stack, backup)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        reached = stage.format(name=name)
        stack.wait(lambda: stack.ask("operation", operation)["stage"] == reached, what=f"the stage {stage}")
        kill_child(stack, operation)
    ended = stack.finished(operation)
    assert (ended["state"], ended["code"]) == ("interrupted", "INTERRUPTED")
    assert proven_at(stack, backup) is None
    assert_nothing_is_left(stack, operation, before)


@pytest.mark.parametrize(("hurt", "state"), [(kill_worker, "interrupted"), (cancel, "cancelled")])
def test_one_that_ends_while_it_is_waited_for_leaves_nothing(
    stack: Stack, hurt: Callable[[Stack, str], None], state: str
) -> None:
    backup = back_up(stack, full_source(stack), contents=EVERYTHING, consistency="pause")
    before = everything_on(stack)
    with booted(stack, backup) as (operation, _):
        hurt(stack, operation)
    assert stack.finished(operation)["state"] == state
    assert proven_at(stack, backup) is None
    assert_nothing_is_left(stack, operation, before)
    assert drill(stack, backup, waitHealthySeconds=2)["proven"]
