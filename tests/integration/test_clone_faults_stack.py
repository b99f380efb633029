"""A clone with content that dies at each of its stages: the source is as before, and nothing is left behind."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.integration.clone_bench import clone, full_source, inspect, redirect, rest_of, word
from tests.integration.stack import Stack, embedded

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, embedded]
REACHED_SECONDS = 30.0
# The stage, the part of the request's line whose answer is held there, and how many such requests come before. "plan"
# is not among them: in it nothing is asked of the Engine.
STAGES = {
    "resolve the container": ("{name}/json", 0),
    "create the clone": ("/containers/create?name", 0),
    "measure the content": ("/start", 0),
    "pause the source": ("/pause", 0),
    "copy layer 1 of 2": ("/start", 1),
    "check the content": ("/start", 2),
    "start the clone": ("/start", 3),
    "copy volume 1 of 1": ("/start", 1),
    "commit the source": ("/commit", 0),
}
# What else is asked for, so that a stage is there.
ASKED: dict[str, dict[str, Any]] = {"copy volume 1 of 1": {"data": "volumes"}}
OPTIONS: dict[str, Any] = {"data": "all", "start": True}


def kill_child(stack: Stack, operation: str) -> None:
    os.kill(stack.worker_process(operation), signal.SIGKILL)


def kill_worker(stack: Stack, operation: str) -> None:
    stack.kill("worker")
    stack.start("worker")


def cancel(stack: Stack, operation: str) -> None:
    assert stack.post(f"/api/operations/{operation}/cancel", {}).status_code == 202


def left_of(stack: Stack, operation: str) -> list[str]:
    things = {**stack.labelled(), **stack.made()}
    return [what for what, by in things.items() if by == operation]


def assert_taken_back(stack: Stack, operation: str, source: Any, before: Any) -> None:
    """Within the promised time nothing is left, and the source is as it was."""
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    stack.wait(lambda: left_of(stack, operation) == [], what="the removal of what was made")
    assert rest_of(inspect(stack, source.id)) == before
    phases = [row["phase"] for row in stack.ask("facts")["entries"] if row["operation_id"] == operation]
    assert sorted(set(phases) - {"event"}) == ["intent", "outcome"]
    assert (phases.count("intent"), phases.count("outcome")) == (1, 1)


def hurt_at(stack: Stack, stage: str, source: Any, hurt: Any, **options: Any) -> dict[str, Any]:
    """Begin a clone, hurt it at this stage, and wait for its end."""
    path, skip = STAGES[stage]
    with stack.proxy.fault(path.format(name=source.name), hold_bytes=0, skip=skip) as held:
        operation = stack.begin_operation("clone", source.name, **{**OPTIONS, "consistency": "pause", **options})
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        stack.wait(lambda: stack.ask("operation", operation)["stage"] == stage, what=f"the stage {stage}")
        hurt(stack, operation)
    return stack.finished(operation)


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_killed_at_any_stage_leaves_nothing(stack: Stack, stage: str) -> None:
    source = full_source(stack)
    if stage == "commit the source":
        redirect(stack, source)
    before = rest_of(inspect(stack, source.id))
    hurt = kill_worker if stage == "check the content" else kill_child
    ended = hurt_at(stack, stage, source, hurt, **ASKED.get(stage, {}))
    assert (ended["state"], ended["code"]) == ("interrupted", "INTERRUPTED")
    assert_taken_back(stack, ended["id"], source, before)
    clone(stack, source, data="all", consistency="pause")


def test_a_stopped_source_of_a_killed_worker_runs_again(stack: Stack) -> None:
    source = full_source(stack)
    ended = hurt_at(stack, "copy layer 1 of 2", source, kill_child, consistency="stop")
    assert ended["state"] == "interrupted"
    stack.wait(lambda: stack.ask("operation", ended["id"])["undo"] == [], what="what is to be taken back")
    assert inspect(stack, source.id)["State"]["Status"] == "running"
    assert left_of(stack, ended["id"]) == []


@pytest.mark.parametrize("consistency", ["pause", "stop"])
def test_a_clone_that_is_cancelled_while_it_copies_leaves_nothing(stack: Stack, consistency: str) -> None:
    source = full_source(stack)
    before = rest_of(inspect(stack, source.id))
    ended = hurt_at(stack, "copy layer 1 of 2", source, cancel, consistency=consistency)
    assert (ended["state"], ended["code"], ended["undo"]) == ("cancelled", "CANCELLED", [])
    if consistency == "stop":
        assert inspect(stack, source.id)["State"]["Status"] == "running"
        before = rest_of(inspect(stack, source.id))
    assert_taken_back(stack, ended["id"], source, before)


def test_an_engine_that_dies_while_content_is_copied_leaves_nothing_when_it_is_back(stack: Stack) -> None:
    source = full_source(stack)
    path, skip = STAGES["copy layer 1 of 2"]
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        operation = stack.begin_operation("clone", source.name, data="all", consistency="stop")
        assert held.reached.wait(REACHED_SECONDS)
        stack.engine.power_cut()
    try:
        ended = stack.finished(operation)
    finally:
        stack.engine.begin()
    assert ended["state"] == "failed"
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert left_of(stack, operation) == []
    assert inspect(stack, source.id)["State"]["Status"] == "running"
    clone(stack, source, data="all", consistency="pause")


def test_a_stop_that_goes_on_after_a_cancellation_is_waited_for_and_undone(stack: Stack) -> None:
    name = word()
    script = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"
    source = stack.docker.containers.create("mycodocker/sample:1", ["sh", "-c", script], name=name)
    source.start()
    first = inspect(stack, str(source.id))["State"]["StartedAt"]
    operation = stack.begin_operation("clone", name, data="all", consistency="stop")
    stack.wait(lambda: stack.ask("operation", operation)["stage"] == "stop the source", what="the stop")
    cancel(stack, operation)
    assert stack.finished(operation)["state"] == "cancelled"
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    state = inspect(stack, str(source.id))["State"]
    assert state["Running"]
    assert state["StartedAt"] != first
    assert left_of(stack, operation) == []
