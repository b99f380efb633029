"""The Prefer header: what is understood counts, everything else is ignored, nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.api.prefer import LONGEST_WAIT_SECONDS, Preference, parse

ASYNC = Preference(respond_async=True)


@given(st.text() | st.text('respond-async, wait=123;"\\ \t', max_size=80))
def test_no_header_makes_it_raise_or_wait_longer_than_allowed(header: str) -> None:
    found = parse(header)
    assert 0 <= found.wait_seconds <= LONGEST_WAIT_SECONDS
    assert bool(found.applied) == found.respond_async


@given(st.integers(0, 10**9))
def test_a_wait_is_taken_up_to_the_longest(seconds: int) -> None:
    expected = min(seconds, LONGEST_WAIT_SECONDS) if seconds < 10**6 else 0
    assert parse(f"respond-async, wait={seconds}").wait_seconds == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Preference()),
        ("respond-async", ASYNC),
        ("Respond-Async", ASYNC),
        ("  respond-async  ", ASYNC),
        ("respond-async;foo=bar", ASYNC),
        ("return=minimal, respond-async", ASYNC),
        ("respond-async, wait=10", Preference(respond_async=True, wait_seconds=10)),
        ('wait="7", respond-async', Preference(respond_async=True, wait_seconds=7)),
        ("respond-async, wait=3, wait=20", Preference(respond_async=True, wait_seconds=3)),
        ("wait=5", Preference(wait_seconds=5)),
        ("respond-async, wait=-1", ASYNC),
        ("respond-async, wait=1.5", ASYNC),
        ("respond-async, wait=٣", ASYNC),
        ("respond-asynchronously", Preference()),
        ("respond async", Preference()),
    ],
)
def test_it_reads_what_rfc_7240_says(header: str, expected: Preference) -> None:
    assert parse(header) == expected


@pytest.mark.parametrize(
    ("preference", "applied"),
    [
        (Preference(), ""),
        (Preference(wait_seconds=5), ""),
        (ASYNC, "respond-async"),
        (Preference(respond_async=True, wait_seconds=5), "respond-async, wait=5"),
    ],
)
def test_what_was_applied_is_said(preference: Preference, applied: str) -> None:
    assert preference.applied == applied


@pytest.mark.timeout(10)
def test_a_long_header_takes_no_time_that_grows_with_its_square() -> None:
    assert parse(" " * 60_000 + "x") == Preference()
    assert parse("respond-async;" * 5_000) == ASYNC
