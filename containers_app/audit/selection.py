"""Which entries an export is about: a period and plain equalities, read in the ledger's order, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from containers_app.audit.canonical import timestamp
from containers_app.audit.models import Entry
from containers_app.audit.router import ALIAS

ROWS_AT_ONCE: Final = 2_000
# What a filter is called outside, and the column that it is about.
COLUMNS: Final[Mapping[str, str]] = {
    "actor": "actor_id",
    "verb": "action",
    "object": "object_id",
    "outcome": "outcome",
    "channel": "channel",
    "operation": "operation_id",
    "request": "request_id",
    "ticket": "ticket",
}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Entries recorded at `since` or later and before `until`, whose columns equal `equal` (keys are of COLUMNS)."""

    since: datetime | None = None
    until: datetime | None = None
    equal: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> QuerySet[Entry]:
        """The entries, oldest first."""
        rows: QuerySet[Entry] = Entry.objects.using(ALIAS).order_by("shard", "leaf_index")
        if self.since:
            rows = rows.filter(time__gte=self.since)
        if self.until:
            rows = rows.filter(time__lt=self.until)
        return rows.filter(**{COLUMNS[name]: value for name, value in self.equal.items()})

    def includes(self, moment: datetime) -> bool:
        """Whether the period has this moment."""
        return (not self.since or self.since <= moment) and (not self.until or moment < self.until)

    def words(self) -> dict[str, Any]:
        """What was asked for, as manifests and answers say it: `since`, `until` (null: open) and `filter`."""
        return {
            "since": timestamp(self.since) if self.since else None,
            "until": timestamp(self.until) if self.until else None,
            "filter": dict(self.equal),
        }


def in_pieces(rows: QuerySet[Entry], *, shard: int, size: int) -> Iterator[list[Entry]]:
    """The rows of one shard below leaf index `size`, at most 2,000 at a time, so that memory is bounded."""
    reached = -1
    rows = rows.filter(shard=shard, leaf_index__lt=size).order_by("leaf_index")
    while piece := list(rows.filter(leaf_index__gt=reached)[:ROWS_AT_ONCE]):
        yield piece
        reached = piece[-1].leaf_index
