"""A database that does not continue what was signed halts the ledger, until a person accepts it as a new shard."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine

from containers_app.audit import ledger, losses
from containers_app.audit.appending import LedgerHalted, writable
from containers_app.audit.inspection import heads_now
from containers_app.audit.models import Entry, Head, SignedCheckpoint, Standing, Subtree
from containers_app.audit.notes import Checkpoint, new_key, open_note, sign
from containers_app.audit.published import newest_checkpoint
from containers_app.audit.recomputing import self_check
from containers_app.audit.signer_acts import accept_rollback, what_is_lost
from containers_app.audit.signer_folder import Signed, SignerFolder, SignerUnfit
from containers_app.audit.signing_loop import look_once
from containers_app.conf import load
from containers_app.errors import InvalidRequest
from tests.unit.audit.signing import NOON, ROOT, TERMINAL, Accept, Begin, Start, Tamper, published

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
pytest_plugins = ["tests.unit.audit.signing_fixture"]


def test_a_database_that_was_brought_back_to_an_older_state_halts_the_ledger(
    rolled_back: SignedCheckpoint, signer: Start, begin: Begin
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


def test_entries_after_a_rollback_do_not_hide_it(rolled_back: SignedCheckpoint, signer: Start, begin: Begin) -> None:
    with time_machine.travel(NOON, tick=False):
        for _ in range(5):
            begin()
    (loss,) = signer().look()
    assert "not the ones that were signed" in loss.why


def test_an_accepted_rollback_is_recorded_first_in_a_new_shard(
    rolled_back: SignedCheckpoint, signer: Start, begin: Begin, accept: Accept
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
    (row,) = published()
    assert (row.origin, row.size) == ("a.example/audit/202601", 2)
    assert open_note(row.note, [rolled_back.vkey]) == open_note(row.note, [row.vkey])


def test_the_year_after_a_rollback_has_its_plain_number_again(
    rolled_back: SignedCheckpoint, signer: Start, begin: Begin, accept: Accept
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
    rolled_back: SignedCheckpoint, signer: Start, begin: Begin, tamper: Tamper, accept: Accept
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


def test_nothing_is_accepted_when_nothing_was_lost(begin: Begin, signer: Start, accept: Accept) -> None:
    begin()
    signer().look()
    with pytest.raises(InvalidRequest, match="nothing to accept"):
        accept()
    assert Head.objects.count() == 1


def test_an_acceptance_that_fails_in_the_middle_changes_nothing(
    rolled_back: SignedCheckpoint,
    signer: Start,
    monkeypatch: pytest.MonkeyPatch,
    accept: Accept,
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
    begin: Begin, signer: Start, tamper: Tamper, statement: str, why: str
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


def test_an_altered_acceptance_accepts_nothing(
    rolled_back: SignedCheckpoint, signer: Start, tamper: Tamper, accept: Accept
) -> None:
    (loss,) = signer().look()
    accept()
    assert losses.is_told(loss, heads_now())
    tamper("UPDATE audit_entry SET payload = '{}' WHERE shard <> 2026")
    assert not losses.is_told(loss, heads_now())


def checkpoint_row(size: int, root: str) -> SignedCheckpoint:
    """As any signer would write it, with a key of its own."""
    key, checkpoint = new_key("a.example/audit/2026"), Checkpoint("a.example/audit/2026", size, bytes.fromhex(root))
    return SignedCheckpoint(
        shard=2026,
        origin=checkpoint.origin,
        size=size,
        root=root,
        vkey=key.verifier.text(),
        note=sign(checkpoint, key),
        signed_at=datetime(2026, 11, 30, 12, tzinfo=UTC),
    )


def test_a_lost_checkpoint_is_not_published_again_and_the_newest_that_fits_is_used(
    rolled_back: SignedCheckpoint, signer: Start, accept: Accept, begin: Begin, tamper: Tamper
) -> None:
    with time_machine.travel(NOON, tick=False):
        smaller, lost = checkpoint_row(3, "11" * 32), checkpoint_row(5, "22" * 32)
        writable(SignedCheckpoint).bulk_create([smaller, lost])
        signer().look()
        accept()
        for _ in range(3):
            assert signer().look() == []
    assert [row.root for row in published() if row.shard == 2026] == [smaller.root, lost.root]
    fitting = newest_checkpoint(2026)
    assert fitting is not None
    assert fitting.root == smaller.root


def test_an_acceptance_that_somebody_wrote_into_the_database_is_not_believed(
    rolled_back: SignedCheckpoint, signer: Start, begin: Begin
) -> None:
    """With all of the ledger's own code, as whoever has its database can run it, but without the signer's folder."""
    (loss,) = signer().look()
    with time_machine.travel(NOON, tick=False):
        losses.accept([loss], actor=ROOT, source=TERMINAL, reason="nothing to see here")
        begin()
        assert signer().look() == [loss]
        assert published() == []
        with pytest.raises(LedgerHalted):
            begin()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_head WHERE shard = 202601",
        "UPDATE audit_head SET frontier = 'no frontier' WHERE shard = 202601",
        "UPDATE audit_head SET frontier = (SELECT leaf_hash FROM audit_entry WHERE shard = 2026 AND leaf_index = 0)"
        " WHERE shard = 202601",
        "UPDATE audit_entry SET shard = 202600 WHERE shard = 202601",
        "UPDATE audit_entry SET leaf_index = 1 WHERE shard = 202601",
        """UPDATE audit_entry SET payload = replace(payload, '"size":5', '"size":6') WHERE shard = 202601""",
        "UPDATE audit_entry SET payload = replace(payload, 'accept_rollback', 'open_shard') WHERE shard = 202601",
        "UPDATE audit_entry SET payload = payload || ' ' WHERE shard = 202601",
        "UPDATE audit_entry SET payload = '[]' WHERE shard = 202601",
    ],
)
def test_an_acceptance_that_its_own_tree_does_not_prove_accepts_nothing(
    rolled_back: SignedCheckpoint, signer: Start, accept: Accept, tamper: Tamper, statement: str
) -> None:
    with time_machine.travel(NOON, tick=False):
        (loss,) = signer().look()
        accept()
        assert losses.is_told(loss, heads_now())
        tamper(statement)
        assert not losses.is_told(loss, heads_now())
        assert loss in signer().look()


def test_the_new_shard_is_signed_before_the_old_one_is_given_up(
    rolled_back: SignedCheckpoint, signer: Start, accept: Accept, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered: list[tuple[int, bool]] = []
    remember = SignerFolder.remember

    def watched(self: SignerFolder, shard: int, signed: Signed) -> None:
        remembered.append((shard, signed.is_given_up))
        remember(self, shard, signed)

    with time_machine.travel(NOON, tick=False):
        signer().look()
        accept()
        monkeypatch.setattr(SignerFolder, "remember", watched)
        assert signer().look() == []
    assert remembered == [(202601, False), (2026, True)]


def test_somebody_who_ends_the_halt_in_the_database_sees_it_halted_again(
    rolled_back: SignedCheckpoint, signer: Start, tamper: Tamper, begin: Begin
) -> None:
    one = signer()
    one.look()
    for told in ("{}", '{"losses": 1}', "no text"):
        tamper("INSERT INTO audit_standing (state, told, since) VALUES ('halted', %s, '2026-11-30')", told)
        one.look()
        assert losses.losses_told()
    tamper("INSERT INTO audit_standing (state, told, since) VALUES ('released', '{}', '2026-11-30')")
    one.look()
    with pytest.raises(LedgerHalted):
        begin()


def test_something_else_than_was_shown_is_not_accepted(
    rolled_back: SignedCheckpoint, signer: Start, place: Path
) -> None:
    signer().look()
    folder = SignerFolder(place)
    shown = [replace(loss, left=2) for loss in what_is_lost(folder)]
    with pytest.raises(InvalidRequest, match="has changed"):
        accept_rollback(folder, shown, actor=ROOT, source=TERMINAL, reason="x")
    assert folder.accepted == frozenset()
    assert losses.is_halted()


def test_missing_subtrees_halt_nothing_and_are_stored_again(begin: Begin, signer: Start, tamper: Tamper) -> None:
    with ledger.together():
        for _ in range(300):
            begin()
    signer().look()
    expected = Subtree.objects.values_list("level", "number", "root").get()
    tamper("DELETE FROM audit_subtree")
    begin()
    assert signer().look() == []
    assert Subtree.objects.values_list("level", "number", "root").get() == expected
    assert [row.size for row in published()] == [300, 301]


def test_a_subtree_that_cannot_be_computed_is_told_only_where_the_proof_needs_it(
    begin: Begin, signer: Start, tamper: Tamper, caplog: pytest.LogCaptureFixture
) -> None:
    with ledger.together():
        for _ in range(300):
            begin()
    signer().look()
    tamper("DELETE FROM audit_subtree")
    tamper("DELETE FROM audit_entry WHERE leaf_index = 7")
    begin()
    (loss,) = signer().look()
    assert "damaged" in loss.why


def test_a_false_subtree_that_was_there_before_holds_back_no_entry_and_halts_nothing(
    begin: Begin, signer: Start, caplog: pytest.LogCaptureFixture
) -> None:
    begin()
    signer().look()
    shard = Head.objects.get().shard
    writable(Subtree).bulk_create([Subtree(shard=shard, level=8, number=0, root="ab" * 32)])
    with ledger.together():
        for _ in range(300):
            begin()
    assert signer().look() == []
    begin()
    assert signer().look() == []
    assert published()[-1].size == 302
    assert self_check(shard).problems == ("the stored subtree 0 of level 8 is not that of the entries",)
    assert "a stored subtree is false" in caplog.text


def test_a_subtree_beyond_the_entries_is_found(begin: Begin) -> None:
    shard = begin().shard
    writable(Subtree).bulk_create([Subtree(shard=shard, level=16, number=3, root="no hash")])
    assert self_check(shard).problems == ("the stored subtree 3 of level 16 is not that of the entries",)
    assert self_check(shard, quick=True).problems == ()


@pytest.mark.parametrize("frontier", ["no frontier", "ab" * 32])
def test_a_head_that_somebody_wrote_ahead_is_a_loss_that_a_person_can_accept(
    begin: Begin, signer: Start, accept: Accept, frontier: str
) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        signer().look()
        writable(Head).bulk_create([Head(shard=2027, size=1, frontier=frontier)])
        (loss,) = signer().look()
        assert (loss.shard, loss.size, loss.left, loss.why) == (2027, 0, 1, losses.HEAD_UNFIT)
        assert signer().look() == [loss]
        with pytest.raises(LedgerHalted):
            begin()
        assert accept() == 202701
        assert begin().shard == 202701
        assert signer().look() == []
        assert signer().look() == []
    assert [row.shard for row in published()] == [2026, 202701]


def test_a_head_that_was_written_ahead_and_is_gone_again_ends_the_halt(
    begin: Begin, signer: Start, tamper: Tamper
) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        signer().look()
        writable(Head).bulk_create([Head(shard=2027, size=1, frontier="no frontier")])
        assert len(signer().look()) == 1
        tamper("DELETE FROM audit_head WHERE shard = 2027")
        assert signer().look() == []
        assert begin().shard == 2026


def test_a_first_head_that_is_none_is_told_and_not_signed(begin: Begin, signer: Start) -> None:
    begin()
    writable(Head).bulk_create([Head(shard=2099, size=1, frontier="no frontier")])
    with pytest.raises(SignerUnfit, match="no head of a tree"):
        signer().look()
