"""Backups through REST: verified, pinned, held, deleted and adopted, with bodies that say exactly what is meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.models import Backup, Operation, State
from tests import recipes
from tests.stored_sets import WEB, edited, stored_set, write_set
from tests.unit.api.asking import ASYNC

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
ADOPT = "/api/backups/orphans/adopt"
MakeClient = Callable[..., Client]


@pytest.fixture
def adam(with_key: MakeClient) -> Client:
    return with_key(recipes.administrator())


def send(client: Client, address: str, body: object = None, method: str = "POST") -> Any:
    """Without a body where it is None."""
    data = "" if body is None else json.dumps(body)
    return client.generic(method, address, data=data, content_type="application/json", headers=ASYNC)


def keep(client: Client, backup: Backup, verb: str, body: object = None) -> Any:
    return send(client, f"/api/backups/{backup.pk}/{verb}", body)


def test_a_verification_is_an_operation_of_the_backup(adam: Client) -> None:
    backup = recipes.backup()
    answer = keep(adam, backup, "verify", {"reason": "the yearly audit", "ticket": "CHG-7"})
    assert answer.status_code == 202
    row = Operation.objects.get(kind="verify")
    assert answer["Location"] == f"/api/operations/{row.pk}"
    assert (row.params, row.target_name) == ({"backup": str(backup.pk), "name": "web.tar"}, "web.tar")
    assert (row.reason, row.ticket, row.host) == ("the yearly audit", "CHG-7", backup.host)
    (entry,) = ledger.entries()
    assert (entry.action, entry.object_type, entry.object_name) == ("backup.verify", "backup", "web.tar")


def test_a_host_that_is_disabled_keeps_no_backup_from_being_verified_or_deleted(adam: Client) -> None:
    backup = recipes.backup()
    backup.host.__class__.objects.update(enabled=False)
    assert keep(adam, backup, "verify").status_code == 202
    deleted = send(adam, f"/api/backups/{backup.pk}", {"confirm": "web.tar"}, "DELETE")
    assert deleted.status_code == 202


def test_a_finding_is_in_the_result_of_the_operation_that_failed(adam: Client) -> None:
    parts = [{"problem": None, "verdict": "corrupt", "path": "web.tar", "kind": "rootfs"}]
    finding = {"parts": parts, "success": False}
    row = recipes.operation(
        kind="verify", state=State.FAILED, outcome_index=1, error_code="BACKUP_CORRUPT", result=finding
    )
    shown = adam.get(f"/api/operations/{row.pk}").json()
    assert (shown["state"], shown["error"]["code"]) == ("failed", "BACKUP_CORRUPT")
    assert shown["result"] == finding
    assert list(shown["result"]["parts"][0]) == ["kind", "path", "verdict", "problem"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "confirm"),
        ({"confirm": ""}, "confirm"),
        ({"confirm": 1}, "confirm"),
        ({"confirm": "web.tar", "confirmLast": "yes"}, "confirmLast"),
        ({"confirm": "web.tar", "force": True}, "force"),
        ({"confirm": "web.tar", "reason": "a\nb"}, "reason"),
    ],
)
def test_a_deletion_says_exactly_what_is_meant(adam: Client, body: dict[str, Any], field: str) -> None:
    backup = recipes.backup()
    answer = send(adam, f"/api/backups/{backup.pk}", body, "DELETE")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert not Operation.objects.filter(kind="deleteBackup").exists()


def test_a_deletion_without_a_body_is_refused(adam: Client) -> None:
    assert send(adam, f"/api/backups/{recipes.backup().pk}", None, "DELETE").status_code == 415


def test_a_deletion_is_repeated_under_its_key_only_with_the_same_words(adam: Client) -> None:
    address = f"/api/backups/{recipes.backup().pk}"

    def ask(confirm: str) -> Any:
        headers = {**ASYNC, "Idempotency-Key": "once"}
        body = json.dumps({"confirm": confirm})
        return adam.generic("DELETE", address, data=body, content_type="application/json", headers=headers)

    first, second, other = ask("web.tar"), ask("web.tar"), ask("db.tar")
    assert first.json()["id"] == second.json()["id"]
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


def test_a_pin_goes_in_and_out(adam: Client) -> None:
    backup = recipes.backup()
    assert keep(adam, backup, "pin").json()["pinned"] is True
    assert keep(adam, backup, "pin", {"reason": "again"}).status_code == 200
    assert keep(adam, backup, "unpin").json()["pinned"] is False
    assert list(ledger.entries().order_by("id").values_list("action", flat=True)) == [
        "backup.pinned",
        "backup.unpinned",
    ]


def test_a_hold_is_shown_until_it_is_released_and_as_expired_when_it_is_over(adam: Client) -> None:
    backup, end = recipes.backup(), timezone.now() + timedelta(days=1)
    until = f"{end:%Y-%m-%dT%H:%M:%S}+00:00"
    shown = keep(adam, backup, "hold", {"reason": "a lawsuit", "until": until}).json()["hold"]
    assert (shown["reason"], shown["until"][:19], shown["expired"]) == ("a lawsuit", until[:19], False)
    assert shown["owner"].startswith("adam (key ")
    held = keep(adam, backup, "hold", {"reason": "another"})
    assert (held.status_code, held.json()["code"]) == (409, "BACKUP_HELD")
    with time_machine.travel(end + timedelta(days=1)):
        assert adam.get(f"/api/backups/{backup.pk}").json()["hold"]["expired"] is True
    assert keep(adam, backup, "release").json()["hold"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "x", "until": "tomorrow"}, "until"),
        ({"reason": "x", "until": "2026-02-12T03:20:00"}, "until"),
        ({"reason": "x", "until": "2026-02-30T03:20:00Z"}, "until"),
        ({"reason": "x", "until": "2000-01-01T00:00:00Z"}, "until"),
        ({"reason": "x", "until": "0001-01-01T00:00:00+14:00"}, "until"),
        ({"reason": "x", "until": 7}, "until"),
        ({"reason": "x", "owner": "eve"}, "owner"),
    ],
)
def test_a_hold_that_is_not_understood_is_refused_by_its_field(adam: Client, body: dict[str, Any], field: str) -> None:
    backup = recipes.backup()
    answer = keep(adam, backup, "hold", body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert Backup.objects.get().hold_reason == ""


@pytest.mark.parametrize("verb", ["pin", "unpin", "hold", "release"])
def test_what_is_deleted_is_not_kept(adam: Client, verb: str) -> None:
    answer = keep(adam, recipes.backup(state="deleted"), verb, {"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_DELETED")


@pytest.mark.parametrize("verb", ["pin", "unpin", "hold", "release", "verify"])
def test_without_a_ledger_nothing_is_done(adam: Client, verb: str, database_down: Callable[[str], Any]) -> None:
    backup = recipes.backup(pinned=verb == "unpin", hold_reason="x" if verb == "release" else "")
    before = Backup.objects.values().get()
    with database_down("audit"):
        assert keep(adam, backup, verb, None if verb == "verify" else {"reason": "y"}).status_code == 503
    assert Backup.objects.values().get() == before
    assert not Operation.objects.filter(kind="verify").exists()


def test_orphans_are_listed_with_what_their_manifests_say(adam: Client, backup_root: Path) -> None:
    stored_set(backup_root, "known.tar")
    manifest = write_set(backup_root)
    write_set(backup_root, "zz.tar")
    edited(backup_root / "zz.tar.manifest.json", unknown=1)
    body = adam.get("/api/backups/orphans").json()
    first, second = body["results"]
    assert body["more"] is False
    assert first == {
        "path": f"{backup_root}/web.tar.manifest.json",
        "operation": manifest.operation_id,
        "container": {"id": WEB, "name": "web"},
        "host": "local",
        "createdAt": manifest.created_at,
        "storedBytes": sum(part.stored_bytes for part in manifest.parts),
        "parts": 3,
        "problem": None,
    }
    assert (list(second), second["container"]) == (list(first), None)
    assert "unknown" in second["problem"]


def test_an_orphan_is_adopted_by_an_operation_on_the_host_that_it_names(adam: Client, backup_root: Path) -> None:
    far = recipes.host("far")
    write_set(backup_root, host="far")
    path = f"{backup_root}/web.tar.manifest.json"
    assert send(adam, ADOPT, {"path": path}).status_code == 202
    row = Operation.objects.get(kind="adopt")
    assert (row.params, row.host, row.target_name) == ({"path": path}, far, "web.tar.manifest.json")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/etc/passwd", 400, "INVALID_REQUEST"),
        ("../web.tar.manifest.json", 400, "INVALID_REQUEST"),
        ("{root}/x/../web.tar.manifest.json", 400, "INVALID_REQUEST"),
        ("{root}/nothing.tar.manifest.json", 404, "NOT_FOUND"),
        ("{root}/bad.tar.manifest.json", 409, "BACKUP_CORRUPT"),
        ("", 400, "INVALID_REQUEST"),
        (7, 400, "INVALID_REQUEST"),
        (None, 400, "INVALID_REQUEST"),
    ],
)
def test_what_is_no_orphan_is_refused_at_once(
    adam: Client, backup_root: Path, path: Any, status: int, code: str
) -> None:
    write_set(backup_root)
    (backup_root / "bad.tar.manifest.json").write_text("{}")
    wanted = path.format(root=backup_root) if isinstance(path, str) else path
    answer = send(adam, ADOPT, {"path": wanted})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Operation.objects.exists()


def test_who_only_makes_backups_or_only_sees_the_system_does_not_adopt(with_key: MakeClient, backup_root: Path) -> None:
    write_set(backup_root)
    body = {"path": f"{backup_root}/web.tar.manifest.json"}
    for person in (recipes.operator(), recipes.auditor(), recipes.stranger()):
        assert send(with_key(person), ADOPT, body).status_code == 403
    assert not Operation.objects.exists()


def test_a_storage_that_does_not_answer_is_said(adam: Client, backup_root: Path) -> None:
    backup_root.parent.mkdir(parents=True, exist_ok=True)
    backup_root.write_text("a file where the folder should be")
    try:
        answer = adam.get("/api/backups/orphans")
    finally:
        backup_root.unlink()
    assert (answer.status_code, answer.json()["code"]) == (503, "STORAGE_ERROR")
