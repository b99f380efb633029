"""`manage.py ledger verify`, `ledger bundle` and `ledger checkpoint`: what an auditor asks of the machine itself."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connections

from containers_app.audit import ledger
from containers_app.audit.ledger import Actor, Source
from containers_app.audit.merkle import Frontier, leaf_hash
from containers_app.audit.models import Entry, SignedCheckpoint
from containers_app.audit.notes import new_key
from containers_app.audit.signer import Signer
from containers_app.audit.signer_folder import SignerFolder
from containers_app.workflows.evidence_pack import pack
from containers_app.workflows.evidence_pack.document import NoPdf
from tests import recipes
from tests.unit.api.conftest import silent
from tests.unit.audit.test_verifier import Auditor, all_words

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
Signed = Callable[[], None]


def command(*arguments: str) -> tuple[int, str]:
    """The exit code, and what is printed."""
    printed = io.StringIO()
    try:
        call_command("ledger", *arguments, stdout=printed)
    except SystemExit as ended:
        return int(str(ended.code)), printed.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, printed.getvalue()


def tamper(statement: str, *parameters: str | int) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.fixture
def sign(tmp_path: Path) -> Signed:
    """A function: let the signer look once."""
    signer = Signer(SignerFolder(tmp_path / "signer"), name="a.example", heartbeat_seconds=3600)
    return lambda: (signer.look(), None)[1]


@pytest.fixture
def signed(sign: Signed) -> SignedCheckpoint:
    """Three entries under a checkpoint, and one that came later."""
    for number in range(3):
        record(number)
    sign()
    record(3)
    return SignedCheckpoint.objects.get()


def record(number: int) -> None:
    actor = Actor(type="user", id=str(number), label="alice")
    ledger.event(action="auth.login", actor=actor, source=Source(channel="ui"), ticket=f"CHG-{number}")


def test_an_untouched_ledger_is_verified(signed: SignedCheckpoint) -> None:
    code, printed = command("verify")
    assert (code, printed.splitlines()[-1]) == (0, "VERIFIED")
    assert "4 entries, 1 checkpoints" in printed
    assert command("verify", "--quick", "--vkey", signed.vkey)[0] == 0
    told = [json.loads(row.payload)["details"] for row in ledger.entries().filter(action="audit.verify")]
    assert [(one["verdict"], one["quick"], one["ownKeys"]) for one in told] == [
        ("verified", True, 1),
        ("verified", False, 0),
    ]


def test_the_verdict_can_be_one_object(signed: SignedCheckpoint) -> None:
    body = json.loads(command("verify", "--json")[1])
    assert (body["verdict"], body["shards"][0]["size"], body["shards"][0]["problems"]) == ("verified", 4, [])


def test_an_empty_ledger_or_shard_cannot_be_verified(signed: SignedCheckpoint) -> None:
    assert command("verify", "--shard", "1999")[0] == 2


@pytest.mark.parametrize(
    ("statement", "words", "is_seen_quickly"),
    [
        ("UPDATE audit_entry SET payload = replace(payload, 'CHG-1', 'CHG-9')", "stored hash", True),
        ("UPDATE audit_entry SET ticket = 'x' WHERE leaf_index = 1", "ticket is not what the payload says", False),
        ("DELETE FROM audit_entry WHERE leaf_index = 3", "the head counts 4", True),
        ("UPDATE audit_head SET frontier = 'ab'", "not the one of the head", True),
        ("UPDATE audit_checkpoint SET note = replace(note, '\n3\n', '\n4\n')", "is not good", True),
        ("UPDATE audit_checkpoint SET vkey = 'x'", "is not good", True),
    ],
)
def test_what_was_changed_is_tampered(
    statement: str, words: str, is_seen_quickly: bool, signed: SignedCheckpoint
) -> None:
    tamper(statement)
    code, printed = command("verify")
    assert (code, words in printed, printed.splitlines()[-1]) == (1, True, "TAMPERED")
    assert command("verify", "--quick")[0] == (1 if is_seen_quickly else 0)


def test_a_history_that_was_rewritten_with_all_its_hashes_is_found_by_the_checkpoint(
    signed: SignedCheckpoint, tmp_path: Path
) -> None:
    tree = Frontier()
    for row in Entry.objects.order_by("leaf_index"):
        payload = row.payload.replace("CHG-1", "CHG-9")
        leaf = leaf_hash(payload.encode())
        tree = tree.append(leaf)
        tamper("UPDATE audit_entry SET payload = %s, leaf_hash = %s WHERE id = %s", payload, leaf.hex(), row.pk)
    tamper("UPDATE audit_entry SET ticket = replace(ticket, 'G-1', 'G-9')")
    tamper("UPDATE audit_head SET frontier = %s", tree.to_text())
    code, printed = command("verify")
    assert (code, "not those that a checkpoint has signed" in printed) == (1, True)


def test_a_key_from_elsewhere_does_not_trust_the_database(signed: SignedCheckpoint) -> None:
    other = new_key(signed.origin).verifier.text()
    code, printed = command("verify", "--vkey", other)
    assert (code, "signed by none of your keys" in printed, printed.splitlines()[-1]) == (2, True, "CANNOT VERIFY")
    assert command("verify", "--vkey", other, "--vkey", signed.vkey)[0] == 0
    code, printed = command("verify", "--vkey", "nonsense")
    assert (code, "'vkey' must be a verifier key" in printed) == (2, True)
    tamper("UPDATE audit_entry SET payload = replace(payload, 'CHG-1', 'CHG-9')")
    assert command("verify", "--vkey", other)[0] == 1


def test_a_database_that_does_not_answer_cannot_be_verified(signed: SignedCheckpoint) -> None:
    with silent("audit"):
        assert command("verify")[0] == 2


def test_a_bundle_is_written_for_its_owner_and_verified_elsewhere(signed: SignedCheckpoint, tmp_path: Path) -> None:
    target = tmp_path / "audit.zip"
    code, printed = command("bundle", "--output", str(target), "--since", "2020-01-01", "--reason", "the yearly audit")
    assert (code, "3 entries, from" in printed) == (0, True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    found = Auditor(tmp_path).check(target.read_bytes(), vkey=signed.vkey)
    assert (found["code"], found["problems"]) == (0, [])
    rows = ledger.entries().filter(action="audit.export").order_by("id")
    assert list(rows.values_list("phase", "outcome", "channel")) == [
        ("intent", "", "cli"),
        ("outcome", "success", "cli"),
    ]


def test_a_filtered_bundle_says_how_much_it_shows(signed: SignedCheckpoint, tmp_path: Path) -> None:
    target = tmp_path / "audit.zip"
    body = json.loads(command("bundle", "--output", str(target), "--filter", "ticket=CHG-1", "--json")[1])
    assert (body["entries"], body["newer"]) == (1, 2)
    assert "cannot be proved" in all_words(Auditor(tmp_path).check(target.read_bytes(), vkey=signed.vkey))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--filter", "ticket"),
        ("--filter", "who=x"),
        ("--since", "2026-02-01", "--until", "2026-01-01"),
    ],
)
def test_a_wrong_wish_writes_nothing(arguments: tuple[str, ...], signed: SignedCheckpoint, tmp_path: Path) -> None:
    target = tmp_path / "audit.zip"
    assert command("bundle", "--output", str(target), *arguments)[0] == 2
    assert not target.exists()


def test_a_file_that_is_there_is_not_overwritten(signed: SignedCheckpoint, tmp_path: Path) -> None:
    (tmp_path / "audit.zip").write_text("mine")
    assert command("bundle", "--output", str(tmp_path / "audit.zip"))[0] == 2
    assert (tmp_path / "audit.zip").read_text() == "mine"


@pytest.mark.parametrize("output", ["no-such-folder/audit.zip"])
def test_a_bundle_that_fails_is_a_failure_in_the_ledger(output: str, signed: SignedCheckpoint, tmp_path: Path) -> None:
    assert command("bundle", "--output", str(tmp_path / output))[0] == 2
    row = ledger.entries().get(action="audit.export", phase="outcome")
    assert row.outcome == "failure"


def test_a_bundle_without_a_checkpoint_is_a_failure(tmp_path: Path) -> None:
    code, printed = command("bundle", "--output", str(tmp_path / "audit.zip"))
    assert (code, "no signed checkpoint" in printed) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_user_without_the_right_gets_no_bundle(signed: SignedCheckpoint, tmp_path: Path) -> None:
    recipes.operator("olga")
    recipes.auditor("aude")
    code, _ = command("bundle", "--output", str(tmp_path / "a.zip"), "--user", "olga")
    assert (code, (tmp_path / "a.zip").exists()) == (2, False)
    assert ledger.entries().filter(action="authz.denied").count() == 1
    assert command("bundle", "--output", str(tmp_path / "a.zip"), "--user", "aude")[0] == 0


def test_the_newest_checkpoint_is_shown_with_its_key(signed: SignedCheckpoint) -> None:
    code, printed = command("checkpoint")
    assert (code, signed.note in printed, f"key: {signed.vkey}" in printed) == (0, True, True)
    body: dict[str, Any] = json.loads(command("checkpoint", "--shard", str(signed.shard), "--json")[1])
    assert (body["size"], body["note"]) == (3, signed.note)


def test_without_a_checkpoint_there_is_none_to_show() -> None:
    assert command("checkpoint")[0] == 2
    record(0)
    assert command("checkpoint")[0] == 2


def test_an_evidence_pack_is_written_with_who_asked_and_why(
    signed: SignedCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "pdf_of", lambda html: b"%PDF")
    recipes.auditor("aude")
    target = tmp_path / "evidence.zip"
    wish = ("--user", "aude", "--reason", "the yearly audit", "--ticket", "AUD-9", "--rto-goal", "900")
    code, printed = command("evidence", "--output", str(target), "--since", "2020-01-01", *wish)
    assert (code, "3 entries, from" in printed) == (0, True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with zipfile.ZipFile(target) as archive:
        cover = json.loads(archive.read("evidence.json"))["cover"]
        bundle = archive.read("bundle.zip")
    assert [cover["asked"][name] for name in ("by", "reason", "ticket")] == ["aude", "the yearly audit", "AUD-9"]
    assert (cover["checkpoints"][0]["note"], cover["goals"]["rto_seconds"]) == (signed.note, 900)
    assert Auditor(tmp_path).check(bundle, vkey=signed.vkey)["code"] == 0
    rows = ledger.entries().filter(action="audit.export").order_by("id")
    assert list(rows.values_list("phase", "outcome", "ticket")) == [("intent", "", "AUD-9"), ("outcome", "success", "")]


def test_an_evidence_pack_without_its_pdf_ends_with_three(
    signed: SignedCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(html: str) -> NoReturn:
        raise NoPdf("install the libraries")

    monkeypatch.setattr(pack, "pdf_of", refuse)
    code, printed = command("evidence", "--output", str(tmp_path / "evidence.zip"), "--period", "this-year")
    assert (code, "WARNING: install the libraries" in printed) == (3, True)
    with zipfile.ZipFile(tmp_path / "evidence.zip") as archive:
        assert "evidence.pdf" not in archive.namelist()


@pytest.mark.parametrize(
    "arguments", [("--since", "yesterday"), ("--period", "last-year", "--until", "2026-01-01"), ("--rto-goal", "0")]
)
def test_a_wrong_wish_for_evidence_runs_nothing(
    arguments: tuple[str, ...], signed: SignedCheckpoint, tmp_path: Path
) -> None:
    assert command("evidence", "--output", str(tmp_path / "evidence.zip"), *arguments)[0] == 2
    assert not ledger.entries().filter(action="audit.export").exists()


def test_an_operator_gets_no_evidence(signed: SignedCheckpoint, tmp_path: Path) -> None:
    recipes.operator("olga")
    code, _ = command("evidence", "--output", str(tmp_path / "evidence.zip"), "--user", "olga")
    assert (code, list(tmp_path.glob("*.zip"))) == (2, [])
    assert ledger.entries().filter(action="authz.denied").count() == 1


def test_who_may_export_and_not_see_containers_gets_no_evidence(signed: SignedCheckpoint, tmp_path: Path) -> None:
    user = recipes.stranger("eve")
    user.user_permissions.add(Permission.objects.get(codename="export_ledger"))
    assert command("evidence", "--output", str(tmp_path / "evidence.zip"), "--user", "eve")[0] == 2
    assert list(tmp_path.glob("*.zip")) == []
    assert ledger.entries().filter(action="authz.denied").count() == 1
