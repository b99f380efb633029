"""What callers hand over is made fit for the ledger: bounded, printable, without secrets."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from containers_app.audit.canonical import Unrecordable, canonical
from containers_app.audit.values import MOST_CHARACTERS, REDACTED, looks_secret, printable, recordable

DIGEST = "sha256:" + "ab" * 32


def test_plain_text_stays_as_it_is() -> None:
    assert printable("web-1 Größe 容器 \\u0000") == "web-1 Größe 容器 \\u0000"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\nb", "a\\u000ab"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\x00", "\\u0000"),
        ("\x7f\x9b", "\\u007f\\u009b"),
        ("\ud800", "\\ud800"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("\u2028\u200b\ufeff", "\\u2028\\u200b\\ufeff"),
    ],
)
def test_characters_that_draw_or_reorder_are_written_out(text: str, safe: str) -> None:
    assert printable(text) == safe


@given(some.text(), some.integers(80, 600))
def test_printable_text_is_bounded_and_has_a_canonical_form(text: str, most: int) -> None:
    safe = printable(text, most)
    assert len(safe) <= most
    assert canonical(safe)


def test_long_text_still_says_which_text_it_was() -> None:
    text = "x" * 100_000
    assert printable(text).endswith("…sha256:" + hashlib.sha256(text.encode()).hexdigest())
    assert len(printable(text)) == MOST_CHARACTERS
    assert printable("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS


@pytest.mark.parametrize(
    "key",
    [
        *("password", "dbPassword", "DB_PASSWORD", "secret-key", "clientSecret", "env", "containerEnv", "Env"),
        *("environment", "apiToken", "api_key", "APIKey", "private_key", "credentials", "cookie", "Authorization"),
    ],
)
def test_under_a_key_that_looks_secret_the_value_is_redacted(key: str) -> None:
    assert recordable({key: "hunter2"}) == {key: REDACTED}
    assert recordable({"options": [{key: ["A=hunter2"]}]}) == {"options": [{key: REDACTED}]}
    assert recordable({key: 1234}) == {key: REDACTED}


@pytest.mark.parametrize("value", [True, False, None, DIGEST, "hmac:k1:" + "ab" * 32])
def test_a_digest_or_a_flag_stays_under_such_a_key(value: object) -> None:
    assert recordable({"password": value}) == {"password": value}


@pytest.mark.parametrize("key", ["name", "environmental", "envelope", "tokenizer", "monkey", "keyboard", "bypass"])
def test_other_keys_do_not_look_secret(key: str) -> None:
    assert not looks_secret(key)


def test_text_is_made_printable_at_every_depth() -> None:
    assert recordable({"a": ["\n", {"b": ("\t", 5, None, True)}]}) == {
        "a": ["\\u000a", {"b": ["\\u0009", 5, None, True]}]
    }


@pytest.mark.parametrize("value", [1.5, b"bytes", datetime(2026, 1, 1, tzinfo=UTC), {"a"}, object()])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(Unrecordable):
        recordable({"name": value})


@pytest.mark.parametrize("key", ["ü", "a\n", 5, None, "\u202e"])
def test_keys_that_are_not_printable_ascii_are_refused(key: Any) -> None:
    with pytest.raises(Unrecordable):
        recordable({"options": {key: 1}})


def test_nesting_is_refused_before_the_interpreter_does() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unrecordable):
        recordable({"a": value})
