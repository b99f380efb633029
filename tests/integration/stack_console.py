"""A process of a test's stack that reads its databases: one call a line in, one line of JSON out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from django.apps import apps  # noqa: E402 - Django comes first
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from containers_app.audit import ledger  # noqa: E402
from containers_app.models import ApiKey, Backup, DockerHost, Operation  # noqa: E402
from containers_app.models.access import ADMINISTRATORS, AUDITORS, OPERATORS, Scope  # noqa: E402
from containers_app.models.backups import BackupState  # noqa: E402
from containers_app.operations.dispatch import publish  # noqa: E402


def prepare() -> dict[str, str]:
    """Both databases, and a key of an operator, of an administrator, of an auditor and of somebody without a group."""
    for database in ("default", "audit"):
        call_command("migrate", database=database, verbosity=0)
    return {
        "operator": _key("olga", OPERATORS),
        "administrator": _key("adam", ADMINISTRATORS),
        "auditor": _key("aude", AUDITORS),
        "stranger": _key("charlie"),
    }


def _key(name: str, *groups: str) -> str:
    user = User.objects.create_user(name)
    user.groups.set(Group.objects.filter(name__in=groups))
    issued = ApiKey.objects.issue(user=user, name="test", scopes=list(Scope.values), expires_in_days=1)
    return issued.text


def facts() -> dict[str, Any]:
    """Every operation and entry, and every backup that is not deleted."""
    return changed("")


def changed(after: str) -> dict[str, Any]:
    """The same, without the operations up to this one, and their entries."""
    operations, entries = Operation.objects.all(), ledger.entries()
    if after:
        operations = operations.filter(pk__gt=after)
        entries = entries.filter(operation_id__in=[str(key) for key in operations.values_list("pk", flat=True)])
    backups = Backup.objects.exclude(state=BackupState.DELETED).prefetch_related("parts")
    return {
        "operations": [_operation(row) for row in operations],
        "backups": [_backup(row) for row in backups],
        "entries": list(entries.values("operation_id", "phase", "action", "outcome")),
    }


def problems() -> list[str]:
    """What the ledger finds wrong with itself."""
    return list(ledger.self_check(timezone.now().year).problems)


def _backup(row: Backup) -> dict[str, Any]:
    folder = Path(row.path).parent
    files = {str(folder / part.file_name): [part.stored_bytes, part.stored_sha256] for part in row.parts.all()}
    own = {name: getattr(row, name) for name in ("path", "size_bytes", "sha256", "state", "members")}
    return {**own, "files": files, "manifest": str(folder / row.manifest_name)}


def _operation(row: Operation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "state": row.state,
        "visible": row.visible_state,
        "finished": row.is_finished,
        "worker": row.worker,
        "result": row.result,
        "code": row.error_code,
        "message": row.error_message,
        "undo": row.undo,
        "stage": row.stage,
        "stages": [entry["name"] for entry in row.stages],
        "warnings": [entry["code"] for entry in row.warnings],
        "target": row.target_id,
        "bytes": [row.bytes_done, row.bytes_total],
        "sealed": bool(row.sealed),
        "trace": row.error_trace,
    }


def operation(identifier: str) -> dict[str, Any]:
    """One operation."""
    return _operation(Operation.objects.get(pk=identifier))


def republish(identifier: str) -> bool:
    """Send the operation's message once more."""
    return publish(Operation.objects.get(pk=identifier))


def everything() -> str:
    """Every row of both databases, and what the ledger discloses, as one text."""
    models = apps.get_app_config("containers_app").get_models()
    rows = [list(model._base_manager.using("default").values()) for model in models]
    entries = list(ledger.entries())
    return repr([rows, list(ledger.entries().values()), ledger.disclosed_all(entries)])


def forget(backup: str) -> int:
    """Lose the rows of a backup and of the operation that made it; its files stay. Returns how many there were."""
    row = Backup.objects.get(pk=backup)
    lost = row.parts.all().delete()[0] + Backup.objects.filter(pk=backup).delete()[0]
    return lost + Operation.objects.filter(pk=row.operation_id).delete()[0]


def register(name: str, url: str) -> int:
    """A Docker host."""
    return DockerHost.objects.create(name=name, url=url).pk


def disable(name: str) -> int:
    """The host gets no operations any more."""
    return DockerHost.objects.filter(name=name).update(enabled=False)


CALLS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "facts": facts,
    "changed": changed,
    "problems": problems,
    "operation": operation,
    "republish": republish,
    "everything": everything,
    "forget": forget,
    "register": register,
    "disable": disable,
}

for line in sys.stdin:
    name, *arguments = json.loads(line)
    sys.stdout.write(json.dumps(CALLS[name](*arguments)) + "\n")
    sys.stdout.flush()
