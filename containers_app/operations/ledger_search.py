"""Searches of the ledger, as addresses write them: read once for the interface and the console, bounded by rights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from containers_app.audit.searching import Criterion, Place, Search, place_of, search
from containers_app.audit.selection import EQUAL, FLAGS, NAMES, PLAIN
from containers_app.errors import InvalidRequest
from containers_app.operations.authority import Asker
from containers_app.operations.ledger_filters import CHOICES
from containers_app.operations.visibility import sees_system
from containers_app.specs.period import period
from containers_app.specs.presets import stretch

FILTERS: Final = NAMES | {"since", "until", "period", "mark"}
_LONGEST: Final = {"q": 256, "object": 256}
_CURSOR: Final = re.compile(r"([on])(-?[0-9]{1,18})-([0-9]{1,18})", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class LedgerPage:
    """One page of entries, newest first, with the cursors of the pages beside it; empty where there is none.

    `is_whole` is false where the page ends because a page looks no further, not because it is full.
    """

    entries: Sequence[Any]
    older: str
    newer: str
    is_whole: bool


def read_search(query: Mapping[str, str], *, now: datetime) -> Search:
    """The checked search of an address; an empty value is no filter. Raises InvalidRequest that names the field."""
    given = {name: value for name, value in query.items() if name in FILTERS and value}
    for name, value in given.items():
        check_filter(name, value)
    since, until = _range(given, now)
    criteria = [
        Criterion(pairs=tuple((column, given[name]) for column in columns))
        for name, columns in EQUAL.items()
        if name in given
    ]
    if "shard" in given:
        criteria.append(Criterion(pairs=(("shard", shard_of(given["shard"])),)))
    for name, (column, values) in FLAGS.items():
        if given.get(name) == "true":
            criteria.append(Criterion(pairs=tuple((column, value) for value in values)))
    plain = {column: (given[name],) for name, column in PLAIN.items() if name in given}
    mark: Any = given.get("mark")
    return Search(since=since, until=until, criteria=tuple(criteria), plain=plain, mark=mark)


def find_entries(asker: Asker, wanted: Search, *, cursor: str = "", limit: int) -> LedgerPage:
    """One page of what the asker may see: all, or what he did himself.

    Raises InvalidRequest for a cursor that no page gave, and for marks of auditors that are not the asker's to read;
    `AuditUnavailable`.
    """
    newer, beyond = _read_cursor(cursor) if cursor else (False, None)
    allowed = _allowed(asker, wanted)
    if allowed is None:
        return LedgerPage(entries=(), older="", newer="", is_whole=True)
    found = search(allowed, limit=limit, beyond=beyond, newer=newer)
    older = found.further if not newer else place_of(found.entries[-1]) if found.entries else beyond
    later = found.further if newer else _before(found.entries, beyond)
    return LedgerPage(
        entries=found.entries,
        older=_cursor("o", older),
        newer=_cursor("n", later),
        is_whole=found.is_whole,
    )


def shard_of(text: str, *, field: str = "shard") -> int:
    """The shard that a request names. Raises InvalidRequest."""
    if not (text.isascii() and text.isdigit() and len(text) in (4, 6)):
        raise InvalidRequest(f"'{field}' must be a year of four digits, or six where a year has several", field=field)
    return int(text)


def check_filter(name: str, value: str, *, inside: str = "") -> None:
    """Raise InvalidRequest for a value that the filter of this name (of FILTERS) does not take."""
    field, known = inside + name, CHOICES.get(name)
    if known and value not in known:
        words = "a verb of the ledger, like container.backup" if name == "verb" else f"one of: {', '.join(known)}"
        raise InvalidRequest(f"'{field}' must be {words}", field=field)
    if name in FLAGS and value not in ("true", "false"):
        raise InvalidRequest(f"'{field}' must be true or false", field=field)
    if name == "shard":
        shard_of(value, field=field)
    longest = _LONGEST.get(name, 128)
    if len(value) > longest or not value.isprintable():
        raise InvalidRequest(f"'{field}' must be printable text of at most {longest} characters", field=field)


def _range(given: Mapping[str, str], now: datetime) -> tuple[datetime | None, datetime | None]:
    if "period" not in given:
        return period(given)
    if "since" in given or "until" in given:
        raise InvalidRequest("'period' stands alone: leave it out, or 'since' and 'until'", field="period")
    return stretch(given["period"], now)


def _allowed(asker: Asker, wanted: Search) -> Search | None:
    """The search within what the asker may see; None where that is nothing. The rule is that of `visibility`."""
    if sees_system(asker, "ledger"):
        return wanted
    if wanted.mark:
        raise InvalidRequest("'mark' is for who may read the whole ledger", field="mark")
    if not asker.user.is_authenticated or not asker.has_scope("ledger"):
        return None
    types = tuple(one for one in ("user", "key") if one in wanted.plain.get("actor_type", ("user", "key")))
    if not types:
        return None
    own = Criterion(pairs=(("actor_id", str(asker.user.pk)),))
    return replace(wanted, criteria=(*wanted.criteria, own), plain={**wanted.plain, "actor_type": types})


def _before(entries: Sequence[Any], beyond: Place | None) -> Place | None:
    """Behind which place the newer entries are; None on the first page. An empty page begins with `beyond` itself."""
    if beyond is None:
        return None
    return place_of(entries[0]) if entries else Place(time=beyond.time, id=beyond.id - 1)


def _cursor(way: str, place: Place | None) -> str:
    return "" if place is None else f"{way}{(place.time - _EPOCH) // _MICROSECOND}-{max(place.id, 0)}"


def _read_cursor(text: str) -> tuple[bool, Place]:
    found = _CURSOR.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        return found[1] == "n", Place(time=_EPOCH + int(found[2]) * _MICROSECOND, id=int(found[3]))
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("'cursor' must come from 'next' or 'previous' of an answer", field="cursor") from error
