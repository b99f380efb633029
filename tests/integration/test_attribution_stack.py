"""What is done with the `docker` command is in the ledger, each act once; what the product does never is."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.stack import Stack, embedded

pytest_plugins = ["tests.integration.stack_fixture"]
IMAGE = "mycodocker/sample:1"
# The quiet time of a deed, the judge's period, and room for a busy machine.
AGAIN_SECONDS = 12.0
Told = Callable[[], list[tuple[str, str, tuple[str, ...]]]]


# More than an Engine keeps of what has happened.
MANY_EVENTS = 300


def entries(stack: Stack, verb: str) -> list[dict[str, Any]]:
    page = stack.get(f"/api/ledger/entries?verb={verb}&limit=200", by="auditor").json()
    return [json.loads(entry["payload"]) for entry in reversed(page["results"])]


def unattributed(stack: Stack) -> list[dict[str, Any]]:
    """Every deed, also those that an entry names beside its own."""
    return [
        {"id": f"{entry['id']} {number}", "object": about, "details": about}
        for entry in entries(stack, "engine.unattributed")
        for number, about in enumerate([*entry["details"].get("also", []), {**entry["object"], **entry["details"]}])
    ]


@pytest.fixture
def told(stack: Stack) -> Told:
    """A function: (type, name, actions) of what was told since the first deed of this test was told."""
    marker(stack)
    before = {entry["id"] for entry in unattributed(stack)}

    def since() -> list[tuple[str, str, tuple[str, ...]]]:
        marker(stack)
        new = [entry for entry in unattributed(stack) if entry["id"] not in before]
        return [
            (entry["object"]["type"], entry["object"].get("name", ""), tuple(entry["details"]["actions"]))
            for entry in new
            if not entry["object"].get("name", "").startswith("marker-")
        ]

    return since


def marker(stack: Stack) -> None:
    """Do something that is told, and wait for that: what was done before it is judged by then.

    A scheduler that has just begun follows the Engine from some moment on: until then it is done again.
    """
    made: dict[str, float] = {}

    def is_told() -> bool:
        if time.monotonic() - max(made.values(), default=0.0) > AGAIN_SECONDS:
            name = f"marker-{uuid.uuid4().hex[:8]}"
            stack.docker.volumes.create(name)
            made[name] = time.monotonic()
        return any(entry["object"].get("id") in made for entry in unattributed(stack))

    stack.wait(is_told, what="the entry of a volume", seconds=60.0)


def done(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@embedded
def test_our_own_work_is_never_told_as_somebody_elses(stack: Stack, told: Told) -> None:
    volume = f"data-{uuid.uuid4().hex[:8]}"
    options: dict[str, Any] = {"volumes": {volume: {"bind": "/data", "mode": "rw"}}}
    check = {"test": ["CMD-SHELL", "true"], "interval": 10**9}
    source = stack.docker.containers.create(IMAGE, name=f"own-{volume}", healthcheck=check, **options)
    source.start()
    before = told()
    name = str(source.name)
    clone = done(stack.act("clone", name, name=f"{name}-copy", data="all", start=True))
    backup = done(stack.act("backup", name, contents=["config", "rootfs", "volumes"], consistency="stop"))
    address = "/api/backups/" + backup["backupId"]
    done(stack.post(f"{address}/restore", {"mode": "new", "name": f"{name}-back", "start": True}))
    done(stack.act("restart", f"{name}-copy"))
    done(stack.act("stop", f"{name}-copy"))
    done(stack.act("remove", f"{name}-copy", confirm=f"{name}-copy", volumes=True))
    assert clone["newId"]
    done(stack.post(f"{address}/drill", {}))
    assert sorted(before) == [("container", name, ("create", "start")), ("volume", volume, ("create",))]
    now = told()
    assert now == before, now[len(before) :]


@embedded
def test_each_act_of_the_docker_command_is_told_once(stack: Stack, told: Told) -> None:
    name = f"foreign-{uuid.uuid4().hex[:8]}"
    container = stack.docker.containers.run(IMAGE, ["/bin/idle"], name=name, detach=True)
    assert told() == [("container", name, ("create", "start"))]
    assert container.exec_run(["/bin/true", "--password=hunter2"]).exit_code == 0
    assert told()[1:] == [("container", name, ("exec_create",))]
    container.remove(force=True)
    assert told()[2:] == [("container", name, ("kill", "destroy"))]
    assert "hunter2" not in json.dumps(unattributed(stack))


@embedded
def test_what_is_done_to_our_own_clone_behind_our_back_is_told(stack: Stack, told: Told) -> None:
    source = stack.source()
    clone = done(stack.act("clone", source.name, name=f"{source.name}-copy"))
    stack.wait(lambda: bool(stack.labelled()), what="the clone")
    marker(stack)
    marker(stack)  # the operation is long enough over
    stack.docker.containers.get(clone["newId"]).remove(force=True)
    assert ("container", f"{source.name}-copy", ("destroy",)) in told()


@embedded
def test_what_is_done_while_nobody_listens_is_told_afterwards(stack: Stack, told: Told) -> None:
    name = f"foreign-{uuid.uuid4().hex[:8]}"
    with stack.without("scheduler"):
        stack.docker.containers.create(IMAGE, name=name)
    assert told() == [("container", name, ("create",))]
    assert told() == [("container", name, ("create",))]
    assert entries(stack, "engine.events_lost") == []


@embedded
def test_what_an_engine_has_forgotten_is_told_as_a_gap_and_the_rest_by_name(stack: Stack, told: Told) -> None:
    prefix = uuid.uuid4().hex[:8]
    names = [f"{prefix}-{number:03d}" for number in range(MANY_EVENTS)]
    assert told() == []
    with stack.without("scheduler"):
        for name in names:
            stack.docker.volumes.create(name)
    found = [name for _, name, _ in told()]
    kept = [name for name in names if name in found]
    assert sorted(found) == kept == names[-len(kept) :]
    assert MANY_EVENTS / 2 < len(kept) < MANY_EVENTS
    (gap,) = entries(stack, "engine.events_lost")
    assert (gap["object"]["name"], gap["outcome"]) == ("local", "unknown")
    assert gap["details"]["first"] < gap["details"]["last"]
