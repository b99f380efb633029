"""A verification of the ledger is an operation: it finds damage, says so, stops when told to, and is nightly."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connections
from pytest_django import Settings

from containers_app.audit import banner, ledger, recomputing, verifying
from containers_app.audit.appending import LedgerHalted, appending
from containers_app.audit.ledger import Actor, Source
from containers_app.audit.losses import Loss, halt
from containers_app.audit.notes import new_key
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.errors import AuditUnavailable, Cancelled, InvalidRequest
from containers_app.models import Operation
from containers_app.operations import runner
from containers_app.operations.ledger_verifications import (
    LEDGER_VERIFIER,
    pointing_elsewhere,
    read_verification,
    schedule_ledger_verification,
)
from containers_app.workflows.ledger_verify import LedgerVerifyParams, verify_ledger
from tests import recipes
from tests.unit.operations.conftest import outcomes_of
from tests.unit.operations.keeping_bench import run

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]
NOW = datetime.fromisoformat("2026-02-12T03:20:00+00:00")


def record(count: int) -> int:
    """So many entries more; their shard."""
    actor, source = Actor(type="user", id="7"), Source(channel="ui")
    for number in range(count):
        ledger.event(action="auth.login", actor=actor, source=source, ticket=f"C-{number}")
    return ledger.entries()[0].shard


def verified(**params: Any) -> Operation:
    user = User.objects.filter(username="aude").first() or recipes.auditor()
    return run("ledgerVerify", params, user=user)


def tamper(statement: str) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute(statement)


def told(row: Operation) -> dict[str, Any]:
    """What the outcome's entry keeps of the result."""
    entry = ledger.entries().get(operation_id=str(row.pk), phase="outcome")
    found: dict[str, Any] = json.loads(entry.payload)["details"]["result"]
    return found


def last_verified() -> verifying.Verified:
    found = banner.health().verified
    assert found is not None
    return found


def test_a_ledger_that_is_whole_is_verified_and_the_entry_has_sizes_and_roots() -> None:
    shard = record(3)
    row = verified()
    result = row.result or {}
    assert (row.state, outcomes_of(row)) == ("succeeded", ["success"])
    assert (result["verdict"], result["entries"], result["problems"]) == ("verified", 4, [])
    assert result["message"].startswith("VERIFIED: 4 entries")
    (kept,) = told(row)["shards"]
    assert (kept["shard"], kept["size"], kept["root"]) == (shard, 4, result["shards"][0]["root"])
    assert row.bytes_done == row.bytes_total == sum(len(one.payload) for one in ledger.entries()[1:])


def test_damage_is_a_failure_with_its_problems_in_the_row_and_the_first_in_the_ledger(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record(30)
    tamper("UPDATE audit_entry SET ticket = 'x' WHERE action = 'auth.login'")
    row = verified()
    result = row.result or {}
    assert (row.state, row.error_code, outcomes_of(row)) == ("failed", "LEDGER_TAMPERED", ["failure"])
    assert (result["verdict"], result["success"], len(result["problems"])) == ("tampered", False, 30)
    assert row.error_message.startswith("TAMPERED: shard ")
    assert (len(told(row)["problems"]), told(row)["moreProblems"]) == (10, 20)
    assert any("TAMPERED" in line.getMessage() for line in caplog.records)


def test_at_most_a_hundred_problems_are_shown() -> None:
    record(120)
    tamper("UPDATE audit_entry SET ticket = 'x' WHERE action = 'auth.login'")
    assert len((verified().result or {})["problems"]) == recomputing.MOST_PROBLEMS


def test_a_quick_one_reads_no_columns_and_is_not_the_whole_truth() -> None:
    record(2)
    tamper("UPDATE audit_entry SET ticket = 'x' WHERE action = 'auth.login'")
    assert verified(quick=True).state == "succeeded"
    assert not last_verified().is_whole


def test_what_is_not_there_and_what_other_keys_signed_cannot_be_verified(tmp_path: Any) -> None:
    record(2)
    Signer(SignerFolder(tmp_path / "signer"), name="a.example", heartbeat_seconds=3600).look()
    other = new_key("a.example/2026").verifier.text()
    for params, words in (({"shard": 1999}, "no such entries"), ({"vkeys": [other]}, "none of your keys")):
        row = verified(**params)
        assert (row.state, row.error_code, words in row.error_message) == ("failed", "LEDGER_UNVERIFIED", True)
        assert (row.result or {})["message"].startswith("CANNOT VERIFY")


def test_one_shard_is_enough_when_it_is_asked_for() -> None:
    shard = record(1)
    assert [one["shard"] for one in (verified(shard=shard).result or {})["shards"]] == [shard]


class Watcher:
    """The few words of a context; it is told to stop after so many pieces."""

    facts = SimpleNamespace(operation_id="op-1")

    def __init__(self, pieces: int = 1000) -> None:
        self.pieces = pieces
        self.said: list[tuple[int, int]] = []

    def stage(self, name: str) -> None:
        """Nothing."""

    def checkpoint(self) -> None:
        self.pieces -= 1
        if self.pieces < 0:
            raise Cancelled("cancelled")

    def progress(self, bytes_done: int, *, bytes_total: int) -> None:
        self.said.append((bytes_done, bytes_total))


def test_it_tells_how_far_it_is_and_ends_at_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    record(8)
    monkeypatch.setattr(recomputing, "LEVEL", 1)
    context: Any = Watcher()
    verify_ledger(context, LedgerVerifyParams())
    done = [one for one, _ in context.said]
    assert (len(done), done, context.said[-1][0]) == (4, sorted(done), context.said[-1][1])
    assert all(bytes_done <= total for bytes_done, total in context.said)


def test_it_stops_between_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    record(8)
    monkeypatch.setattr(recomputing, "LEVEL", 1)
    context: Any = Watcher(pieces=2)
    with pytest.raises(Cancelled):
        verify_ledger(context, LedgerVerifyParams())
    assert len(context.said) == 2


def test_one_that_came_to_no_verdict_hides_no_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AuditUnavailable("the ledger does not answer")

    record(1)
    verified()
    monkeypatch.setattr(verifying, "self_check", refuse)
    row = verified()
    assert (row.state, row.error_code, outcomes_of(row)) == ("failed", "AUDIT_UNAVAILABLE", ["failure"])
    assert last_verified().verdict == "verified"


def test_an_asker_who_lost_the_right_gets_nothing() -> None:
    row = run("ledgerVerify", {}, user=recipes.operator())
    assert (row.state, row.error_code, row.result) == ("failed", "PERMISSION_DENIED", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"shard": "2026"}, "shard"),
        ({"shard": 26}, "shard"),
        ({"quick": "yes"}, "quick"),
        ({"vkeys": ["nonsense"]}, "vkeys"),
        ({"vkeys": "nonsense"}, "vkeys"),
        ({"vkeys": ["x"] * 21}, "vkeys"),
    ],
)
def test_a_wrong_wish_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_verification(body)
    assert refused.value.field == field


def test_a_ledger_that_takes_no_intent_says_how_it_is_verified_then() -> None:
    with pytest.raises(LedgerHalted, match=r"'manage.py ledger verify'"), pointing_elsewhere():
        raise LedgerHalted("The ledger is halted.")


class TestNightly:
    """The scheduler's own verification."""

    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Time stands still until a test moves it; the broker takes every message."""
        monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)
        with time_machine.travel(NOW, tick=False) as traveller:
            yield traveller

    def test_it_is_asked_for_once_in_a_day_by_the_system(self, clock: Any) -> None:
        record(1)
        assert not schedule_ledger_verification(), "a new ledger has nothing old to verify"
        clock.shift(timedelta(hours=25))
        assert [schedule_ledger_verification() for _ in range(3)] == [True, False, False]
        row = Operation.objects.get(kind="ledgerVerify")
        runner.run(row.pk)
        assert Operation.objects.get(pk=row.pk).state == "succeeded"
        clock.shift(timedelta(hours=23))
        assert not schedule_ledger_verification()
        clock.shift(timedelta(hours=2))
        assert schedule_ledger_verification()
        actors = ledger.entries().filter(action="audit.verify").values_list("actor_type", "outcome")
        assert sorted(actors) == [("system", ""), ("system", ""), ("system", "success")]

    def test_it_waits_for_one_that_is_not_over_and_for_a_ledger(self, clock: Any) -> None:
        assert not schedule_ledger_verification()
        record(1)
        clock.shift(timedelta(days=2))
        assert schedule_ledger_verification()
        clock.shift(timedelta(days=2))
        assert not schedule_ledger_verification()

    def test_two_schedulers_at_one_moment_ask_once(self, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        record(1)
        clock.shift(timedelta(days=2))
        assert schedule_ledger_verification()
        Operation.objects.update(principal="elsewhere")
        assert schedule_ledger_verification()
        first, second = Operation.objects.order_by("pk")
        assert first.idempotency_key == second.idempotency_key

    def test_it_is_off_with_no_hours_and_asks_nothing_of_a_halted_ledger(self, clock: Any, settings: Settings) -> None:
        shard = record(1)
        clock.shift(timedelta(days=2))
        settings.MYCODOCKER = {**settings.MYCODOCKER, "ledger_verify_hours": 0.0}
        assert not schedule_ledger_verification()
        settings.MYCODOCKER = {**settings.MYCODOCKER, "ledger_verify_hours": 1.0}
        with appending():
            halt([Loss(shard=shard, size=5, root="00" * 32, left=1, why="lost", checkpoint=())])
        with pytest.raises(AuditUnavailable):
            schedule_ledger_verification()
        assert not Operation.objects.exists()

    def test_its_right_reads_the_ledger_and_does_nothing_else(self) -> None:
        assert LEDGER_VERIFIER.is_automatic
        assert LEDGER_VERIFIER.may("audit.view_entry", "ledger")
        assert not LEDGER_VERIFIER.may("containers_app.export_ledger", "export")


def test_a_finding_stands_until_all_of_it_was_found_whole() -> None:
    record(2)
    tamper("UPDATE audit_entry SET ticket = 'x' WHERE ticket = 'C-1'")
    found = verified()
    tamper("UPDATE audit_entry SET ticket = 'C-1' WHERE ticket = 'x'")
    verified(quick=True)
    health = banner.health()
    entry = ledger.entries().get(operation_id=str(found.pk), phase="outcome")
    assert (health.tampered and health.tampered.entry, last_verified().verdict) == (entry.pk, "verified")
    verified()
    assert banner.health().tampered is None


def details(**more: Any) -> str:
    return json.dumps({"details": more})


@pytest.mark.parametrize(
    "payload",
    [
        *("", "[]", "null", '{"details": 7}', details(result=[]), details(verdict="verified")),
        details(verdict="fine", quick=False, shard=None),
    ],
)
def test_an_entry_that_tells_of_no_verdict_is_no_verification(payload: str) -> None:
    assert verifying.read(1, NOW, payload) is None
