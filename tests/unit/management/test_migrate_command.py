"""`manage.py migrate` comes to the ledger's tables as their owner, and leaves as whoever it was."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.commands import migrate as django_migrate
from django.db import connections
from pytest_django import Settings

OWNER = {"NAME": "owned", "USER": "owner", "PASSWORD": "secret"}


@pytest.mark.parametrize(("database", "as_owner"), [("audit", True), ("default", False)])
def test_only_the_ledger_is_migrated_by_its_owner(
    database: str, as_owner: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUDIT_OWNER = OWNER
    seen: list[dict[str, Any]] = []
    before = {alias: dict(connections[alias].settings_dict) for alias in ("default", "audit")}

    def look(*_: Any, **options: Any) -> None:
        seen.append(dict(connections[options["database"]].settings_dict))
        raise RuntimeError("a migration failed")

    monkeypatch.setattr(django_migrate.Command, "handle", look)
    with pytest.raises(RuntimeError):
        call_command("migrate", database=database)
    assert (seen[0]["USER"] == "owner") is as_owner
    assert {alias: dict(connections[alias].settings_dict) for alias in ("default", "audit")} == before
