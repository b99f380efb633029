"""Start, stop, restart and remove through HTTP, the broker and a worker, on a real Engine: what they say is so."""

from __future__ import annotations

import uuid
from typing import Any

import docker.errors
import pytest

from tests.integration.stack import Stack

pytest_plugins = ["tests.integration.stack_fixture"]
KEYS = {"success", "message", "action", "containerId", "name", "stateBefore", "stateAfter", "exitCode", "health"}
ADDED = {"warnings", "operationId"}
SECOND_NANOSECONDS = 10**9
DEAF = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]


def container(stack: Stack, *, started: bool = True, **options: Any) -> Any:
    made = stack.docker.containers.create("mycodocker/sample:1", name=f"act-{uuid.uuid4().hex[:8]}", **options)
    if started:
        made.start()
    return made


def with_check(stack: Stack, test: str, **options: Any) -> Any:
    check = {"test": ["CMD-SHELL", test], "interval": SECOND_NANOSECONDS // 2, "retries": 1, **options}
    return container(stack, started=False, healthcheck=check)


def acted(stack: Stack, action: str, target: Any, **options: Any) -> dict[str, Any]:
    answer = stack.act(action, target.name, **options)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {*KEYS, *ADDED}
    assert (body["success"], body["action"], body["containerId"]) == (True, action, target.name)
    return body


def states(body: dict[str, Any]) -> tuple[str, str]:
    return body["stateBefore"], body["stateAfter"]


def codes(body: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in body["warnings"]]


def status_of(stack: Stack, target: Any) -> str:
    return str(stack.docker.api.inspect_container(target.id)["State"]["Status"])


def is_gone(stack: Stack, target: Any) -> bool:
    try:
        stack.docker.api.inspect_container(target.id)
    except docker.errors.NotFound:
        return True
    return False


def test_a_clone_is_used_and_thrown_away(stack: Stack) -> None:
    source = container(stack)
    name = f"{source.name}-copy"
    clone = stack.docker.containers.get(stack.act("clone", source.name, name=name).json()["newId"])
    assert states(acted(stack, "start", clone)) == ("created", "running")
    restarted = acted(stack, "restart", clone, timeoutSeconds=5)
    assert (states(restarted), restarted["message"]) == (("running", "running"), "Container restarted successfully")
    stopped = acted(stack, "stop", clone)
    assert (states(stopped), stopped["exitCode"]) == (("running", "exited"), 0)
    removed = acted(stack, "remove", clone, confirm=name)
    assert (states(removed), removed["exitCode"]) == (("exited", "removed"), None)
    assert is_gone(stack, clone)
    assert status_of(stack, source) == "running"


def test_a_restart_is_a_new_start(stack: Stack) -> None:
    target = container(stack)
    before = stack.docker.api.inspect_container(target.id)["State"]["StartedAt"]
    acted(stack, "restart", target)
    assert stack.docker.api.inspect_container(target.id)["State"]["StartedAt"] > before


@pytest.mark.parametrize(
    ("started", "action", "code"), [(True, "start", "ALREADY_STARTED"), (False, "stop", "ALREADY_STOPPED")]
)
def test_what_is_so_already_is_a_success_with_a_warning(stack: Stack, started: bool, action: str, code: str) -> None:
    body = acted(stack, action, container(stack, started=started))
    assert codes(body) == [code]
    assert body["stateBefore"] == body["stateAfter"]


def test_what_does_not_listen_is_killed_when_its_time_is_over(stack: Stack) -> None:
    body = acted(stack, "stop", container(stack, command=DEAF), timeoutSeconds=1)
    assert (states(body), body["exitCode"]) == (("running", "exited"), 137)


def test_a_stop_may_last_longer_than_one_call_to_the_engine(stack: Stack) -> None:
    body = acted(stack, "stop", container(stack, command=DEAF, stop_signal="TERM"), timeoutSeconds=6)
    assert body["exitCode"] == 137


def test_a_container_that_removes_itself_is_gone_when_it_is_stopped(stack: Stack) -> None:
    target = container(stack, auto_remove=True)
    body = acted(stack, "stop", target)
    assert (body["stateAfter"], codes(body)) == ("removed", ["REMOVED_ITSELF"])
    assert is_gone(stack, target)


def test_a_container_that_removes_itself_survives_a_restart(stack: Stack) -> None:
    target = container(stack, auto_remove=True)
    assert acted(stack, "restart", target)["stateAfter"] == "running"


def test_a_start_waits_until_the_healthcheck_is_content(stack: Stack) -> None:
    target = with_check(stack, "test -f /ready || { touch /ready; false; }", retries=5)
    body = acted(stack, "start", target, waitHealthySeconds=30)
    assert (states(body), body["health"], body["warnings"]) == (("created", "running"), "healthy", [])


def test_an_unhealthy_start_is_partial_and_names_the_exit_code_but_no_output(stack: Stack) -> None:
    target = with_check(stack, "echo hunter2; exit 3")
    body = acted(stack, "start", target, waitHealthySeconds=30)
    assert (body["health"], codes(body)) == ("unhealthy", ["UNHEALTHY"])
    assert "exit code 3" in body["warnings"][0]["message"]
    assert stack.ask("operation", body["operationId"])["state"] == "partial"
    assert "hunter2" not in str(stack.ask("facts"))


def test_a_start_that_is_not_healthy_in_time_is_partial(stack: Stack) -> None:
    target = with_check(stack, "exit 1", start_period=60 * SECOND_NANOSECONDS)
    body = acted(stack, "start", target, waitHealthySeconds=1)
    assert (body["stateAfter"], body["health"], codes(body)) == ("running", "starting", ["NOT_HEALTHY_IN_TIME"])


def test_a_start_that_ends_while_it_is_waited_for_is_partial(stack: Stack) -> None:
    body = acted(stack, "start", container(stack, started=False, command=["sh", "-c", "exit 7"]), waitHealthySeconds=9)
    assert (body["stateAfter"], body["exitCode"], codes(body)) == ("exited", 7, ["ENDED"])


def test_a_start_that_waits_can_be_cancelled_and_the_container_runs_on(stack: Stack) -> None:
    target = with_check(stack, "exit 1", start_period=600 * SECOND_NANOSECONDS)
    operation = stack.begin_operation("start", target.name, waitHealthySeconds=3600)
    stack.wait(lambda: stack.ask("operation", operation)["stage"] == "wait until it is healthy", what="the wait")
    assert stack.post(f"/api/operations/{operation}/cancel", {}).status_code == 202
    assert stack.finished(operation)["state"] == "cancelled"
    assert status_of(stack, target) == "running"


def test_a_stop_can_be_cancelled_and_the_engine_ends_it_all_the_same(stack: Stack) -> None:
    target = container(stack, command=DEAF)
    with stack.proxy.fault("/stop", hold_bytes=0) as fault:
        operation = stack.begin_operation("stop", target.name, timeoutSeconds=4)
        assert fault.asked.wait(30)
        assert stack.post(f"/api/operations/{operation}/cancel", {}).status_code == 202
        assert stack.finished(operation)["state"] == "cancelled"
    stack.wait(lambda: status_of(stack, target) == "exited", what="the end of the container")


def test_a_port_that_is_taken_is_named(stack: Stack) -> None:
    container(stack, ports={"80/tcp": ("127.0.0.1", 18181)})
    second = container(stack, started=False, ports={"80/tcp": ("127.0.0.1", 18181)})
    answer = stack.act("start", second.name)
    assert (answer.status_code, answer.json()["code"]) == (409, "PORT_TAKEN")
    assert answer.json()["error"].startswith("Start failed: The port 127.0.0.1:18181 ")
    assert status_of(stack, second) == "created"


def test_only_its_own_name_removes_a_container(stack: Stack) -> None:
    target = container(stack, started=False)
    answer = stack.act("remove", target.id, confirm=target.id)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert f"'options.confirm' must be the container's name, exactly: {target.name}" in answer.json()["error"]
    assert status_of(stack, target) == "created"
    assert stack.act("remove", target.id, confirm=target.name).status_code == 200


def test_what_runs_is_removed_by_force_only(stack: Stack) -> None:
    target = container(stack)
    answer = stack.act("remove", target.name, confirm=target.name)
    assert (answer.status_code, answer.json()["code"]) == (409, "CONTAINER_RUNNING")
    assert status_of(stack, target) == "running"
    assert states(acted(stack, "remove", target, confirm=target.name, force=True)) == ("running", "removed")


@pytest.mark.parametrize("volumes", [False, True])
def test_anonymous_volumes_go_only_when_asked_for_and_named_ones_never(stack: Stack, volumes: bool) -> None:
    named = f"named-{uuid.uuid4().hex[:8]}"
    mounts = [
        docker.types.Mount("/anonymous", None, type="volume"),
        docker.types.Mount("/named", named, type="volume"),
    ]
    target = container(stack, started=False, mounts=mounts)
    found = {mount["Destination"]: mount["Name"] for mount in stack.docker.api.inspect_container(target.id)["Mounts"]}
    acted(stack, "remove", target, confirm=target.name, volumes=volumes)
    left = {volume.name for volume in stack.docker.volumes.list()}
    assert (found["/anonymous"] in left) is not volumes
    assert named in left


@pytest.mark.parametrize("action", ["start", "stop", "restart", "remove"])
def test_nothing_is_done_to_a_container_that_is_backed_up(stack: Stack, action: str) -> None:
    source = stack.source(large=True)
    options = {"confirm": source.name, "force": True} if action == "remove" else {}
    started = stack.docker.api.inspect_container(source.id)["State"]["StartedAt"]
    with stack.proxy.fault("/export", hold_bytes=2**21) as held:
        backup = stack.begin_operation("backup", source.name)
        assert held.reached.wait(30)
        answer = stack.act(action, source.name, **options)
    assert (answer.status_code, answer.json()["code"]) == (409, "BUSY")
    assert stack.finished(backup)["state"] == "succeeded"
    state = stack.docker.api.inspect_container(source.id)["State"]
    assert (state["Status"], state["StartedAt"]) == ("running", started)


@pytest.mark.parametrize("action", ["start", "stop", "restart", "remove"])
def test_an_unknown_container_is_the_verbs_failure(stack: Stack, action: str) -> None:
    options = {"confirm": "nothing-of-this-name"} if action == "remove" else {}
    answer = stack.act(action, "nothing-of-this-name", **options)
    assert (answer.status_code, answer.json()["code"]) == (500, f"{action.upper()}_FAILED")
    assert answer.json()["error"].startswith(f"{action.capitalize()} failed: ")
