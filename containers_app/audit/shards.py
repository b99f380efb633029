"""How shards are numbered: by the UTC year, and within a year by the losses that were accepted in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_PER_YEAR: Final = 100
_LAST_YEAR: Final = 9999
# `rank` as PostgreSQL computes it.
SQL_RANK: Final = f"CASE WHEN shard > {_LAST_YEAR} THEN shard ELSE shard * {_PER_YEAR} END"


def rank(shard: int) -> int:
    """A number that grows from shard to shard: 2026, then 202601 (the second of that year), then 2027."""
    return shard if shard > _LAST_YEAR else shard * _PER_YEAR


def year_of(shard: int) -> int:
    """The UTC year that a shard was begun in."""
    return rank(shard) // _PER_YEAR


def newest(shards: Iterable[int]) -> int | None:
    """The shard that takes entries; None when there is none."""
    return max(shards, key=rank, default=None)


def successor(shard: int, *, year: int) -> int:
    """The number of a shard that is begun in `year` after `shard`. Raises ValueError after 99 in one year."""
    if year > year_of(shard):
        return year
    following = rank(shard) + 1
    if following % _PER_YEAR == 0:
        raise ValueError(f"the year {year_of(shard)} has {_PER_YEAR} shards already")
    return following
