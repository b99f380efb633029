"""Intent before, at most one outcome after, events in between, and no receipt that the ledger does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction

from containers_app.audit import appending, ledger, statements
from containers_app.audit.merkle import leaf_hash
from containers_app.audit.models import Disclosure, Entry, Head
from containers_app.audit.record import Actor, Source, Subject
from containers_app.audit.statements import Statement
from containers_app.errors import AuditUnavailable, InvalidRequest, PermissionDenied
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
End = Callable[..., int]
Tamper = Callable[..., None]

pytestmark = pytest.mark.django_db(databases=["audit"])
OPERATION = "0190a000-0000-7000-8000-000000000001"
ANY_AGE = timedelta(0)


def payload(entry: Entry) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(entry.payload)
    return loaded


def test_an_intent_gives_the_receipt_of_its_leaf(begin: Begin) -> None:
    receipt = begin(operation_id=OPERATION, params={"name": "web-2", "start": True}, ticket="CHG-1")
    entry = Entry.objects.get()
    assert receipt == Receipt(
        operation_id=OPERATION, shard=entry.shard, leaf_index=0, leaf_hash=leaf_hash(entry.payload.encode()).hex()
    )
    assert (entry.phase, entry.operation_id, entry.ticket) == ("intent", OPERATION, "CHG-1")
    assert payload(entry)["params"] == {"name": "web-2", "start": True}


def test_entries_are_numbered_without_a_gap_from_zero(begin: Begin, end: End) -> None:
    for _ in range(5):
        end(begin().operation_id)
    assert list(Entry.objects.order_by("id").values_list("leaf_index", flat=True)) == list(range(10))
    assert Head.objects.get().size == 10


def test_times_do_not_run_backwards(begin: Begin) -> None:
    for _ in range(5):
        begin()
    times = list(Entry.objects.order_by("id").values_list("time", flat=True))
    assert times == sorted(times)


def test_an_operation_has_one_intent(begin: Begin) -> None:
    begin(operation_id=OPERATION)
    with pytest.raises(InvalidRequest, match="already"):
        begin(operation_id=OPERATION)
    assert Entry.objects.count() == 1


def test_an_outcome_is_bound_to_its_intent(begin: Begin, end: End) -> None:
    receipt = begin(operation_id=OPERATION)
    index = end(OPERATION, duration_ms=12, size_bytes=34, details={"state": "succeeded"})
    entry = Entry.objects.get(leaf_index=index)
    assert payload(entry)["intent"] == {"shard": receipt.shard, "leaf_index": 0, "leaf_hash": receipt.leaf_hash}
    assert (entry.phase, entry.outcome, payload(entry)["duration_ms"]) == ("outcome", "success", 12)


def test_a_second_outcome_returns_the_first_and_writes_nothing(begin: Begin, end: End) -> None:
    first = end(begin(operation_id=OPERATION).operation_id)
    begin()
    assert end(OPERATION, outcome="error", late=True) == first
    assert Entry.objects.filter(operation_id=OPERATION, phase="outcome").get().outcome == "success"
    assert Head.objects.get().size == 3


def test_an_outcome_without_an_intent_is_recorded_as_such(end: End) -> None:
    end(OPERATION, outcome="unknown", late=True)
    assert payload(Entry.objects.get()).keys().isdisjoint({"intent"})
    assert payload(Entry.objects.get())["late"] is True


def test_a_failure_names_its_code_in_the_leaf_and_its_message_beside(begin: Begin, end: End) -> None:
    begin(operation_id=OPERATION)
    end(OPERATION, outcome="failure", error_code="NAME_TAKEN", error_message="The name web-2 is in use.")
    entry = Entry.objects.get(phase="outcome")
    assert payload(entry)["error"]["code"] == "NAME_TAKEN"
    assert "in use" not in entry.payload
    assert ledger.disclosed(entry)["error"]["message"] == "The name web-2 is in use."


def test_an_event_needs_no_operation(alice: Actor, origin: Source) -> None:
    ledger.event(action="config.host_changed", actor=alice, source=origin, reason="moved", details={"address": "unix"})
    entry = Entry.objects.get()
    assert (entry.phase, entry.category, entry.outcome, entry.operation_id) == ("event", "config", "success", "")


def test_no_personal_value_is_in_the_entry_or_its_columns(begin: Begin, alice: Actor, origin: Source) -> None:
    begin(reason="Carol Example asked")
    row = json.dumps(Entry.objects.values().get(), default=str)
    for value in (alice.label, origin.ip, origin.user_agent, "Carol Example"):
        assert value not in row
    assert Disclosure.objects.count() == 4


def test_a_secret_looking_parameter_is_not_recorded(begin: Begin) -> None:
    begin(params={"password": "hunter2", "env": ["A=hunter2"]})
    assert "hunter2" not in Entry.objects.get().payload


def test_what_cannot_be_recorded_leaves_no_trace(begin: Begin) -> None:
    with pytest.raises(InvalidRequest):
        begin(params={"ratio": 0.5})
    assert not Entry.objects.exists()
    assert not Head.objects.exists()
    assert not Disclosure.objects.exists()


def test_a_receipt_of_the_ledger_is_accepted(begin: Begin) -> None:
    ledger.verify_receipt(begin())


@pytest.mark.parametrize(
    "changed", [{"leaf_index": 7}, {"shard": 1999}, {"operation_id": "other"}, {"leaf_hash": "00" * 32}]
)
def test_a_receipt_that_says_something_else_is_refused(begin: Begin, changed: dict[str, Any]) -> None:
    with pytest.raises(ledger.ReceiptRefused):
        ledger.verify_receipt(replace(begin(), **changed))


def test_an_outcome_is_no_receipt(begin: Begin, end: End) -> None:
    end(begin(operation_id=OPERATION).operation_id)
    entry = Entry.objects.get(phase="outcome")
    receipt = Receipt(operation_id=OPERATION, shard=entry.shard, leaf_index=entry.leaf_index, leaf_hash=entry.leaf_hash)
    with pytest.raises(ledger.ReceiptRefused):
        ledger.verify_receipt(receipt)


def test_a_receipt_for_a_changed_payload_is_refused(begin: Begin, tamper: Tamper) -> None:
    receipt = begin()
    tamper("UPDATE audit_entry SET payload = replace(payload, 'web-1', 'web-9')")
    with pytest.raises(ledger.ReceiptRefused):
        ledger.verify_receipt(receipt)


def test_a_refused_receipt_is_not_worth_a_second_try() -> None:
    assert issubclass(ledger.ReceiptRefused, AuditUnavailable)
    assert AuditUnavailable.retryable
    assert not ledger.ReceiptRefused.retryable


def test_it_knows_which_operations_have_ended(begin: Begin, end: End) -> None:
    begin(operation_id=OPERATION)
    assert not ledger.has_outcome(OPERATION)
    end(OPERATION)
    assert ledger.has_outcome(OPERATION)


def test_open_intents_are_those_without_an_outcome_oldest_first(begin: Begin, end: End, web: Subject) -> None:
    first, ended, last = begin(), begin(), begin()
    end(ended.operation_id)
    found = ledger.open_intents(ANY_AGE)
    assert [intent.receipt for intent in found] == [first, last]
    assert found[0].subject == web
    assert (found[0].action, found[0].asker) == ("container.clone", ledger.OnBehalf(type="user", id="7"))


def test_open_intents_can_be_bounded_by_age(begin: Begin) -> None:
    ages = {}
    for minutes in (90, 30, 1):
        with time_machine.travel(datetime.now(UTC) - timedelta(minutes=minutes), tick=False):
            ages[minutes] = begin()
    older = ledger.open_intents(timedelta(minutes=10))
    assert [intent.receipt for intent in older] == [ages[90], ages[30]]
    bounded = ledger.open_intents(timedelta(minutes=10), younger_than=timedelta(hours=1))
    assert [intent.receipt for intent in bounded] == [ages[30]]


def test_the_entries_are_given_out_newest_first_and_for_reading_only(begin: Begin, end: End) -> None:
    end(begin(operation_id=OPERATION).operation_id)
    assert [entry.phase for entry in ledger.entries()] == ["outcome", "intent"]
    with pytest.raises(PermissionDenied):
        ledger.entries().delete()


def test_a_missing_table_makes_the_ledger_unavailable(begin: Begin, end: End, tamper: Tamper) -> None:
    receipt = begin()
    tamper("ALTER TABLE audit_entry RENAME TO gone")
    calls: list[Callable[[], object]] = [
        begin,
        lambda: end(OPERATION),
        lambda: ledger.verify_receipt(receipt),
        lambda: ledger.has_outcome(OPERATION),
        lambda: ledger.open_intents(ANY_AGE),
        lambda: ledger.self_check(receipt.shard),
    ]
    for call in calls:
        with pytest.raises(AuditUnavailable) as caught:
            call()
        assert caught.value.__cause__ is not None


def test_a_head_that_moved_under_the_lock_is_not_overwritten(
    begin: Begin, tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_while_the_head_moves(these: list[Statement]) -> int:
        tamper("UPDATE audit_head SET size = 5")
        return run(these)

    begin()
    run = statements.run
    monkeypatch.setattr(statements, "run", write_while_the_head_moves)
    with pytest.raises(AuditUnavailable):
        begin()
    assert (Head.objects.get().size, Entry.objects.count()) == (1, 1)


def test_two_entries_never_take_one_place(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    begin()
    stale = Head.objects.get()
    begin()
    monkeypatch.setattr(appending, "_current_head", lambda heads, moment: stale)
    with pytest.raises(AuditUnavailable):
        begin()
    assert (Head.objects.get().size, Entry.objects.count()) == (2, 2)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE audit_head SET frontier = ''",
        "UPDATE audit_head SET frontier = 'x'",
        "UPDATE audit_head SET size = 7",
        "UPDATE audit_head SET size = -1",
    ],
)
def test_nothing_is_written_after_a_damaged_head(begin: Begin, tamper: Tamper, damage: str) -> None:
    begin()
    tamper(damage)
    with pytest.raises(AuditUnavailable):
        begin()
    assert Entry.objects.count() == 1


@pytest.mark.django_db(databases=["audit"], transaction=True)
def test_it_refuses_to_write_inside_a_transaction_that_could_be_rolled_back(begin: Begin) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic(using="audit"):
        begin()


@pytest.mark.django_db(databases=["default", "audit"], transaction=True)
def test_an_entry_outlives_the_rollback_of_the_product(begin: Begin) -> None:
    with transaction.atomic():
        begin()
        transaction.set_rollback(True)
    assert Entry.objects.count() == 1
