"""Notes are those of C2SP: the key and note of Go's own tests, the examples of the specifications, and what is not."""

from __future__ import annotations

import struct
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as some

from containers_app.audit.merkle import leaf_hash
from containers_app.audit.notes import (
    COSIGNATURE,
    Checkpoint,
    NoteRefused,
    SigningKey,
    VerifierKey,
    cosigned_text,
    new_key,
    open_note,
    parse_checkpoint,
    read_signing_key,
    read_verifier_key,
    sign,
    split_note,
    tlog_proof,
)

# golang.org/x/mod/sumdb/note, note_test.go.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# c2sp.org/tlog-cosignature: the checkpoint of c2sp.org/tlog-checkpoint, cosigned.
C2SP_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
C2SP_NOTE = (
    C2SP_TEXT + "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeM"
    "cTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+m"
    "bIUBkBIfZ+qnA==\n"
)
# c2sp.org/signed-note.
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
ORIGIN = "console.example/audit/2026"
CHECKPOINT = Checkpoint(ORIGIN, 3, leaf_hash(b"root"))


@pytest.fixture
def key() -> SigningKey:
    return new_key(ORIGIN)


def test_it_signs_and_verifies_what_go_does() -> None:
    go = read_signing_key(GO_SKEY)
    assert (go.secret_text(), go.verifier.text()) == (GO_SKEY, GO_VKEY)
    assert go.line(GO_TEXT) == GO_LINE
    text, ((name, blob),) = split_note(f"{GO_TEXT}\n{GO_LINE}")
    assert (text, name) == (GO_TEXT, "PeterNeumann")
    assert read_verifier_key(GO_VKEY).has_signed(GO_TEXT, blob[4:])
    assert not read_verifier_key(GO_VKEY).has_signed(GO_TEXT.upper(), blob[4:])


def test_it_reads_the_examples_of_the_specifications() -> None:
    text, signatures = split_note(C2SP_NOTE)
    assert [(name, blob[:4].hex()) for name, blob in signatures] == [
        ("example.com/behind-the-sofa", "033de0ae"),
        ("witness.example.com/w1", "8d66cf3f"),
    ]
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text() == C2SP_TEXT
    assert b"time 1679315147\nexample.com" in cosigned_text(text, signatures[1][1][4:])
    poem, ((name, _),) = split_note(POEM)
    assert poem.endswith("\n\ned è subito sera.\n")
    assert name == "quasimodo.example/salvatore"


def test_a_signed_checkpoint_opens_with_its_key(key: SigningKey) -> None:
    note = sign(CHECKPOINT, key)
    assert open_note(note, [key.verifier.text()]) == CHECKPOINT
    assert read_signing_key(key.secret_text()).verifier == key.verifier
    assert key.secret_text() not in repr(key)


def test_unknown_signatures_are_ignored_and_either_of_two_keys_opens(key: SigningKey) -> None:
    old = new_key(ORIGIN)
    note = sign(CHECKPOINT, old, key)
    for one in (old, key):
        assert open_note(note, [one.verifier.text()]) == CHECKPOINT
    with pytest.raises(NoteRefused, match="no trusted key"):
        open_note(note, [new_key(ORIGIN).verifier.text()])
    with pytest.raises(NoteRefused, match="no trusted key"):
        open_note(note, [])


def test_a_false_signature_of_a_known_key_refuses_the_note(key: SigningKey) -> None:
    other = Checkpoint(ORIGIN, 4, CHECKPOINT.root)
    swapped = sign(CHECKPOINT, key).replace(CHECKPOINT.text(), other.text())
    with pytest.raises(NoteRefused, match="false"):
        open_note(swapped, [key.verifier.text()])


def test_a_witness_cosignature_opens_with_its_time(key: SigningKey) -> None:
    witness = VerifierKey("witness.example/w", COSIGNATURE, key.verifier.public)
    seconds = struct.pack(">Q", 1_700_000_000)
    signature = key.private.sign(cosigned_text(CHECKPOINT.text(), seconds))
    line = f"— {witness.name} {b64encode(witness.id + seconds + signature).decode()}\n"
    assert open_note(f"{CHECKPOINT.text()}\n{line}", [witness.text()]) == CHECKPOINT
    later = b64encode(witness.id + struct.pack(">Q", 1_700_000_001) + signature).decode()
    with pytest.raises(NoteRefused, match="false"):
        open_note(f"{CHECKPOINT.text()}\n— {witness.name} {later}\n", [witness.text()])
    assert not witness.has_signed(CHECKPOINT.text(), b"short")


@given(some.integers(0, len(GO_VKEY) - 1))
def test_a_key_that_is_changed_in_one_place_is_refused(place: int) -> None:
    changed = GO_VKEY[:place] + chr(ord(GO_VKEY[place]) + 1) + GO_VKEY[place + 1 :]
    with pytest.raises(ValueError, match="key"):
        read_verifier_key(changed)


@pytest.mark.parametrize("text", ["", "a", "a+b", GO_VKEY, GO_SKEY[:-4], GO_SKEY.replace("c74f20a3", "c74f20a4")])
def test_what_is_no_private_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="key") as refused:
        read_signing_key(text)
    assert "AYEK" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "tab\tbed", "no\u00a0break"])
def test_a_name_that_no_signature_line_holds_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="key name"):
        new_key(name)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        GO_TEXT + "\n" + GO_LINE[:-1],
        GO_TEXT + "\n" + GO_LINE.replace("—", "-"),
        GO_TEXT + "\n" + GO_LINE.replace("x08g", "x08"),
        GO_TEXT + "\n— PeterNeumann\n",
        GO_TEXT + "\n— PeterNeumann x08gow==\n",
        GO_TEXT + "\r\n\n" + GO_LINE,
        GO_TEXT + "\n" + GO_LINE * 101,
    ],
)
def test_what_is_no_signed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteRefused):
        split_note(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n3\n",
        "origin\n03\nAAAA\n",
        "origin\n-3\nAAAA\n",
        "\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n3\nAAAA\n",
        "origin\n3\nnot base64\n",
        "origin\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        parse_checkpoint(text)


def test_a_proof_file_has_the_form_of_the_specification(key: SigningKey) -> None:
    note = sign(CHECKPOINT, key)
    written = tlog_proof(index=2, proof=[b"\x00" * 32, b"\x01" * 32], note=note)
    head, _, rest = written.partition("\n\n")
    assert head.split("\n") == [
        "c2sp.org/tlog-proof@v1",
        "index 2",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    ]
    assert open_note(rest, [key.verifier.text()]) == CHECKPOINT
    assert tlog_proof(index=0, proof=[], note=note) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}"
