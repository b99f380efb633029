"""A year that another has followed takes no entry, and whoever puts one there is found without the auditor's help."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import time_machine

from containers_app.audit import appending, guards, ledger, losses
from containers_app.audit.appending import LedgerHalted
from containers_app.audit.closing import NOT_TOLD, Ending, endings_proven, endings_told, why_not_closed
from containers_app.audit.inspection import heads_now
from containers_app.audit.models import Entry, Head
from containers_app.audit.record import Actor, Fact, compose
from containers_app.errors import AuditUnavailable
from tests.unit.audit.signing import TERMINAL, Accept, Begin, Start, Tamper, published

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
pytest_plugins = ["tests.unit.audit.signing_fixture"]
OLD_YEAR, NEW_YEAR = "2026-12-31T23:59:59Z", "2027-01-01T09:00:00Z"
FORGED = Fact(
    phase="event",
    action="auth.login",
    outcome="success",
    actor=Actor(type="user", id="99", label="mallory"),
    source=TERMINAL,
)


def put_into(shard: int) -> None:
    """What the ledger's own code writes, for a shard that is closed."""
    moment = datetime(2026, 12, 31, 12, tzinfo=UTC)
    with appending.appending():
        appending._add(compose(FORGED, moment), Head.objects.get(shard=shard))


@pytest.fixture
def two_years(begin: Begin, signer: Start) -> None:
    """Three entries of 2026, and the shard of 2027 after them; all signed."""
    with time_machine.travel(OLD_YEAR, tick=False):
        for _ in range(3):
            begin()
        assert signer().look() == []
    with time_machine.travel(NEW_YEAR, tick=False):
        begin()
        assert signer().look() == []


@pytest.mark.usefixtures("two_years")
def test_what_was_closed_is_clean_and_told_by_the_next_shard() -> None:
    (told,) = endings_told()
    assert endings_proven(heads_now()) == [told]
    assert (told.shard, told.size, told.told_in) == (2026, 3, 2027)
    assert told.root == ledger.self_check(2026).root
    assert ledger.self_check(2026).is_clean
    assert ledger.self_check(2027).is_clean


@pytest.mark.usefixtures("two_years")
def test_an_entry_that_is_added_to_a_closed_year_halts_the_ledger_and_is_never_signed(
    signer: Start, begin: Begin
) -> None:
    put_into(2026)
    (loss,) = signer().look()
    assert (loss.shard, loss.size, loss.left) == (2026, 3, 4)
    assert loss.why == "shard 2027 tells that this one ended with 3 entries, and there are 4"
    assert [(row.shard, row.size) for row in published()] == [(2026, 3), (2027, 2)]
    with pytest.raises(LedgerHalted):
        begin()


@pytest.mark.usefixtures("two_years")
def test_the_self_check_compares_a_closed_year_with_what_the_next_one_tells(tamper: Tamper) -> None:
    put_into(2026)
    assert ledger.self_check(2026).problems == ("shard 2027 tells that this one ended with 3 entries, and there are 4",)
    assert ledger.self_check(2027).is_clean


@pytest.mark.usefixtures("two_years")
def test_once_the_addition_is_taken_away_the_ledger_goes_on(signer: Start, begin: Begin, tamper: Tamper) -> None:
    before = Head.objects.get(shard=2026)
    put_into(2026)
    signer().look()
    tamper("DELETE FROM audit_entry WHERE shard = 2026 AND leaf_index = 3")
    tamper("UPDATE audit_head SET size = 3, frontier = %s WHERE shard = 2026", before.frontier)
    assert signer().look() == []
    begin()
    assert ledger.self_check(2026).is_clean


@pytest.mark.usefixtures("two_years")
def test_an_addition_that_somebody_accepts_stays_unsigned(signer: Start, begin: Begin, accept: Accept) -> None:
    put_into(2026)
    with time_machine.travel(NEW_YEAR, tick=False):
        signer().look()
        assert accept() == 202701
        begin()
        assert signer().look() == []
        assert signer().look() == []
        assert ledger.self_check(2026).is_clean
        put_into(2026)
        assert signer().look() == []
    assert "there are 5" in ledger.self_check(2026).problems[0]
    assert [(row.shard, row.size) for row in published()] == [(2026, 3), (2027, 2), (202701, 2)]


def test_a_year_that_was_never_signed_is_not_signed_with_an_addition(signer: Start, begin: Begin) -> None:
    for moment in (OLD_YEAR, NEW_YEAR):
        with time_machine.travel(moment, tick=False):
            begin()
    put_into(2026)
    (loss,) = signer().look()
    assert (loss.shard, loss.size, loss.left, loss.checkpoint) == (2026, 0, 2, ())
    assert published() == []


@pytest.mark.usefixtures("two_years")
def test_a_shard_that_is_put_between_others_is_found(signer: Start, tamper: Tamper) -> None:
    """It tells what suits it of the one before, and nothing tells how it ended itself."""
    put_into(2026)
    with appending.appending():
        told = {"previous": appending.how_it_ended(Head.objects.get(shard=2026))}
        fact = replace(FORGED, action="audit.open_shard", details=told)
        appending.open_shard(202601, fact)
    assert [loss.shard for loss in signer().look()] == [2026, 202601]
    assert ledger.self_check(202601).problems == (NOT_TOLD,)
    assert not ledger.self_check(2026).is_clean


@pytest.mark.usefixtures("two_years")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET payload = '[]' WHERE shard = 2027 AND leaf_index = 0",
        "UPDATE audit_entry SET payload = replace(payload, 'open_shard', 'export') WHERE shard = 2027",
        """UPDATE audit_entry SET payload = replace(payload, '"previous"', '"before"') WHERE shard = 2027""",
        "UPDATE audit_head SET frontier = 'none' WHERE shard = 2027",
    ],
)
def test_only_what_the_next_tree_proves_tells_an_ending(tamper: Tamper, statement: str) -> None:
    tamper(statement)
    heads = heads_now()
    assert endings_proven(heads) == []
    assert why_not_closed(heads[2026], heads, []) == NOT_TOLD


def test_other_entries_of_the_same_number_are_not_what_was_closed() -> None:
    told = Ending(shard=2026, size=3, root="ab", told_in=2027)
    assert told.parting(3, "ab") == ""
    assert told.parting(3, "cd") == "shard 2027 tells that this one ended with other entries"
    assert "there are 2" in told.parting(2, "ab")
    assert Ending(shard=2026, size=3, root="", told_in=2027).parting(3, "cd") == ""


@pytest.mark.usefixtures("two_years")
def test_a_closed_tree_that_is_no_tree_is_damaged(tamper: Tamper) -> None:
    tamper("UPDATE audit_head SET frontier = 'none' WHERE shard = 2026")
    heads = heads_now()
    assert "damaged" in why_not_closed(heads[2026], heads, endings_proven(heads))


@pytest.mark.usefixtures("two_years")
def test_the_last_entries_that_were_lost_with_acceptance_are_no_finding_for_ever(
    signer: Start, accept: Accept, tamper: Tamper
) -> None:
    first = Entry.objects.get(shard=2026, leaf_index=0)
    tamper("DELETE FROM audit_entry WHERE shard = 2026 AND leaf_index > 0")
    tamper("UPDATE audit_head SET size = 1, frontier = %s WHERE shard = 2026", first.leaf_hash)
    with time_machine.travel(NEW_YEAR, tick=False):
        signer().look()
        assert not ledger.self_check(2026).is_clean
        accept()
    told = json.loads(Entry.objects.get(shard=202701, leaf_index=0).payload)["details"]["rollback"]
    assert [(one["shard"], one["size"], one["left"]) for one in told] == [(2026, 3, 1)]
    assert ledger.self_check(2026).is_clean
    assert losses.losses_told() == []


@pytest.mark.usefixtures("two_years")
def test_the_guards_let_a_closed_year_alone_and_the_newest_grow(begin: Begin) -> None:
    guards.install()
    with pytest.raises(AuditUnavailable) as refused:
        put_into(2026)
    assert guards.MESSAGE in str(refused.value.__cause__)
    with time_machine.travel(NEW_YEAR, tick=False):
        assert begin().shard == 2027
