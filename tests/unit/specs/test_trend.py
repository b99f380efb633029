"""The figures of a container's backups: rates, changes, and what is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from containers_app.specs.trend import SetSizes, Spread, spread, trend

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


def sizes(number: int = 0, **fields: Any) -> SetSizes:
    values = {"state": "complete", "usable": True, "stored_bytes": 100, "content_bytes": 400, "duration_seconds": 2.0}
    return SetSizes(backup=f"{number:02}", created_at=NOW + number * timedelta(days=1), **{**values, **fields})


def test_the_oldest_comes_first_and_each_has_its_change() -> None:
    sets = [sizes(2, stored_bytes=150), sizes(0, stored_bytes=100), sizes(1, stored_bytes=300)]
    points = trend(sets, last=30)
    assert [point.sizes.backup for point in points] == ["00", "01", "02"]
    assert [point.change_bytes for point in points] == [None, 200, -150]
    assert [point.change_share for point in points] == [None, 2.0, -0.5]


def test_the_first_shown_has_its_change_to_the_one_that_is_not() -> None:
    points = trend([sizes(number, stored_bytes=100 * (number + 1)) for number in range(4)], last=3)
    assert [point.change_bytes for point in points] == [100, 100, 100]


def test_a_change_from_nothing_has_no_share() -> None:
    points = trend([sizes(0, stored_bytes=0), sizes(1, stored_bytes=5)], last=30)
    assert (points[1].change_bytes, points[1].change_share) == (5, None)
    assert trend([], last=30) == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 200.0),
        ({"content_bytes": 1, "duration_seconds": 3.0}, 0.3),
        ({"content_bytes": 0}, None),
        ({"duration_seconds": 0.0}, None),
    ],
)
def test_a_rate_is_content_by_time_or_not_known(fields: dict[str, Any], expected: float | None) -> None:
    assert sizes(**fields).bytes_per_second == expected


def test_a_spread_is_of_the_figures_that_are_there() -> None:
    assert spread([None, 3, 9, None, 1, 2]) == Spread(first=3, last=2, lowest=1, highest=9)
    assert spread([None]) is None
    assert spread([]) is None
