"""What the body of a stack's restore may say, and what is kept of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Backup, Operation
from containers_app.models.backups import BackupState
from containers_app.operations.kinds import STACK_RESTORE
from containers_app.operations.secrets import unsealed
from tests import recipes
from tests.unit.api.asking import ASYNC

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def backup() -> Backup:
    operation = recipes.operation(kind="backup", parent=recipes.operation(kind="stackBackup"))
    return recipes.backup(operation=operation, stack="shop", container_name="shop-web-1")


def ask(client: Client, **body: Any) -> Any:
    return client.post("/api/stacks/restore", json.dumps(body), content_type="application/json", headers=ASYNC)


def begun(answer: Any) -> Operation:
    assert answer.status_code == 202, answer.content
    return Operation.objects.get(pk=answer.json()["id"])


def test_it_is_an_operation_about_the_backup_on_its_host_or_another(operator: Client, backup: Backup) -> None:
    wish = {"newProject": "copy", "start": True, "waitHealthySeconds": 5, "keepOnFailure": True, "reason": "lost"}
    row = begun(ask(operator, backupId=str(backup.pk), **wish))
    assert (row.kind, row.target_name, row.reason, row.host.name) == ("stackRestore", str(backup.pk), "lost", "local")
    kept = {name: row.params[name] for name in ("new_project", "start", "wait_healthy_seconds", "keep_on_failure")}
    assert kept == {"new_project": "copy", "start": True, "wait_healthy_seconds": 5, "keep_on_failure": True}
    intent = ledger.entries().get(phase="intent")
    assert (intent.action, intent.object_type) == ("stack.restore", "backup")
    recipes.host("site-b")
    assert begun(ask(operator, backupId=str(backup.pk), host="site-b")).host.name == "site-b"


def test_keys_are_sealed_and_stand_nowhere_else(operator: Client, backup: Backup) -> None:
    row = begun(ask(operator, backupId=str(backup.pk), passphrase=PASSPHRASE, identity="AGE-SECRET-KEY-1QQQQ"))
    kept = repr([list(Operation.objects.values()), ledger.disclosed_all(list(ledger.entries()))])
    assert PASSPHRASE not in kept
    assert "AGE-SECRET-KEY" not in kept
    params = STACK_RESTORE.restore(row.params, unsealed(row))
    assert (params.keys.passphrase, params.keys.identities) == (PASSPHRASE, ("AGE-SECRET-KEY-1QQQQ",))
    assert PASSPHRASE not in repr(params)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"backupId": None}, "backupId"),
        ({"backupId": "web"}, "backupId"),
        ({"newProject": "Upper"}, "newProject"),
        ({"newProject": "../x"}, "newProject"),
        ({"waitHealthySeconds": 5}, "waitHealthySeconds"),
        ({"planHash": "zz"}, "planHash"),
        ({"host": "nowhere"}, "host"),
        ({"passphrase": 5}, "passphrase"),
        ({"overrides": {}}, "overrides"),
        ({"mode": "new"}, "mode"),
    ],
)
def test_a_mistake_is_named_by_its_field(operator: Client, backup: Backup, change: dict[str, Any], field: str) -> None:
    answer = ask(operator, **{"backupId": str(backup.pk), **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert field in answer.json()["error"]
    assert not Operation.objects.filter(kind="stackRestore").exists()


def test_a_backup_that_is_gone_and_one_that_nobody_has_are_refused(operator: Client, backup: Backup) -> None:
    Backup.objects.update(state=BackupState.CORRUPT)
    answer = ask(operator, backupId=str(backup.pk))
    assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_UNUSABLE")
    assert ask(operator, backupId="0190a000-0000-7000-8000-00000000dead").status_code == 404


def test_who_may_not_restore_learns_of_no_backup(backup: Backup) -> None:
    client = Client()
    client.force_login(recipes.auditor())
    refused = ask(client, backupId=str(backup.pk))
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    assert not Operation.objects.filter(kind="stackRestore").exists()
