"""The verifier's file, run as an auditor runs it: a Python without libraries, without environment, without us."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from containers_app.audit.merkle import leaf_hash, node_hash
from containers_app.audit.notes import Checkpoint, SigningKey, sign, tlog_proof
from tests.machine import PROJECT
from tests.unit.audit.bundle_vectors import (
    AFTER_LOSS,
    CANNOT,
    FOLDER,
    FOREIGN,
    KEY,
    LAST_YEAR,
    ORIGIN,
    TAMPERED,
    VECTORS,
    VERIFIED,
    VKEYS,
    YEAR,
    Draft,
    after_loss,
    canonical,
    entry,
    honest,
    made,
    two_shards,
    zipped,
)

VERIFIER = PROJECT / "containers_app" / "audit" / "verifier" / "verify.py"
VKEY = KEY.verifier.text()


class Auditor:
    """Somebody with a copy of the file in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(VERIFIER, folder / "verify.py")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "verify.py", *arguments]
        return subprocess.run(command, cwd=self.folder, env={}, capture_output=True, text=True, timeout=60, check=False)

    def check(self, bundle: bytes, *arguments: str, vkey: str | None = VKEYS) -> dict[str, Any]:
        (self.folder / "bundle.zip").write_bytes(bundle)
        key = []
        if vkey is not None:
            (self.folder / "vkeys").write_text(vkey)
            key = ["--vkey", "vkeys"]
        done = self.run("bundle.zip", "--json", *key, *arguments)
        assert done.stderr == ""
        return {"code": done.returncode, **json.loads(done.stdout)}


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    return Auditor(tmp_path)


def all_words(found: dict[str, Any]) -> str:
    return " ".join([found["why"], *found["problems"], *found["warnings"], *found["facts"]])


def test_the_product_cannot_be_imported_where_the_verifier_runs(auditor: Auditor) -> None:
    (auditor.folder / "verify.py").write_text("import containers_app")
    done = auditor.run()
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_the_file_imports_the_standard_library_only_and_is_python_3_9() -> None:
    tree = ast.parse(VERIFIER.read_text(), feature_version=(3, 9))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {str(name).split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


@pytest.mark.parametrize("name", VECTORS)
def test_each_vector_gets_its_verdict(name: str, auditor: Auditor) -> None:
    code, word, _ = VECTORS[name]
    found = auditor.check((FOLDER / f"{name}.zip").read_bytes())
    assert (found["code"], word in all_words(found)) == (code, True), found
    assert found["verdict"] == {VERIFIED: "verified", TAMPERED: "tampered", CANNOT: "cannot verify"}[code]


@pytest.mark.parametrize("name", VECTORS)
def test_the_shipped_vectors_are_those_that_the_script_makes(name: str) -> None:
    assert (FOLDER / f"{name}.zip").read_bytes() == VECTORS[name][2]()


def test_what_is_expected_is_shipped_with_the_vectors() -> None:
    expected = json.loads((FOLDER / "expected.json").read_text())
    assert expected == {name: code for name, (code, _, _) in VECTORS.items()}
    assert {path.stem for path in FOLDER.glob("*.zip")} == set(VECTORS)
    assert (FOLDER / "vkey").read_text() == VKEYS


def test_without_a_key_of_ones_own_nothing_is_verified(auditor: Auditor) -> None:
    found = auditor.check(made(Draft()), vkey=None)
    assert (found["code"], "--vkey" in found["why"]) == (CANNOT, True)


def test_the_bundles_own_key_is_used_when_that_is_asked_for_and_nothing_is_remembered(auditor: Auditor) -> None:
    found = auditor.check(made(Draft()), "--trust-bundle-key", "--state", "state", vkey=None)
    assert found["code"] == VERIFIED
    assert "proves nothing about who signed" in found["warnings"][0]
    assert not (auditor.folder / "state").exists()
    assert auditor.check((FOLDER / "id-twice.zip").read_bytes(), "--trust-bundle-key", vkey=None)["code"] == TAMPERED


@pytest.mark.parametrize("keys", [(KEY, FOREIGN), (FOREIGN, KEY)])
@pytest.mark.parametrize("signer", [KEY, FOREIGN])
def test_each_key_of_a_name_counts(keys: tuple[SigningKey, ...], signer: SigningKey, auditor: Auditor) -> None:
    vkeys = "".join(f"{key.verifier.text()}\n" for key in keys)
    assert auditor.check(made(Draft(key=signer)), vkey=vkeys)["code"] == VERIFIED


def test_keys_can_stand_in_a_policy_of_c2sp_but_no_witness_that_would_not_be_asked(auditor: Auditor) -> None:
    policy = f"# our log\nlog {VKEY} https://log.example.org\n\nquorum none\n"
    assert auditor.check(made(Draft()), vkey=policy)["code"] == VERIFIED
    assert auditor.check(made(Draft()), vkey=f"{policy}witness w1 {VKEY}\nquorum w1\n")["code"] == CANNOT


def test_with_strict_a_warning_verifies_nothing(auditor: Auditor) -> None:
    assert auditor.check(made(Draft()), "--strict")["code"] == VERIFIED
    assert auditor.check((FOLDER / "good-rollback.zip").read_bytes(), "--strict")["code"] == CANNOT


def test_an_accepted_loss_is_told_loudly(auditor: Auditor) -> None:
    (auditor.folder / "vkeys").write_text(VKEYS)
    shutil.copy(FOLDER / "good-rollback.zip", auditor.folder / "bundle.zip")
    done = auditor.run("bundle.zip", "--vkey", "vkeys")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("VERIFIED: but signed entries were lost")
    assert "by user 7 (name " in done.stdout
    assert "of 9 signed entries of shard 2026 7 were left: the database has fewer entries" in done.stdout


def test_the_period_and_the_filter_are_told_first(auditor: Auditor) -> None:
    found = auditor.check((FOLDER / "good-period.zip").read_bytes())
    assert "2026-11-03T00:00:00.000000Z to 2026-11-05T00:00:00.000000Z. Filter: none" in found["facts"][0]
    assert "Filter: actor = 7" in auditor.check((FOLDER / "good-filtered.zip").read_bytes())["facts"][0]


def test_texts_of_the_bundle_cannot_draw_on_the_screen(auditor: Auditor) -> None:
    draft = Draft(filter={"actor": "\x1b[2J\n\u202eVERIFIED"})
    (auditor.folder / "bundle.zip").write_bytes(made(draft))
    done = auditor.run("bundle.zip", "--vkey", VKEY)
    assert done.stdout.replace("\n", "").isprintable()
    assert "\\x1b[2J\\n\\u202eVERIFIED" in done.stdout


@pytest.mark.parametrize(
    "name", [b"manifest.json", b"2026/checkpoint", b"2026/entries.jsonl", b"2026/disclosures.jsonl"]
)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b"null", b"{}", b'{"index":[]}\n', b"[" * 100_000 + b"\n"]
)
def test_whatever_stands_in_a_file_there_is_no_traceback(name: bytes, content: bytes, auditor: Auditor) -> None:
    files = Draft().files()
    files[name.decode()] = content
    bundle = zipped({"manifest.json": Draft().manifest(files)} | files)
    assert auditor.check(bundle)["code"] in (TAMPERED, CANNOT) or (content, name) == (b"", b"2026/disclosures.jsonl")


def test_a_bundle_cut_anywhere_is_never_verified(auditor: Auditor) -> None:
    whole = made(Draft())
    for length in range(0, len(whole), 97):
        assert auditor.check(whole[:length])["code"] == CANNOT


def test_help_needs_nothing(auditor: Auditor) -> None:
    done = auditor.run("--help")
    assert (done.returncode, "--trust-bundle-key" in done.stdout) == (0, True)


@pytest.mark.parametrize("vkey", ["nonsense", VKEY[:-4] + "AAA=", VKEY.replace("example", "exomple")])
def test_what_is_no_key_is_refused(vkey: str, auditor: Auditor) -> None:
    assert auditor.check(made(Draft()), vkey=vkey)["code"] == CANNOT


def test_a_key_can_be_given_as_it_is(auditor: Auditor) -> None:
    (auditor.folder / "bundle.zip").write_bytes(made(Draft()))
    assert auditor.run("bundle.zip", "--vkey", LAST_YEAR.verifier.text(), "--vkey", VKEY).returncode == VERIFIED


def test_a_folder_is_read_like_its_zip_file(auditor: Auditor) -> None:
    (auditor.folder / "bundle.zip").write_bytes(made(Draft()))
    shutil.unpack_archive(auditor.folder / "bundle.zip", auditor.folder / "bundle")
    done = auditor.run("bundle", "--vkey", VKEY)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "VERIFIED")


def test_quick_checks_the_tree_and_not_the_meaning(auditor: Auditor) -> None:
    broken = (FOLDER / "id-twice.zip").read_bytes()
    assert auditor.check(broken, "--quick")["code"] == VERIFIED
    assert auditor.check((FOLDER / "entry-changed.zip").read_bytes(), "--quick")["code"] == TAMPERED


def test_the_state_remembers_a_good_bundle_and_lets_it_grow(auditor: Auditor) -> None:
    assert auditor.check(made(Draft(entries=honest()[:4])), "--state", "state")["code"] == VERIFIED
    assert json.loads((auditor.folder / "state").read_text())[ORIGIN]["size"] == 4
    assert auditor.check(made(Draft()), "--state", "state")["code"] == VERIFIED
    assert json.loads((auditor.folder / "state").read_text())[ORIGIN]["size"] == 7


def test_a_log_that_shrank_is_found_and_the_state_stays(auditor: Auditor) -> None:
    auditor.check(made(Draft()), "--state", "state")
    found = auditor.check(made(Draft(entries=honest()[:4])), "--state", "state")
    assert (found["code"], "shrank" in all_words(found)) == (TAMPERED, True)
    assert json.loads((auditor.folder / "state").read_text())[ORIGIN]["size"] == 7


def test_a_history_that_was_rewritten_and_signed_anew_is_found(auditor: Auditor) -> None:
    auditor.check(made(Draft()), "--state", "state")
    rewritten = [honest()[0] | {"ticket": "CHG-1"}, *honest()[1:], entry(7)]
    found = auditor.check(made(Draft(entries=rewritten)), "--state", "state")
    assert (found["code"], "rewritten" in all_words(found)) == (TAMPERED, True)


def test_a_log_seen_before_that_is_not_in_the_bundle_is_named(auditor: Auditor) -> None:
    (auditor.folder / "state").write_text(json.dumps({"elsewhere/2025": {"size": 3, "root": "0" * 64}}))
    assert "elsewhere/2025" in auditor.check(made(Draft()), "--state", "state")["warnings"][0]


def remembered(auditor: Auditor) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((auditor.folder / "state").read_text())
    return known


def remember(auditor: Auditor, *, size: int, root: str = "0" * 64, origin: str = ORIGIN) -> dict[str, Any]:
    known = {origin: {"size": size, "root": root}, "elsewhere/2025": {"size": 3, "root": "1" * 64}}
    (auditor.folder / "state").write_text(json.dumps(known))
    return known


@pytest.mark.parametrize("size", [8, 9])
def test_a_loss_that_is_told_is_tampering_until_the_auditor_agrees_and_then_never_again(
    size: int, auditor: Auditor
) -> None:
    before = remember(auditor, size=size)
    found = auditor.check(after_loss(), "--state", "state")
    assert (found["code"], "add --accept-loss 2026" in all_words(found)) == (TAMPERED, True)
    assert remembered(auditor) == before
    found = auditor.check(after_loss(), "--state", "state", "--accept-loss", "2026")
    assert (found["code"], "you agreed to that" in all_words(found)) == (VERIFIED, True)
    sizes = {origin: one["size"] for origin, one in remembered(auditor).items()}
    assert sizes == {ORIGIN: 7, AFTER_LOSS.name: 5, "elsewhere/2025": 3}
    assert auditor.check(after_loss(), "--state", "state")["code"] == VERIFIED


@pytest.mark.parametrize(
    ("size", "root"),
    [(9, "1" * 64), (10, "0" * 64), (6, "0" * 64)],
    ids=["other entries of the same number", "more than were lost", "what is left was rewritten"],
)
def test_what_a_loss_does_not_explain_cannot_be_agreed_to(size: int, root: str, auditor: Auditor) -> None:
    before = remember(auditor, size=size, root=root)
    found = auditor.check(after_loss(), "--state", "state", "--accept-loss", "2026")
    assert (found["code"], "--accept-loss" in all_words(found)) == (TAMPERED, False)
    assert remembered(auditor) == before


def test_a_loss_that_nobody_tells_of_cannot_be_agreed_to(auditor: Auditor) -> None:
    remember(auditor, size=9)
    found = auditor.check(made(Draft()), "--state", "state", "--accept-loss", "2026")
    assert (found["code"], "shrank" in all_words(found)) == (TAMPERED, True)


@pytest.mark.parametrize("agreed", [[], ["--accept-loss", "2026"]])
def test_a_shard_that_was_lost_as_a_whole_is_forgotten_when_the_auditor_agrees(
    agreed: list[str], auditor: Auditor
) -> None:
    remember(auditor, size=9)
    found = auditor.check(after_loss(is_left_here=False), "--state", "state", *agreed)
    assert found["code"] == (VERIFIED if agreed else TAMPERED)
    assert (ORIGIN in remembered(auditor)) is not bool(agreed)


@pytest.mark.parametrize(
    ("bundle", "arguments", "code"),
    [
        (after_loss, ["--strict"], CANNOT),
        (lambda: made(Draft(made_at="2027-02-01T00:00:00.000000Z")), [], CANNOT),
        (lambda: made(Draft(withheld=frozenset({3}), pruned=7)), [], TAMPERED),
    ],
)
def test_only_what_is_verified_is_remembered(
    bundle: Callable[[], bytes], arguments: list[str], code: int, auditor: Auditor
) -> None:
    assert auditor.check(bundle(), "--state", "state", *arguments)["code"] == code
    assert not (auditor.folder / "state").exists()


def test_a_state_that_cannot_be_written_verifies_nothing(auditor: Auditor) -> None:
    assert auditor.check(made(Draft()), "--state", "missing/state")["code"] == CANNOT


@pytest.mark.parametrize(
    ("known", "bundle", "code"),
    [
        (LAST_YEAR.name, lambda: made(Draft()), CANNOT),
        (LAST_YEAR.name, lambda: two_shards(is_first_here=False, since="2026-11-02T00:00:00.000000Z"), VERIFIED),
        ("mycodocker.example/audit/2027", lambda: made(Draft()), CANNOT),
        ("mycodocker.example/audit/2027", lambda: two_shards(withheld=frozenset({1, 2, 3, 4}), **YEAR), VERIFIED),
    ],
)
def test_a_shard_seen_before_is_missed_where_the_period_reaches_into_it(
    known: str, bundle: Callable[[], bytes], code: int, auditor: Auditor
) -> None:
    remember(auditor, size=3, origin=known)
    found = auditor.check(bundle(), "--state", "state")
    assert (found["code"], "you saw this log at an earlier audit" in all_words(found)) == (code, True)


def test_a_bundle_that_was_made_before_its_period_was_over_says_so(auditor: Auditor) -> None:
    found = auditor.check(made(Draft(until="2026-12-31T00:00:00.000000Z")))
    assert (found["code"], found["warnings"]) == (VERIFIED, ["the bundle was made before its period was over"])


@pytest.mark.parametrize("text", ["{", "[]", '{"x": 1}', '{"x": {"size": "1", "root": ""}}'])
def test_a_state_that_cannot_be_read_verifies_nothing(text: str, auditor: Auditor) -> None:
    (auditor.folder / "state").write_text(text)
    assert auditor.check(made(Draft()), "--state", "state")["code"] == CANNOT


def test_an_open_intent_and_a_clock_that_went_back_are_warnings(auditor: Auditor) -> None:
    entries = honest()
    del entries[2]
    entries[4]["time"] = "2026-01-01T00:00:00.000000Z"
    found = auditor.check(made(Draft(entries=entries)))
    assert found["code"] == VERIFIED
    assert "1 intents have no outcome" in found["warnings"][0]
    assert "goes back 1 times" in found["warnings"][1]


def proof_of(index: int) -> str:
    leaves = [leaf_hash(canonical(one)) for one in honest()[:2]]
    note = sign(Checkpoint(ORIGIN, 2, node_hash(*leaves)), KEY)
    return tlog_proof(index=index, proof=[leaves[1 - index]], note=note)


@pytest.mark.parametrize(("index", "shown", "code"), [(0, 0, VERIFIED), (1, 1, VERIFIED), (0, 1, TAMPERED)])
def test_the_proof_of_one_entry_is_checked(index: int, shown: int, code: int, auditor: Auditor) -> None:
    (auditor.folder / "one.tlog-proof").write_text(proof_of(index))
    (auditor.folder / "one.json").write_bytes(canonical(honest()[shown]))
    assert auditor.run("one.json", "--proof", "one.tlog-proof", "--vkey", VKEY).returncode == code


def test_a_proof_under_a_key_of_another_year_proves_nothing(auditor: Auditor) -> None:
    other = SigningKey("mycodocker.example/audit/2027", Ed25519PrivateKey.generate()).verifier.text()
    (auditor.folder / "one.tlog-proof").write_text(proof_of(0))
    (auditor.folder / "one.json").write_bytes(canonical(honest()[0]))
    assert auditor.run("one.json", "--proof", "one.tlog-proof", "--vkey", other).returncode == CANNOT
    assert auditor.run("one.json", "--proof", "one.tlog-proof").returncode == CANNOT
