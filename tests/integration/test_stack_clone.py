"""A compose project that compose itself brought up, cloned through the product: equal and apart, or not at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from tests.compose_fixture import Compose
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.stack import Stack
from tests.machine import require

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.engine, pytest.mark.compose]

SERVICE = f"image: {SAMPLE_IMAGE}, pull_policy: never, stop_grace_period: 1s"
PROJECT_FILE = f"""
services:
  store:
    {{ {SERVICE}, environment: {{TOKEN: hunter2-very-secret}}, volumes: ["kept:/kept", "/fresh"],
      networks: {{back: {{ipv4_address: 172.29.7.9, aliases: [db]}}}},
      healthcheck: {{test: ["CMD", "/bin/true"], interval: 1s, retries: 3}} }}
  side:
    {{ {SERVICE}, network_mode: "service:store", volumes_from: ["store:ro"] }}
  web:
    {{ {SERVICE}, depends_on: {{store: {{condition: service_healthy}}}}, ports: ["%(port)d:80"],
      networks: [back, front], labels: {{traefik.enable: "true"}} }}
networks: {{back: {{ipam: {{config: [{{subnet: 172.29.7.0/24}}]}}}}, front: {{}}}}
volumes: {{kept: {{}}}}
"""


class Project:
    """A project of three services that runs, and what its clone is called."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.name = f"shop{uuid.uuid4().hex[:6]}"
        self.new_name = f"{self.name}b"
        self.port = 21000 + uuid.uuid4().int % 20000
        self.file = folder / "compose.yaml"
        self.file.write_text(PROJECT_FILE % {"port": self.port})
        self.compose = Compose(stack.engine.url, folder)

    def up(self) -> None:
        self.compose.run(self.name, self.file, "up", "--detach", "--wait")
        store = self.container(f"{self.name}-store-1")
        script = (
            "echo kept > /kept/a; ln /kept/a /kept/b; chown 7:8 /kept/a; echo fresh > /fresh/f; echo layer > /layer"
        )
        assert store.exec_run(["sh", "-c", script]).exit_code == 0

    def down(self) -> None:
        for name in (self.new_name, self.name):
            self.compose.by_labels(name, "down", "--volumes", "--timeout", "1")

    def container(self, name: str) -> Any:
        return self.stack.docker.containers.get(name)

    def clone(self, **body: Any) -> Any:
        return self.stack.post("/api/stacks/clone", {"project": self.name, "newProject": self.new_name, **body})

    def cloned(self, **body: Any) -> dict[str, Any]:
        answer = self.clone(**body)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def inspect(self, name: str) -> dict[str, Any]:
        return dict(self.stack.docker.api.inspect_container(name))

    def left(self) -> list[str]:
        """Everything on the Engine that has to do with the new name."""
        api = self.stack.docker.api
        names = [name for entry in api.containers(all=True) for name in entry["Names"]]
        names += [entry["Name"] for entry in api.networks()]
        names += [entry["Name"] for entry in api.volumes()["Volumes"] or []]
        return [name for name in names if self.new_name in name]

    def states(self) -> dict[str, str]:
        filters = {"label": f"com.docker.compose.project={self.name}"}
        return {
            entry["Names"][0]: entry["State"] for entry in self.stack.docker.api.containers(all=True, filters=filters)
        }


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[Project]:
    require("compose")
    made = Project(stack, tmp_path)
    made.up()
    yield made
    made.down()


def codes(body: dict[str, Any]) -> list[str]:
    return sorted({warning["code"] for warning in body["warnings"]})


def test_a_clone_of_a_project_is_composes_own_and_runs_beside_it(project: Project) -> None:
    before = {name: project.inspect(name) for name in project.states()}
    body = project.cloned(data="volumes", consistency="pause", start=True, waitHealthySeconds=30)

    assert codes(body) == ["ADDRESS_MOVED", "HOOK_LABELS", "PORT_REMAPPED"]
    assert [document["equal"] for document in body["proof"]["content"]] == [True, True]
    lines = [
        json.loads(line) for line in project.compose.by_labels(project.new_name, "ps", "--format", "json").splitlines()
    ]
    new = project.new_name
    assert sorted(line["Name"] for line in lines) == [f"{new}-side-1", f"{new}-store-1", f"{new}-web-1"]
    assert {line["State"] for line in lines} == {"running"}
    store, side = project.inspect(f"{new}-store-1"), project.inspect(f"{new}-side-1")
    assert side["HostConfig"]["NetworkMode"] == f"container:{store['Id']}"
    taken = before[f"/{project.name}-side-1"]["HostConfig"]["VolumesFrom"]
    old_id = before[f"/{project.name}-store-1"]["Id"]
    assert side["HostConfig"]["VolumesFrom"] == [entry.replace(old_id, store["Id"]) for entry in taken]
    assert {mount["Name"] for mount in side["Mounts"]} == {mount["Name"] for mount in store["Mounts"]}
    listing = project.container(f"{new}-store-1").exec_run(
        ["sh", "-c", "stat -c '%u %g %h' /kept/a; cat /kept/b /fresh/f"]
    )
    assert listing.output == b"7 8 2\nkept\nfresh\n"
    found = project.container(f"{new}-web-1").exec_run(["nslookup", "db"])
    assert b"172.29.7." not in found.output

    for name, inspect in before.items():
        after = project.inspect(name)
        assert (after["Id"], after["State"]["StartedAt"]) == (inspect["Id"], inspect["State"]["StartedAt"])
        assert after["State"]["Status"] == "running"


def test_each_container_has_an_operation_of_its_own_below_the_one_of_the_whole(project: Project) -> None:
    body = project.cloned()
    parent = project.stack.ask("operation", body["operationId"])
    answer = project.stack.get(f"/api/operations/{body['operationId']}").json()
    assert answer["kind"] == "stackClone"
    assert len(answer["children"]) == 3
    for identifier in answer["children"]:
        child = project.stack.get(f"/api/operations/{identifier}").json()
        assert (child["kind"], child["state"], child["parent"]) == ("clone", "succeeded", body["operationId"])
        assert child["result"]["newName"].startswith(f"{project.new_name}-")
        assert child["proof"]["configuration"]["differences"] is not None
    assert parent["finished"]


def test_a_plan_changes_nothing_and_binds(project: Project) -> None:
    plan = project.cloned(dryRun=True, data="volumes")["plan"]
    assert project.left() == []
    assert [entry["newName"] for entry in plan["members"]] == [
        f"{project.new_name}-{service}-1" for service in ("store", "side", "web")
    ]
    assert {network["target"] for network in plan["networks"]} == {
        f"{project.new_name}_back",
        f"{project.new_name}_front",
    }
    assert [volume["treatment"] for volume in plan["volumes"]] == ["copy"]
    assert "hunter2" not in json.dumps(plan)

    project.container(f"{project.name}-web-1").rename(f"{project.name}-other")
    changed = project.clone(data="volumes", planHash=plan["hash"])
    assert (changed.status_code, changed.json()["code"]) == (409, "PLAN_CHANGED")
    assert project.left() == []
    project.container(f"{project.name}-other").rename(f"{project.name}-web-1")
    assert project.cloned(data="volumes", planHash=plan["hash"])["success"]


def test_a_failure_in_the_middle_leaves_nothing_and_every_source_as_it_was(project: Project) -> None:
    api = project.stack.docker.api
    api.create_volume(f"{project.new_name}_elsewhere")
    before = project.states()
    taken = api.create_container(SAMPLE_IMAGE, name=f"{project.new_name}-web-1")
    # The plan sees the name; a name that is taken after the plan is only seen when the last member is made.
    refused = project.clone(data="all", consistency="pause")
    assert (refused.status_code, refused.json()["code"]) == (409, "NAME_TAKEN")
    api.remove_container(taken)
    api.remove_volume(f"{project.new_name}_elsewhere")
    assert project.left() == []
    assert project.states() == before


def test_all_or_nothing_when_a_member_cannot_be_started(project: Project) -> None:
    project.container(f"{project.name}-web-1").exec_run(["true"])
    project.stack.docker.api.create_network("blocker")
    answer = project.clone(data="none", start=True, waitHealthySeconds=1)
    assert answer.status_code == 200, answer.text
    project.stack.docker.api.remove_network("blocker")
    again = project.clone()
    assert (again.status_code, again.json()["code"]) == (409, "COLLISION")


def test_a_killed_worker_leaves_neither_half_a_stack_nor_a_paused_source(project: Project) -> None:
    before = project.states()
    answer = project.stack.post(
        "/api/stacks/clone",
        {"project": project.name, "newProject": project.new_name, "data": "all", "consistency": "pause"},
        Prefer="respond-async",
    )
    assert answer.status_code == 202, answer.text
    operation = answer.json()["id"]
    project.stack.wait(lambda: "paused" in project.states().values(), what="paused sources")
    project.stack.kill("worker")
    try:
        project.stack.wait(lambda: project.states() == before, what="sources that run", seconds=60)
        project.stack.wait(lambda: project.left() == [], what="an Engine without leftovers", seconds=60)
        ended = project.stack.finished(operation)
    finally:
        project.stack.start("worker")
    assert ended["state"] == "interrupted"
    children = project.stack.get(f"/api/operations/{operation}").json()["children"]
    assert {project.stack.finished(child)["state"] for child in children} == {"interrupted"}
    assert project.cloned()["success"]


def test_a_project_that_nobody_has_and_a_stranger_are_refused(project: Project) -> None:
    missing = project.clone(project="nobody-has-this")
    assert (missing.status_code, missing.json()["code"]) == (500, "STACK_CLONE_FAILED")
    body = {"project": project.name, "newProject": project.new_name}
    stranger = project.stack.post("/api/stacks/clone", body, by="stranger")
    assert (stranger.status_code, stranger.json()["code"]) == (403, "PERMISSION_DENIED")
    assert project.left() == []


def test_projects_are_listed_with_their_containers(project: Project) -> None:
    def listed() -> list[dict[str, Any]]:
        results = project.stack.get("/api/stacks").json()["results"]
        return [entry for entry in results if entry["project"] == project.name and entry["running"] == 3]

    project.stack.wait(lambda: bool(listed()), what="the inventory")
    (entry,) = listed()
    assert (entry["services"], entry["containers"]) == (["side", "store", "web"], 3)
    page = project.stack.get(f"/api/stacks/{project.name}").json()
    assert len(page["members"]) == 3
    assert project.stack.get("/api/stacks/nobody-has-this").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"newProject": "Upper"}, "newProject"),
        ({"newProject": "../x"}, "newProject"),
        ({"project": ""}, "project"),
        ({"data": "some"}, "data"),
        ({"consistency": "none"}, "consistency"),
        ({"waitHealthySeconds": 5}, "waitHealthySeconds"),
        ({"planHash": "zz"}, "planHash"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_mistake_is_named_by_its_field(stack: Stack, change: dict[str, Any], field: str) -> None:
    answer = stack.post("/api/stacks/clone", {"project": "a", "newProject": "b", **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert field in answer.json()["error"]


def test_the_clone_is_gone_by_composes_own_command(project: Project) -> None:
    project.cloned(start=True)
    project.compose.by_labels(project.new_name, "down", "--volumes", "--timeout", "1")
    assert project.left() == []
    with pytest.raises(docker.errors.NotFound):
        project.container(f"{project.new_name}-web-1")
