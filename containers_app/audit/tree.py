"""The tree of a shard as it is stored: leaf hashes, and a subtree's root for each 256 of what is below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.db.models import Count

from containers_app.audit.merkle import HASH_BYTES, Frontier, subtree_root
from containers_app.audit.models import Entry, Subtree
from containers_app.audit.router import ALIAS

# Subtrees of 2^8, 2^16, ... leaves are stored, so any other costs at most 256 rows and 255 hashes.
STEP: Final = 8
TILE: Final = 1 << STEP


class TreeDamaged(ValueError):
    """A hash that the tree consists of is not stored and cannot be computed, or is no hash."""


class StoredNodes:
    """Reads the roots of perfect subtrees of `shard`, as `proofs.Node`: one query for each 256 rows, kept.

    A subtree that is not stored is computed from what is below it: whoever recorded with an older version stored none.
    `from_leaves` computes all of them, for where the stored ones do not fit.
    """

    def __init__(self, shard: int, *, from_leaves: bool = False) -> None:
        self._shard = shard
        self._from_leaves = from_leaves
        self._tiles: dict[tuple[int, int], dict[int, bytes]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the root of the `index`-th subtree of 2^`level` leaves. Raises `TreeDamaged`; django.db.Error."""
        base = level - level % STEP
        width = 1 << level - base
        return _root([self._hash(base, number) for number in range(index * width, (index + 1) * width)])

    def _hash(self, level: int, number: int) -> bytes:
        place = level, number // TILE
        if place not in self._tiles:
            is_stored = level == 0 or not self._from_leaves
            self._tiles[place] = _tile(self._shard, level=level, number=number // TILE) if is_stored else {}
        found = self._tiles[place].get(number)
        if found is not None:
            return found
        if level == 0:
            raise TreeDamaged(f"shard {self._shard} lacks the hash of entry {number}")
        computed = self._tiles[place][number] = _root([self._hash(level - STEP, one) for one in _below(number)])
        # Nobody comes back to them; a tree without any stored subtree would be kept whole.
        self._tiles.pop((level - STEP, number), None)
        return computed


def missing_subtrees(shard: int, size: int) -> list[Subtree]:
    """The subtrees of the first `size` leaves that are not stored, computed and unsaved, the narrow ones first.

    One count where none is missing. Raises `TreeDamaged`; django.db.Error.
    """
    stored = Subtree.objects.using(ALIAS).filter(shard=shard)
    counts = dict(stored.order_by().values_list("level").annotate(Count("id")))
    node, missing = StoredNodes(shard), []
    for level in range(STEP, size.bit_length(), STEP):
        if counts.get(level, 0) < size >> level:
            there = set(stored.filter(level=level).values_list("number", flat=True))
            lacking = (number for number in range(size >> level) if number not in there)
            missing += [Subtree(shard=shard, level=level, number=one, root=node(level, one).hex()) for one in lacking]
    return missing


def false_subtrees(shard: int) -> Iterator[tuple[int, int]]:
    """Level and number of each stored subtree that is not what is stored below it. Raises django.db.Error."""
    for level, number, root in Subtree.objects.using(ALIAS).filter(shard=shard).values_list("level", "number", "root"):
        try:
            below = _tile(shard, level=level - STEP, number=number)
        except TreeDamaged:
            below = {}
        if len(below) < TILE or subtree_root(b"".join(below[one] for one in _below(number))).hex() != root:
            yield level, number


def _below(number: int) -> range:
    return range(number * TILE, (number + 1) * TILE)


def _root(hashes: list[bytes]) -> bytes:
    frontier = Frontier()
    for one in hashes:
        frontier = frontier.append(one)
    return frontier.root()


def _tile(shard: int, *, level: int, number: int) -> dict[int, bytes]:
    begin, end = number * TILE, (number + 1) * TILE
    if level == 0:
        leaves = Entry.objects.using(ALIAS).filter(shard=shard, leaf_index__gte=begin, leaf_index__lt=end)
        return dict(map(_checked, leaves.values_list("leaf_index", "leaf_hash")))
    roots = Subtree.objects.using(ALIAS).filter(shard=shard, level=level, number__gte=begin, number__lt=end)
    return dict(map(_checked, roots.values_list("number", "root")))


def _checked(row: tuple[int, str]) -> tuple[int, bytes]:
    number, text = row
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != HASH_BYTES:
        raise TreeDamaged(f"hash {number} of the tree is no hash")
    return number, found
