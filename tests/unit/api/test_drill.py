"""What the body of a drill may say, who may ask for one, and what is kept of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Backup, Operation
from containers_app.models.backups import BackupState
from containers_app.operations.kinds import DRILL
from containers_app.operations.secrets import unsealed
from tests import recipes
from tests.unit.api.asking import ASYNC

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
PASSPHRASE = "correct horse battery staple"
IDENTITY = "AGE-SECRET-KEY-1QQQQ"
COMMAND = ["check", "--password=hunter2-very-secret"]


def ask(client: Client, backup: Backup, body: dict[str, Any]) -> Any:
    address = f"/api/backups/{backup.pk}/drill"
    return client.post(address, json.dumps(body), content_type="application/json", headers=ASYNC)


def drilled(client: Client, **body: Any) -> Operation:
    """The operation that a drill of a complete backup begins."""
    answer = ask(client, recipes.backup(), body)
    assert answer.status_code == 202, answer.content
    return Operation.objects.get(pk=answer.json()["id"])


def test_a_drill_is_an_operation_about_the_backup(operator: Client) -> None:
    row = drilled(operator, reason="quarterly", ticket="T-1")
    backup = Backup.objects.get()
    assert (row.kind, row.target_name, row.reason, row.ticket) == ("drill", str(backup.pk), "quarterly", "T-1")
    intent = ledger.entries().get(phase="intent")
    assert (intent.action, intent.object_type) == ("backup.drill", "backup")
    params = DRILL.restore(row.params, unsealed(row))
    assert (params.wait_healthy_seconds, params.memory_bytes, params.command, params.stack) == (120, None, None, False)


def test_the_command_and_the_keys_are_sealed_and_stand_nowhere_else(operator: Client) -> None:
    row = drilled(operator, command=COMMAND, passphrase=PASSPHRASE, identity=IDENTITY, memoryBytes=2**26)
    kept = repr([list(Operation.objects.values()), list(ledger.entries().values())])
    disclosed = repr(ledger.disclosed_all(list(ledger.entries())))
    for secret in (PASSPHRASE, IDENTITY, COMMAND[1]):
        assert secret not in kept + disclosed
    params = DRILL.restore(row.params, unsealed(row))
    assert params.command is not None
    assert (list(params.command.command), params.memory_bytes) == (COMMAND, 2**26)
    assert (params.keys.passphrase, params.keys.identities) == (PASSPHRASE, (IDENTITY,))
    assert COMMAND[1] not in repr(params)


def test_a_command_that_was_lost_is_not_left_out_quietly(operator: Client) -> None:
    row = drilled(operator, command=COMMAND)
    with pytest.raises(TypeError):
        DRILL.restore(row.params, {})


def test_a_text_is_a_command_for_the_container_s_shell(operator: Client) -> None:
    row = drilled(operator, command="exit 0")
    assert DRILL.restore(row.params, unsealed(row)).command.command == ("/bin/sh", "-c", "exit 0")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"unknown": 1}, "unknown"),
    ({"newest": True}, "newest"),
    ({"command": []}, "command"),
    ({"command": [1]}, "command"),
    ({"command": " "}, "command"),
    ({"waitHealthySeconds": 0}, "waitHealthySeconds"),
    ({"waitHealthySeconds": 3601}, "waitHealthySeconds"),
    ({"memoryBytes": 1024}, "memoryBytes"),
    ({"nanoCpus": 1}, "nanoCpus"),
    ({"stack": "yes"}, "stack"),
    ({"host": "nowhere"}, "host"),
    ({"passphrase": 5}, "passphrase"),
    ({"identity": "x" * 20_000}, "identity"),
]


@pytest.mark.parametrize(("body", "field"), WRONG, ids=lambda value: json.dumps(value)[:40])
def test_a_body_that_is_not_understood_names_its_field(body: dict[str, Any], field: str, operator: Client) -> None:
    answer = ask(operator, recipes.backup(), body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
    assert field in answer.json()["error"]
    assert not Operation.objects.filter(kind="drill").exists()


@pytest.mark.parametrize("state", [BackupState.MISSING, BackupState.CORRUPT, BackupState.DELETED])
def test_a_backup_that_is_not_whole_is_refused_before_anything_runs(state: BackupState, operator: Client) -> None:
    answer = ask(operator, recipes.backup(state=state), {})
    assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_UNUSABLE")
    assert not Operation.objects.filter(kind="drill").exists()


def test_it_runs_on_the_backup_s_host_or_on_the_one_that_is_named(operator: Client) -> None:
    recipes.host("site-b")
    assert drilled(operator).host.name == "local"
    assert drilled(operator, host="site-b").host.name == "site-b"


def test_the_same_key_for_a_restore_and_a_drill_is_two_requests(operator: Client) -> None:
    backup, headers = recipes.backup(), {**ASYNC, "Idempotency-Key": "one"}
    answers = [
        operator.post(f"/api/backups/{backup.pk}/{verb}", '{"passphrase": "x"}', "application/json", headers=headers)
        for verb in ("drill", "drill")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    other = operator.post(f"/api/backups/{backup.pk}/restore", '{"mode": "new"}', "application/json", headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


def test_a_key_needs_the_scope_of_restores(with_key: Any) -> None:
    backup = recipes.backup()
    assert ask(with_key(recipes.operator(), "read", "backup"), backup, {}).status_code == 403


def test_a_stranger_and_an_auditor_learn_nothing(with_key: Any) -> None:
    backup = recipes.backup()
    before = Operation.objects.count()
    for person in (recipes.stranger(), recipes.auditor()):
        answer = ask(with_key(person), backup, {})
        assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
    assert Operation.objects.count() == before
