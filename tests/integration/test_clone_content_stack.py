"""Content that goes with a clone, the source that it is read from, and secrets that go nowhere."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.clone_bench import (
    clone,
    codes,
    full_source,
    inspect,
    logs_of,
    named,
    overheard,
    redirect,
    refusal,
    rest_of,
    upper_folder,
    volume_folder,
    word,
)
from tests.integration.stack import Stack, embedded
from tests.trees import allocated_bytes, snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
REACHED_SECONDS = 30.0


def volume_at(stack: Stack, container: str, place: str) -> str:
    return next(str(mount["Name"]) for mount in inspect(stack, container)["Mounts"] if mount["Destination"] == place)


def test_a_clone_with_all_its_data_is_the_same_in_everything(stack: Stack) -> None:
    source = full_source(stack)
    before = rest_of(inspect(stack, source.id))
    body = clone(stack, source, data="all", consistency="pause")
    assert rest_of(inspect(stack, source.id)) == before
    volume = volume_at(stack, body["newId"], "/data")
    assert volume == f"{body['newName']}_{source.name}"
    assert stack.docker.volumes.get(volume).attrs["Labels"]["keep"] == "this"
    there = volume_folder(stack.engine, volume)
    assert snapshot(there) == snapshot(volume_folder(stack.engine, source.name))
    assert allocated_bytes(there / "sparse") < 100_000
    layers = [upper_folder(stack, container) / "written" for container in (source.id, body["newId"])]
    assert snapshot(layers[0]) == snapshot(layers[1])
    diffs = [{entry["Path"] for entry in stack.docker.api.diff(found)} for found in (str(source.id), body["newId"])]
    assert diffs[0] == diffs[1] >= {"/bin/zcat", "/var/www", "/etc/motd"}
    assert inspect(stack, body["newId"])["Image"] == inspect(stack, source.id)["Image"]
    content = {entry["kind"]: entry for entry in body["proof"]["content"]}
    assert {kind: entry["equal"] for kind, entry in content.items()} == {"layer": True, "volume": True}
    assert content["volume"]["source"] == content["volume"]["copy"]
    row = stack.ask("operation", body["operationId"])
    assert (row["state"], codes(body), row["bytes"][0]) == ("succeeded", [], row["bytes"][1])
    assert row["bytes"][1] > 0
    stack.docker.api.start(body["newId"])
    assert inspect(stack, body["newId"])["State"]["Running"]


@embedded
def test_a_layer_that_refers_to_its_image_comes_by_a_commit_and_says_so(stack: Stack) -> None:
    source = full_source(stack)
    redirect(stack, source)
    body = clone(stack, source, data="all", consistency="pause")
    assert codes(body) == ["LAYER_COMMITTED"]
    assert stack.ask("operation", body["operationId"])["state"] == "partial"
    assert [(entry["kind"], entry["equal"]) for entry in body["proof"]["content"]] == [
        ("layer", None),
        ("volume", True),
    ]
    assert inspect(stack, body["newId"])["Image"] != inspect(stack, source.id)["Image"]
    stack.docker.api.start(body["newId"])
    made = stack.docker.containers.get(body["newId"])
    assert made.exec_run(["cat", "/etc/motd"]).output == b"new\n"
    assert made.exec_run(["ls", "/bin/zcat"]).exit_code != 0
    assert not inspect(stack, source.id)["State"]["Paused"]


@embedded
def test_each_volume_is_copied_emptied_or_shared_by_choice(stack: Stack) -> None:
    names = {place: word() for place in ("copied", "emptied", "shared")}
    for name in names.values():
        stack.docker.volumes.create(name)
        (volume_folder(stack.engine, name) / "file").write_text(name)
    source = stack.source(volumes={name: {"bind": f"/{place}"} for place, name in names.items()})
    choices = {names["copied"]: "copy", "/emptied": "empty", names["shared"]: "share"}
    body = clone(stack, source, volumes=choices)
    made = {place: volume_at(stack, body["newId"], f"/{place}") for place in names}
    assert made["shared"] == names["shared"]
    assert (volume_folder(stack.engine, made["copied"]) / "file").read_text() == names["copied"]
    assert list(volume_folder(stack.engine, made["emptied"]).iterdir()) == []
    assert codes(body) == ["VOLUME_SHARED"]
    status, code, error = refusal(stack, source, volumes={"nothing": "copy"})
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "options.volumes.nothing" in error


@embedded
def test_volumes_without_a_name_and_of_another_container_are_copied(stack: Stack) -> None:
    giver = stack.docker.containers.create(SAMPLE_IMAGE, name=word(), volumes=["/given"])
    source = stack.docker.containers.create(SAMPLE_IMAGE, name=word(), volumes=["/own"], volumes_from=[str(giver.id)])
    for place in ("/given", "/own"):
        (volume_folder(stack.engine, volume_at(stack, str(source.id), place)) / "file").write_text(place)
    body = clone(stack, source, data="volumes")
    for place in ("/given", "/own"):
        copy = volume_at(stack, body["newId"], place)
        assert copy != volume_at(stack, str(source.id), place)
        assert (volume_folder(stack.engine, copy) / "file").read_text() == place
    assert inspect(stack, body["newId"])["HostConfig"]["VolumesFrom"] in (None, [])


@embedded
@pytest.mark.parametrize(("consistency", "quiet"), [("pause", "paused"), ("stop", "exited"), ("live", "running")])
def test_the_source_is_quiet_only_while_it_is_read(stack: Stack, consistency: str, quiet: str) -> None:
    source = full_source(stack)
    # The helpers' starts: to measure, to copy, to check.
    for number, state in ((0, "running"), (1, quiet), (2, "running")):
        with stack.proxy.fault("/start", hold_bytes=0, skip=number) as held:
            operation = stack.begin_operation("clone", source.id, data="all", consistency=consistency)
            assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
            assert inspect(stack, source.id)["State"]["Status"] == state
            if number == 1:
                busy = stack.act("clone", source.id, data="all")
                assert (busy.status_code, busy.json()["code"]) == (409, "BUSY")
        assert stack.finished(operation)["state"] == "succeeded"
        state_after = inspect(stack, source.id)["State"]
        assert (state_after["Status"], state_after["Paused"]) == ("running", False)


@embedded
def test_a_source_that_is_not_running_or_paused_already_stays_so(stack: Stack) -> None:
    source = full_source(stack)
    source.pause()
    clone(stack, source, data="all", consistency="stop")
    assert inspect(stack, source.id)["State"]["Paused"]
    source.unpause()
    source.stop()
    clone(stack, source, data="all", consistency="pause")
    assert inspect(stack, source.id)["State"]["Status"] == "exited"


@embedded
def test_a_source_that_would_remove_itself_is_not_stopped(stack: Stack) -> None:
    source = stack.docker.containers.create(SAMPLE_IMAGE, name=word(), auto_remove=True)
    source.start()
    before = stack.labelled()
    status, code, error = refusal(stack, source, data="all", consistency="stop")
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "use 'pause'" in error
    assert stack.labelled() == before
    clone(stack, source, data="all", consistency="pause")
    assert inspect(stack, str(source.id))["State"]["Running"]


@embedded
def test_a_source_that_writes_meanwhile_is_a_partial_clone_that_says_so(stack: Stack) -> None:
    source = full_source(stack)
    source.exec_run(["sh", "-c", "while :; do echo more >> /data/log; done"], detach=True)
    body = clone(stack, source, data="volumes", consistency="live")
    assert codes(body) in (["CONTENT_CHANGED"], ["CONTENT_DIFFERS"])
    assert stack.ask("operation", body["operationId"])["state"] == "partial"
    assert [entry["equal"] for entry in body["proof"]["content"]] == [False]
    assert codes(clone(stack, source, data="volumes", consistency="pause")) == []


def test_values_of_overrides_and_of_the_source_are_nowhere(stack: Stack) -> None:
    secrets = [f"hunter2-{uuid.uuid4().hex}" for _ in range(5)]
    mine, new, label, command, check = secrets
    source = stack.source(environment={"MINE": mine}, labels={"note": "x"})
    overrides: dict[str, Any] = {
        "env": {"set": {"PASSWORD": new}},
        "labels": {"set": {"token": label}},
        "command": ["/bin/idle", command],
        "healthcheck": {"test": ["CMD-SHELL", f"echo {check}"]},
    }
    name, key = word(), uuid.uuid4().hex
    body = {"action": "clone", "containerId": source.id, "options": {"name": name, "overrides": overrides}}
    bad = {**overrides, "env": {"set": {"PASSWORD": [new]}}}
    with overheard(stack) as heard:
        answers = [stack.post("/api/docker/containers", body, Idempotency_Key=key) for _ in range(2)]
        answers.append(stack.act("clone", source.id, name=name, overrides=overrides))
        answers.append(stack.act("clone", source.id, dryRun=True, overrides=overrides))
        answers.append(stack.act("clone", source.id, overrides=bad))
        answers.append(stack.act("clone", source.id, overrides={**overrides, "image": "nobody/nothing:1"}))
        with stack.proxy.fault("/containers/create?name", hold_bytes=0) as held:
            waiting = {"start": True, "waitHealthySeconds": 30}
            operation = stack.begin_operation("clone", source.id, overrides=overrides, **waiting)
            assert held.reached.wait(REACHED_SECONDS)
            assert stack.ask("operation", operation)["sealed"]
            assert stack.post(f"/api/operations/{operation}/cancel", {}).status_code == 202
        assert stack.finished(operation)["state"] == "cancelled"
    assert [answer.status_code for answer in answers] == [200, 200, 409, 200, 400, 500]
    assert answers[0].json() == answers[1].json()
    assert f"PASSWORD={new}" in inspect(stack, answers[0].json()["newId"])["Config"]["Env"]
    places = {
        "rows and ledger": stack.ask("everything"),
        "logs": logs_of(stack),
        "broker": heard.decode(errors="replace"),
        "answers": json.dumps([answer.json() for answer in answers]),
    }
    assert "run_operation" in places["broker"]
    found = [(place, secret) for place, text in places.items() for secret in secrets if secret in text]
    assert [entry for entry in found if entry != ("rows and ledger", label)] == []
    assert len(named(stack, name)) == 1
