"""The ledger reads back with its names, and finds what was done to it behind its back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from containers_app import VERSION
from containers_app.audit import ledger, recomputing, shards
from containers_app.audit.appending import appending, open_shard, writable
from containers_app.audit.merkle import Frontier
from containers_app.audit.models import Disclosure, Entry, Head, SignedCheckpoint
from containers_app.audit.notes import Checkpoint, new_key, sign
from containers_app.audit.record import Actor, Fact, Source
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
End = Callable[..., int]
Tamper = Callable[..., None]

pytestmark = pytest.mark.django_db(databases=["audit"])


@pytest.fixture
def shard(begin: Begin, end: End) -> int:
    """A shard of eleven entries."""
    for _ in range(5):
        end(begin(ticket="CHG-1").operation_id)
    return begin().shard


def test_an_untouched_ledger_is_clean(shard: int) -> None:
    check = ledger.self_check(shard)
    assert check.is_clean
    assert check.size == 11
    assert len(check.root) == 64


def test_an_empty_shard_is_clean() -> None:
    assert ledger.self_check(1999) == ledger.SelfCheck(
        shard=1999, size=0, root="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", problems=()
    )


def test_who_waits_is_told_of_each_piece_and_may_stop_it(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recomputing, "LEVEL", 2)
    told: list[tuple[int, int]] = []
    ledger.self_check(shard, watch=lambda entries, size_bytes: told.append((entries, size_bytes)))
    assert [entries for entries, _ in told] == [4, 4, 3]
    assert sum(size for _, size in told) == sum(len(row.payload.encode()) for row in Entry.objects.all())

    def stop(entries: int, size_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.self_check(shard, watch=stop)


def test_it_checks_in_batches(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ledger.self_check(shard)
    monkeypatch.setattr(recomputing, "LEVEL", 1)
    assert ledger.self_check(shard) == whole


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE audit_entry SET payload = replace(payload, 'web-1', 'web-9') WHERE leaf_index = 3", "stored hash"),
        ("UPDATE audit_entry SET payload = '[]' WHERE leaf_index = 3", "payload is not what"),
        ("UPDATE audit_entry SET payload = 'x' WHERE leaf_index = 3", "payload is not what"),
        ("UPDATE audit_entry SET leaf_hash = 'ab' WHERE leaf_index = 3", "stored hash"),
        ("UPDATE audit_entry SET actor_id = '8' WHERE leaf_index = 3", "actor_id is not what"),
        ("UPDATE audit_entry SET outcome = 'denied' WHERE leaf_index = 3", "outcome is not what"),
        ("UPDATE audit_entry SET time = '2001-01-01 00:00:00+00:00' WHERE leaf_index = 3", "time is not what"),
        ("UPDATE audit_entry SET ticket = '' WHERE leaf_index = 2", "ticket is not what"),
        ("DELETE FROM audit_entry WHERE leaf_index = 3", "where entry 3 should be, there is entry 4"),
        ("DELETE FROM audit_entry WHERE leaf_index = 10", "the head counts 11 entries, there are 10"),
        ("DELETE FROM audit_entry", "the head counts 11 entries, there are 0"),
        ("UPDATE audit_head SET size = 9", "not the one of the head"),
        ("UPDATE audit_head SET frontier = ''", "not the one of the head"),
        ("DELETE FROM audit_head", "entries after the head"),
        ("UPDATE audit_entry SET leaf_index = 11 WHERE leaf_index = 10", "entries after the head"),
    ],
)
def test_it_finds_what_was_changed_behind_its_back(shard: int, tamper: Tamper, statement: str, finding: str) -> None:
    tamper(statement)
    check = ledger.self_check(shard)
    assert not check.is_clean
    assert finding in "\n".join(check.problems)


def test_it_finds_two_entries_that_changed_places(shard: int, tamper: Tamper) -> None:
    tamper("UPDATE audit_entry SET leaf_index = 99 WHERE leaf_index = 3")
    tamper("UPDATE audit_entry SET leaf_index = 3 WHERE leaf_index = 5")
    tamper("UPDATE audit_entry SET leaf_index = 5 WHERE leaf_index = 99")
    assert "the tree over the stored payloads is not the one of the head" in ledger.self_check(shard).problems


def test_it_says_a_hundred_problems_at_most(shard: int, tamper: Tamper) -> None:
    tamper(
        "UPDATE audit_entry SET actor_id = 'x', host = 'x', object_id = 'x', object_name = 'x', object_type = 'x',"
        " channel = 'x', action = 'x', category = 'x', request_id = 'x', actor_type = 'x'"
    )
    assert len(ledger.self_check(shard).problems) == recomputing.MOST_PROBLEMS


def test_display_puts_the_names_where_the_commitments_stand(begin: Begin) -> None:
    begin(reason="asked for")
    shown = ledger.disclosed(Entry.objects.get())
    assert shown["actor"]["label"] == "alice@example.org"
    assert shown["source"] == {
        "app": VERSION,
        "channel": "api",
        "request_id": "req-1",
        "ip": "192.0.2.7",
        "user_agent": "Firefox/140",
    }
    assert shown["reason"] == "asked for"
    assert not [name for name in (*shown, *shown["actor"]) if name.endswith("_c")]


def test_an_erased_value_is_shown_as_erased_and_breaks_nothing(shard: int, tamper: Tamper) -> None:
    tamper("DELETE FROM audit_disclosure WHERE kind = 'actor_label'")
    shown = ledger.disclosed(Entry.objects.latest("id"))
    assert shown["actor"]["label"] == "erased"
    assert shown["source"]["ip"] == "192.0.2.7"
    assert ledger.self_check(shard).is_clean


def test_a_swapped_value_is_shown_as_altered(begin: Begin, tamper: Tamper) -> None:
    begin()
    tamper("UPDATE audit_disclosure SET text = replace(text, 'alice', 'mallory')")
    assert ledger.disclosed(Entry.objects.get())["actor"]["label"] == "altered"


@pytest.mark.parametrize("payload", ["x", "[]", "", '"actor"'])
def test_a_payload_that_was_made_unreadable_is_shown_as_it_is(begin: Begin, tamper: Tamper, payload: str) -> None:
    begin()
    tamper("UPDATE audit_entry SET payload = %s", payload)
    assert ledger.disclosed(Entry.objects.get()) == {"damaged": payload}


@pytest.mark.parametrize("payload", ['{"actor":"x"}', '{"actor":{"label_c":5}}', '{"error":[]}', '{"reason_c":null}'])
def test_a_payload_that_was_made_senseless_is_shown_as_it_is(begin: Begin, tamper: Tamper, payload: str) -> None:
    begin()
    tamper("UPDATE audit_entry SET payload = %s", payload)
    assert json.dumps(ledger.disclosed(Entry.objects.get()), separators=(",", ":")) == payload
    assert not ledger.self_check(Entry.objects.get().shard).is_clean


def test_many_entries_need_one_query_for_their_names(
    begin: Begin, django_assert_num_queries: Callable[..., object]
) -> None:
    for _ in range(3):
        begin()
    entries = list(Entry.objects.all())
    with django_assert_num_queries(1, using="audit"):  # type: ignore[attr-defined]
        assert [shown["actor"]["label"] for shown in ledger.disclosed_all(entries)] == ["alice@example.org"] * 3


def test_a_parameter_that_ends_like_a_commitment_is_left_alone(begin: Begin) -> None:
    begin(params={"label_c": "x"})
    assert ledger.disclosed(Entry.objects.get())["params"] == {"label_c": "x"}


def test_the_disclosures_hold_salted_values_only_once_each(begin: Begin) -> None:
    begin()
    begin()
    texts = Disclosure.objects.filter(kind="source_ip").values_list("text", flat=True)
    assert len(set(texts)) == 2
    assert Head.objects.get().size == 2


class Checkpoints:
    """Puts signed checkpoints of a shard into the database, as the signer does."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.key = new_key(f"test/audit/{shard}")

    def sign(self, size: int, root: bytes | None = None) -> None:
        tree = Frontier()
        leaves = Entry.objects.filter(shard=self.shard, leaf_index__lt=size).order_by("leaf_index")
        for leaf in leaves.values_list("leaf_hash", flat=True):
            tree = tree.append(bytes.fromhex(leaf))
        signed = Checkpoint(self.key.name, size, root or tree.root())
        row = SignedCheckpoint(
            shard=self.shard,
            origin=self.key.name,
            size=size,
            root=signed.root.hex(),
            vkey=self.key.verifier.text(),
            note=sign(signed, self.key),
            signed_at=datetime.now(UTC),
        )
        writable(SignedCheckpoint).bulk_create([row])


@pytest.mark.parametrize("level", [0, 1, 2, 12])
def test_each_checkpoint_is_compared_wherever_it_ends(level: int, shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recomputing, "LEVEL", level)
    checkpoints = Checkpoints(shard)
    for size in (11, 1, 8, 8, 3, 4, 10):
        checkpoints.sign(size)
    assert ledger.self_check(shard) == replace(ledger.self_check(shard, quick=True), checkpoints=6)
    assert ledger.self_check(shard).is_clean
    checkpoints.sign(5, root=bytes(32))
    assert ledger.self_check(shard).problems == ("the first 5 entries are not those that a checkpoint has signed",)


def test_checkpoints_are_read_one_after_the_other(shard: int, django_assert_max_num_queries: Any) -> None:
    checkpoints = Checkpoints(shard)
    for _ in range(40):
        checkpoints.sign(7)
    with django_assert_max_num_queries(10, using="audit"):
        assert ledger.self_check(shard).checkpoints == 1


def test_a_checkpoint_over_more_than_there_is_is_damage_unless_that_loss_was_accepted(
    shard: int, alice: Actor, origin: Source
) -> None:
    Checkpoints(shard).sign(13)
    assert ledger.self_check(shard).problems == ("a checkpoint has signed 13 entries, there are 11",)
    lost = {"shard": shard, "size": 13, "root": "0" * 64, "left": 11}
    fact = Fact(
        phase="event",
        action="audit.accept_rollback",
        outcome="success",
        actor=alice,
        source=origin,
        details={"rollback": [lost]},
    )
    with appending():
        open_shard(shards.successor(shard, year=1), fact)
    check = ledger.self_check(shard)
    assert (check.problems, check.lost) == ((), 1)


def test_an_acceptance_that_was_altered_accepts_nothing(
    shard: int, alice: Actor, origin: Source, tamper: Tamper
) -> None:
    test_a_checkpoint_over_more_than_there_is_is_damage_unless_that_loss_was_accepted(shard, alice, origin)
    tamper("UPDATE audit_entry SET leaf_hash = 'ab' WHERE action = 'audit.accept_rollback'")
    assert not ledger.self_check(shard).is_clean
