"""Clones and backups through HTTP, the broker and a worker's process, on a real Engine: the published answers, kept."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from containers_app.specs.fidelity import differences
from tests.integration.stack import Stack

pytest_plugins = ["tests.integration.stack_fixture"]
CLONE_KEYS = ["success", "message", "action", "sourceId", "newId", "newName"]
BACKUP_KEYS = ["success", "message", "action", "containerId", "backupFile", "backupPath", "sizeBytes", "sizeMB"]
ADDED_TO_BACKUPS = ["backupId", "sha256", "consistencyGrade"]
ADDED = ["operationId", "warnings"]


def containers_named(stack: Stack, name: str) -> list[Any]:
    return list(stack.docker.containers.list(all=True, filters={"name": f"^{name}$"}))


def test_a_clone_is_answered_as_published_and_differs_in_nothing(stack: Stack) -> None:
    source = stack.source(environment={"MODE": "production"}, labels={"team": "mycology"})
    name = f"clone-{uuid.uuid4().hex[:8]}"
    answer = stack.act("clone", source.name, name=name)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == [*CLONE_KEYS, "plan", "proof", *ADDED]
    assert body["message"] == "Container cloned successfully"
    assert (body["sourceId"], body["newName"], body["warnings"]) == (source.name, name, [])
    clone = stack.docker.api.inspect_container(body["newId"])
    assert clone["State"]["Status"] == "created"
    assert differences(stack.docker.api.inspect_container(source.id), clone) == ()


def test_a_clone_without_a_name_gets_the_documented_one(stack: Stack) -> None:
    source = stack.source()
    body = stack.act("clone", source.short_id).json()
    assert re.fullmatch(rf"{source.name}-clone-[0-9]{{13}}", body["newName"]), body
    assert body["sourceId"] == source.short_id


def test_volumes_ports_and_two_networks_are_cloned(stack: Stack) -> None:
    word = uuid.uuid4().hex[:8]
    networks = [stack.docker.networks.create(f"net-{word}-{number}") for number in (1, 2)]
    stack.docker.volumes.create(f"data-{word}")
    source = stack.source(
        volumes={f"data-{word}": {"bind": "/data", "mode": "rw"}},
        ports={"80/tcp": ("127.0.0.1", 18080)},
        network=networks[0].name,
    )
    networks[1].connect(source, aliases=["second"])
    answer = stack.act("clone", source.id)
    assert answer.status_code == 200, answer.text
    clone = stack.docker.api.inspect_container(answer.json()["newId"])
    assert differences(stack.docker.api.inspect_container(source.id), clone) == ()
    assert set(clone["NetworkSettings"]["Networks"]) == {network.name for network in networks}
    assert clone["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]}


def test_a_backup_is_answered_as_published_and_is_a_whole_tar(stack: Stack) -> None:
    source = stack.source()
    answer = stack.act("backup", source.name)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == [*BACKUP_KEYS, "timestamp", *ADDED_TO_BACKUPS, *ADDED]
    assert body["message"] == "Container backup created successfully"
    stamp = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}"
    assert re.fullmatch(rf"{source.name}-backup-{stamp}\.tar", body["backupFile"])
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", body["timestamp"])
    assert body["backupPath"] == f"{stack.root}/{body['backupFile']}"
    content = Path(body["backupPath"]).read_bytes()
    assert content == b"".join(stack.docker.api.export(source.id))
    assert body["sizeBytes"] == len(content)
    assert body["sizeMB"] == round(len(content) / 2**20, 2)
    assert body["sha256"] == hashlib.sha256(content).hexdigest()
    manifest = json.loads(Path(body["backupPath"] + ".manifest.json").read_bytes())
    assert manifest["parts"][0]["sha256"] == body["sha256"]
    listed = subprocess.run(["tar", "tf", body["backupPath"]], capture_output=True, text=True, check=True).stdout
    assert "bin/busybox" in listed.splitlines()


def test_a_client_that_prefers_not_to_wait_is_told_where_to_look(stack: Stack) -> None:
    source = stack.source()
    body = {"action": "backup", "containerId": source.name}
    answer = stack.post("/api/docker/containers", body, Prefer="respond-async")
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/operations/{answer.json()['id']}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert stack.finished(answer.json()["id"])["state"] == "succeeded"


def test_a_repeated_request_makes_one_clone_only(stack: Stack) -> None:
    source = stack.source()
    body = {"action": "clone", "containerId": source.name, "options": {"name": f"once-{uuid.uuid4().hex[:8]}"}}
    key = uuid.uuid4().hex
    answers = [stack.post("/api/docker/containers", body, Idempotency_Key=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    other = {**body, "options": {"name": "another"}}
    conflict = stack.post("/api/docker/containers", other, Idempotency_Key=key)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert len(containers_named(stack, body["options"]["name"])) == 1


def test_a_container_name_that_is_taken_is_a_conflict(stack: Stack) -> None:
    source = stack.source()
    answer = stack.act("clone", source.name, name=source.name)
    assert answer.status_code == 409
    assert set(answer.json()) == {"error", "code"}
    assert answer.json()["code"] == "NAME_TAKEN"


def test_a_file_name_that_is_taken_is_a_conflict_and_the_file_stays(stack: Stack) -> None:
    source = stack.source()
    name = f"{uuid.uuid4().hex[:8]}.tar"
    first = stack.act("backup", source.name, name=name).json()
    before = Path(first["backupPath"]).read_bytes()
    answer = stack.act("backup", source.name, name=name)
    assert (answer.status_code, answer.json()["code"]) == (409, "NAME_TAKEN")
    assert Path(first["backupPath"]).read_bytes() == before


@pytest.mark.parametrize(
    ("action", "code", "prefix"),
    [("clone", "CLONE_FAILED", "Clone failed: "), ("backup", "BACKUP_FAILED", "Backup failed: ")],
)
def test_an_unknown_container_is_the_documented_500(stack: Stack, action: str, code: str, prefix: str) -> None:
    answer = stack.act(action, "nothing-of-this-name")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error", "code"}
    assert answer.json()["code"] == code
    assert answer.json()["error"].startswith(prefix)


def test_a_folder_that_is_a_link_is_refused_and_nothing_is_written_behind_it(stack: Stack, tmp_path: Path) -> None:
    stack.root.mkdir(exist_ok=True)
    link = stack.root / "team"
    link.symlink_to(tmp_path)
    try:
        answer = stack.act("backup", stack.source().name, path="team")
    finally:
        link.unlink()
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert list(tmp_path.iterdir()) == []


def test_a_second_backup_of_a_container_is_refused_while_the_first_one_runs(stack: Stack) -> None:
    source = stack.source(large=True)
    with stack.proxy.fault("/export", hold_bytes=2**21) as held:
        first = stack.begin_operation("backup", source.name)
        assert held.reached.wait(30)
        answer = stack.act("backup", source.name, name=f"{uuid.uuid4().hex[:8]}.tar")
        held.release()
    assert (answer.status_code, answer.json()["code"]) == (409, "BUSY")
    assert stack.finished(first)["state"] == "succeeded"


def test_two_backups_at_once_are_both_fine_or_one_is_busy(stack: Stack) -> None:
    source = stack.source()
    answers: list[int] = []

    def back_up(number: int) -> None:
        answers.append(stack.act("backup", source.name, name=f"{source.name}-{number}.tar").status_code)

    threads = [threading.Thread(target=back_up, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 409}
    assert 200 in answers


def test_a_source_with_power_over_its_host_needs_an_administrator_who_says_so(stack: Stack) -> None:
    source = stack.source(privileged=True)
    by_operator = stack.act("clone", source.name, confirmPrivileged=True)
    unconfirmed = stack.act("clone", source.name, by="administrator")
    confirmed = stack.act("clone", source.name, by="administrator", confirmPrivileged=True)
    assert (by_operator.status_code, by_operator.json()["code"]) == (403, "PERMISSION_DENIED")
    assert (unconfirmed.status_code, unconfirmed.json()["code"]) == (403, "PERMISSION_DENIED")
    assert "confirmPrivileged" in unconfirmed.json()["error"]
    assert confirmed.status_code == 200
    assert [warning["code"] for warning in confirmed.json()["warnings"]] == ["HOST_POWER"]


def test_a_protected_container_is_backed_up_only_by_an_administrator_who_says_so(stack: Stack) -> None:
    source = stack.source(labels={"org.mycodocker.protected": "true"})
    before = stack.files()
    by_operator = stack.act("backup", source.name, confirmProtected=True)
    unconfirmed = stack.act("backup", source.name, by="administrator")
    assert (by_operator.status_code, by_operator.json()["code"]) == (403, "PROTECTED")
    assert (unconfirmed.status_code, unconfirmed.json()["code"]) == (403, "PROTECTED")
    assert "confirmProtected" in unconfirmed.json()["error"]
    assert stack.files() == before
    assert stack.act("backup", source.name, by="administrator", confirmProtected=True).status_code == 200


def test_a_message_that_is_delivered_again_has_no_second_effect(stack: Stack) -> None:
    source = stack.source()
    name = f"twice-{uuid.uuid4().hex[:8]}"
    operation = stack.begin_operation("clone", source.name, name=name)
    assert stack.ask("republish", operation)
    assert stack.finished(operation)["state"] == "succeeded"
    assert stack.ask("republish", operation)
    after = stack.begin_operation("clone", source.name)
    stack.finished(after)
    assert [container.name for container in containers_named(stack, name)] == [name]
    assert list(stack.labelled().values()).count(operation) == 1


def test_a_cancelled_backup_leaves_nothing(stack: Stack) -> None:
    source = stack.source(large=True)
    before = stack.files()
    with stack.proxy.fault("/export", hold_bytes=2**21) as held:
        operation = stack.begin_operation("backup", source.name)
        assert held.reached.wait(30)
        assert len(stack.files()) == len(before) + 1
        assert stack.post(f"/api/operations/{operation}/cancel", {}).status_code == 202
        assert stack.finished(operation)["state"] == "cancelled"
    assert stack.files() == before
