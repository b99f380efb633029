from __future__ import annotations

import dataclasses
import json
import traceback
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from containers_app.errors import InvalidRequest
from containers_app.specs import encoding as module
from containers_app.specs.encoding import Encoding, read_encoding

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
PASSPHRASE = "hunter2-the-passphrase"


def ssh_key(private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    return private.public_key().public_bytes(KeyEncoding.OpenSSH, PublicFormat.OpenSSH).decode()


SSH_KEYS = (
    ssh_key(ed25519.Ed25519PrivateKey.generate()),
    ssh_key(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
)


@pytest.mark.parametrize(
    ("compression", "expected"),
    [
        (None, Encoding()),
        ("none", Encoding()),
        ("gzip", Encoding(codec="gzip")),
        ("zstd", Encoding(codec="zstd")),
        ({"codec": "none"}, Encoding()),
        ({"codec": "gzip", "level": 0, "threads": 1}, Encoding(codec="gzip", level=0)),
        ({"codec": "gzip", "level": 3}, Encoding(codec="gzip", level=3)),
        ({"codec": "zstd", "level": 1, "threads": 8}, Encoding(codec="zstd", level=1, threads=8)),
        ({"codec": "zstd", "level": 19, "threads": None}, Encoding(codec="zstd", level=19)),
        ({"codec": "zstd", "level": None, "threads": 2}, Encoding(codec="zstd", threads=2)),
    ],
)
def test_it_reads_a_compression(compression: object, expected: Encoding):
    assert read_encoding(compression, None) == expected


@pytest.mark.parametrize(
    "compression",
    [
        "",
        "ZSTD",
        "lz4",
        True,
        3,
        [],
        ["zstd"],
        {},
        {"level": 3},
        {"codec": None},
        {"codec": "lz4"},
        {"codec": ["zstd"]},
        {"codec": "none", "level": 1},
        {"codec": "none", "threads": 1},
        {"codec": "zstd", "window": 27},
        {"codec": "zstd", "level": 0},
        {"codec": "zstd", "level": 20},
        {"codec": "zstd", "level": "3"},
        {"codec": "zstd", "level": 3.0},
        {"codec": "zstd", "level": True},
        {"codec": "zstd", "threads": 0},
        {"codec": "zstd", "threads": 9},
        {"codec": "zstd", "threads": True},
        {"codec": "gzip", "level": -1},
        {"codec": "gzip", "level": 4},
        {"codec": "gzip", "level": False},
        {"codec": "gzip", "threads": 2},
    ],
)
def test_it_refuses_every_other_compression(compression: object):
    with pytest.raises(InvalidRequest, match=r"options\.compression") as caught:
        read_encoding(compression, None)
    assert caught.value.field == "options.compression"


@pytest.mark.parametrize(
    ("compression", "words"),
    [
        ("lz4", "must be one of none, gzip, zstd"),
        ({"codec": "zstd", "level": 20}, "'level' of zstd a whole number, 1 to 19"),
        ({"codec": "gzip", "level": 9}, "'level' of gzip a whole number, 0 to 3"),
        ({"codec": "gzip", "threads": 4}, "'threads' of gzip 1"),
        ({"codec": "none", "level": 1}, "leave out 'level' and 'threads'"),
        ({"codec": "zstd", "window": 1}, "takes 'codec', 'level' and 'threads'"),
    ],
)
def test_a_refusal_says_what_is_possible(compression: object, words: str):
    with pytest.raises(InvalidRequest, match=words):
        read_encoding(compression, None)


@pytest.mark.parametrize(
    "recipient",
    [RECIPIENT, *SSH_KEYS, f"{SSH_KEYS[0]} somebody@somewhere"],
    ids=["age", "ed25519", "rsa", "with a comment"],
)
def test_it_reads_recipients_of_age_and_ssh(recipient: str):
    found = read_encoding("zstd", {"recipients": [recipient, RECIPIENT]})
    assert found == Encoding(codec="zstd", recipients=(recipient, RECIPIENT))
    assert found.encrypted


@pytest.mark.parametrize("passphrase", [PASSPHRASE, "8 enough", "ä" * 1024, "with spaces and 'quotes\""])
def test_it_reads_a_passphrase(passphrase: str):
    assert read_encoding(None, {"passphrase": passphrase}) == Encoding(passphrase=passphrase)


@pytest.mark.parametrize(
    "encryption",
    [
        "age",
        True,
        [],
        [RECIPIENT],
        {},
        {"recipients": None},
        {"recipients": []},
        {"recipients": RECIPIENT},
        {"recipients": [RECIPIENT] * 21},
        {"recipients": [RECIPIENT, 1]},
        {"recipients": [RECIPIENT, None]},
        {"recipients": [RECIPIENT[:-1]]},
        {"recipients": [RECIPIENT.upper()]},
        {"recipients": [f" {RECIPIENT}"]},
        {"recipients": [f"{RECIPIENT}\n"]},
        {"recipients": [f"{RECIPIENT}\n{RECIPIENT}"]},
        {"recipients": [RECIPIENT[:20] + ("q" if RECIPIENT[20] != "q" else "p") + RECIPIENT[21:]]},
        {"recipients": ["ssh-ed25519 AAAA"]},
        {"recipients": ["ssh-rsa " + "A" * 3000]},
        {"recipients": [""]},
        {"passphrase": None},
        {"passphrase": ""},
        {"passphrase": "7 chars"},
        {"passphrase": "x" * 1025},
        {"passphrase": "two\nlines"},
        {"passphrase": "a surrogate \ud800"},
        {"passphrase": 12345678},
        {"passphrase": PASSPHRASE, "recipients": [RECIPIENT]},
        {"passphrase": PASSPHRASE, "hint": "the usual one"},
        {"recipients": [RECIPIENT], "armor": True},
    ],
)
def test_it_refuses_every_other_encryption(encryption: object):
    with pytest.raises(InvalidRequest, match=r"options\.encryption") as caught:
        read_encoding("zstd", encryption)
    assert caught.value.field == "options.encryption"


@pytest.mark.parametrize(
    "encryption",
    [
        {"recipients": [str(IDENTITY)]},
        {"recipients": [str(IDENTITY).lower()]},
        {"passphrase": "hunter2"},
        {"passphrase": f"{PASSPHRASE}\n"},
        {"passphrase": PASSPHRASE, "recipients": []},
        {"recipients": [PASSPHRASE]},
        {PASSPHRASE: "passphrase"},
        PASSPHRASE,
        [PASSPHRASE],
    ],
)
def test_a_refusal_repeats_no_secret(encryption: Any):
    with pytest.raises(InvalidRequest) as caught:
        read_encoding(None, encryption)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
    assert str(IDENTITY)[:20] not in shown.upper()


def test_who_sends_a_secret_key_is_told_so():
    with pytest.raises(InvalidRequest, match="has a secret key as recipient 2: send the public one"):
        read_encoding(None, {"recipients": [RECIPIENT, str(IDENTITY)]})


@pytest.mark.parametrize(
    ("encoding", "suffix"),
    [
        (Encoding(), ""),
        (Encoding(codec="gzip"), ".gz"),
        (Encoding(codec="zstd"), ".zst"),
        (Encoding(recipients=(RECIPIENT,)), ".age"),
        (Encoding(codec="gzip", passphrase=PASSPHRASE), ".gz.age"),
        (Encoding(codec="zstd", recipients=(RECIPIENT,)), ".zst.age"),
    ],
)
def test_the_suffix_says_what_to_undo_from_its_end(encoding: Encoding, suffix: str):
    assert encoding.suffix == suffix
    assert encoding.plain is (suffix == "")
    assert encoding.encrypted is suffix.endswith(".age")


def test_the_recorded_form_names_the_level_that_is_used_and_no_passphrase():
    assert Encoding(codec="zstd", recipients=(RECIPIENT,)).shown == {
        "codec": "zstd",
        "level": 3,
        "threads": 1,
        "encryption": "age",
        "keys": "recipients",
        "recipients": [RECIPIENT],
    }
    secret = Encoding(codec="gzip", level=0, passphrase=PASSPHRASE)
    assert (secret.shown["level"], secret.shown["keys"], secret.shown["recipients"]) == (0, "passphrase", [])
    assert PASSPHRASE not in json.dumps(secret.shown) + repr(secret)
    assert Encoding().shown["level"] is Encoding().shown["encryption"] is Encoding().shown["keys"] is None


def test_an_encoding_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Encoding().codec = "zstd"  # type: ignore[misc]  # what it tries


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.text(max_size=8) | st.sampled_from(module.CODECS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["codec", "level", "threads", "recipients", "passphrase", "x"]), inner)
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_any_json_is_read_or_refused(compression: object, encryption: object):
    found = Encoding()
    refusal = None
    try:
        found = read_encoding(compression, encryption)
    except InvalidRequest as error:
        refusal = error.field
    assert refusal in (None, "options.compression", "options.encryption")
    assert found.codec in module.CODECS
    assert 1 <= found.threads <= module.MOST_THREADS
