"""Stretches of time that people ask for by a word, in UTC, counted back from now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

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
    """The half-open range that a word of PRESETS means at `now`; only `last-month` has an end. Raises KeyError."""
    if word in _BACK:
        return now - _BACK[word], None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = midnight.replace(day=1)
    if word == "last-month":
        return (month - timedelta(days=1)).replace(day=1), month
    begin = {
        "today": midnight,
        "month": month,
        "quarter": month.replace(month=month.month - (month.month - 1) % 3),
        "year": month.replace(month=1),
    }
    return begin[word], None
