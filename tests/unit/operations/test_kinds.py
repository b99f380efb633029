"""Every verb is complete: what it needs exists, what it takes survives a row, what it answers is published."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from containers_app.archives.codecs import Keys
from containers_app.conf import load
from containers_app.models.access import Scope
from containers_app.operations.answers import error_body
from containers_app.operations.kinds import (
    ADOPT,
    BACKUP,
    CLONE,
    DELETE_BACKUP,
    DRILL,
    HOST_TEST,
    KINDS,
    LEDGER_VERIFY,
    REMOVE,
    RESTART,
    RESTORE,
    STACK_CLONE,
    STACK_RESTORE,
    START,
    STOP,
    VERIFY,
    Kind,
)
from containers_app.specs.hooks import Hook
from containers_app.workflows.adopt import AdoptParams
from containers_app.workflows.backup import BackupParams
from containers_app.workflows.clone import CloneParams
from containers_app.workflows.deletion import DeleteParams
from containers_app.workflows.drill import DrillParams
from containers_app.workflows.hosts import HostTestParams
from containers_app.workflows.ledger_export import LedgerExportParams
from containers_app.workflows.ledger_verify import LedgerVerifyParams
from containers_app.workflows.lifecycle import RemoveParams, StartParams, StopParams
from containers_app.workflows.restore import RestoreParams
from containers_app.workflows.stack_backup import StackBackupParams
from containers_app.workflows.stack_clone import StackCloneParams
from containers_app.workflows.stack_restore import StackRestoreParams
from containers_app.workflows.verify import VerifyParams

EXAMPLES: dict[str, Any] = {
    "clone": CloneParams(
        container="web", name="copy", confirm_privileged=True, volumes={"db_secrets": "copy", "/données": "empty"}
    ),
    "backup": BackupParams(container="web", name="a.tar", path="team", confirm_protected=True),
    "restore": RestoreParams(
        backup="web",
        mode="inPlace",
        parts=("rootfs",),
        confirm="web",
        start=True,
        keys=Keys(passphrase="a passphrase", identities=("an identity",)),
    ),
    "drill": DrillParams(backup="0190", wait_healthy_seconds=5, memory_bytes=2**26, command=Hook(command=("a", "b"))),
    "hostTest": HostTestParams(host="local"),
    "stackClone": StackCloneParams(project="shop", new_project="shop-test", data="volumes", start=True),
    "stackRestore": StackRestoreParams(
        backup="0190", new_project="shop-test", start=True, keys=Keys(passphrase="a passphrase", identities=("an",))
    ),
    "stackBackup": StackBackupParams(project="shop", contents=("config", "volumes"), hooks="auto", pin=True),
    "start": StartParams(container="web", wait_healthy_seconds=30),
    "stop": StopParams(container="web", timeout_seconds=0),
    "restart": StopParams(container="web"),
    "remove": RemoveParams(container="web", confirm="web", force=True, volumes=True),
    "verify": VerifyParams(backup="0190a000-0000-7000-8000-000000000001", name="web.tar"),
    "deleteBackup": DeleteParams(backup="0190a000-0000-7000-8000-000000000001", name="web.tar", confirm="web.tar"),
    "adopt": AdoptParams(path="/backups/web.tar.manifest.json"),
    "ledgerExport": LedgerExportParams(format="csv", since="2026-11-01T00:00:00+00:00", filter={"actor": "7"}),
    "ledgerVerify": LedgerVerifyParams(shard=2026, quick=True, vkeys=("a+b+c",)),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)


@every_kind
@pytest.mark.django_db
def test_its_permission_exists(kind: Kind) -> None:
    app, _, codename = kind.permission.partition(".")
    assert Permission.objects.filter(content_type__app_label=app, codename=codename).exists()


@every_kind
def test_its_words_are_complete(kind: Kind) -> None:
    assert KINDS[kind.name] is kind
    assert kind.scope in Scope.values
    assert kind.success_message
    assert kind.failure_prefix.endswith(": ")
    assert kind.failure_code.endswith("_FAILED")
    assert kind.time_limit_seconds(load(), EXAMPLES[kind.name]) > 0


@every_kind
def test_its_params_survive_a_row(kind: Kind) -> None:
    params = EXAMPLES[kind.name]
    recorded = json.loads(json.dumps(kind.record(params)))
    assert kind.restore(recorded, kind.sealed(params)) == params
    files = ("web.tar", "web.tar.manifest.json", "csv")
    assert kind.subject(params) in ("web", "local", "shop", "0190", "shard 2026", *files)


@pytest.mark.parametrize(
    ("kind", "params", "seconds"),
    [
        (CLONE, CloneParams(container="web"), "clone"),
        (CLONE, CloneParams(container="web", data="all"), "backup"),
        (CLONE, CloneParams(container="web", start=True, wait_healthy_seconds=30), "clone+30"),
        (STACK_CLONE, StackCloneParams(project="shop", new_project="b", wait_healthy_seconds=30), "backup+30"),
        (RESTORE, RestoreParams(backup="web", start=True, wait_healthy_seconds=30), "backup+30"),
        (STACK_RESTORE, StackRestoreParams(backup="web", wait_healthy_seconds=30), "backup+30"),
        (START, StartParams(container="web", wait_healthy_seconds=3600), "call+3605"),
        (STOP, StopParams(container="web"), "call+15"),
        (STOP, StopParams(container="web", timeout_seconds=0), "call+5"),
        (RESTART, StopParams(container="web", timeout_seconds=3600), "call+3605"),
        (REMOVE, EXAMPLES["remove"], "call+5"),
        (VERIFY, EXAMPLES["verify"], "backup"),
    ],
)
def test_the_time_limit_follows_from_what_is_asked_for(kind: Kind, params: Any, seconds: str) -> None:
    conf = load()
    own = {
        "clone": conf.clone_timeout_seconds,
        "backup": conf.backup_timeout_seconds,
        "call": conf.engine_call_seconds,
    }
    name, _, more = seconds.partition("+")
    assert kind.time_limit_seconds(conf, params) == own[name] + float(more or 0)


def test_params_of_another_version_are_refused() -> None:
    with pytest.raises(TypeError):
        BACKUP.restore({"container": "web", "compression": "zstd"}, {})


@pytest.mark.parametrize(
    ("kind", "code", "shown"),
    [
        (CLONE, "NAME_TAKEN", "NAME_TAKEN"),
        (CLONE, "ENGINE_UNAVAILABLE", "CLONE_FAILED"),
        (CLONE, "CONTAINER_NOT_FOUND", "CLONE_FAILED"),
        (STACK_CLONE, "COLLISION", "COLLISION"),
        (STACK_CLONE, "PLAN_CHANGED", "PLAN_CHANGED"),
        (STACK_CLONE, "SEAL_BROKEN", "STACK_CLONE_FAILED"),
        (BACKUP, "STORAGE_FULL", "STORAGE_FULL"),
        (BACKUP, "ARCHIVE_TRUNCATED", "BACKUP_FAILED"),
        (BACKUP, "INTERNAL", "BACKUP_FAILED"),
        (DRILL, "DRILL_FAILED", "DRILL_FAILED"),
        (DRILL, "ENGINE_ERROR", "DRILL_FAILED"),
        (DRILL, "BACKUP_UNUSABLE", "BACKUP_UNUSABLE"),
        (HOST_TEST, "ENGINE_UNAVAILABLE", "HOST_TEST_FAILED"),
        (START, "PORT_TAKEN", "PORT_TAKEN"),
        (START, "CONTAINER_NOT_FOUND", "START_FAILED"),
        (STOP, "BUSY", "BUSY"),
        (RESTART, "ENGINE_ERROR", "RESTART_FAILED"),
        (REMOVE, "CONTAINER_RUNNING", "CONTAINER_RUNNING"),
        (REMOVE, "INVALID_REQUEST", "INVALID_REQUEST"),
        (VERIFY, "BACKUP_CORRUPT", "BACKUP_CORRUPT"),
        (VERIFY, "STORAGE_ERROR", "VERIFY_FAILED"),
        (DELETE_BACKUP, "LAST_GOOD_BACKUP", "LAST_GOOD_BACKUP"),
        (LEDGER_VERIFY, "LEDGER_TAMPERED", "LEDGER_TAMPERED"),
        (LEDGER_VERIFY, "INTERNAL", "LEDGER_VERIFY_FAILED"),
        (ADOPT, "NAME_TAKEN", "NAME_TAKEN"),
        (ADOPT, "ARCHIVE_INVALID", "ADOPT_FAILED"),
    ],
)
def test_an_error_has_the_published_code_and_prefix(kind: Kind, code: str, shown: str) -> None:
    assert error_body(kind, code=code, message="why") == {"error": kind.failure_prefix + "why", "code": shown}
