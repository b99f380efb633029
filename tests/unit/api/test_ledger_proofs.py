"""What an auditor takes away checks out with nothing but the published key, and says why when there is nothing yet."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.test import Client

from containers_app.audit import ledger
from containers_app.audit.anchoring import Carrier
from containers_app.audit.merkle import leaf_hash
from containers_app.audit.notes import open_note
from containers_app.audit.proofs import is_consistent, is_included
from containers_app.audit.record import Actor, Source
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.conf import load
from tests import recipes
from tests.unit.api.conftest import silent

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
SYSTEM, INSIDE = Actor(type="system"), Source(channel="engine")


@pytest.fixture
def auditor(with_key: Callable[..., Client]) -> Client:
    return with_key(recipes.auditor(), "ledger")


@pytest.fixture
def stranger(with_key: Callable[..., Client]) -> Client:
    return with_key(recipes.stranger(), "ledger")


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(SignerFolder(tmp_path / "signer"), name="a.example", heartbeat_seconds=3600)


@pytest.fixture
def grow(signer: Signer) -> Callable[[int], None]:
    """Record so many entries and sign them."""

    def grown(entries: int) -> None:
        for _ in range(entries):
            ledger.event(action="system.start", actor=SYSTEM, source=INSIDE)
        signer.look()

    return grown


def body(client: Client, address: str) -> Any:
    answer = client.get(f"/api/ledger/{address}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def refusal(client: Client, address: str, status: int) -> str:
    answer = client.get(f"/api/ledger/{address}")
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def test_the_checkpoint_opens_with_its_key(auditor: Client, grow: Callable[[int], None]) -> None:
    grow(5)
    shown = body(auditor, "checkpoint")
    checkpoint = open_note(shown["checkpoint"], [shown["vkey"]])
    assert (checkpoint.origin, checkpoint.size) == (shown["origin"], shown["size"])
    assert checkpoint.root.hex() == shown["root"]
    assert shown["size"] >= 5
    assert (shown["lastOutsideAnchor"], shown["outsideAnchorState"]) == (None, "none")
    assert body(auditor, f"checkpoint?shard={shown['shard']}") == shown


def test_the_proof_of_an_entry_is_a_file_that_checks_out(auditor: Client, grow: Callable[[int], None]) -> None:
    grow(7)
    vkey = body(auditor, "checkpoint")["vkey"]
    payload = body(auditor, "entries/3")["payload"]
    answer = auditor.get("/api/ledger/entries/3/proof")
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["Content-Disposition"].endswith('-3.tlog-proof"')
    head, _, note = answer.content.decode().partition("\n\n")
    first, index, *hashes = head.split("\n")
    checkpoint = open_note(note, [vkey])
    assert (first, index) == ("c2sp.org/tlog-proof@v1", "index 3")
    proof = [b64decode(one) for one in hashes]
    leaf = leaf_hash(payload.encode())
    assert is_included(leaf, index=3, size=checkpoint.size, root=checkpoint.root, proof=proof)


def test_a_look_at_the_checkpoint_is_told(auditor: Client, grow: Callable[[int], None]) -> None:
    grow(3)
    body(auditor, "checkpoint")
    look = ledger.entries()[0]
    assert (look.action, look.object_id) == ("audit.view_checkpoint", f"{look.shard}/3")


def test_growth_between_two_sizes_checks_out(auditor: Client, grow: Callable[[int], None]) -> None:
    grow(9)
    shown = body(auditor, "consistency?from=4&to=9")
    proof = [b64decode(one) for one in shown["proof"]]
    roots = {name: b64decode(shown[f"{name}Root"]) for name in ("from", "to")}
    assert is_consistent(4, 9, first_root=roots["from"], second_root=roots["to"], proof=proof)


def test_an_entry_that_no_checkpoint_covers_yet_says_so(auditor: Client, grow: Callable[[int], None]) -> None:
    assert "no entry yet" in refusal(auditor, "checkpoint", 404)
    ledger.event(action="system.start", actor=SYSTEM, source=INSIDE)
    assert "No checkpoint is signed yet" in refusal(auditor, "checkpoint", 404)
    grow(2)
    ledger.event(action="system.start", actor=SYSTEM, source=INSIDE)
    assert "covers this entry yet" in refusal(auditor, "entries/3/proof", 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "from"),
        ("?from=1", "to"),
        ("?from=0&to=2", "from"),
        ("?from=2&to=1", "to"),
        ("?from=1&to=99999", "to"),
        ("?from=x&to=2", "from"),
        ("?from=1&to=2&shard=20", "shard"),
    ],
)
def test_sizes_that_the_shard_does_not_have_are_refused(
    auditor: Client, grow: Callable[[int], None], query: str, field: str
) -> None:
    grow(3)
    assert f"'{field}'" in refusal(auditor, f"consistency{query}", 400)


def test_a_shard_that_is_not_there_is_not_found(auditor: Client, grow: Callable[[int], None]) -> None:
    grow(1)
    for address in ("checkpoint?shard=1999", "consistency?from=1&to=1&shard=202699", "entries/0/proof?shard=1999"):
        refusal(auditor, address, 404)


def test_a_damaged_tree_gives_no_proof(auditor: Client, grow: Callable[[int], None]) -> None:
    grow(4)
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE leaf_index = 1")
    assert "lacks the hash of entry 1" in refusal(auditor, "entries/0/proof", 404)
    assert "lacks the hash of entry 1" in refusal(auditor, "consistency?from=1&to=4", 404)


def test_an_operator_proves_only_what_they_did_themselves(operator: Client, grow: Callable[[int], None]) -> None:
    grow(1)
    refusal(operator, "entries/0/proof", 404)
    assert body(operator, "checkpoint")["size"] >= 1


def test_a_stranger_gets_nothing(stranger: Client, grow: Callable[[int], None]) -> None:
    grow(1)
    for address in ("checkpoint", "entries/0/proof", "consistency?from=1&to=1"):
        refusal(stranger, address, 403)


def test_the_last_outside_anchor_is_given_with_its_age(
    auditor: Client, grow: Callable[[int], None], tmp_path: Path
) -> None:
    with time_machine.travel("2026-11-30T12:00:00Z", tick=False) as clock:
        grow(5)
        Carrier(SignerFolder(tmp_path / "signer"), replace(load(), anchor_email="auditor@example.org")).carry()
        clock.shift(load().anchor_late_seconds + 1)
        shown = body(auditor, "checkpoint")
        ready = auditor.get("/readyz").json()
    last = shown["lastOutsideAnchor"]
    assert (last["kind"], last["target"], last["ageSeconds"]) == ("email", "example.org", 86_401)
    assert shown["outsideAnchorState"] == "late"
    assert ready["ledger"] == {
        "state": "late",
        "outsideAnchor": "late",
        "outsideAnchorAgeSeconds": 86_401,
        "verification": "none",
        "verificationAgeSeconds": None,
    }


def test_readiness_says_nothing_of_a_ledger_that_does_not_answer(auditor: Client) -> None:
    with silent("audit"):
        ready = auditor.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["ledger"] == {}
