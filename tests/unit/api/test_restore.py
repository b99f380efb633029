"""What the body of a restore may say, which backups can be restored, and what is kept of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Backup, Operation
from containers_app.models.backups import BackupState
from containers_app.operations.kinds import RESTORE
from containers_app.operations.secrets import unsealed
from tests import recipes
from tests.unit.api.asking import ASYNC, refusals

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
PASSPHRASE = "correct horse battery staple"
IDENTITY = "AGE-SECRET-KEY-1QQQQ"
VALUE = "a-value-of-the-environment"


def ask(client: Client, backup: Backup, body: dict[str, Any]) -> Any:
    address = f"/api/backups/{backup.pk}/restore"
    return client.post(address, json.dumps(body), content_type="application/json", headers=ASYNC)


def restored(client: Client, **body: Any) -> Operation:
    """The operation that a restore of a complete backup begins."""
    answer = ask(client, recipes.backup(), {"mode": "new", **body})
    assert answer.status_code == 202, answer.content
    return Operation.objects.get(pk=answer.json()["id"])


def test_a_restore_is_an_operation_about_the_backup(operator: Client) -> None:
    row = restored(operator, name="web-2", start=True, waitHealthySeconds=5, reason="lost", ticket="T-1")
    backup = Backup.objects.get()
    assert (row.kind, row.target_name, row.reason, row.ticket) == ("restore", str(backup.pk), "lost", "T-1")
    intent = ledger.entries().get(phase="intent")
    assert (intent.action, intent.object_type) == ("backup.restore", "backup")


def test_keys_and_values_are_sealed_and_stand_nowhere_else(operator: Client) -> None:
    values = {"env": {"set": {"TOKEN": VALUE}}}
    row = restored(operator, passphrase=PASSPHRASE, identity=IDENTITY, overrides=values, parts=["rootfs"])
    kept = repr([list(Operation.objects.values()), list(ledger.entries().values())])
    disclosed = repr(ledger.disclosed_all(list(ledger.entries())))
    for secret in (PASSPHRASE, IDENTITY, VALUE):
        assert secret not in kept + disclosed
    params = RESTORE.restore(row.params, unsealed(row))
    assert (params.keys.passphrase, params.keys.identities) == (PASSPHRASE, (IDENTITY,))
    assert params.overrides.environment.set == {"TOKEN": VALUE}
    assert params.parts == ("rootfs",)
    assert PASSPHRASE not in repr(params)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "mode"),
    ({"mode": "old"}, "mode"),
    ({"mode": 1}, "mode"),
    ({"mode": "new", "unknown": 1}, "unknown"),
    ({"mode": "new", "name": "-"}, "name"),
    ({"mode": "new", "name": "x" * 64}, "name"),
    ({"mode": "new", "parts": []}, "parts"),
    ({"mode": "new", "parts": "rootfs"}, "parts"),
    ({"mode": "new", "planHash": "zz"}, "planHash"),
    ({"mode": "new", "waitHealthySeconds": 5}, "waitHealthySeconds"),
    ({"mode": "new", "start": "yes"}, "start"),
    ({"mode": "new", "volume": "data"}, "volume"),
    ({"mode": "new", "confirm": "web"}, "confirm"),
    ({"mode": "new", "host": "nowhere"}, "host"),
    ({"mode": "new", "overrides": {"nothing": 1}}, "overrides.nothing"),
    ({"mode": "new", "passphrase": 5}, "passphrase"),
    ({"mode": "new", "identity": "x" * 20_000}, "identity"),
    ({"mode": "path"}, "paths"),
    ({"mode": "path", "paths": []}, "paths"),
    ({"mode": "path", "paths": ["etc/app"]}, "paths"),
    ({"mode": "path", "paths": ["/etc/../root"]}, "paths"),
    ({"mode": "path", "paths": [f"/{number}" for number in range(51)]}, "paths"),
    ({"mode": "path", "paths": ["/etc"], "target": "srv"}, "target"),
    ({"mode": "path", "paths": ["/etc"], "name": "web-2"}, "name"),
    ({"mode": "path", "paths": ["/etc"], "start": True}, "start"),
    ({"mode": "new", "paths": ["/etc"]}, "paths"),
    ({"mode": "inPlace", "container": "web"}, "container"),
    ({"mode": "volume"}, "volume"),
    ({"mode": "volume", "volume": "data", "start": True}, "start"),
    ({"mode": "volume", "volume": "data", "overrides": {"user": "1"}}, "overrides"),
]


@pytest.mark.parametrize(("body", "field"), WRONG, ids=lambda value: json.dumps(value)[:40])
def test_a_body_that_is_not_understood_names_its_field(body: dict[str, Any], field: str, operator: Client) -> None:
    answer = ask(operator, recipes.backup(), body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert field in answer.json()["error"]
    assert not Operation.objects.filter(kind="restore").exists()


@pytest.mark.parametrize("state", [BackupState.MISSING, BackupState.CORRUPT, BackupState.DELETED])
def test_a_backup_that_is_not_whole_is_refused_before_anything_runs(state: BackupState, operator: Client) -> None:
    backup = recipes.backup(state=state)
    answer = ask(operator, backup, {"mode": "new"})
    assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_UNUSABLE")
    assert state in answer.json()["error"]
    assert not Operation.objects.filter(kind="restore").exists()
    assert refusals()[-1] == ("event", "authz.invalid", "denied")


def test_a_backup_with_warnings_can_be_restored(operator: Client) -> None:
    assert ask(operator, recipes.backup(state=BackupState.PARTIAL), {"mode": "new"}).status_code == 202


def test_it_runs_on_the_backup_s_host_or_on_the_one_that_is_named(operator: Client) -> None:
    recipes.host("site-b")
    assert restored(operator).host.name == "local"
    assert restored(operator, host="site-b").host.name == "site-b"


def test_a_host_that_is_gone_for_good_does_not_keep_its_backups(operator: Client) -> None:
    gone = recipes.host("gone")
    gone.enabled = False
    gone.save()
    backup = recipes.backup(host=gone)
    assert ask(operator, backup, {"mode": "new"}).status_code == 400
    assert ask(operator, backup, {"mode": "new", "host": "local"}).status_code == 202


def test_the_same_key_with_another_backup_is_another_request(operator: Client) -> None:
    first, second = recipes.backup(), recipes.backup(file_name="other.tar")
    headers = {**ASYNC, "Idempotency-Key": "one"}
    answers = [
        operator.post(f"/api/backups/{backup.pk}/restore", '{"mode": "new"}', "application/json", headers=headers)
        for backup in (first, first, second)
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 409]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_a_stranger_learns_nothing(with_key: Any) -> None:
    backup = recipes.backup()
    before = Operation.objects.count()
    answer = ask(with_key(recipes.stranger()), backup, {"mode": "new"})
    assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
    assert Operation.objects.count() == before
