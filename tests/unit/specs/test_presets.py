"""Words for stretches of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from containers_app.specs.presets import PRESETS, stretch

NOW = datetime(2026, 5, 14, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "since", "until"),
    [
        ("today", datetime(2026, 5, 14, tzinfo=UTC), None),
        ("24h", datetime(2026, 5, 13, 15, 30, tzinfo=UTC), None),
        ("7d", datetime(2026, 5, 7, 15, 30, tzinfo=UTC), None),
        ("30d", datetime(2026, 4, 14, 15, 30, tzinfo=UTC), None),
        ("month", datetime(2026, 5, 1, tzinfo=UTC), None),
        ("last-month", datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)),
        ("quarter", datetime(2026, 4, 1, tzinfo=UTC), None),
        ("year", datetime(2026, 1, 1, tzinfo=UTC), None),
    ],
)
def test_each_word_means_its_stretch(word: str, since: datetime, until: datetime | None) -> None:
    assert stretch(word, NOW) == (since, until)
    assert word in PRESETS


def test_the_month_before_january_is_of_the_year_before() -> None:
    since, until = stretch("last-month", datetime(2026, 1, 31, tzinfo=UTC))
    assert (since, until) == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
