"""A verb that cannot be taken back, broken off in the middle: its end is truthful, and the inventory shows what is."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.fakes.fault_proxy import Fault
from tests.integration.stack import ENGINE_CALL_SECONDS, Stack

pytest_plugins = ["tests.integration.stack_fixture"]
REACHED_SECONDS = 30.0
DEAF = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A verb, the call to the Engine that it is broken off at, and the state that the Engine makes all the same.

    `deaf`: the Engine is in the middle of its work then; else it is done, and only its answer is missing.
    """

    action: str
    call: str
    after: str
    started: bool = True
    deaf: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} {'deaf' if self.deaf else ''}".strip()

    def target(self, stack: Stack) -> Any:
        """A container to act on."""
        name = f"hurt-{uuid.uuid4().hex[:8]}"
        made = stack.docker.containers.create("mycodocker/sample:1", DEAF if self.deaf else None, name=name)
        if self.started:
            made.start()
        return made

    def begin(self, stack: Stack, target: Any) -> str:
        """The operation."""
        named = {"confirm": target.name} if self.action == "remove" else {}
        return stack.begin_operation(self.action, target.name, **self.options, **named)

    def middle(self, fault: Fault) -> threading.Event:
        """What has happened when it is in the middle."""
        return fault.asked if self.deaf else fault.reached


CASES = [
    Case(action="start", call="/start", after="running", started=False),
    Case(action="stop", call="/stop", after="exited"),
    Case(action="stop", call="/stop", after="exited", deaf=True, options={"timeoutSeconds": 6}),
    Case(action="restart", call="/restart", after="running"),
    Case(action="remove", call="DELETE /v", after="removed", options={"force": True}),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def known_state(stack: Stack, target: Any) -> str:
    """The container's state in the inventory."""
    headers = {"Authorization": f"Bearer {stack.keys['operator']}"}
    answer = requests.get(f"{stack.url}/api/docker/containers/{target.id}", headers=headers, timeout=30)
    found = answer.json() if answer.ok else {}
    return "removed" if found.get("removedAt") else str(found.get("state"))


def outcomes(stack: Stack, operation: str) -> list[str]:
    entries = stack.ask("facts")["entries"]
    return [entry["outcome"] for entry in entries if entry["operation_id"] == operation and entry["phase"] == "outcome"]


def kill_child(stack: Stack, operation: str) -> None:
    os.kill(stack.worker_process(operation), signal.SIGKILL)


@pytest.mark.slow
@every_case
def test_a_verb_whose_worker_is_killed_is_interrupted_and_the_inventory_follows_the_engine(
    stack: Stack, case: Case
) -> None:
    target = case.target(stack)
    before = "running" if case.started else "created"
    stack.wait(lambda: known_state(stack, target) == before, what=f"{before} in the inventory")
    with stack.proxy.fault(case.call, hold_bytes=0) as fault:
        operation = case.begin(stack, target)
        assert case.middle(fault).wait(REACHED_SECONDS), stack.log_end("worker")
        kill_child(stack, operation)
        ended = stack.finished(operation)
    assert (ended["state"], ended["code"], ended["undo"], ended["result"]) == ("interrupted", "INTERRUPTED", [], None)
    assert "taken back" not in ended["message"]
    assert "Look at the container's state" in ended["message"]
    assert outcomes(stack, operation) == ["unknown"]
    stack.wait(lambda: known_state(stack, target) == case.after, what=f"{case.after} in the inventory")
    assert_verbs_work(stack, target, gone=case.after == "removed")


def assert_verbs_work(stack: Stack, target: Any, *, gone: bool = False) -> None:
    """Nothing holds the container any more."""
    answer = stack.act("restart", target.name, timeoutSeconds=1)
    assert (answer.status_code, answer.json().get("code")) == ((500, "RESTART_FAILED") if gone else (200, None))


@pytest.mark.slow
@every_case
def test_a_verb_whose_engine_is_killed_fails_and_can_be_run_again(stack: Stack, case: Case) -> None:
    target = case.target(stack)
    with stack.proxy.fault(case.call, hold_bytes=0) as fault:
        operation = case.begin(stack, target)
        assert case.middle(fault).wait(REACHED_SECONDS), stack.log_end("worker")
        stack.engine.power_cut()
    try:
        ended = stack.finished(operation)
    finally:
        stack.engine.begin()
    assert ended["state"] == "failed", ended
    assert ended["code"] in ("STREAM_BROKEN", "ENGINE_UNAVAILABLE")
    assert outcomes(stack, operation) == ["failure"]
    assert_verbs_work(stack, target, gone=case.after == "removed")


@pytest.mark.slow
@every_case
def test_a_frozen_engine_is_the_verbs_error_in_time(stack: Stack, case: Case) -> None:
    target = case.target(stack)
    named = {"confirm": target.name} if case.action == "remove" else {}
    begun = time.monotonic()
    with stack.engine.frozen():
        answer = stack.act(case.action, target.name, **case.options, **named)
    assert (answer.status_code, answer.json()["code"]) == (500, f"{case.action.upper()}_FAILED")
    assert time.monotonic() - begun < ENGINE_CALL_SECONDS + 15


@pytest.mark.slow
def test_a_start_whose_worker_is_killed_while_it_waits_for_health_leaves_the_container_running(stack: Stack) -> None:
    check = {"test": ["CMD-SHELL", "exit 1"], "interval": 10**9, "start_period": 600 * 10**9}
    name = f"hurt-{uuid.uuid4().hex[:8]}"
    target = stack.docker.containers.create("mycodocker/sample:1", name=name, healthcheck=check)
    operation = stack.begin_operation("start", name, waitHealthySeconds=3600)
    stack.wait(lambda: stack.ask("operation", operation)["stage"] == "wait until it is healthy", what="the wait")
    kill_child(stack, operation)
    assert stack.finished(operation)["state"] == "interrupted"
    stack.wait(lambda: known_state(stack, target) == "running", what="running in the inventory")
