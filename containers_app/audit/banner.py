"""What the ledger says of its own health besides its signatures, out of few entries however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connections

from containers_app.audit.appending import answering
from containers_app.audit.router import ALIAS
from containers_app.audit.searching import read_time, stored
from containers_app.audit.verifying import ACTION, Verified, read, still_tampered

UNATTRIBUTED: Final = "engine.unattributed"
RECENT: Final = 2_000
DAYS: Final = 7
# One more than is shown: then there are more.
MOST_COUNTED: Final = 101
_NEWEST: Final = "SELECT * FROM (SELECT {} FROM audit_entry {} ORDER BY time DESC, id DESC LIMIT {}) AS {}"
# Those that did not come to a verdict, and those of a part, are looked past so far.
VERIFICATIONS: Final = 20
_COLUMNS: Final = "id, phase, operation_id, time"
_ENDED: Final = "WHERE action = %s AND phase <> 'intent'"
_RECENT: Final = f"WITH recent AS (SELECT {_COLUMNS} FROM audit_entry ORDER BY time DESC, id DESC LIMIT {RECENT})"  # noqa: S608 - our own names
_OPEN: Final = f"""SELECT 0 AS part, {_COLUMNS}, '' AS payload FROM recent WHERE phase = 'intent'
AND operation_id NOT IN (SELECT operation_id FROM recent WHERE phase = 'outcome')"""  # noqa: S608 - our own names


@dataclass(frozen=True, kw_only=True)
class Health:
    """`open_intents` are of the newest 2,000 entries.

    `verified` is the last verification; `tampered` the last that found damage, until one of all finds none.
    `unattributed` counts entries `engine.unattributed` of the last 7 days, up to 101.
    """

    verified: Verified | None
    tampered: Verified | None
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
        _NEWEST.format(f"1 AS part, {_COLUMNS}, payload", _ENDED, VERIFICATIONS, "b"),
        _NEWEST.format(f"2 AS part, {_COLUMNS}, '' AS payload", "WHERE action = %s AND time >= %s", MOST_COUNTED, "c"),
    )
    with answering(), connections[ALIAS].cursor() as cursor:
        cursor.execute(f"{_RECENT} {' UNION ALL '.join(parts)}", [ACTION, UNATTRIBUTED, stored(since)])
        rows = cursor.fetchall()
    # A union has no order of its own.
    ended = sorted(((read_time(row[4]), row[1], row[5]) for row in rows if row[0] == 1), reverse=True)
    verified = [one for time, entry, payload in ended if (one := read(entry, time, payload)) is not None]
    return Health(
        verified=verified[0] if verified else None,
        tampered=still_tampered(verified),
        open_intents=sum(row[0] == 0 for row in rows),
        unattributed=sum(row[0] == 2 for row in rows),
    )
