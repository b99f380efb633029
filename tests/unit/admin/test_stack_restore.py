"""The restore of a stack in the console: begun from any of its backups, planned first, confirmed as it was planned."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from containers_app.admin import plans
from containers_app.models import Backup, Operation
from containers_app.models.backups import BackupState
from tests import recipes
from tests.unit.admin.cloning import HASH, Worker, collision, planned, refused_as, stack_plan
from tests.unit.admin.test_restore import hidden, signed_in, text_of

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
SECRET = "a passphrase that no page shows"


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


@pytest.fixture
def backups() -> list[Backup]:
    """Of the two containers of `shop`."""
    whole = recipes.operation(kind="stackBackup")
    return [
        recipes.backup(
            operation=recipes.operation(kind="backup", parent=whole),
            stack="shop",
            container_name=f"shop-{name}-1",
            file_name=f"shop-{name}-1.tar",
        )
        for name in ("db", "web")
    ]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    made = Worker()
    monkeypatch.setattr("containers_app.admin.planned.submit", made.submit)
    monkeypatch.setattr(plans, "PLAN_SECONDS", 0.01)
    monkeypatch.setattr(plans, "BEGIN_SECONDS", 0.01)
    return made


def address(backup: Backup) -> str:
    return reverse("admin:containers_app_backup_restore_stack", args=[backup.pk])


def asked() -> Operation:
    return Operation.objects.filter(kind="stackRestore").order_by("-pk")[0]


def test_the_page_of_a_set_leads_to_it_and_it_lists_all_of_them(operator: Client, backups: list[Backup]) -> None:
    for backup in backups:
        page = operator.get(reverse("admin:containers_app_backup_change", args=[backup.pk])).content.decode()
        assert f'href="{address(backup)}"' in page
    shown = text_of(operator.get(address(backups[1])))
    assert "shop-db-1.tar" in shown
    assert "shop-web-1.tar" in shown


def test_a_backup_of_one_container_leads_to_no_stack(operator: Client) -> None:
    single = recipes.backup(stack="shop")
    page = operator.get(reverse("admin:containers_app_backup_change", args=[single.pk])).content.decode()
    assert "Restore the whole stack" not in page
    assert operator.get(address(single)).status_code == 404


def test_the_plan_is_shown_first_and_the_confirmation_is_bound_to_it(
    operator: Client, worker: Worker, backups: list[Backup]
) -> None:
    worker.ends = [planned(**stack_plan())]
    answer = operator.post(address(backups[0]), {"new_project": "shop-2", "start": "on", "wait_healthy_seconds": "30"})
    operation = asked()
    assert (operation.params["backup"], operation.params["dry_run"]) == (str(backups[0].pk), True)
    assert (operation.params["new_project"], operation.params["wait_healthy_seconds"]) == ("shop-2", 30)
    words = text_of(answer)
    for shown in ("shop-web-1 → shop-2-web-1", "They are started in the order", "Every byte of the backups is checked"):
        assert shown in words
    worker.ends = [{"plan": {}}]
    bound = {"confirmed": "1", "plan_hash": hidden(answer, "plan_hash"), "keep_on_failure": "on", "reason": "a test"}
    done = operator.post(address(backups[0]), bound)
    made = asked()
    assert done["Location"] == reverse("admin:containers_app_operation_change", args=[made.pk])
    assert (made.params["plan_hash"], made.params["dry_run"], made.params["keep_on_failure"]) == (HASH, False, True)
    assert made.reason == "a test"


def test_another_plan_is_shown_anew_and_what_is_in_the_way_turns_the_button_off(
    operator: Client, worker: Worker, backups: list[Backup]
) -> None:
    stopped = planned(collisions=[collision("name", blocks="create")])
    worker.ends = [refused_as("PLAN_CHANGED", "another plan"), stopped]
    answer = operator.post(address(backups[0]), {"confirmed": "1", "plan_hash": HASH})
    assert "Something has changed since you saw the plan" in text_of(answer)
    assert "disabled" in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "text"), [("new_project", "Shop"), ("wait_healthy_seconds", "5"), ("host", "nowhere")]
)
def test_a_mistake_is_told_at_its_field(operator: Client, backups: list[Backup], field: str, text: str) -> None:
    answer = operator.post(address(backups[0]), {field: text})
    assert answer.context["form"].errors[field]
    assert not Operation.objects.filter(kind="stackRestore").exists()


def test_a_key_is_typed_again_and_stands_in_no_page(operator: Client, worker: Worker, backups: list[Backup]) -> None:
    backups[0].parts.update(encryption="age")
    worker.ends = [planned(**stack_plan())]
    page = operator.post(address(backups[0]), {"passphrase": SECRET}).content.decode()
    assert SECRET not in page
    assert 'type="hidden" name="passphrase"' not in page
    assert asked().sealed


def test_a_set_that_cannot_be_used_is_told(operator: Client, worker: Worker, backups: list[Backup]) -> None:
    Backup.objects.update(state=BackupState.MISSING)
    page = operator.post(address(backups[0]), {}).content.decode()
    assert "this backup is missing" in page
    assert not Operation.objects.filter(kind="stackRestore").exists()


STEPS: list[dict[str, str]] = [{}, {"confirmed": "1", "plan_hash": HASH}, {"again": "1"}, {"use": "0"}]


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
@pytest.mark.parametrize("step", STEPS)
def test_a_stranger_restores_no_stack(who: Any, step: dict[str, str], backups: list[Backup]) -> None:
    client = signed_in(who())
    assert client.get(address(backups[0])).status_code == 403
    assert client.post(address(backups[0]), step).status_code == 403
    assert not Operation.objects.filter(kind="stackRestore").exists()
