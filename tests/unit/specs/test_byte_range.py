from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.specs.byte_range import ByteRange, Unsatisfiable, asked_range

SIZE = 100
ETAG = '"abc"'


def asked(header: str | None, *, size_bytes: int = SIZE, if_range: str | None = None) -> tuple[int, int] | None:
    found = asked_range(header, if_range=if_range, etag=ETAG, size_bytes=size_bytes)
    return None if found is None else (found.start, found.end)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-100", (0, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=99-", (99, 100)),
        ("bytes=0-99", (0, 100)),
        ("bytes=0-100", (0, 100)),
        ("bytes=50-9999999999999999999", (50, 100)),
        ("BYTES=10-19", (10, 20)),
        ("bytes= 10-19 ", (10, 20)),
    ],
)
def test_one_range_that_can_be_had_is_given(header: str, wanted: tuple[int, int]):
    assert asked(header) == wanted


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=9999999999999999999-", "bytes=-0"])
def test_a_range_without_one_byte_is_unsatisfiable(header: str):
    with pytest.raises(Unsatisfiable):
        asked(header)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_nothing_of_an_empty_file_can_be_had(header: str):
    with pytest.raises(Unsatisfiable):
        asked(header, size_bytes=0)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=1",
        "bytes=--1",
        "bytes=0x1-0x2",
        "bytes=\u0661-\u0662",
        "bytes=0-0,2-3",
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=" + "9" * 5000 + "-",
        "lines=0-1",
        "bytes=0-1\n",
    ],
)
def test_what_is_not_one_range_of_bytes_is_disregarded(header: str | None):
    assert asked(header) is None


@pytest.mark.parametrize("if_range", ['"another"', 'W/"abc"', "abc", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_a_range_of_another_version_is_disregarded(if_range: str):
    assert asked("bytes=10-19", if_range=if_range) is None
    assert asked("bytes=1000-", if_range=if_range) is None


def test_a_range_of_this_version_is_given():
    assert asked("bytes=10-19", if_range=ETAG) == (10, 20)


@given(header=st.from_regex(r"bytes=[0-9]{0,3}-[0-9]{0,3}", fullmatch=True), size_bytes=st.integers(0, 200))
def test_a_range_is_never_empty_and_never_beyond_the_file(header: str, size_bytes: int):
    try:
        found = asked_range(header, if_range=None, etag=ETAG, size_bytes=size_bytes)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found.start < found.end <= size_bytes
    assert found is None or found.size_bytes == ByteRange(start=found.start, end=found.end).size_bytes > 0
