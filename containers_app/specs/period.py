"""Periods as people write them: days or moments, in UTC; the last day belongs to the period."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from containers_app.errors import InvalidRequest
from containers_app.specs import fields

# Calendar periods by their name, and how many months they have.
_MONTHS: Final[Mapping[str, int]] = {"month": 1, "quarter": 3, "year": 12}
NAMED: Final = tuple(f"{which}-{name}" for which in ("last", "this") for name in _MONTHS)


def period(body: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """The fields `since` and `until` as the half-open range that they mean; None where one is absent.

    A day (`2026-11-30`) is all of it, so as `until` it ends with the next midnight. A moment (RFC 3339) is exact.
    Instead of both, `period` may be one of NAMED, of the calendar in UTC. Raises InvalidRequest that names the field.
    """
    if body.get("period") not in (None, ""):
        return _named(body)
    since, until = _moment(body, "since", days=0), _moment(body, "until", days=1)
    if since and until and since >= until:
        raise InvalidRequest("'until' must be later than 'since'", field="until")
    return since, until


def named(name: str, today: date) -> tuple[datetime, datetime]:
    """The calendar period of this name (one of NAMED) beside `today`: `last-month` is the one before today's."""
    which, _, length = name.partition("-")
    months = _MONTHS[length]
    begin = today.year * 12 + today.month - 1
    begin -= begin % months + (months if which == "last" else 0)
    return _first_day(begin), _first_day(begin + months)


def _named(body: Mapping[str, Any]) -> tuple[datetime, datetime]:
    if body.get("since") or body.get("until"):
        raise InvalidRequest("'period' stands instead of 'since' and 'until': give one of them", field="period")
    return named(fields.choice(body, "period", NAMED, default=""), datetime.now(UTC).date())


def _first_day(months: int) -> datetime:
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _moment(body: Mapping[str, Any], name: str, *, days: int) -> datetime | None:
    text = fields.text(body, name, longest=40)
    if not text:
        return None
    try:
        if len(text) == len("2026-11-30"):
            return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC) + timedelta(days=days)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else _refuse(name)
    except (ValueError, OverflowError):
        return _refuse(name)


def _refuse(name: str) -> datetime:
    words = "must be a day like 2026-11-30, or a moment with its time zone like 2026-11-30T12:00:00Z"
    raise InvalidRequest(f"'{name}' {words}", field=name)
