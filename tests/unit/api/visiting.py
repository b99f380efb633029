"""A visitor of the API who sends the rows of the matrix, and the records that their addresses name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from containers_app.audit import ledger
from tests import recipes
from tests.stored_sets import write_set
from tests.unit.api.matrix import Row
from tests.unit.archives.samples import Member, tar_of
from tests.written_sets import written_set


@dataclass
class Visitor:
    """A client of one role, and the addresses of the records, some of them his own."""

    client: Client
    places: dict[str, str]

    def ask(self, row: Row, method: str | None = None) -> Any:
        """Send the row, with the places that its address and its body name."""
        data, kind = ("", "") if row.body is None else (json.dumps(self.filled(row.body)), "application/json")
        address = row.address.format(**self.places)
        return self.client.generic(method or row.method, address, data=data, content_type=kind, headers=row.headers)

    def filled(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the places that its texts name."""
        named = {"{" + name + "}": place for name, place in self.places.items()}
        return {name: named.get(str(value), value) for name, value in body.items()}


def make_places(backup_root: Path) -> dict[str, str]:
    """One record of each sort, to be put into addresses."""
    write_set(backup_root)
    container = recipes.container(stack="shop", service="web")
    operation = recipes.operation(outcome_index=None)
    content = tar_of([Member("a", b"content")])
    backup = written_set(name="db.tar", rootfs=content, operation=operation, container=container, host=container.host)
    entry = ledger.event(action="auth.login", actor=ledger.Actor(type="anonymous"), source=ledger.Source(channel="api"))
    return {
        "operation": str(operation.pk),
        "backup": str(backup.pk),
        "orphan": f"{backup_root}/web.tar.manifest.json",
        "no_orphan": f"{backup_root}/nothing.tar.manifest.json",
        "host": str(container.host.pk),
        "spare_host": str(recipes.host("spare").pk),
        "entry": str(entry),
    }


def records_of(person: User) -> dict[str, str]:
    """An operation and an entry of this person's own."""
    actor = ledger.Actor(type="user", id=str(person.pk))
    entry = ledger.event(action="auth.logout", actor=actor, source=ledger.Source(channel="ui"))
    return {"own_operation": str(recipes.operation(user=person).pk), "own_entry": str(entry)}
