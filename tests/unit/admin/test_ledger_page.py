"""The page of the ledger says above its entries whether they are signed, and where the last checkpoint went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine
from django.db import connections
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.audit.anchoring import Carrier
from containers_app.audit.appending import writable
from containers_app.audit.models import Entry, SignedCheckpoint
from containers_app.audit.published import checkpoint, status
from containers_app.audit.record import Actor, Source
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.conf import load
from containers_app.errors import AuditUnavailable
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
NOON = "2026-11-30T12:00:00Z"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(SignerFolder(tmp_path / "signer"), name="a.example", heartbeat_seconds=load().checkpoint_seconds)


@pytest.fixture
def page() -> Callable[[], str]:
    client = Client()
    client.force_login(recipes.auditor())

    def shown() -> str:
        answer = client.get(reverse("admin:audit_entry_changelist"))
        assert answer.status_code == 200
        return answer.content.decode()

    return shown


def record() -> None:
    ledger.event(action="system.start", actor=Actor(type="system"), source=Source(channel="engine"))


def test_a_ledger_that_nobody_signed_says_so(page: Callable[[], str]) -> None:
    record()
    shown = page()
    assert "Not signed yet" in shown
    assert "never" in shown


def test_a_signed_ledger_shows_its_checkpoint_and_its_anchor(
    page: Callable[[], str], signer: Signer, tmp_path: Path
) -> None:
    record()
    shown = page()
    signer.look()
    Carrier(SignerFolder(tmp_path / "signer"), replace(load(), anchor_email="auditor@example.org")).carry()
    shown = page()
    assert "Signed" in shown
    assert str(status().checkpoint.root) in shown  # type: ignore[union-attr]
    assert "email <bdi>example.org</bdi>" in shown


def test_an_entry_or_a_heartbeat_that_waits_too_long_is_late(signer: Signer) -> None:
    assert status().state == "empty"
    with time_machine.travel(NOON, tick=False) as clock:
        record()
        signer.look()
        assert status().state == "signed"
        clock.shift(load().checkpoint_seconds + 50)
        assert status().state == "signed"
        signer.look()
        record()
        clock.shift(59)
        assert status().state == "signed"
        clock.shift(2)
        assert status().state == "late"
        signer.look()
        assert status().state == "signed"
        clock.shift(load().checkpoint_seconds + 70)
        assert status().state == "late"


def test_a_halted_ledger_says_what_was_lost_and_what_to_do(page: Callable[[], str], signer: Signer) -> None:
    page()
    record()
    record()
    signer.look()
    last = Entry.objects.count() - 1
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET leaf_hash = 'no hash' WHERE leaf_index = %s", [last])
        cursor.execute("UPDATE audit_head SET frontier = 'none'")
    signer.look()
    shown = page()
    assert "Halted" in shown
    assert "the tree in the database is damaged" in shown
    assert "manage.py ledger accept-rollback" in shown


def test_an_outside_anchor_that_is_too_old_is_late(page: Callable[[], str], signer: Signer, tmp_path: Path) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        record()
        signer.look()
        Carrier(SignerFolder(tmp_path / "signer"), replace(load(), anchor_email="auditor@example.org")).carry()
        clock.shift(load().anchor_late_seconds)
        assert status().outside_state == "current"
        clock.shift(1)
        told = status()
        assert told.outside_state == "late"
        assert told.outside is not None
        assert told.outside.age_seconds == load().anchor_late_seconds + 1


def test_an_anchor_that_was_never_reached_is_late_once_it_had_the_time(
    page: Callable[[], str], signer: Signer, settings: Settings
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        record()
        signer.look()
        clock.shift(load().anchor_late_seconds + 1)
        assert status().outside_state == "none"
        settings.MYCODOCKER = {**settings.MYCODOCKER, "anchor_syslog": "/dev/log"}
        assert status().outside_state == "late"
        settings.MYCODOCKER = {**settings.MYCODOCKER, "anchor_late_seconds": 0.0}
        assert status().outside_state == "none"


COPY = (
    "INSERT INTO audit_checkpoint (shard, origin, size, root, vkey, note, signed_at)"
    " SELECT shard, origin, size, root, vkey, note, %s FROM audit_checkpoint WHERE id = %s"
)
ARRIVED = (
    "INSERT INTO audit_anchoring (at, kind, target, shard, size, root, is_done, error, receipt)"
    " VALUES (%s, 'email', 'example.org', 2026, %s, 'x', TRUE, '', '')"
)


def insert(statement: str, *values: str | int) -> None:
    """With no more than what the role that writes may do."""
    with connections["audit"].cursor() as cursor:
        cursor.execute(statement, values)


def test_a_copy_of_an_older_checkpoint_is_not_the_newest(signer: Signer) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        record()
        signer.look()
        first = SignedCheckpoint.objects.get().pk
        record()
        signer.look()
        insert(COPY, "2026-11-30 12:00:00", first)
        assert checkpoint().size == 2
        record()
        insert(COPY, "2026-11-30 12:02:00", first)
        clock.shift(100)
        assert status().state == "late"


@pytest.mark.parametrize("false", [{"size": 3}, {"root": "ab" * 32}, {"vkey": "x"}, {"note": "x"}])
def test_a_checkpoint_whose_columns_are_not_what_was_signed_is_not_shown(
    signer: Signer, false: dict[str, object]
) -> None:
    for _ in range(3):
        record()
        signer.look()
    _first, second, third = SignedCheckpoint.objects.order_by("id")
    row = second if "size" in false else third
    told = {name: getattr(row, name) for name in ("shard", "origin", "size", "root", "vkey", "note", "signed_at")}
    writable(SignedCheckpoint).bulk_create([SignedCheckpoint(**(told | false))])
    assert (checkpoint().size, checkpoint().note) == (3, third.note)


def test_a_checkpoint_of_the_future_is_late_until_the_signer_looks_again(
    signer: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    with time_machine.travel(NOON, tick=False):
        record()
        signer.look()
        insert(COPY, "2099-01-01 00:00:00", SignedCheckpoint.objects.get().pk)
        assert status().state == "late"
        signer.look()
        assert status().state == "signed"
        assert "another one than this signer wrote" in caplog.text


@pytest.mark.parametrize(("at", "size"), [("2099-01-01 00:00:00", 1), ("2026-11-30 12:00:00", 7)])
def test_an_arrival_that_the_signer_does_not_know_is_found_and_a_true_one_follows(
    signer: Signer, tmp_path: Path, at: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    with time_machine.travel(NOON, tick=False):
        record()
        signer.look()
        carrier = Carrier(SignerFolder(tmp_path / "signer"), replace(load(), anchor_email="auditor@example.org"))
        carrier.carry()
        insert(ARRIVED, at, size)
        assert status().outside_state == ("late" if "2099" in at else "current")
        assert len(carrier.carry()) == 1
        assert carrier.carry() == []
        told = status()
        assert told.outside is not None
        assert (told.outside_state, told.outside.size, told.outside.age_seconds) == ("current", 1, 0)
        assert "another one than this signer wrote" in caplog.text


def test_a_head_that_takes_no_entry_is_told(page: Callable[[], str], signer: Signer) -> None:
    page()
    insert("INSERT INTO audit_head (shard, size, frontier) VALUES (2090, 3, 'no frontier')")
    with pytest.raises(AuditUnavailable):
        record()
    assert "the head of shard 2090 is no head of a tree" in status().why
