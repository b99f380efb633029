"""`manage.py ledger`: what is lost is accepted by typing it, and keys are changed by superusers only."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from pytest_django import Settings

from containers_app.audit import denials, ledger, losses
from containers_app.audit.models import Entry, Head, SignedCheckpoint
from containers_app.audit.notes import open_note
from containers_app.audit.record import Actor, Source
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture
def signer(tmp_path: Path, settings: Settings) -> Signer:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "signer_directory": str(tmp_path / "signer")}
    return Signer(SignerFolder(tmp_path / "signer"), name="a.example", heartbeat_seconds=3600)


@pytest.fixture
def people() -> Iterator[None]:
    User.objects.create_superuser("root")
    User.objects.create_user("oscar")
    denials.control.forget()
    yield
    denials.control.forget()


def record() -> int:
    return ledger.event(action="system.start", actor=Actor(type="system"), source=Source(channel="engine"))


@pytest.fixture
def halted(signer: Signer) -> int:
    """A ledger that lost its second entry; returns the shard."""
    record()
    older = Head.objects.get()
    record()
    signer.look()
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE leaf_index = 1")
        cursor.execute("UPDATE audit_head SET size = 1, frontier = %s", [older.frontier])
    signer.look()
    return int(older.shard)


def run(*words: str) -> str:
    output = io.StringIO()
    call_command("ledger", *words, stdout=output)
    return output.getvalue()


def test_what_is_lost_is_shown_and_accepted_by_typing_it(
    halted: int, signer: Signer, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: f"give up {halted}")
    told = run("accept-rollback", "--reason", "restored Monday's backup", "--user", "root")
    assert f"Shard {halted}: 2 entries were signed, 1 are there" in told
    assert f"goes on in shard {halted}01" in told
    opening = Entry.objects.get(leaf_index=0, shard=int(f"{halted}01"))
    shown = ledger.disclosed(opening)
    assert (shown["actor"]["label"], shown["reason"]) == ("root", "restored Monday's backup")
    assert shown["source"]["channel"] == "cli"
    record()
    assert signer.look() == []


@pytest.mark.parametrize("typed", ["", "yes", "give up", "give up 1999"])
def test_another_text_accepts_nothing(halted: int, typed: str) -> None:
    with pytest.raises(CommandError, match=f"type 'give up {halted}'"):
        run("accept-rollback", "--reason", "x", "--confirm", typed)
    assert losses.losses_told()


def test_somebody_who_is_no_superuser_accepts_and_rotates_nothing(halted: int, people: None) -> None:
    for words in (["accept-rollback", "--confirm", f"give up {halted}"], ["rotate-key"]):
        with pytest.raises(CommandError, match="superuser"):
            run(*words, "--reason", "x", "--user", "oscar")
    with pytest.raises(CommandError, match="who may sign in"):
        run("rotate-key", "--reason", "x", "--user", "nobody")
    assert losses.losses_told()


def test_a_refusal_is_in_the_ledger(signer: Signer, people: None) -> None:
    record()
    with pytest.raises(CommandError):
        run("rotate-key", "--reason", "x", "--user", "oscar")
    assert json.loads(Entry.objects.latest("id").payload)["action"] == "authz.denied"


@pytest.mark.parametrize("words", [["rotate-key"], ["accept-rollback", "--confirm", "give up SHARD"]])
def test_a_ticket_that_is_required_is_asked_for_and_kept(
    halted: int, signer: Signer, settings: Settings, words: list[str]
) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "require_ticket": frozenset({"all"})}
    said = [word.replace("SHARD", str(halted)) for word in words]
    with pytest.raises(CommandError, match="'ticket' is required for audit"):
        run(*said, "--reason", "x")
    assert losses.losses_told()
    run("accept-rollback", "--confirm", f"give up {halted}", "--reason", "x", "--ticket", "CHG-1")
    signer.look()
    if words == ["rotate-key"]:
        run(*said, "--reason", "x", "--ticket", "CHG-1")
    assert Entry.objects.latest("id").ticket == "CHG-1"


def test_nothing_is_accepted_while_nothing_is_lost(signer: Signer) -> None:
    record()
    with pytest.raises(CommandError, match="nothing to accept"):
        run("accept-rollback", "--reason", "x", "--confirm", "give up 2026")


@pytest.mark.parametrize("reason", ["", "two\nlines"])
def test_a_reason_is_needed(signer: Signer, reason: str) -> None:
    with pytest.raises(CommandError, match="reason"):
        run("rotate-key", "--reason", reason)


def test_a_rotated_key_is_printed_for_auditors(signer: Signer, people: None) -> None:
    record()
    signer.look()
    vkey = run("rotate-key", "--reason", "a colleague left", "--user", "root").strip().splitlines()[-1]
    signer.look()
    row: Any = SignedCheckpoint.objects.latest("id")
    assert row.vkey == vkey
    assert open_note(row.note, [vkey]).size == row.size
