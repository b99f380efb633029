"""How the backups of one container develop: sizes, rates, and the change from each set to the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise


@dataclass(frozen=True, kw_only=True)
class SetSizes:
    """What is recorded of one backup, sizes in bytes.

    `stored_bytes`: what its files take. `content_bytes`: what was read of the container for it, uncompressed: its file
    system, volumes and folders. `duration_seconds`: from the first look to the name, the reading back included.
    """

    backup: str
    created_at: datetime
    state: str
    usable: bool
    stored_bytes: int
    content_bytes: int
    duration_seconds: float

    @property
    def bytes_per_second(self) -> float | None:
        """Content by the whole duration; None for a set without content, and for one that took no time."""
        if not self.content_bytes or self.duration_seconds <= 0:
            return None
        return round(self.content_bytes / self.duration_seconds, 1)


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """One backup, and what its stored size has changed since the one before, in bytes; None: there was none before."""

    sizes: SetSizes
    change_bytes: int | None

    @property
    def change_share(self) -> float | None:
        """The change as a share of the size before, 0.5 for half as much again; None where that was nothing."""
        if self.change_bytes is None or self.sizes.stored_bytes == self.change_bytes:
            return None
        return round(self.change_bytes / (self.sizes.stored_bytes - self.change_bytes), 4)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The first, last, lowest and highest of some figures."""

    first: float
    last: float
    lowest: float
    highest: float


def trend(sets: Iterable[SetSizes], *, last: int) -> tuple[TrendPoint, ...]:
    """The last so many sets, the oldest first. `sets` may begin with one more, for the first change."""
    ordered = sorted(sets, key=lambda entry: (entry.created_at, entry.backup))
    points = [TrendPoint(sizes=entry, change_bytes=None) for entry in ordered[:1]]
    for before, after in pairwise(ordered):
        points.append(TrendPoint(sizes=after, change_bytes=after.stored_bytes - before.stored_bytes))
    return tuple(points[-last:])


def spread(values: Sequence[float | None]) -> Spread | None:
    """Of the figures that are there; None when there is none."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return Spread(first=there[0], last=there[-1], lowest=min(there), highest=max(there))
