"""What the tests of verifying, deleting and adopting share: an operation that is run by the real runner at once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from containers_app.audit import ledger
from containers_app.models import Backup, Operation
from containers_app.models.identifiers import uuid7
from containers_app.operations import runner
from containers_app.operations.kinds import KINDS
from tests import recipes
from tests.unit.operations.conftest import intent_of


def submitted(kind: str, params: dict[str, Any], **fields: Any) -> Operation:
    """A queued operation of an administrator, unless another user asks."""
    identifier = uuid7()
    fields.setdefault("user", None)
    user = fields.pop("user") or administrator()
    intent = intent_of(str(identifier), KINDS[kind].action)
    return recipes.operation(id=identifier, kind=kind, params=params, user=user, **{**intent, **fields})


def administrator() -> User:
    """Adam."""
    return User.objects.filter(username="adam").first() or recipes.administrator()


def run(kind: str, params: dict[str, Any], **fields: Any) -> Operation:
    """The operation, over."""
    operation = submitted(kind, params, **fields)
    runner.run(operation.pk)
    return Operation.objects.get(pk=operation.pk)


def verify(backup: Backup, **fields: Any) -> Operation:
    return run("verify", {"backup": str(backup.pk), "name": backup.file_name}, **fields)


def delete(backup: Backup, *, confirm: str = "web.tar", confirm_last: bool = True, **fields: Any) -> Operation:
    params = {"backup": str(backup.pk), "name": backup.file_name, "confirm": confirm, "confirm_last": confirm_last}
    return run("deleteBackup", params, **fields)


def adopt(path: Any, **fields: Any) -> Operation:
    return run("adopt", {"path": str(path)}, **fields)


def state(backup: Backup) -> str:
    """Its state in the database now."""
    return Backup.objects.get(pk=backup.pk).state


def events(backup: Backup) -> list[tuple[str, str]]:
    """What the ledger has of the backup besides operations, oldest first."""
    rows = ledger.entries().filter(object_id=str(backup.pk), phase="event").order_by("id")
    return list(rows.values_list("action", "outcome"))
