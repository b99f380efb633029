"""The tree of a shard as it is stored: leaf hashes, and a subtree's root for each 256 of what is below."""

from __future__ import annotations

from typing import Final

from containers_app.audit.merkle import Frontier
from containers_app.audit.models import Entry, Subtree
from containers_app.audit.router import ALIAS

# Subtrees of 2^8, 2^16, ... leaves are stored, so any other costs at most 256 rows and 255 hashes.
STEP: Final = 8
TILE: Final = 1 << STEP


class TreeDamaged(ValueError):
    """A hash that the tree consists of is not stored, or is no hash."""


class StoredNodes:
    """Reads the roots of perfect subtrees of `shard`, as `proofs.Node`: one query for each 256 rows, kept."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the root of the `index`-th subtree of 2^`level` leaves. Raises `TreeDamaged`; django.db.Error."""
        base = level - level % STEP
        width = 1 << level - base
        first = index * width
        start = first % TILE
        rows = self._tile(base, first // TILE)[start : start + width]
        if len(rows) < width:
            raise TreeDamaged(f"shard {self._shard} lacks hashes of its tree, at level {base} from {first}")
        frontier = Frontier()
        for row in rows:
            frontier = frontier.append(row)
        return frontier.root()

    def _tile(self, level: int, number: int) -> list[bytes]:
        """The hashes of one tile, as far as they are there without a gap."""
        if (level, number) not in self._tiles:
            self._tiles[level, number] = _hashes(_rows(self._shard, level=level, number=number), number * TILE)
        return self._tiles[level, number]


def _rows(shard: int, *, level: int, number: int) -> list[tuple[int, str]]:
    begin, end = number * TILE, (number + 1) * TILE
    if level == 0:
        leaves = Entry.objects.using(ALIAS).filter(shard=shard, leaf_index__gte=begin, leaf_index__lt=end)
        return list(leaves.order_by("leaf_index").values_list("leaf_index", "leaf_hash"))
    roots = Subtree.objects.using(ALIAS).filter(shard=shard, level=level, number__gte=begin, number__lt=end)
    return list(roots.order_by("number").values_list("number", "root"))


def _hashes(rows: list[tuple[int, str]], begin: int) -> list[bytes]:
    found = []
    for expected, (number, text) in enumerate(rows, begin):
        if number != expected:
            break
        try:
            found.append(bytes.fromhex(text))
        except ValueError as failure:
            raise TreeDamaged(f"hash {number} of the tree is no hash") from failure
    return found
