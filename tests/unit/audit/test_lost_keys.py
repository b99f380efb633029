"""A folder that cannot sign halts nothing: the ledger goes on, unsigned, and whoever runs the signer is told why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import time_machine

from containers_app.audit import closing, losses
from containers_app.audit.appending import appending, open_shard
from containers_app.audit.models import Entry, SignedCheckpoint
from containers_app.audit.notes import open_note
from containers_app.audit.published import status
from containers_app.audit.record import Fact
from containers_app.audit.signer import Signer
from containers_app.audit.signer_acts import rotate_key
from containers_app.audit.signer_folder import Anchored, SignerFolder, SignerUnfit
from containers_app.errors import InvalidRequest
from tests.unit.audit.signing import HEARTBEAT_SECONDS, NOON, ROOT, TERMINAL, Accept, Begin, Start, published

pytest_plugins = ["tests.unit.audit.signing_fixture"]
pytestmark = pytest.mark.django_db(databases=["default", "audit"])


def elsewhere(place: Path) -> Signer:
    """A signer with another folder, as a second start with a wrong setting is."""
    other = place.with_name("other")
    return Signer(SignerFolder(other), name="a.example", heartbeat_seconds=HEARTBEAT_SECONDS)


def test_a_second_start_with_an_empty_folder_signs_and_halts_nothing(begin: Begin, signer: Start, place: Path) -> None:
    begin()
    signer().look()
    begin()
    with pytest.raises(SignerUnfit, match="no key for shard 2026.*MYCO_SIGNER_DIR"):
        elsewhere(place).look()
    begin()
    signer().look()
    assert [row.size for row in published()] == [1, 3]
    assert not losses.is_halted()


def test_a_missing_key_alone_halts_nothing_and_is_shown_as_late(begin: Begin, signer: Start, place: Path) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        shard = begin().shard
        signer().look()
        key = place / f"{shard}.key"
        key.rename(place / "kept")
        begin()
        with pytest.raises(SignerUnfit, match=f"no key for shard {shard}"):
            signer().look()
        clock.shift(61)
        begin()
        told = status()
        assert (told.state, len(published())) == ("late", 1)
        assert "its log says which" in told.why
        (place / "kept").rename(key)
        signer().look()
        assert status().state == "signed"


def test_the_key_of_a_closed_shard_is_not_needed(begin: Begin, signer: Start, place: Path) -> None:
    with time_machine.travel("2026-12-31T23:59:59Z", tick=False):
        begin()
        signer().look()
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False):
        begin()
        signer().look()
        (place / "2026.key").unlink()
        begin()
        assert signer().look() == []
    assert [(row.shard, row.size) for row in published()] == [(2026, 1), (2027, 2), (2027, 3)]


def test_a_wrong_folder_does_not_begin_the_new_year(begin: Begin, signer: Start, place: Path) -> None:
    with time_machine.travel("2026-12-31T23:59:59Z", tick=False):
        begin()
        signer().look()
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False):
        begin()
        with pytest.raises(SignerUnfit, match="no key for shard 2026"):
            elsewhere(place).look()
        assert signer().look() == []
    old, new = published()
    assert open_note(new.note, [old.vkey]).origin == "a.example/audit/2027"


def test_a_shard_that_somebody_writes_before_all_others_is_not_signed(begin: Begin, signer: Start) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        one = signer()
        one.look()
        with appending():
            open_shard(2025, Fact(phase="event", action="system.start", actor=ROOT, source=TERMINAL, outcome="success"))
        (loss,) = one.look()
        assert (loss.shard, loss.size, loss.why) == (2025, 0, closing.NOT_TOLD)
    assert {row.shard for row in published()} == {2026}


def test_a_folder_that_is_lost_for_good_is_accepted_as_a_new_shard(
    begin: Begin, signer: Start, place: Path, accept: Accept
) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        signer().look()
        shutil.rmtree(place)
        with pytest.raises(SignerUnfit, match="accept-rollback"):
            signer().look()
        assert accept() == 202601
        assert signer().look() == []
        begin()
        assert signer().look() == []
    assert [(row.shard, row.size) for row in published()] == [(2026, 1), (202601, 1), (202601, 2)]
    (told,) = json.loads(Entry.objects.get(shard=202601, leaf_index=0).payload)["details"]["rollback"]
    assert (told["shard"], told["size"], told["left"]) == (2026, 1, 1)
    assert "key" in told["why"]
    with time_machine.travel("2027-02-01T00:00:00Z", tick=False):
        begin()
        assert signer().look() == []
    assert published()[-1].shard == 2027


def test_a_key_that_is_lost_for_good_is_accepted_once(begin: Begin, signer: Start, place: Path, accept: Accept) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        signer().look()
        (place / "2026.key").unlink()
        assert accept() == 202601
        assert signer().look() == []
        with pytest.raises(InvalidRequest, match="nothing to accept"):
            accept()


def test_a_folder_that_never_knew_what_is_missed_ends_no_halt(
    rolled_back: SignedCheckpoint, signer: Start, place: Path
) -> None:
    assert signer().look()
    with pytest.raises(SignerUnfit, match="knows less"):
        elsewhere(place).look()
    assert losses.is_halted()


@pytest.mark.parametrize("name", ["", "state.json", "2026.key", "accepted.json", "anchored.json"])
def test_what_belongs_to_another_account_is_refused(
    begin: Begin, signer: Start, place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with time_machine.travel(NOON, tick=False):
        begin()
        signer().look()
    folder = SignerFolder(place)
    folder.accept([(2025, 1, "00")])
    folder.remember_anchored("folder /srv", 2026, Anchored(size=1, signed_at=0.0))
    os.chown(place / name, 12345, -1)
    with pytest.raises(SignerUnfit, match="belongs to another account"):
        _ = (signer().look(), SignerFolder(place).accepted)


def test_another_account_changes_no_key_and_leaves_nothing_behind(
    begin: Begin, signer: Start, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin()
    signer().look()
    before = sorted(path.name for path in place.iterdir())
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SignerUnfit, match="belongs to another account"):
        rotate_key(SignerFolder.existing(place), actor=ROOT, source=TERMINAL, reason="x")
    assert sorted(path.name for path in place.iterdir()) == before
    with pytest.raises(SignerUnfit, match="no signer's folder"):
        SignerFolder.existing(place.with_name("typo"))
    assert not place.with_name("typo").exists()


def test_a_key_is_not_changed_where_the_next_entry_begins_a_shard(begin: Begin, signer: Start, place: Path) -> None:
    with time_machine.travel("2026-12-31T23:59:59Z", tick=False):
        begin()
        signer().look()
    with (
        time_machine.travel("2027-01-01T00:00:00Z", tick=False),
        pytest.raises(InvalidRequest, match="gets a key of its own"),
    ):
        rotate_key(SignerFolder(place), actor=ROOT, source=TERMINAL, reason="x")
    assert Entry.objects.count() == 1
    assert not list(place.glob("*.next"))


def test_whoever_holds_the_folder_knows_what_the_one_before_did_last(begin: Begin, signer: Start, place: Path) -> None:
    waiting = SignerFolder(place)
    begin()
    with SignerFolder(place).held():
        signer().look()
    with waiting.held():
        assert [signed.checkpoint.size for signed in waiting.signed.values()] == [1]
