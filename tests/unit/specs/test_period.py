"""Periods as people write them: days, moments, and months by their name."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
import time_machine

from containers_app.errors import InvalidRequest
from containers_app.specs.period import NAMED, named, period


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "today", "since", "until"),
    [
        ("last-month", "2026-11-30", "2026-10-01", "2026-11-01"),
        ("last-month", "2026-01-01", "2025-12-01", "2026-01-01"),
        ("this-month", "2026-12-31", "2026-12-01", "2027-01-01"),
        ("last-quarter", "2026-11-30", "2026-07-01", "2026-10-01"),
        ("last-quarter", "2026-03-31", "2025-10-01", "2026-01-01"),
        ("this-quarter", "2026-10-01", "2026-10-01", "2027-01-01"),
        ("last-year", "2026-11-30", "2025-01-01", "2026-01-01"),
        ("this-year", "2024-02-29", "2024-01-01", "2025-01-01"),
    ],
)
def test_a_calendar_period_begins_and_ends_with_its_months(name: str, today: str, since: str, until: str) -> None:
    assert named(name, date.fromisoformat(today)) == (day(since), day(until))


@pytest.mark.parametrize("name", NAMED)
def test_this_period_begins_where_the_last_one_ends(name: str) -> None:
    today = date(2026, 5, 17)
    length = name.partition("-")[2]
    assert named(f"last-{length}", today)[1] == named(f"this-{length}", today)[0]


def test_a_named_period_is_of_the_day_in_utc() -> None:
    with time_machine.travel(datetime(2026, 11, 30, 23, 59, tzinfo=UTC), tick=False):
        assert period({"period": "this-month"}) == (day("2026-11-01"), day("2026-12-01"))


@pytest.mark.parametrize(
    "body", [{"period": "last-week"}, {"period": 1}, {"period": "last-year", "until": "2026-01-01"}]
)
def test_a_period_that_is_none_is_refused_by_its_name(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        period(body)
    assert caught.value.field == "period"


def test_without_a_period_the_days_count() -> None:
    body = {"period": "", "since": "2026-11-01", "until": "2026-11-30"}
    assert period(body) == (day("2026-11-01"), day("2026-12-01"))
