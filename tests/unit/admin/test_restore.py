"""Restore in the console: planned first, confirmed as it was planned, and no key in any page."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from containers_app.admin import plans
from containers_app.models import Backup, Operation
from containers_app.models.backups import BackupState
from tests import recipes
from tests.unit.admin.cloning import HASH, Worker, collision, planned, refused_as

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
SECRET = "a passphrase that no page shows"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


@pytest.fixture
def backup() -> Backup:
    made = recipes.backup()
    recipes.part(made, 1, kind="volume", name="data", file_name="web.tar.volume-1-data.tar")
    return made


@pytest.fixture
def locked(backup: Backup) -> Backup:
    backup.parts.update(encryption="age")
    return backup


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    made = Worker()
    monkeypatch.setattr("containers_app.admin.planned.submit", made.submit)
    monkeypatch.setattr(plans, "PLAN_SECONDS", 0.01)
    monkeypatch.setattr(plans, "BEGIN_SECONDS", 0.01)
    return made


def address(backup: Backup) -> str:
    return reverse("admin:containers_app_backup_restore", args=[backup.pk])


def send(client: Client, backup: Backup, **values: str) -> Any:
    return client.post(address(backup), {"mode": "new", **values})


def text_of(answer: Any) -> str:
    page = answer.content.decode().partition('id="content-main"')[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def hidden(answer: Any, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', answer.content.decode())
    return html.unescape(found[1]) if found else ""


def test_the_form_chooses_no_target_beforehand(operator: Client, backup: Backup) -> None:
    page = operator.get(address(backup))
    assert "checked" not in page.content.decode().partition('id="content-main"')[2]
    assert "data" in text_of(page)
    assert operator.post(address(backup), {}).context["form"].errors["mode"]


def test_the_plan_is_shown_before_anything_is_made(operator: Client, worker: Worker, backup: Backup) -> None:
    worker.ends = [planned()]
    answer = send(operator, backup, start="on", wait_healthy_seconds="30")
    (operation,) = Operation.objects.filter(kind="restore")
    assert operation.params["dry_run"]
    assert (operation.params["backup"], operation.params["mode"]) == (str(backup.pk), "new")
    assert hidden(answer, "plan_hash") == HASH
    assert "Every byte of the backup is checked" in text_of(answer)


def test_what_is_confirmed_is_bound_to_its_plan(operator: Client, worker: Worker, backup: Backup) -> None:
    worker.ends = [planned()]
    send(operator, backup)
    done = send(operator, backup, confirmed="1", plan_hash=HASH)
    operation = Operation.objects.filter(kind="restore").order_by("-pk")[0]
    assert operation.params["plan_hash"] == HASH
    assert not operation.params["dry_run"]
    assert done["Location"] == reverse("admin:containers_app_operation_change", args=[operation.pk])


def test_single_files_are_planned_by_their_lines(operator: Client, worker: Worker, backup: Backup) -> None:
    entries = {"new": 1, "overwritten": 2, "unchanged": 3, "blocked": 0, "bytes": 10}
    changes = [{"path": "/etc/app.conf", "change": "overwritten"}]
    worker.ends = [planned(entries=entries, changes=changes, container={"id": "1", "name": "web"})]
    wish = {"mode": "path", "paths": "/etc/app.conf\r\n\r\n/srv/data\r\n", "confirm": "web", "folder": "/back"}
    answer = send(operator, backup, **wish)
    params = Operation.objects.get(kind="restore").params
    assert (params["paths"], params["target"], params["confirm"]) == (["/etc/app.conf", "/srv/data"], "/back", "web")
    text = text_of(answer)
    assert "1 new, 2 replaced, 3 unchanged" in text
    assert "/etc/app.conf overwritten" in text
    assert hidden(answer, "paths").split() == ["/etc/app.conf", "/srv/data"]


def test_a_plan_that_has_changed_is_shown_anew(operator: Client, worker: Worker, backup: Backup) -> None:
    worker.ends = [refused_as("PLAN_CHANGED", "another plan"), planned()]
    answer = send(operator, backup, confirmed="1", plan_hash=HASH)
    assert "Something has changed since you saw the plan" in text_of(answer)
    assert Operation.objects.filter(kind="restore").count() == 2


def test_what_stands_in_the_way_turns_the_button_off(operator: Client, worker: Worker, backup: Backup) -> None:
    worker.ends = [planned(collisions=[collision("name", blocks="create")])]
    answer = send(operator, backup)
    assert "disabled" in answer.content.decode()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"mode": "path"}, "paths"),
        ({"mode": "path", "paths": "etc"}, "paths"),
        ({"mode": "path", "paths": "/etc", "folder": "x"}, "folder"),
        ({"mode": "volume"}, "volume"),
        ({"mode": "volume", "volume": "data", "start": "on"}, "start"),
        ({"wait_healthy_seconds": "5"}, "wait_healthy_seconds"),
        ({"name": "-"}, "name"),
        ({"mode": "everywhere"}, "mode"),
        ({"volume": "data"}, "volume"),
        ({"volume": "another"}, "volume"),
        ({"host": "nowhere"}, "host"),
    ],
)
def test_a_mistake_is_told_at_its_field(operator: Client, backup: Backup, values: Any, field: str) -> None:
    answer = send(operator, backup, **values)
    assert answer.context["form"].errors[field]
    assert not Operation.objects.filter(kind="restore").exists()


def test_a_key_is_typed_again_and_stands_in_no_page(operator: Client, worker: Worker, locked: Backup) -> None:
    worker.ends = [planned()]
    answer = send(operator, locked, passphrase=SECRET)
    assert SECRET not in answer.content.decode()
    assert 'name="passphrase"' in answer.content.decode()
    assert 'type="hidden" name="passphrase"' not in answer.content.decode()
    operation = Operation.objects.get(kind="restore")
    assert operation.sealed
    assert SECRET not in str(operation.params)
    back = send(operator, locked, passphrase=SECRET, back="1")
    assert SECRET not in back.content.decode()


def test_a_backup_without_a_lock_asks_for_no_key(operator: Client, backup: Backup) -> None:
    assert 'name="passphrase"' not in operator.get(address(backup)).content.decode()


@pytest.mark.parametrize("state", [BackupState.CORRUPT, BackupState.MISSING, BackupState.DELETED])
def test_what_cannot_be_used_is_not_restored(operator: Client, backup: Backup, state: str) -> None:
    Backup.objects.update(state=state)
    send(operator, backup)
    assert not Operation.objects.filter(kind="restore").exists()
    page = operator.get(reverse("admin:containers_app_backup_change", args=[backup.pk])).content.decode()
    assert address(backup) not in page


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
def test_who_may_not_restore_gets_no_form(who: Any, backup: Backup) -> None:
    client = signed_in(who())
    assert client.get(address(backup)).status_code == 403
    assert send(client, backup).status_code == 403
    assert not Operation.objects.filter(kind="restore").exists()


def test_a_drill_is_one_button_and_only_by_post(operator: Client, backup: Backup) -> None:
    drill = reverse("admin:containers_app_backup_drill", args=[backup.pk])
    assert operator.get(drill).status_code == 405
    assert drill in operator.get(reverse("admin:containers_app_backup_change", args=[backup.pk])).content.decode()
    operator.post(drill)
    assert Operation.objects.get(kind="drill").params["backup"] == str(backup.pk)
    assert signed_in(recipes.auditor()).post(drill).status_code == 403


def test_a_locked_backup_is_drilled_with_its_key_only(operator: Client, locked: Backup) -> None:
    page = operator.get(reverse("admin:containers_app_backup_change", args=[locked.pk])).content.decode()
    assert reverse("admin:containers_app_backup_drill", args=[locked.pk]) not in page
