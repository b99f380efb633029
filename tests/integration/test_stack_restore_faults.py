"""The restore of a stack that dies in the middle: nothing of it is left, and no set of it goes away under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from containers_app.specs.engine import OPERATION_LABEL
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.drill_bench import begin as begin_drill
from tests.integration.restore_bench import everything_on, left_of
from tests.integration.stack import Stack, embedded
from tests.integration.stack_restoring import SavedProject
from tests.integration.test_clone_faults_stack import cancel, kill_child, kill_worker
from tests.machine import require

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, pytest.mark.compose, embedded]
REACHED_SECONDS = 30.0
# What is held, and how many such requests come before: two volumes are filled and compared before the first start.
MADE_IN_PART = ("/containers/create?name", 1)
STAGES = {
    "the second container": (*MADE_IN_PART, kill_child),
    "a volume that is filled": ("/start", 0, kill_child),
    "the comparison": ("/export", 0, kill_worker),
    "the start of the second": ("/start", 5, kill_child),
    "a wish to stop": (*MADE_IN_PART, cancel),
}


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[SavedProject]:
    require("compose")
    made = SavedProject(stack, tmp_path)
    made.back_up()
    yield made
    made.down()


def assert_nothing_is_left(stack: Stack, operation: str, before: set[str]) -> None:
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    stack.wait(lambda: left_of(stack, operation) == [], what="the removal of what was made")
    assert everything_on(stack) == before


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_left_of_a_restore_that_ends_in_the_middle(project: SavedProject, stage: str) -> None:
    stack, (path, skip, hurt) = project.stack, STAGES[stage]
    project.remove("--volumes")
    before = everything_on(stack)
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        operation = project.begin(start=True)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        hurt(stack, operation)
    ended = stack.finished(operation)
    assert ended["state"] == ("cancelled" if hurt is cancel else "interrupted")
    assert_nothing_is_left(stack, operation, before)
    parts = project.parts(operation)
    assert {part["state"] for part in parts} == {ended["state"]}
    assert len(parts) == 3


@pytest.mark.parametrize("keep", [False, True])
def test_a_member_that_cannot_be_started_takes_all_with_it_unless_it_is_to_stay(
    project: SavedProject, keep: bool
) -> None:
    stack = project.stack
    project.remove("--volumes")
    before = everything_on(stack)
    with stack.proxy.fault("/export", hold_bytes=0) as held:
        operation = project.begin(start=True, keepOnFailure=keep)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        ports = {"80/tcp": project.port}
        blocker = stack.docker.containers.run(SAMPLE_IMAGE, ["sleep", "60"], detach=True, ports=ports)
    ended = stack.finished(operation)
    blocker.remove(force=True)
    assert ended["state"] == "failed"
    if keep:
        assert "KEPT" in ended["warnings"]
        assert len(project.states()) == 3
        project.remove("--volumes")
        for image in stack.docker.images.list(filters={"label": f"{OPERATION_LABEL}={operation}"}):
            stack.docker.images.remove(str(image.id))
    else:
        assert_nothing_is_left(stack, operation, before)


@pytest.mark.parametrize("drilled", [False, True])
def test_no_set_is_deleted_while_all_of_them_are_used(project: SavedProject, drilled: bool) -> None:
    stack = project.stack
    project.back_up()  # so that none is the last one of its container
    with stack.proxy.fault("/containers/create?name", hold_bytes=0) as held:
        operation = _begun(project, drilled=drilled)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        answer = project.delete("store")
        assert (answer.status_code, answer.json()["code"]) == (409, "BUSY")
        assert operation in answer.json()["error"]
        cancel(stack, operation)
    assert stack.finished(operation)["state"] == "cancelled"
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert project.delete("store").status_code == 200


def _begun(project: SavedProject, *, drilled: bool) -> str:
    wish: dict[str, Any] = {"stack": True, "waitHealthySeconds": 60}
    if drilled:
        return begin_drill(project.stack, project.backups["web"], **wish)
    return project.begin(newProject=project.new_name)
