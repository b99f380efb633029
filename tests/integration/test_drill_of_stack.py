"""All sets of a stack backup drilled together: they find each other by their names, and nobody else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.drill_bench import assert_nothing_is_left, drill, health, proven_at, refusal
from tests.integration.restore_bench import EVERYTHING, back_up, everything_on
from tests.integration.stack import Stack, embedded

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [embedded]
LABEL = "com.docker.compose."


def labels(project: str, service: str, **more: str) -> dict[str, str]:
    own = {"project": project, "service": service, "container-number": "1", "oneoff": "False", **more}
    return {LABEL + name: text for name, text in own.items()}


class Project:
    """A store with a volume, and a web server that is healthy as long as it finds the store by its service's name."""

    def __init__(self, stack: Stack, name: str, *, found_as: str = "store") -> None:
        self.stack, self.name = stack, name
        self.network = stack.docker.networks.create(f"{name}_default", labels={LABEL + "project": name})
        self.volume = stack.docker.volumes.create(f"{name}_kept", labels={LABEL + "project": name})
        self._add("store", healthcheck=health("test -f /kept/a"), volumes={self.volume.name: {"bind": "/kept"}})
        store = stack.docker.containers.get(f"{name}-store-1")
        assert store.exec_run(["touch", "/kept/a"]).exit_code == 0
        waits = {"depends_on": "store:service_healthy:false"}
        self._add("web", waits, healthcheck=health(f"ping -c 1 -W 1 {found_as}"))

    def _add(self, service: str, more: dict[str, str] | None = None, **options: Any) -> None:
        name, api = f"{self.name}-{service}-1", self.stack.docker.api
        made = self.stack.docker.containers.create(
            SAMPLE_IMAGE, name=name, labels=labels(self.name, service, **(more or {})), **options
        )
        self.stack.docker.networks.get("bridge").disconnect(made)
        api.connect_container_to_network(str(made.id), str(self.network.id), aliases=[service])
        made.start()

    def back_up(self) -> dict[str, str]:
        """Each service's backup."""
        wish = {"project": self.name, "contents": EVERYTHING, "consistency": "pause"}
        answer = self.stack.post("/api/stacks/backup", wish)
        assert answer.status_code == 200, answer.text
        found = answer.json()["backups"]
        return {entry["name"].split("-")[-2]: str(entry["backupId"]) for entry in found}

    def end(self) -> None:
        for service in ("web", "store"):
            self.stack.docker.containers.get(f"{self.name}-{service}-1").remove(force=True)
        self.volume.remove()
        self.network.remove()


@pytest.fixture
def name() -> str:
    return f"shop{uuid.uuid4().hex[:6]}"


@pytest.fixture
def project(stack: Stack, name: str) -> Iterator[Project]:
    made = Project(stack, name)
    yield made
    made.end()


def test_a_stack_comes_up_together_in_the_order_of_its_dependencies(project: Project) -> None:
    stack, backups = project.stack, project.back_up()
    before = everything_on(stack)
    body = drill(stack, backups["web"], stack=True, waitHealthySeconds=60)
    names = [f"{project.name}-{service}-1" for service in ("store", "web")]
    assert [(entry["container"], entry["verdict"]) for entry in body["proof"]["health"]] == [
        (name, "healthy") for name in names
    ]
    steps = [step["name"] for step in body["proof"]["steps"]]
    assert steps.index(f"wait for {names[0]}") < steps.index(f"start {names[1]}")
    assert [tree["kind"] for tree in body["proof"]["content"]] == ["rootfs", "volume", "rootfs"]
    assert all(proven_at(stack, backup) for backup in backups.values())
    assert_nothing_is_left(stack, body["operationId"], before)


def test_alone_a_part_of_a_stack_does_not_find_the_others(project: Project) -> None:
    stack, backups = project.stack, project.back_up()
    before = everything_on(stack)
    assert refusal(stack, backups["web"], waitHealthySeconds=60)[:2] == (500, "DRILL_FAILED")
    assert proven_at(stack, backups["web"]) is None
    assert drill(stack, backups["store"], waitHealthySeconds=60)["proven"]
    assert everything_on(stack) == before


def test_a_stack_of_which_one_does_not_come_up_proves_nothing(stack: Stack, name: str) -> None:
    project = Project(stack, name, found_as=f"{name}-store-1x")
    backups, before = project.back_up(), everything_on(stack)
    assert refusal(stack, backups["store"], stack=True, waitHealthySeconds=60)[:2] == (500, "DRILL_FAILED")
    assert [proven_at(stack, backup) for backup in backups.values()] == [None, None]
    assert everything_on(stack) == before
    project.end()


def test_a_backup_of_one_container_is_of_no_stack(stack: Stack) -> None:
    backup = back_up(stack, stack.source(), contents=["config"])
    status, code, words = refusal(stack, backup, stack=True)
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "leave 'stack' out" in words
