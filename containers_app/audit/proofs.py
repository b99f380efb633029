"""Proofs of RFC 6962: that a leaf is in a tree, and that a tree is an earlier one with leaves added behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from containers_app.audit.merkle import EMPTY_ROOT, Frontier, node_hash

# The root of the perfect subtree of 2^level leaves that begins with leaf `index * 2^level`: `node(level, index)`.
Node: TypeAlias = Callable[[int, int], bytes]


def root_of(size: int, *, node: Node) -> bytes:
    """Return the root of the tree of the first `size` leaves."""
    return _range_root(0, size, node)


def inclusion_proof(index: int, size: int, *, node: Node) -> list[bytes]:
    """Return the hashes beside the way from leaf `index` up to the root of `size` leaves (section 2.1.1).

    Raises ValueError when there is no such leaf; whatever `node` raises passes through.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    begin, end = 0, size
    beside = []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((begin, middle))
            begin = middle
    return [_range_root(*one, node) for one in reversed(beside)]


def consistency_proof(first: int, second: int, *, node: Node) -> list[bytes]:
    """Return the hashes that show that `second` leaves begin with the same `first` ones (section 2.1.2).

    Nothing has to be shown for `first` of 0 or of `second`. Raises ValueError when `first` is not within `second`.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {second} leaves does not begin with {first}")
    if first == 0:
        return []
    begin, end = 0, second
    parts = []
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((begin, middle))
            begin = middle
    # The verifier has the root of the first tree; it needs the last part only when that is not the whole of it.
    own = [(begin, end)] if begin else []
    return [_range_root(*one, node) for one in (*own, *reversed(parts))]


def is_included(leaf: bytes, *, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows that the leaf hash `leaf` is number `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, result = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            result = node_hash(beside, result)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            result = node_hash(result, beside)
        number, last = number >> 1, last >> 1
    return last == 0 and result == root


def is_consistent(first: int, second: int, *, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows that the second tree begins with the first (RFC 9162, 2.1.4.2).

    The empty tree is the beginning of every tree, with an empty proof.
    """
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not proof and first_root == (EMPTY_ROOT if first == 0 else second_root)
    hashes = [first_root, *proof] if first & first - 1 == 0 else list(proof)
    return bool(hashes) and _folded(first - 1, second - 1, hashes) == (first_root, second_root)


def _folded(number: int, last: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return None
        if number & 1 or number == last:
            older, newer = node_hash(beside, older), node_hash(beside, newer)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            newer = node_hash(newer, beside)
        number, last = number >> 1, last >> 1
    return None if last else (older, newer)


def _split(leaves: int) -> int:
    return 1 << (leaves - 1).bit_length() - 1


def _range_root(begin: int, end: int, node: Node) -> bytes:
    """The root of the leaves from `begin` to before `end`, where `begin` is where a proof may begin a part."""
    subtrees = []
    left = end - begin
    while left:
        level = left.bit_length() - 1
        subtrees.append(node(level, begin >> level))
        begin, left = begin + (1 << level), left - (1 << level)
    return Frontier(end, tuple(subtrees)).root()
