"""Finds entries for a page by what indexes reach alone, so that no page ever reads, counts or sorts the whole table.

Each criterion lists its newest entries out of an index of its own, a bounded number of them. What fulfils every
criterion stands in the list that reaches the furthest, so the lists together hold all there is as far as that one
reaches, and from there the next page goes on. A list that is shorter than its bound reaches to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from django.db import connections

from containers_app.audit.appending import answering
from containers_app.audit.models import Entry
from containers_app.audit.router import ALIAS

# How many entries a page looks at for each criterion, and how many in a row where there is none.
LISTED: Final = 2_000
WALKED: Final = 10_000
# Columns that have an index which goes on with time and id.
INDEXED: Final = frozenset(
    (
        *("action", "actor_id", "category", "channel", "host", "object_id", "object_name", "operation_id"),
        *("outcome", "request_id", "shard", "ticket"),
    )
)
PLAIN: Final = frozenset(("actor_type", "phase"))
Mark = Literal["flagged", "reviewed", "unreviewed"]
MARKS: Final[tuple[str, ...]] = get_args(Mark)

_SAID: Final = "EXISTS (SELECT 1 FROM audit_review AS m WHERE m.entry_id = e.id AND m.kind = '{}'{})"
_LAST: Final = (
    " AND NOT EXISTS (SELECT 1 FROM audit_review AS n WHERE n.entry_id = e.id AND n.kind = '{}' AND n.id > m.id)"
)
_MARKED: Final[Mapping[str, str]] = {
    "flagged": _SAID.format("flag", _LAST.format("reviewed")),
    "reviewed": _SAID.format("reviewed", _LAST.format("flag")),
    "unreviewed": "NOT " + _SAID.format("reviewed", ""),
}
# Where a list comes from: its table with the columns of the entry's id and time.
_ENTRIES: Final = ("audit_entry", "id", "time")
_REVIEWS: Final = ("audit_review", "entry_id", "entry_time")
_REVIEW_KINDS: Final[Mapping[str, str]] = {"flagged": "flag", "reviewed": "reviewed"}


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One of these columns (of INDEXED) has the value beside it."""

    pairs: tuple[tuple[str, str | int], ...]

    def __post_init__(self) -> None:
        _known({column for column, _ in self.pairs}, INDEXED)


@dataclass(frozen=True, kw_only=True)
class Search:
    """Entries recorded at `since` or later and before `until`, that fulfil each criterion.

    `plain` narrows by columns of PLAIN, `mark` by what auditors said of an entry.
    """

    since: datetime | None = None
    until: datetime | None = None
    criteria: tuple[Criterion, ...] = ()
    plain: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mark: Mark | None = None

    def __post_init__(self) -> None:
        if self.plain:
            _known(set(self.plain), PLAIN)


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """Where an entry stands in a list."""

    time: datetime
    id: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page, newest first. `further` is the place behind which the next one in the same direction begins, if any.

    `is_whole` is false where the page ends because it looked as far as a page may, and not because it is full.
    """

    entries: tuple[Entry, ...]
    further: Place | None
    is_whole: bool


def place_of(entry: Entry) -> Place:
    """Where this entry stands in any list."""
    return Place(time=entry.time, id=entry.pk)


def search(wanted: Search, *, limit: int, beyond: Place | None = None, newer: bool = False) -> Found:
    """Return at most `limit` entries that are older than the place `beyond`, or `newer` ones, by one query.

    Raises `AuditUnavailable`.
    """
    asked = _Asked(wanted, beyond=beyond, newer=newer, limit=limit)
    with answering():
        rows: list[Any] = list(Entry.objects.using(ALIAS).raw(*asked.statement()))
    found = [row for row in rows if row.pk is not None]
    page = found[:limit]
    is_full = len(found) > limit
    further = place_of(page[-1]) if is_full else asked.reached(rows[0])
    shown = tuple(reversed(page)) if newer else tuple(page)
    return Found(entries=shown, further=further, is_whole=is_full or further is None)


class _Asked:
    """The one statement of a search. Names of columns are of INDEXED and PLAIN; all else is a value of its own."""

    def __init__(self, wanted: Search, *, beyond: Place | None, newer: bool, limit: int) -> None:
        self._wanted = wanted
        self._beyond = beyond
        self._newer = newer
        self._limit = limit
        self._values: list[Any] = []
        self._lists: list[str] = []
        # For each criterion the numbers of its lists, with how many entries each may have.
        self._groups: list[dict[int, int]] = []

    def statement(self) -> tuple[str, list[Any]]:
        """The lists; then, beside how far each reaches, the entries out of them that fulfil everything."""
        self._add_lists()
        order, limit = self._order("e.time", "e.id"), self._limit + 1
        lists = ", ".join(f"c{number} AS ({sql})" for number, sql in enumerate(self._lists))
        reach = ", ".join(self._reach(number, most) for group in self._groups for number, most in group.items())
        within = " UNION ".join(f"SELECT DISTINCT id FROM c{number}" for number in range(len(self._lists)))  # noqa: S608 - numbers
        # CROSS JOIN keeps SQLite from walking the table in the order that is asked for.
        source = f"({within}) AS c CROSS JOIN audit_entry AS e"
        page = f"SELECT e.* FROM {source} WHERE e.id = c.id{self._conditions()} {order} LIMIT {limit}"  # noqa: S608
        sql = f"WITH {lists} SELECT r.*, e.* FROM (SELECT {reach}) AS r LEFT JOIN ({page}) AS e ON 1 = 1 {order}"  # noqa: S608
        return sql, self._values

    def reached(self, row: Any) -> Place | None:
        """How far all lists together reach; None for to the end."""
        nearest, furthest = (min, max) if self._newer else (max, min)
        ends = []
        for group in self._groups:
            full = [place for number in group if (place := _place_in(row, number)) is not None]
            if not full:
                return None
            ends.append(nearest(full))
        return furthest(ends)

    def _add_lists(self) -> None:
        wanted = self._wanted
        for criterion in wanted.criteria:
            most = max(self._limit + 1, LISTED // len(criterion.pairs))
            lists = (self._list(_ENTRIES, f"{column} = %s", value, most=most) for column, value in criterion.pairs)
            self._groups.append(dict(lists))
        if wanted.mark and wanted.mark in _REVIEW_KINDS:
            self._groups.append(dict([self._list(_REVIEWS, "kind = %s", _REVIEW_KINDS[wanted.mark], most=LISTED)]))
        if not self._groups:
            narrowed = wanted.plain or wanted.mark
            self._groups.append(dict([self._list(_ENTRIES, "", most=WALKED if narrowed else self._limit + 1)]))

    def _list(self, source: tuple[str, str, str], condition: str, *values: Any, most: int) -> tuple[int, int]:
        """Add a list, and return its number and its bound."""
        table, identity, time = source
        bounds = self._bounds(time, identity)
        where = " AND ".join([condition or "1 = 1", *(sql for sql, _ in bounds)])
        self._values += [*values, *(value for _, given in bounds for value in given)]
        order = self._order(time, identity)
        named = f"{identity} AS id, {time} AS time"
        self._lists.append(f"SELECT {named} FROM {table} WHERE {where} {order} LIMIT {most}")  # noqa: S608 - no value in it
        return len(self._lists) - 1, most

    def _bounds(self, time: str, identity: str) -> list[tuple[str, list[Any]]]:
        wanted, found = self._wanted, []
        if wanted.since:
            found.append((f"{time} >= %s", [stored(wanted.since)]))
        if wanted.until:
            found.append((f"{time} < %s", [stored(wanted.until)]))
        if self._beyond:
            sign = ">" if self._newer else "<"
            found.append((f"({time}, {identity}) {sign} (%s, %s)", [stored(self._beyond.time), self._beyond.id]))
        return found

    def _conditions(self) -> str:
        """What each entry must fulfil, whichever list it comes from."""
        parts = []
        for criterion in self._wanted.criteria:
            parts.append(" OR ".join(f"e.{column} = %s" for column, _ in criterion.pairs))
            self._values += [value for _, value in criterion.pairs]
        for column, values in self._wanted.plain.items():
            parts.append(f"e.{column} IN ({', '.join(['%s'] * len(values))})")
            self._values += values
        if self._wanted.mark:
            parts.append(_MARKED[self._wanted.mark])
        return "".join(f" AND ({part})" for part in parts)

    def _reach(self, number: int, most: int) -> str:
        last = f"FROM c{number} {self._order('time', 'id')} LIMIT 1 OFFSET {most - 1}"
        return f"(SELECT time {last}) AS reached_time_{number}, (SELECT id {last}) AS reached_id_{number}"

    def _order(self, time: str, identity: str) -> str:
        way = "ASC" if self._newer else "DESC"
        return f"ORDER BY {time} {way}, {identity} {way}"


def _place_in(row: Any, number: int) -> Place | None:
    time, identity = getattr(row, f"reached_time_{number}"), getattr(row, f"reached_id_{number}")
    if identity is None:
        return None
    return Place(time=read_time(time), id=identity)


def read_time(value: Any) -> datetime:
    """A time as a bare cursor gives it: SQLite has it in UTC without saying so, and as text or not."""
    time: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def stored(moment: datetime) -> Any:
    """A moment as a parameter of plain SQL."""
    return connections[ALIAS].ops.adapt_datetimefield_value(moment)


def _known(columns: set[str], known: frozenset[str]) -> None:
    """Names of columns become SQL as they are. Raises ValueError."""
    if not columns or not columns <= known:
        raise ValueError(f"{sorted(columns)} are not of {sorted(known)}")
