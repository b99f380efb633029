"""Each year has a tree of its own, and the first leaf of a new one says how the old one ended."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import time_machine

from containers_app.audit import ledger
from containers_app.audit.models import Entry, Head
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
End = Callable[..., int]

pytestmark = pytest.mark.django_db(databases=["audit"])
LAST_MOMENT = "2026-12-31T23:59:59.999999Z"
NEW_YEAR = "2027-01-01T00:00:00Z"


@pytest.fixture
def old_year(begin: Begin) -> ledger.SelfCheck:
    """Three entries at the end of 2026."""
    with time_machine.travel(LAST_MOMENT, tick=False):
        for _ in range(3):
            begin()
    return ledger.self_check(2026)


def test_the_first_shard_begins_with_the_first_entry(begin: Begin) -> None:
    with time_machine.travel(LAST_MOMENT, tick=False):
        receipt = begin()
    assert (receipt.shard, receipt.leaf_index) == (2026, 0)
    assert Entry.objects.get().phase == "intent"


def test_a_new_year_opens_a_shard_that_begins_with_the_end_of_the_old(begin: Begin, old_year: ledger.SelfCheck) -> None:
    with time_machine.travel(NEW_YEAR, tick=False):
        receipt = begin()
    assert (receipt.shard, receipt.leaf_index) == (2027, 1)
    opening = Entry.objects.get(shard=2027, leaf_index=0)
    assert (opening.action, opening.category, opening.actor_type) == ("audit.open_shard", "audit", "system")
    assert json.loads(opening.payload)["details"] == {"previous": {"shard": 2026, "size": 3, "root": old_year.root}}


def test_the_opening_of_a_shard_is_not_later_than_what_it_is_opened_for(
    begin: Begin, old_year: ledger.SelfCheck
) -> None:
    with time_machine.travel(NEW_YEAR, tick=True):
        begin()
        begin()
    times = list(Entry.objects.filter(shard=2027).order_by("leaf_index").values_list("time", flat=True))
    assert times == sorted(times)
    assert times[0] == times[1]


def test_both_shards_are_clean_and_the_old_one_is_closed(begin: Begin, old_year: ledger.SelfCheck) -> None:
    with time_machine.travel(NEW_YEAR, tick=False):
        begin()
        begin()
    assert ledger.self_check(2026) == old_year
    assert ledger.self_check(2027).is_clean
    assert list(Head.objects.order_by("shard").values_list("shard", "size")) == [(2026, 3), (2027, 3)]


def test_a_clock_that_goes_back_does_not_reopen_the_old_shard(begin: Begin, old_year: ledger.SelfCheck) -> None:
    with time_machine.travel(NEW_YEAR, tick=False):
        begin()
    with time_machine.travel(LAST_MOMENT, tick=False):
        assert begin().shard == 2027
    assert ledger.self_check(2026) == old_year
    assert ledger.self_check(2027).is_clean


def test_an_outcome_finds_its_intent_in_the_old_shard(begin: Begin, end: End) -> None:
    with time_machine.travel(LAST_MOMENT, tick=False):
        receipt = begin()
    with time_machine.travel(NEW_YEAR, tick=False):
        index = end(receipt.operation_id)
        assert end(receipt.operation_id) == index
    outcome = json.loads(Entry.objects.get(phase="outcome").payload)
    assert outcome["intent"] == {"shard": 2026, "leaf_index": 0, "leaf_hash": receipt.leaf_hash}
    ledger.verify_receipt(receipt)
