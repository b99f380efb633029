"""The console's clone on a real Engine: what the plan shows is what is made, and a stale plan makes nothing."""

from __future__ import annotations

import html
import os
import re
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from containers_app.models import Container, Operation
from containers_app.models.access import ensure_groups
from containers_app.operations import runner
from containers_app.workflows.inventory import remember
from tests import recipes
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.unit.admin.cloning import wish

pytestmark = [pytest.mark.engine, pytest.mark.django_db(databases=["default", "audit"], transaction=True)]


@pytest.fixture
def client(engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Client:
    """An operator; each operation is run as soon as it is published."""
    ensure_groups(apps)
    monkeypatch.setenv("DOCKER_HOST", engine.url)

    def run(operation: Operation) -> bool:
        runner.run(operation.pk)
        return True

    monkeypatch.setattr("containers_app.operations.submit.publish", run)
    made = Client()
    made.force_login(recipes.operator())
    return made


@pytest.fixture
def source(engine: PrivateEngine) -> Iterator[Container]:
    """A running container with a port, a volume and a secret, as the inventory has it; and all of its clones go."""
    api = docker.DockerClient(base_url=engine.url)
    word = f"web-{uuid.uuid4().hex[:8]}"
    made = api.containers.run(
        SAMPLE_IMAGE,
        ["sleep", "600"],
        name=word,
        detach=True,
        environment={"TOKEN": "swordfish"},
        volumes={f"{word}_pages": {"bind": "/pages", "mode": "rw"}},
        ports={"80/tcp": ("127.0.0.1", 20_000 + os.getpid() % 10_000)},
    )
    yield remember(recipes.host(), api.api.inspect_container(str(made.id)))
    for each in api.containers.list(all=True, filters={"name": word}):
        each.remove(force=True, v=True)
    for volume in api.volumes.list(filters={"name": word}):
        volume.remove(force=True)
    api.close()


def send(client: Client, row: Container, **values: str) -> Any:
    port = row.ports[0]
    shown = {"ports": f"127.0.0.1:{port['host']}:80", **values}
    return client.post(reverse("admin:containers_app_container_clone"), wish(row, **shown))


def hidden(answer: Any, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', answer.content.decode())
    assert found, html.unescape(answer.content.decode())
    return html.unescape(found[1])


def test_what_was_planned_and_confirmed_is_made(client: Client, source: Container, engine: PrivateEngine) -> None:
    new = f"{source.name}-new"
    values = {"name": new, "content": "volumes", "memory": "64m", "env_set": "TOKEN=open sesame", "env_drop": "NONE"}
    first = send(client, source, **values, start="on")
    assert "is held by the running container" in first.content.decode()
    form = send(client, source, **values, start="on", use="0", planned=hidden(first, "planned"))
    ports = re.search(r'name="ports"[^>]*>\s*([^<]*)</textarea>', form.content.decode())
    assert ports
    values = {**values, "start": "on", "ports": ports[1]}
    plan = send(client, source, **values)
    assert "disabled" not in re.findall(r'<button[^>]*name="confirmed"[^>]*>', plan.content.decode())[0]
    done = send(client, source, **values, confirmed="1", plan_hash=hidden(plan, "plan_hash"))
    page = client.get(done["Location"]).content.decode()
    assert "Proof of the content" in page
    assert "Every difference has a reason." in page
    assert "open sesame" not in page
    api = docker.APIClient(base_url=engine.url)
    made = api.inspect_container(new)
    assert made["State"]["Running"]
    assert "TOKEN=open sesame" in made["Config"]["Env"]
    assert made["HostConfig"]["Memory"] == 64 << 20
    assert made["Mounts"][0]["Name"] == f"{new}_{source.name}_pages"
    api.close()


def test_a_plan_that_is_stale_makes_nothing_and_shows_the_new_one(
    client: Client, source: Container, engine: PrivateEngine
) -> None:
    seen = hidden(send(client, source, name=f"{source.name}-new"), "plan_hash")
    api = docker.APIClient(base_url=engine.url)
    api.update_container(source.engine_id, mem_limit="96m", memswap_limit="192m")
    answer = send(client, source, name=f"{source.name}-new", confirmed="1", plan_hash=seen)
    assert "Something has changed since you saw the plan" in answer.content.decode()
    assert hidden(answer, "plan_hash") != seen
    assert [row["Names"] for row in api.containers(all=True, filters={"name": source.name})] == [[f"/{source.name}"]]
    api.close()


@pytest.fixture
def project(engine: PrivateEngine) -> Iterator[str]:
    """Two containers of one compose project, as the inventory has them; and all that is cloned from it goes."""
    api = docker.DockerClient(base_url=engine.url)
    word = f"p{uuid.uuid4().hex[:8]}"
    for service in ("web", "db"):
        words = {"project": word, "service": service, "container-number": "1", "oneoff": "False"}
        labels = {f"com.docker.compose.{key}": value for key, value in words.items()}
        made = api.containers.create(SAMPLE_IMAGE, ["sleep", "600"], name=f"{word}-{service}-1", labels=labels)
        remember(recipes.host(), api.api.inspect_container(str(made.id)))
    yield word
    for each in api.containers.list(all=True, filters={"name": word}):
        each.remove(force=True, v=True)
    api.close()


def test_a_stack_is_made_as_it_was_planned(client: Client, project: str, engine: PrivateEngine) -> None:
    address = reverse("admin:stack_clone", args=["local", project])
    values = {"new_project": f"{project}-new", "content": "none", "consistency": "live"}
    plan = client.post(address, values)
    assert f"{project}-new-web-1" in plan.content.decode()
    done = client.post(address, {**values, "confirmed": "1", "plan_hash": hidden(plan, "plan_hash")})
    page = client.get(done["Location"]).content.decode()
    assert "Its parts" in page
    api = docker.APIClient(base_url=engine.url)
    made = api.containers(all=True, filters={"label": f"com.docker.compose.project={project}-new"})
    assert sorted(row["Names"][0] for row in made) == [f"/{project}-new-db-1", f"/{project}-new-web-1"]
    part = re.search(r'Its parts.*?href="([^"]+/change/)"', page, re.DOTALL)
    assert part
    assert "Proof of the configuration" in client.get(part[1]).content.decode()
    stack = client.get(reverse("admin:stack", args=["local", f"{project}-new"])).content.decode()
    assert f"{project}-new-db-1" in stack
    api.close()
