"""A project that compose brought up comes back out of its backup: equal, in order, under its name or another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.restore_bench import everything_on
from tests.integration.stack import Stack, embedded
from tests.integration.stack_restoring import CONTENT, SERVICES, SavedProject
from tests.machine import require

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.engine, pytest.mark.compose, embedded]


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[SavedProject]:
    require("compose")
    made = SavedProject(stack, tmp_path)
    made.back_up()
    yield made
    made.down()


def test_a_project_that_is_gone_comes_back_as_it_was_and_is_composes_own(project: SavedProject) -> None:
    project.remove("--volumes")
    body = project.restore(start=True, waitHealthySeconds=30, reason="the host burned", ticket="CHG-7")

    assert (body["project"], body["newProject"]) == (project.name, project.name)
    assert [entry["newName"] for entry in body["containers"]] == [f"{project.name}-{name}-1" for name in SERVICES]
    assert {tree["equal"] for tree in body["proof"]["content"]} == {True}
    volumes = [tree["name"] for tree in body["proof"]["content"] if tree["kind"] == "volume"]
    assert len(volumes) == len(set(volumes)) == 2
    store, side = (project.inspect(f"{project.name}-{name}-1") for name in ("store", "side"))
    assert side["HostConfig"]["NetworkMode"] == f"container:{store['Id']}"
    assert {mount["Name"] for mount in side["Mounts"]} == {mount["Name"] for mount in store["Mounts"]}
    back = store["NetworkSettings"]["Networks"][f"{project.name}_back"]
    assert back["IPAMConfig"]["IPv4Address"] == "172.29.7.9"
    assert project.container(f"{project.name}-store-1").exec_run(CONTENT).output == b"7 8 2\nkept\nfresh\nlayer\n"
    assert set(project.states().values()) == {"running"}
    web = project.inspect(f"{project.name}-web-1")
    assert web["HostConfig"]["PortBindings"] == project.before["web"]["HostConfig"]["PortBindings"]
    assert store["State"]["StartedAt"] < web["State"]["StartedAt"]
    lines = project.compose.by_labels(project.name, "ps", "--format", "json").splitlines()
    assert sorted(json.loads(line)["Service"] for line in lines) == sorted(SERVICES)


def test_each_container_has_an_operation_and_a_proof_of_its_own(project: SavedProject) -> None:
    project.remove("--volumes")
    body = project.restore()
    parts = project.parts(body["operationId"])
    assert {(part["kind"], part["state"]) for part in parts} == {("restore", "succeeded")}
    assert {part["result"]["backupId"] for part in parts} == set(project.backups.values())
    assert {part["target"]["id"] for part in parts} == {raw["Id"] for raw in project.before.values()}
    for part in parts:
        differences = part["proof"]["configuration"]["differences"]
        assert [entry for entry in differences if not entry["reason"]] == []
        assert {tree["equal"] for tree in part["proof"]["content"]} == {True}


def test_under_another_name_it_stands_beside_the_one_that_runs(project: SavedProject) -> None:
    body = project.restore(newProject=project.new_name, start=True, waitHealthySeconds=30)
    new = project.new_name
    assert {entry["newName"] for entry in body["containers"]} == {f"{new}-{name}-1" for name in SERVICES}
    assert {"ADDRESS_MOVED", "PORT_REMAPPED"} <= {warning["code"] for warning in body["warnings"]}
    assert {tree["equal"] for tree in body["proof"]["content"]} == {True}
    store, side = (project.inspect(f"{new}-{name}-1") for name in ("store", "side"))
    assert side["HostConfig"]["NetworkMode"] == f"container:{store['Id']}"
    assert f"{new}_kept" in {mount["Name"] for mount in store["Mounts"]}
    assert project.container(f"{new}-store-1").exec_run(CONTENT).output == b"7 8 2\nkept\nfresh\nlayer\n"
    for name, before in project.before.items():
        after = project.inspect(f"{project.name}-{name}-1")
        assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


def test_a_plan_makes_nothing_and_binds(project: SavedProject) -> None:
    project.remove("--volumes")
    before = everything_on(project.stack)
    plan = project.restore(dryRun=True)["plan"]
    assert everything_on(project.stack) == before
    assert [entry["newName"] for entry in plan["members"]] == [f"{project.name}-{name}-1" for name in SERVICES]
    assert {entry["plan"]["image"]["from"] for entry in plan["members"]} == {"rootfs"}
    assert {network["target"] for network in plan["networks"]} == {f"{project.name}_back", f"{project.name}_front"}
    assert [volume["treatment"] for volume in plan["volumes"]] == ["copy"]
    assert "hunter2" not in json.dumps(plan)
    project.stack.docker.volumes.create(f"{project.name}_kept")
    assert project.refusal(planHash=plan["hash"])[:2] == (409, "PLAN_CHANGED")
    project.stack.docker.volumes.get(f"{project.name}_kept").remove()
    assert everything_on(project.stack) == before
    assert project.restore(planHash=plan["hash"])["success"]


def test_what_is_there_stays_and_stands_in_the_way_or_is_told(project: SavedProject) -> None:
    status, code, words = project.refusal()
    assert (status, code) == (409, "NAME_TAKEN")
    assert f"Containers of a project {project.name} are there already" in words
    assert project.left() == []

    project.remove()  # its volumes stay
    body = project.restore(start=True)
    assert "VOLUME_RENAMED" in {warning["code"] for warning in body["warnings"]}
    mounts = {mount["Name"] for mount in project.inspect(f"{project.name}-store-1")["Mounts"]}
    assert f"{project.name}_kept_2" in mounts
    assert project.stack.docker.volumes.get(f"{project.name}_kept").id


def test_a_set_that_is_gone_is_named_and_nothing_is_made(project: SavedProject) -> None:
    project.back_up()  # so that none is the last one of its container
    assert project.delete("side").status_code == 200
    project.remove("--volumes")
    before = everything_on(project.stack)
    status, code, words = project.refusal()
    assert (status, code) == (409, "BACKUP_UNUSABLE")
    assert f"{project.name}-side-1" in words
    assert everything_on(project.stack) == before


def test_a_backup_of_one_container_an_unknown_one_and_a_stranger_are_refused(project: SavedProject) -> None:
    store = project.container(f"{project.name}-store-1")
    single = project.stack.act("backup", store.id, contents=["config"]).json()["backupId"]
    assert project.refusal(backupId=single)[:2] == (400, "INVALID_REQUEST")
    assert project.refusal(backupId="0190a000-0000-7000-8000-00000000dead")[:2] == (404, "NOT_FOUND")
    assert project.refusal(by="stranger")[:2] == (403, "PERMISSION_DENIED")
