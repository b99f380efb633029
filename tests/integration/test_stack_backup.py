"""A project that compose brought up, backed up as one: a set for each container, all of one moment, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack import Stack
from tests.integration.test_stack_clone import Project
from tests.machine import require

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.engine, pytest.mark.compose]
EVERYTHING = ["rootfs", "config", "volumes"]
REACHED_SECONDS = 30.0


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[Project]:
    require("compose")
    made = Project(stack, tmp_path)
    made.up()
    yield made
    made.down()


def back_up(project: Project, **body: Any) -> Any:
    return project.stack.post("/api/stacks/backup", {"project": project.name, "contents": EVERYTHING, **body})


def manifests(project: Project) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in project.stack.files() if path.name.endswith(".manifest.json")]
    return [document for document in found if document.get("stack", {}).get("project") == project.name]


def images_of(document: dict[str, Any]) -> list[str]:
    return [part["path"] for part in document["parts"] if part["kind"] == "image"]


def test_every_container_of_a_project_has_a_set_of_the_same_moment(project: Project) -> None:
    before = {name: project.inspect(name)["State"]["StartedAt"] for name in project.states()}
    answer = back_up(project, consistency="pause", name=project.name, note="all of it")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert {entry["name"] for entry in body["backups"]} == {
        f"{project.name}-{name}-1" for name in ("store", "side", "web")
    }
    assert {entry["consistencyGrade"] for entry in body["backups"]} == {"paused"}
    assert body["quietSeconds"] > 0
    found = manifests(project)
    assert {document["stack"]["service"] for document in found} == {"store", "side", "web"}
    assert {document["stack"]["operationId"] for document in found} == {body["operationId"]}
    assert all(len(document["stack"]["members"]) == 3 for document in found)
    assert set(project.states().values()) == {"running"}
    assert {name: project.inspect(name)["State"]["StartedAt"] for name in project.states()} == before
    listed = project.stack.get(f"/api/backups?stack={project.name}").json()["results"]
    assert {row["id"] for row in listed} == {entry["backupId"] for entry in body["backups"]}
    whole = project.stack.get(f"/api/operations/{body['operationId']}").json()
    assert {row["operation"] for row in listed} == set(whole["children"])


def test_members_with_one_image_share_its_file(project: Project) -> None:
    answer = back_up(project, contents=["config", "image"], name=f"{project.name}-image", path=project.name)
    assert answer.status_code == 200, answer.text
    assert [len(images_of(document)) for document in manifests(project)] == [1, 1, 1]
    again = back_up(project, contents=["config", "image"], name=f"{project.name}-again", path=project.name)
    assert again.status_code == 200, again.text
    assert (
        len({part["path"] for document in manifests(project) for part in document["parts"] if part["kind"] == "image"})
        == 1
    )


def test_a_project_is_saved_whole_or_not_at_all(project: Project) -> None:
    files = project.stack.files()
    with project.stack.proxy.fault("/export", hold_bytes=1024, skip=2) as held:
        wish = {"project": project.name, "contents": EVERYTHING, "consistency": "pause"}
        operation = project.stack.post("/api/stacks/backup", wish, Prefer="respond-async").json()["id"]
        assert held.reached.wait(REACHED_SECONDS), project.stack.log_end("worker")
        assert len(project.stack.files()) > len(files)
        assert project.stack.post(f"/api/operations/{operation}/cancel", {}).status_code == 202
        assert project.stack.finished(operation)["state"] == "cancelled"
    assert project.stack.files() == files
    assert set(project.states().values()) == {"running"}


@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_no_set_and_nobody_asleep(project: Project) -> None:
    stack, files = project.stack, project.stack.files()
    with stack.proxy.fault("/export", hold_bytes=1024, skip=1) as held:
        wish = {"project": project.name, "contents": EVERYTHING, "consistency": "pause"}
        operation = stack.post("/api/stacks/backup", wish, Prefer="respond-async").json()["id"]
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        stack.kill("worker")
        stack.start("worker")
    assert stack.finished(operation)["state"] == "interrupted"
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert stack.files() == files
    assert set(project.states().values()) == {"running"}


def test_a_project_that_is_not_there_is_an_error_and_a_stranger_learns_nothing(stack: Stack) -> None:
    answer = stack.post("/api/stacks/backup", {"project": "nothing"})
    assert (answer.status_code, answer.json()["code"]) == (500, "STACK_BACKUP_FAILED")
    refused = stack.post("/api/stacks/backup", {"project": "nothing"}, by="stranger")
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
