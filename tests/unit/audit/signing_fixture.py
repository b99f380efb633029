"""The signer's folder, fresh starts of it, a rollback, and a person who accepts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import time_machine

from containers_app.audit.models import Head, SignedCheckpoint
from containers_app.audit.signer import Signer
from containers_app.audit.signer_acts import accept_rollback, what_is_lost
from containers_app.audit.signer_folder import SignerFolder
from tests.unit.audit.signing import HEARTBEAT_SECONDS, NOON, ROOT, TERMINAL, Accept, Begin, Start, Tamper, published


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "signer"


@pytest.fixture
def signer(place: Path) -> Start:
    """A signer as a fresh start makes it."""
    return lambda: Signer(SignerFolder(place), name="a.example", heartbeat_seconds=HEARTBEAT_SECONDS)


@pytest.fixture
def accept(place: Path) -> Accept:
    """Accept what is lost, as a person does on the signer's machine; returns the new shard."""

    def accepted() -> int:
        folder = SignerFolder(place)
        reason = "restored from Monday's backup"
        return accept_rollback(folder, what_is_lost(folder), actor=ROOT, source=TERMINAL, reason=reason)

    return accepted


@pytest.fixture
def rolled_back(begin: Begin, signer: Start, tamper: Tamper) -> SignedCheckpoint:
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
