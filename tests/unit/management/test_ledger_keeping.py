"""`manage.py ledger hold`, `erase`, `prune`: what goes is shown and typed, strangers are refused and recorded."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from containers_app.audit import appending, ledger
from containers_app.audit.models import Disclosure, Entry
from containers_app.audit.record import Actor, Source
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ALICE = Actor(type="user", id="7", label="alice@example.org")


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """An entry of 2020, and one of today; three years are kept."""
    settings.MYCODOCKER = {**settings.MYCODOCKER, "ledger_keep_years": 3}
    with monkeypatch.context() as patched:
        patched.setattr(appending, "_now", lambda: datetime(2020, 5, 1, tzinfo=UTC))
        record()
    record()


def record() -> None:
    ledger.event(action="auth.login", actor=ALICE, source=Source(channel="ui", ip="192.0.2.7"))


def run(*words: str) -> str:
    output = io.StringIO()
    call_command("ledger", *words, stdout=output)
    return output.getvalue()


def as_json(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json"))
    return found


def actions() -> list[str]:
    return list(Entry.objects.order_by("id").values_list("action", flat=True))


def test_a_hold_is_placed_shown_and_released() -> None:
    adam = recipes.administrator()
    (placed,) = as_json("hold", "--reason", "a lawsuit", "--user", adam.username)["holds"]
    assert (placed["placed"]["by"], placed["placed"]["reason"], placed["released"]) == ("adam", "a lawsuit", None)
    assert "a lawsuit; holds" in run("holds")
    run("release-hold", placed["id"], "--reason", "settled")
    assert "released by command: settled" in run("holds", "--user", recipes.auditor().username)
    assert actions() == ["audit.hold_placed", "audit.hold_released"]


def test_no_hold_is_said_so() -> None:
    assert run("holds") == "There is no hold.\n"


def test_an_erasure_is_shown_first_and_done_when_it_is_typed(old: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_json("erase", "--actor", "7", "--dry-run") == {
        **{"values": 4, "erased": False},
        "kinds": {"actor_label": 2, "source_ip": 2},
    }
    with pytest.raises(CommandError, match="type 'erase 4'"):
        run("erase", "--actor", "7", "--reason", "x", "--confirm", "erase 5")
    assert len(actions()) == 3
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return "erase 4"

    monkeypatch.setattr("builtins.input", typed)
    assert "4 values are erased" in run("erase", "--actor", "7", "--reason", "a request")
    assert "2 of source_ip" in asked[0]
    assert actions()[3:] == ["privacy.erase"] * 2
    assert "4 personal values were erased, by 1 acts" in run("verify")
    assert not Disclosure.objects.filter(text__contains="alice").exists()


@pytest.mark.parametrize("words", [[], ["--actor", "7", "--label", "alice@example.org"]])
def test_exactly_one_way_to_say_whose_data(old: None, words: list[str]) -> None:
    with pytest.raises(CommandError, match="exactly one of: actor, address, label"):
        run("erase", *words, "--dry-run")


def test_old_payloads_are_shown_first_and_go_when_it_is_typed(old: None) -> None:
    assert "shard 2020: 1 of 1 payloads, no bundle of it was exported" in run("prune", "--dry-run")
    with pytest.raises(CommandError, match="make one first"):
        run("prune", "--reason", "x", "--confirm", "prune 2020")
    told = as_json("prune", "--reason", "x", "--confirm", "prune 2020", "--without-export")
    assert told["pruned"] == [{"shard": 2020, "entries": 1, "values": 2, "kept": 0}]
    assert run("prune", "--reason", "x") == "Nothing is older than the policy keeps.\n"
    assert "shard 2020: 1 payloads were pruned by retention" in run("verify")


def test_without_a_policy_nothing_is_pruned(old: None, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "ledger_keep_years": 0}
    with pytest.raises(CommandError, match="MYCO_LEDGER_KEEP_YEARS"):
        run("prune", "--dry-run")


def test_a_hold_refuses_both(old: None) -> None:
    run("hold", "--reason", "a lawsuit")
    with pytest.raises(CommandError, match="1 legal hold is on the ledger"):
        run("erase", "--actor", "7", "--reason", "x", "--confirm", "erase 4")
    with pytest.raises(CommandError, match="1 legal hold is on the ledger"):
        run("prune", "--reason", "x", "--confirm", "prune 2020", "--without-export")


@pytest.mark.parametrize(
    "words",
    [
        ["hold", "--reason", "x"],
        ["release-hold", "id", "--reason", "x"],
        ["holds"],
        ["erase", "--actor", "7", "--dry-run"],
        ["prune", "--dry-run"],
    ],
)
def test_who_may_not_is_refused_and_that_is_recorded(old: None, words: list[str]) -> None:
    with pytest.raises(CommandError, match="it needs the permission"):
        run(*words, "--user", recipes.operator().username)
    assert actions()[3:] == ["authz.denied"]


@pytest.mark.parametrize("words", [["hold"], ["erase", "--actor", "7", "--confirm", "erase 4"]])
def test_a_reason_is_needed(old: None, words: list[str]) -> None:
    with pytest.raises(CommandError, match="'reason' is required"):
        run(*words)


def test_the_roles_are_printed_as_sql() -> None:
    told = run("roles", "--sql", "--prefix", "acme")
    assert "GRANT UPDATE (size, frontier) ON audit_head TO acme_writer;" in told
    assert "GRANT DELETE ON audit_disclosure TO acme_pruner;" in told
    with pytest.raises(CommandError, match="'prefix'"):
        run("roles", "--sql", "--prefix", "acme; DROP")


def test_nobody_else_signs_in_as_a_command() -> None:
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(CommandError, match="who may sign in"):
        run("hold", "--reason", "x", "--user", "gone")
