"""What the ledger says of its own health besides its signatures, out of few entries however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connections

from containers_app.audit.appending import answering
from containers_app.audit.router import ALIAS
from containers_app.audit.searching import read_time, stored

VERIFY: Final = "audit.verify"
UNATTRIBUTED: Final = "engine.unattributed"
RECENT: Final = 2_000
DAYS: Final = 7
# One more than is shown: then there are more.
MOST_COUNTED: Final = 101
_NEWEST: Final = "SELECT * FROM (SELECT {} FROM audit_entry {} ORDER BY time DESC, id DESC LIMIT {}) AS {}"
_COLUMNS: Final = "id, phase, operation_id, outcome, time"
_RECENT: Final = f"WITH recent AS (SELECT {_COLUMNS} FROM audit_entry ORDER BY time DESC, id DESC LIMIT {RECENT})"  # noqa: S608 - our own names
_OPEN: Final = f"""SELECT 0 AS part, {_COLUMNS} FROM recent WHERE phase = 'intent'
AND operation_id NOT IN (SELECT operation_id FROM recent WHERE phase = 'outcome')"""  # noqa: S608 - our own names


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How the last verification ended, and the entry that says so."""

    entry: int
    outcome: str
    time: datetime


@dataclass(frozen=True, kw_only=True)
class Health:
    """`open_intents` are of the newest 2,000 entries.

    `unattributed` counts entries `engine.unattributed` of the last 7 days, up to 101.
    """

    verified: Verified | None
    open_intents: int
    unattributed: int

    @property
    def many_unattributed(self) -> bool:
        """Whether there are more than are counted."""
        return self.unattributed >= MOST_COUNTED


def health() -> Health:
    """Ask for all of it by one query. Raises `AuditUnavailable`."""
    since = datetime.now(UTC) - timedelta(days=DAYS)
    parts = (
        _OPEN,
        _NEWEST.format(f"1 AS part, {_COLUMNS}", "WHERE action = %s AND phase <> 'intent'", 1, "b"),
        _NEWEST.format(f"2 AS part, {_COLUMNS}", "WHERE action = %s AND time >= %s", MOST_COUNTED, "c"),
    )
    with answering(), connections[ALIAS].cursor() as cursor:
        cursor.execute(f"{_RECENT} {' UNION ALL '.join(parts)}", [VERIFY, UNATTRIBUTED, stored(since)])
        rows = cursor.fetchall()
    verified = [row for row in rows if row[0] == 1]
    return Health(
        verified=_verified(*verified[0]) if verified else None,
        open_intents=sum(row[0] == 0 for row in rows),
        unattributed=sum(row[0] == 2 for row in rows),
    )


def _verified(_part: int, entry: int, _phase: str, _operation: str, outcome: str, time: Any) -> Verified:
    return Verified(entry=entry, outcome=outcome, time=read_time(time))
