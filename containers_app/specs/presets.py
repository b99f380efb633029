"""Stretches of time that people ask for by a word, in UTC, counted back from now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from containers_app.specs.period import named

# The word in an address, and what a page calls it.
PRESETS: Mapping[str, str] = {
    "today": "Today",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "month": "This month",
    "last-month": "Last month",
    "quarter": "This quarter",
    "year": "This year",
}
_BACK = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


def stretch(word: str, now: datetime) -> tuple[datetime, datetime | None]:
    """The half-open range that a word of PRESETS means at `now` (UTC); only `last-month` ends. Raises KeyError."""
    if word in _BACK:
        return now - _BACK[word], None
    if word == "today":
        return datetime.combine(now.date(), time(), tzinfo=UTC), None
    if word == "last-month":
        return named(word, now.date())
    return named(f"this-{word}", now.date())[0], None
