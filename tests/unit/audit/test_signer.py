"""The signer signs what grew, and never a tree that is not the one it signed before with entries added."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import time_machine

from containers_app.audit import ledger
from containers_app.audit.models import Entry, SignedCheckpoint, Standing
from containers_app.audit.notes import open_note
from containers_app.audit.signer_acts import rotate_key
from containers_app.audit.signer_folder import SignerFolder, SignerUnfit
from containers_app.errors import AuditUnavailable
from tests.unit.api.conftest import silent
from tests.unit.audit.signing import HEARTBEAT_SECONDS, NOON, ROOT, TERMINAL, Begin, Start, published

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
pytest_plugins = ["tests.unit.audit.signing_fixture"]


def test_what_grew_is_signed_once_and_opens_with_the_published_key(begin: Begin, signer: Start) -> None:
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


def test_an_idle_ledger_gets_a_heartbeat(begin: Begin, signer: Start) -> None:
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
    begin: Begin, signer: Start, place: Path
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
    begin: Begin, signer: Start, place: Path, target: str
) -> None:
    shard = begin().shard
    signer().look()
    (place / target.format(shard=shard)).chmod(0o750)
    begin()
    with pytest.raises(SignerUnfit, match="others"):
        signer().look()
    assert len(published()) == 1


@pytest.mark.parametrize("text", ["", "{}", '{"shards": {"2026": {"note": "x", "signed_at": 1}}}', '{"shards": [1]}'])
def test_a_damaged_state_stops_the_start(signer: Start, place: Path, text: str) -> None:
    place.mkdir(mode=0o700)
    (place / "state.json").write_text(text)
    (place / "state.json").chmod(0o600)
    with pytest.raises(SignerUnfit, match=r"state\.json"):
        signer()


def test_a_damaged_key_is_told_without_its_text(begin: Begin, signer: Start, place: Path) -> None:
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
    begin: Begin, signer: Start, monkeypatch: pytest.MonkeyPatch
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
    begin: Begin, signer: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("no space left")

    begin()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(os, "fsync", fail)
        signer().look()
    assert published() == []


def test_a_new_year_has_its_own_origin_and_key_which_the_old_key_vouches_for(begin: Begin, signer: Start) -> None:
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


def test_the_last_entries_of_a_year_are_signed_after_it(begin: Begin, signer: Start) -> None:
    with time_machine.travel("2026-12-31T23:59:59Z", tick=False):
        begin()
        signer().look()
        begin()
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False):
        begin()
        signer().look()
    assert [(row.shard, row.size) for row in published()] == [(2026, 1), (2026, 2), (2027, 2)]


def test_a_key_is_rotated_by_an_entry_and_a_checkpoint_of_both(begin: Begin, signer: Start, place: Path) -> None:
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


def test_a_proposed_key_that_the_ledger_does_not_know_is_not_used(begin: Begin, signer: Start, place: Path) -> None:
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


def test_a_ledger_that_does_not_answer_is_told_as_such(begin: Begin, signer: Start) -> None:
    begin()
    one = signer()
    with silent("audit"), pytest.raises(AuditUnavailable):
        one.look()
    one.look()
    assert len(published()) == 1
