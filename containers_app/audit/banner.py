"""What the ledger says of its own health besides its signatures, out of few entries however many there are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from containers_app.audit.appending import answering
from containers_app.audit.models import Entry
from containers_app.audit.router import ALIAS

VERIFY: Final = "audit.verify"
UNATTRIBUTED: Final = "engine.unattributed"
RECENT: Final = 2_000
DAYS: Final = 7
# One more than is shown: then there are more.
MOST_COUNTED: Final = 101
_NEWEST: Final = "SELECT * FROM (SELECT '{}' AS part, {} FROM audit_entry {} ORDER BY time DESC, id DESC LIMIT {}) AS {}"
_COLUMNS: Final = "id, shard, leaf_index, time, phase, action, outcome, operation_id"


@dataclass(frozen=True, kw_only=True)
class Health:
    """`verified`: the entry that ended the last verification. `open_intents` are of the newest 2,000 entries.

    `unattributed` counts entries `engine.unattributed` of the last 7 days, up to 101.
    """

    verified: Any
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
        _NEWEST.format("recent", _COLUMNS, "", RECENT, "a"),
        _NEWEST.format("verified", _COLUMNS, "WHERE action = %s AND phase <> 'intent'", 1, "b"),
        _NEWEST.format("unattributed", _COLUMNS, "WHERE action = %s AND time >= %s", MOST_COUNTED, "c"),
    )
    with answering():
        rows = list(Entry.objects.using(ALIAS).raw(" UNION ALL ".join(parts), [VERIFY, UNATTRIBUTED, since]))
    recent = [row for row in rows if row.part == "recent"]
    ended = {row.operation_id for row in recent if row.phase == "outcome"}
    return Health(
        verified=next((row for row in rows if row.part == "verified"), None),
        open_intents=sum(row.phase == "intent" and row.operation_id not in ended for row in recent),
        unattributed=sum(row.part == "unattributed" for row in rows),
    )
