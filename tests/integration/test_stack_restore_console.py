"""The console backs a stack up and brings it back on a real Engine, as it was planned and confirmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from containers_app.models import Backup, Operation
from containers_app.models.access import ensure_groups
from containers_app.operations import runner
from tests import recipes
from tests.engine_fixture import PrivateEngine
from tests.integration.test_clone_console import hidden, project
from tests.unit.admin.test_restore import text_of

pytestmark = [pytest.mark.engine, pytest.mark.django_db(databases=["default", "audit"], transaction=True)]
__all__ = ["project"]
WISH: dict[str, Any] = {"contents": ["rootfs", "config"], "consistency": "live", "compression": "none"}


@pytest.fixture
def client(engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch, backup_root: Path) -> Client:
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


def test_a_stack_goes_and_comes_back_through_the_console(client: Client, project: str, engine: PrivateEngine) -> None:
    done = client.post(reverse("admin:stack_back_up", args=["local", project]), {**WISH, "confirmed": "1"})
    assert "Its parts" in client.get(done["Location"]).content.decode()
    assert Backup.objects.filter(stack=project).count() == 2
    api = docker.DockerClient(base_url=engine.url)
    for each in api.containers.list(all=True, filters={"name": project}):
        each.remove(force=True)

    address = reverse("admin:containers_app_backup_restore_stack", args=[Backup.objects.latest("pk").pk])
    plan = client.post(address, {"start": "on"})
    assert f"{project}-web-1 → {project}-web-1" in text_of(plan)
    assert api.containers.list(all=True, filters={"name": project}) == []
    done = client.post(address, {"start": "on", "confirmed": "1", "plan_hash": hidden(plan, "plan_hash")})
    page = client.get(done["Location"]).content.decode()
    assert "Its parts" in page
    assert Operation.objects.get(kind="stackRestore", params__dry_run=False).state == "succeeded"
    found = api.containers.list(filters={"name": project})
    assert sorted(str(each.name) for each in found) == [f"{project}-db-1", f"{project}-web-1"]
    assert f"{project}-db-1" in client.get(reverse("admin:stack", args=["local", project])).content.decode()
    api.close()
