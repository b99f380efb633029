"""The signer signs what grew, and never a tree that is not the one it signed before with entries added."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine

from containers_app.audit import ledger, losses
from containers_app.audit.appending import LedgerHalted
from containers_app.audit.models import Entry, Head, SignedCheckpoint, Standing
from containers_app.audit.notes import open_note
from containers_app.audit.record import Actor, Source
from containers_app.audit.signer import Signer, rotate_key
from containers_app.audit.signer_folder import SignerFolder, SignerUnfit
from containers_app.audit.signing_loop import look_once
from containers_app.conf import load
from containers_app.errors import AuditUnavailable, InvalidRequest
from containers_app.specs.receipt import Receipt
from tests.unit.api.conftest import silent

Begin = Callable[..., Receipt]
Tamper = Callable[..., None]

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
HEARTBEAT_SECONDS = 3600
NOON = "2026-11-30T12:00:00Z"
ROOT = Actor(type="user", id="1", label="root")
TERMINAL = Source(channel="cli")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "signer"


@pytest.fixture
def signer(place: Path) -> Callable[[], Signer]:
    """A signer as a fresh start makes it."""
    return lambda: Signer(SignerFolder(place), name="a.example", heartbeat_seconds=HEARTBEAT_SECONDS)


def published() -> list[SignedCheckpoint]:
    return list(SignedCheckpoint.objects.order_by("id"))


def accept() -> int:
    return losses.accept(actor=ROOT, source=TERMINAL, reason="restored from Monday's backup")


@pytest.fixture
def rolled_back(begin: Begin, signer: Callable[[], Signer], tamper: Tamper) -> SignedCheckpoint:
    """Five entries were signed; then the database was brought back to three. Returns the checkpoint of the five."""
    with time_machine.travel(NOON, tick=False):
        for _ in range(3):
            begin()
        older = Head.objects.get()
        for _ in range(2):
            begin()
        signer().look()
        (signed,) = published()
        tamper("DELETE FROM audit_entry WHERE leaf_index >= 3")
        tamper("UPDATE audit_head SET size = 3, frontier = %s", older.frontier)
        tamper("DELETE FROM audit_checkpoint")
    return signed


def test_what_grew_is_signed_once_and_opens_with_the_published_key(begin: Begin, signer: Callable[[], Signer]) -> None:
    one = signer()
    assert one.look() == []
    assert published() == []
    receipt = begin()
    one.look()
    one.look()
    (row,) = published()
    checkpoint = open_note(row.note, [row.vkey])
    assert (checkpoint.origin, checkpoint.size) == (f"a.example/audit/{receipt.shard}", 1)
    assert checkpoint.root.hex() == row.root == ledger.self_check(receipt.shard).root
    begin()
    one.look()
    assert [row.size for row in published()] == [1, 2]


def test_an_idle_ledger_gets_a_heartbeat(begin: Begin, signer: Callable[[], Signer]) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        one = signer()
        begin()
        one.look()
        clock.shift(HEARTBEAT_SECONDS - 1)
        one.look()
        assert len(published()) == 1
        clock.shift(1)
        one.look()
    first, second = published()
    assert (first.size, first.note) == (second.size, second.note)
    assert (second.signed_at - first.signed_at).total_seconds() == HEARTBEAT_SECONDS


def test_keys_and_state_are_for_their_owner_only_and_outside_the_database(
    begin: Begin, signer: Callable[[], Signer], place: Path
) -> None:
    begin()
    signer().look()
    modes = {path.name: path.stat().st_mode & 0o777 for path in place.iterdir()}
    (row,) = published()
    assert modes == {f"{row.shard}.key": 0o600, "state.json": 0o600}
    assert place.stat().st_mode & 0o777 == 0o700
    secret = (place / f"{row.shard}.key").read_text().strip()
    assert secret not in repr([list(model.objects.values()) for model in (Entry, SignedCheckpoint, Standing)])


@pytest.mark.parametrize("target", ["", "{shard}.key"])
def test_a_folder_or_a_key_that_others_can_read_is_refused(
    begin: Begin, signer: Callable[[], Signer], place: Path, target: str
) -> None:
    shard = begin().shard
    signer().look()
    (place / target.format(shard=shard)).chmod(0o750)
    begin()
    with pytest.raises(SignerUnfit, match="others"):
        signer().look()
    assert len(published()) == 1


@pytest.mark.parametrize("text", ["", "{}", '{"shards": {"2026": {"note": "x", "signed_at": 1}}}', '{"shards": [1]}'])
def test_a_damaged_state_stops_the_start(signer: Callable[[], Signer], place: Path, text: str) -> None:
    place.mkdir(mode=0o700)
    (place / "state.json").write_text(text)
    (place / "state.json").chmod(0o600)
    with pytest.raises(SignerUnfit, match=r"state\.json"):
        signer()


def test_a_damaged_key_is_told_without_its_text(begin: Begin, signer: Callable[[], Signer], place: Path) -> None:
    shard = begin().shard
    signer().look()
    (place / f"{shard}.key").write_text("PRIVATE+KEY+a+b+SECRET")
    with pytest.raises(SignerUnfit) as refused:
        signer().look()
    assert "SECRET" not in refused.value.message


def test_there_is_one_signer_at_a_time(place: Path) -> None:
    folder = SignerFolder(place)
    with folder.held(), pytest.raises(SignerUnfit, match="runs already"), SignerFolder(place).held():
        pass
    with folder.held():
        pass


def test_a_checkpoint_that_was_signed_and_not_published_is_published_at_the_next_start(
    begin: Begin, signer: Callable[[], Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("the process dies here")

    begin()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="dies"):
        patch.setattr("containers_app.audit.signer._publish", fail)
        signer().look()
    assert published() == []
    signer().look()
    assert [row.size for row in published()] == [1]


def test_nothing_is_published_that_could_not_be_remembered(
    begin: Begin, signer: Callable[[], Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("no space left")

    begin()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(os, "fsync", fail)
        signer().look()
    assert published() == []


def test_a_new_year_has_its_own_origin_and_key_which_the_old_key_vouches_for(
    begin: Begin, signer: Callable[[], Signer]
) -> None:
    with time_machine.travel("2026-12-31T23:59:59Z", tick=False):
        begin()
        signer().look()
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False):
        begin()
        signer().look()
    old, new = published()
    assert (old.origin, new.origin) == ("a.example/audit/2026", "a.example/audit/2027")
    assert old.vkey != new.vkey
    assert open_note(new.note, [new.vkey]) == open_note(new.note, [old.vkey])
    opening = json.loads(Entry.objects.get(shard=2027, leaf_index=0).payload)
    assert opening["details"]["previous"]["checkpoint"] == old.note.splitlines()


def test_the_last_entries_of_a_year_are_signed_after_it(begin: Begin, signer: Callable[[], Signer]) -> None:
    with time_machine.travel("2026-12-31T23:59:59Z", tick=False):
        begin()
        signer().look()
        begin()
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False):
        begin()
        signer().look()
    assert [(row.shard, row.size) for row in published()] == [(2026, 1), (2026, 2), (2027, 2)]


def test_a_key_is_rotated_by_an_entry_and_a_checkpoint_of_both(
    begin: Begin, signer: Callable[[], Signer], place: Path
) -> None:
    begin()
    one = signer()
    one.look()
    vkey = rotate_key(SignerFolder(place), actor=ROOT, source=TERMINAL, reason="a colleague left")
    one.look()
    begin()
    one.look()
    first, both, last = published()
    assert open_note(both.note, [first.vkey]) == open_note(both.note, [vkey])
    assert (both.vkey, last.vkey) == (vkey, vkey)
    assert first.vkey.split("+")[1] not in last.note
    entry = json.loads(Entry.objects.get(action="audit.rotate_key").payload)
    assert entry["details"] == {"origin": first.origin, "previous_vkey": first.vkey, "vkey": vkey}
    assert not list(place.glob("*.next"))


def test_a_proposed_key_that_the_ledger_does_not_know_is_not_used(
    begin: Begin, signer: Callable[[], Signer], place: Path
) -> None:
    begin()
    one = signer()
    one.look()
    with silent("audit"), pytest.raises(AuditUnavailable):
        rotate_key(SignerFolder(place), actor=ROOT, source=TERMINAL, reason="")
    begin()
    one.look()
    first, second = published()
    assert first.vkey == second.vkey


def test_a_key_is_not_rotated_where_there_is_none(place: Path) -> None:
    with pytest.raises(SignerUnfit, match="MYCO_SIGNER_DIR"):
        rotate_key(SignerFolder(place), actor=ROOT, source=TERMINAL, reason="")


def test_a_database_that_was_brought_back_to_an_older_state_halts_the_ledger(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], begin: Begin
) -> None:
    (loss,) = signer().look()
    assert (loss.shard, loss.size, loss.left, loss.root) == (2026, 5, 3, rolled_back.root)
    assert "fewer entries" in loss.why
    assert published() == []
    with pytest.raises(LedgerHalted, match="accept-rollback") as refused:
        begin()
    assert (refused.value.code, refused.value.retryable) == ("AUDIT_UNAVAILABLE", False)
    signer().look()
    assert Standing.objects.count() == 1


def test_entries_after_a_rollback_do_not_hide_it(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], begin: Begin
) -> None:
    with time_machine.travel(NOON, tick=False):
        for _ in range(5):
            begin()
    (loss,) = signer().look()
    assert "not the ones that were signed" in loss.why


def test_an_accepted_rollback_is_recorded_first_in_a_new_shard(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], begin: Begin
) -> None:
    with time_machine.travel(NOON, tick=False):
        signer().look()
        assert accept() == 202601
        assert begin().shard == 202601
        assert signer().look() == []
        assert signer().look() == []
    opening = Entry.objects.get(shard=202601, leaf_index=0)
    details = json.loads(opening.payload)["details"]
    assert opening.action == "audit.accept_rollback"
    assert (details["previous"]["shard"], details["previous"]["size"]) == (2026, 3)
    (told,) = details["rollback"]
    assert (told["size"], told["root"], told["left"]) == (5, rolled_back.root, 3)
    assert told["checkpoint"] == rolled_back.note.splitlines()
    assert ledger.disclosed(opening)["reason"] == "restored from Monday's backup"
    lost, row = published()
    assert lost.note == rolled_back.note
    assert (row.origin, row.size) == ("a.example/audit/202601", 2)
    assert open_note(row.note, [rolled_back.vkey]) == open_note(row.note, [row.vkey])


def test_the_year_after_a_rollback_has_its_plain_number_again(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], begin: Begin
) -> None:
    with time_machine.travel(NOON, tick=False):
        signer().look()
        accept()
    with time_machine.travel("2027-02-01T00:00:00Z", tick=False):
        assert begin().shard == 2027
        assert signer().look() == []
    opening = json.loads(Entry.objects.get(shard=2027, leaf_index=0).payload)
    assert opening["details"]["previous"]["shard"] == 202601


def test_another_rollback_is_not_covered_by_what_was_accepted(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], begin: Begin, tamper: Tamper
) -> None:
    with time_machine.travel(NOON, tick=False):
        signer().look()
        accept()
        begin()
        signer().look()
        tamper("DELETE FROM audit_entry WHERE shard = 202601")
        tamper("DELETE FROM audit_head WHERE shard = 202601")
        (loss,) = signer().look()
        assert (loss.shard, loss.left) == (202601, 0)
        assert accept() == 202602


def test_nothing_is_accepted_when_nothing_was_lost(begin: Begin, signer: Callable[[], Signer]) -> None:
    begin()
    signer().look()
    with pytest.raises(InvalidRequest, match="nothing to accept"):
        accept()
    assert Head.objects.count() == 1


def test_an_acceptance_that_fails_in_the_middle_changes_nothing(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("the process dies here")

    signer().look()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(losses, "_set_standing", fail)
        accept()
    assert Head.objects.get().shard == 2026
    assert losses.losses_told()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE audit_entry SET leaf_hash = 'no hash' WHERE leaf_index = 0", "damaged"),
        ("UPDATE audit_head SET frontier = 'no frontier'", "damaged"),
        ("UPDATE audit_entry SET leaf_hash = (SELECT root FROM audit_checkpoint) WHERE leaf_index = 4", "not the ones"),
    ],
)
def test_a_tree_that_was_rewritten_halts_the_ledger(
    begin: Begin, signer: Callable[[], Signer], tamper: Tamper, statement: str, why: str
) -> None:
    for _ in range(5):
        begin()
    signer().look()
    begin()
    tamper(statement)
    (loss,) = signer().look()
    assert why in loss.why
    assert len(published()) == 1
    with pytest.raises(LedgerHalted):
        begin()


def test_a_lost_folder_halts_the_ledger_until_a_new_shard_is_accepted(
    begin: Begin, signer: Callable[[], Signer], place: Path
) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        signer().look()
        place.rename(place.with_name("lost"))
        (loss,) = signer().look()
        assert "key" in loss.why
        accept()
        assert signer().look() == []
    assert [row.shard for row in published()] == [2026, 202601]


def test_a_folder_that_is_brought_back_ends_the_halt_and_an_entry_says_so(
    begin: Begin, signer: Callable[[], Signer], place: Path
) -> None:
    begin()
    signer().look()
    place.rename(place.with_name("lost"))
    assert signer().look()
    shutil.rmtree(place)
    place.with_name("lost").rename(place)
    assert signer().look() == []
    receipt = begin()
    last = json.loads(Entry.objects.get(leaf_index=receipt.leaf_index - 1).payload)
    assert last["action"] == "audit.end_halt"
    assert last["details"]["missed"][0]["size"] == 1


def test_a_start_compares_once_and_leaves_it_to_a_signer_that_runs(
    rolled_back: SignedCheckpoint, place: Path, begin: Begin
) -> None:
    conf = replace(load(), signer_directory=str(place))
    with SignerFolder(place).held():
        assert look_once(conf) == []
    begin()
    (loss,) = look_once(conf)
    assert loss.size == 5
    with pytest.raises(LedgerHalted):
        begin()


def test_a_ledger_that_does_not_answer_is_told_as_such(begin: Begin, signer: Callable[[], Signer]) -> None:
    begin()
    one = signer()
    with silent("audit"), pytest.raises(AuditUnavailable):
        one.look()
    one.look()
    assert len(published()) == 1


def test_an_altered_acceptance_accepts_nothing(
    rolled_back: SignedCheckpoint, signer: Callable[[], Signer], tamper: Tamper
) -> None:
    (loss,) = signer().look()
    accept()
    assert losses.is_accepted(loss)
    tamper("UPDATE audit_entry SET payload = '{}' WHERE shard <> 2026")
    assert not losses.is_accepted(loss)
