"""Entries as facts: only signed ones, each with its other half, in bounded pieces, under one moment's checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest

from containers_app.audit import appending, evidence, published, selection
from containers_app.audit.appending import writable
from containers_app.audit.evidence import Snapshot, asked, checkpoints_of, pruned, snapshot, told
from containers_app.audit.models import Entry, Head, SignedCheckpoint
from containers_app.audit.selection import Selection
from containers_app.errors import AuditUnavailable
from tests.unit.audit.test_bundle import Begin, End, Signer

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
FIRST = datetime(2026, 12, 30, 9, tzinfo=UTC)
EVERYTHING = Selection()


@pytest.fixture
def signer() -> Signer:
    return Signer()


def signed(signer: Signer, *shards: int) -> Snapshot:
    found = {shard: signer(shard) for shard in shards}
    return Snapshot(signed={shard: one for shard, one in found.items() if one is not None})


def facts(selection: Selection, found: Snapshot) -> list[evidence.Told]:
    return list(told(selection, found, checkpoint=lambda: None))


def checkpoint(size: int, moment: datetime = FIRST, shard: int = 2026) -> None:
    origin = f"test/audit/{shard}"
    about: dict[str, Any] = {"shard": shard, "origin": origin, "root": "0" * 64, "vkey": "key", "note": f"note {size}"}
    writable(SignedCheckpoint).bulk_create([SignedCheckpoint(**about, size=size, signed_at=moment)])


def test_a_snapshot_is_the_newest_checkpoint_of_each_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "_holds", lambda row: row.size != 3)
    for size in (1, 2, 3):
        checkpoint(size)
    checkpoint(7, shard=2027)
    writable(Head).bulk_create([Head(shard=shard, size=7, frontier="") for shard in (2026, 2027)])
    found = snapshot()
    assert {shard: (one.size, one.note) for shard, one in found.signed.items()} == {
        2026: (2, "note 2"),
        2027: (7, "note 7"),
    }
    assert found.newest(2028) is None


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_halves_find_each_other_across_pieces_and_shards(
    rows_at_once: int, begin: Begin, end: End, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr(appending, "_now", lambda: FIRST)
    receipts = [begin(ticket=f"T-{number}") for number in range(4)]
    monkeypatch.setattr(appending, "_now", lambda: FIRST + timedelta(days=5))
    for receipt in receipts:
        end(receipt.operation_id)
    found = facts(EVERYTHING, signed(signer, 2026, 2027))
    assert [one.place for one in found] == [*(f"2026/{n}" for n in range(4)), *(f"2027/{n}" for n in range(5))]
    assert [one.ended for one in found[:4]] == [f"2027/{number}" for number in range(1, 5)]
    assert all(one.is_cited for one in found[:4])
    halves = [one.intent for one in found if one.payload["phase"] == "outcome"]
    assert [one.payload["ticket"] for one in halves if one] == [f"T-{number}" for number in range(4)]


def test_an_end_that_is_not_signed_is_no_end(begin: Begin, end: End, signer: Signer) -> None:
    end(begin().operation_id)
    shard = Entry.objects.get(leaf_index=0).shard
    signer.sizes[shard] = 1
    (only,) = facts(EVERYTHING, signed(signer, shard))
    assert (only.ended, only.is_cited) == ("", False)


def test_an_end_outside_of_the_period_is_named_and_does_not_count(
    begin: Begin, end: End, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_now", lambda: FIRST)
    receipt = begin()
    monkeypatch.setattr(appending, "_now", lambda: FIRST + timedelta(hours=1))
    end(receipt.operation_id)
    period = Selection(since=FIRST, until=FIRST + timedelta(hours=1))
    (only,) = facts(period, signed(signer, 2026))
    assert (only.ended, only.is_cited) == ("2026/1", False)


def test_pruned_entries_tell_nothing_and_are_counted_by_their_shard(
    begin: Begin, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_now", lambda: FIRST)
    for _ in range(3):
        begin()
    writable(Entry).filter(leaf_index__lt=2).update(payload="")
    found = signed(signer, 2026)
    assert [one.place for one in facts(EVERYTHING, found)] == ["2026/2"]
    assert pruned(EVERYTHING, found) == {2026: 2}
    assert pruned(Selection(since=FIRST, until=FIRST + timedelta(days=1)), found) == {2026: 2}
    assert pruned(Selection(since=FIRST + timedelta(days=30)), found) == {}
    assert pruned(Selection(until=FIRST - timedelta(days=400)), found) == {}


def test_the_work_can_be_stopped_between_pieces(begin: Begin, signer: Signer) -> None:
    def stop() -> NoReturn:
        raise KeyboardInterrupt

    begin()
    with pytest.raises(KeyboardInterrupt):
        list(told(EVERYTHING, signed(signer, Entry.objects.get().shard), checkpoint=stop))


def test_a_ledger_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def refuse(*_: object) -> NoReturn:
        raise OperationalError("gone")

    monkeypatch.setattr(evidence, "newest_checkpoints", refuse)
    with pytest.raises(AuditUnavailable):
        snapshot()


def test_nobody_asked_for_an_operation_that_is_not_there() -> None:
    assert asked("no-such-operation") is None


def test_the_first_checkpoint_of_a_period_is_compared_with_the_one_before_it() -> None:
    for hours in (0, 24, 25, 48):
        checkpoint(1, FIRST + timedelta(hours=hours))
    period = Selection(since=FIRST + timedelta(hours=1), until=FIRST + timedelta(hours=48))
    assert [since for _, since in checkpoints_of(period)] == [timedelta(hours=24), timedelta(hours=1)]
    assert next(since for _, since in checkpoints_of(EVERYTHING)) == timedelta()
