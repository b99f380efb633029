"""The ledger has when the product came and went, and what was different from the last time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import connections
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.conf import load
from containers_app.errors import AuditUnavailable
from containers_app.operations import presence
from containers_app.operations.presence import Presence, chosen_settings

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def told() -> list[str]:
    return list(ledger.entries().order_by("id").values_list("action", flat=True))


def details(action: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ledger.entries().filter(action=action)[0].payload)["details"]
    return found


def test_a_start_is_told_once_and_the_stop_after_it() -> None:
    here = Presence()
    here.look()
    here.look()
    here.leave()
    assert told() == ["system.start", "system.stop"]
    assert details("system.start")["previous"] == ""


@pytest.mark.parametrize(("stops", "expected"), [(True, "stopped"), (False, "not stopped")])
def test_the_next_start_says_whether_the_last_one_was_stopped(stops: bool, expected: str) -> None:
    first = Presence()
    first.look()
    if stops:
        first.leave()
    Presence().look()
    assert details("system.start")["previous"] == expected


def test_a_start_that_nobody_saw_is_not_ended() -> None:
    Presence().leave()
    assert told() == []


def test_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Presence().look()
    monkeypatch.setattr(presence, "VERSION", "99.0")
    Presence().look()
    assert told()[-2:] == ["system.start", "system.version_changed"]
    assert details("system.version_changed")["after"] == "99.0"


def test_a_migrated_database_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Presence().look()
    monkeypatch.setattr(presence, "_schema", lambda: {"containers_app": "9999_new", "audit": "0001_initial"})
    Presence().look()
    assert details("system.migrated")["before"]["containers_app"].startswith("0")
    assert details("system.migrated")["after"]["containers_app"] == "9999_new"


def test_changed_settings_are_told_before_and_after(settings: Settings) -> None:
    Presence().look()
    settings.MYCODOCKER = {**settings.MYCODOCKER, "stale_days": 9.0, "bind_roots": ("/srv", "/home")}
    Presence().look()
    assert details("config.settings_changed") == {
        "before": {"bind_roots": "", "stale_days": "7.0"},
        "after": {"bind_roots": "/home,/srv", "stale_days": "9.0"},
    }


def test_a_secret_setting_is_a_keyed_hash_that_changes_with_it(settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "anchor_webhook_key": "hush hush"}
    Presence().look()
    first = details("system.start")["settings"]["anchor_webhook_key"]
    settings.MYCODOCKER = {**settings.MYCODOCKER, "anchor_webhook_key": "hush hush hush"}
    Presence().look()
    assert first.startswith("hmac:settings:")
    assert details("config.settings_changed")["before"] == {"anchor_webhook_key": first}
    assert not ledger.entries().filter(payload__contains="hush").exists()


@pytest.mark.parametrize("name", ["anchor_witness", "anchor_s3_access_key", "anchor_s3_secret_key"])
def test_another_way_to_an_anchor_is_told_and_not_what_is_secret_in_it(settings: Settings, name: str) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, name: "https://me:hush@witness.example/?token=hush"}
    Presence().look()
    settings.MYCODOCKER = {**settings.MYCODOCKER, name: "https://me:hush@witness.example/?token=hush+hush"}
    Presence().look()
    told = details("config.settings_changed")
    assert set(told["before"]) == set(told["after"]) == {name}
    assert told["before"][name].startswith("hmac:settings:")
    assert told["before"] != told["after"]
    assert not ledger.entries().filter(payload__contains="hush").exists()


def test_every_setting_that_no_repr_shows_is_hashed() -> None:
    hidden = {name for name, field in type(load()).__dataclass_fields__.items() if not field.repr}
    values = chosen_settings(load().__class__(**{**load().__dict__, **dict.fromkeys(hidden, "x")}))
    assert {name for name, value in values.items() if (value or "").startswith("hmac:")} >= hidden


@pytest.mark.parametrize("payload", ["x", "[]", '{"details": 5}', '{"details": {"settings": "x"}}', '{"details": {}}'])
def test_a_last_start_that_is_damaged_is_told_as_that(payload: str) -> None:
    Presence().look()
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET payload = %s", [payload])
    Presence().look()
    assert told() == ["system.start", "system.start"]
    assert details("system.start")["previous"] == "unreadable"


def test_a_clock_that_goes_back_while_it_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    here, now = Presence(), 1_700_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    for shift in (0.0, -0.5, 7200.0, 7190.0):
        monkeypatch.setattr(time, "time", lambda shift=shift: now + shift)
        here.look()
    assert told().count("system.clock_back") == 1
    assert details("system.clock_back") == {"milliseconds": 10_000}


def test_a_clock_that_is_behind_the_newest_entry_at_the_start_is_told() -> None:
    with time_machine.travel(datetime(2026, 11, 30, 12, tzinfo=UTC), tick=False):
        Presence().look()
    with time_machine.travel(datetime(2026, 11, 30, 11, tzinfo=UTC), tick=False):
        Presence().look()
    assert details("system.clock_back") == {"milliseconds": 3_600_000}


def test_what_the_ledger_does_not_take_is_told_at_the_next_look(break_ledger: Callable[[], Callable[[], None]]) -> None:
    here, mend = Presence(), break_ledger()
    with pytest.raises(AuditUnavailable):
        here.look()
    mend()
    here.look()
    assert told() == ["system.start"]
