"""The canonical form is the one that RFC 8785 gives, or there is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as some

from containers_app.audit.canonical import (
    DEEPEST_NESTING,
    LARGEST_INTEGER,
    MOST_PAYLOAD_BYTES,
    Unrecordable,
    canonical,
    canonical_payload,
    moment_of,
    timestamp,
)
from containers_app.errors import InvalidRequest

ascii_keys = some.text(some.characters(max_codepoint=127), max_size=12)
leaves = (
    some.none()
    | some.booleans()
    | some.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | some.text(some.characters(exclude_categories=["Cs"]))
)
documents = some.recursive(
    leaves,
    lambda inner: some.lists(inner, max_size=5) | some.dictionaries(ascii_keys, inner, max_size=5),
    max_leaves=30,
)


@given(documents)
def test_it_writes_the_bytes_of_rfc_8785(document: Any) -> None:
    assert canonical(document) == rfc8785.dumps(document)


@given(documents)
def test_what_it_wrote_reads_back_and_writes_again_the_same(document: Any) -> None:
    assert canonical(json.loads(canonical(document))) == canonical(document)


def test_it_sorts_keys_and_writes_no_spaces() -> None:
    assert canonical({"b": [1, True, None], "a": "ü\n\x7f"}) == '{"a":"ü\\n\x7f","b":[1,true,null]}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        {"a": 0.5},
        2**53,
        -(2**53),
        [2**60],
        b"bytes",
        {1: "a"},
        {"ü": 1},
        {None: 1},
        "\ud800",
        {"a": ["\udfff"]},
        {"\ud800": 1},
        datetime(2026, 1, 1, tzinfo=UTC),
        {"a", "b"},
        object(),
        MappingProxyType({"a": 1}),
    ],
)
def test_it_refuses_what_not_every_library_writes_alike(value: Any) -> None:
    with pytest.raises(Unrecordable):
        canonical(value)


def test_a_refusal_is_an_invalid_request() -> None:
    assert issubclass(Unrecordable, InvalidRequest)


def test_it_takes_the_largest_whole_numbers() -> None:
    assert canonical([LARGEST_INTEGER, -LARGEST_INTEGER]) == b"[9007199254740991,-9007199254740991]"


def test_it_refuses_nesting_before_the_interpreter_does() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unrecordable, match=str(DEEPEST_NESTING)):
        canonical(value)


def test_a_payload_of_65535_bytes_is_taken_and_one_more_is_not() -> None:
    longest = "ü" * ((MOST_PAYLOAD_BYTES - 3) // 2)
    assert len(canonical_payload("x" + longest).encode()) == MOST_PAYLOAD_BYTES
    with pytest.raises(Unrecordable, match="65536 bytes"):
        canonical_payload("xx" + longest)


def test_times_are_utc_with_six_digits() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert timestamp(datetime(2026, 1, 1, 2, 0, tzinfo=east)) == "2025-12-31T20:30:00.000000Z"
    assert timestamp(datetime(2026, 11, 23, 9, 0, 0, 123_456, tzinfo=UTC)) == "2026-11-23T09:00:00.123456Z"


@given(some.datetimes(min_value=datetime(1970, 1, 1), timezones=some.just(UTC)))
def test_a_time_reads_back_to_the_microsecond(moment: datetime) -> None:
    assert moment_of(timestamp(moment)) == moment


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(Unrecordable):
        timestamp(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T09:00:00Z",
        "2026-11-23T09:00:00.123Z",
        "2026-11-23T09:00:00.123456+00:00",
        "2026-11-23 09:00:00.123456Z",
        "2026-13-23T09:00:00.123456Z",
        "2026-11-23T09:00:00.123456Z\n",
        "",
    ],
)
def test_no_other_form_of_a_time_is_read(text: str) -> None:
    with pytest.raises(Unrecordable):
        moment_of(text)
