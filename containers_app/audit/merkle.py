"""The Merkle tree of RFC 6962, kept as its frontier, so that one append costs a handful of hashes at any size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(payload: bytes) -> bytes:
    """Return SHA-256(0x00 || payload), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + payload).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right), RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtree_root(leaves: bytes) -> bytes:
    """Return the root of a perfect subtree over leaf hashes that stand one after the other; quicker than one by one."""
    while len(leaves) > HASH_BYTES:
        pairs = range(0, len(leaves), 2 * HASH_BYTES)
        leaves = b"".join([hashlib.sha256(b"\x01" + leaves[at : at + 64]).digest() for at in pairs])
    return leaves


@dataclass(frozen=True)
class Frontier:
    """The roots of the perfect subtrees that a tree of `size` leaves is made of, widest first.

    There is one for each bit that is set in `size`; appending and the root need nothing else.
    """

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier after the leaf hash `leaf` (32 bytes)."""
        completed = self.completed(leaf)
        untouched = self.subtrees[: len(self.subtrees) - len(completed) + 1]
        return Frontier(self.size + 1, (*untouched, completed[-1]))

    def completed(self, leaf: bytes) -> list[bytes]:
        """Return the roots of the perfect subtrees that the leaf hash `leaf` completes; the n-th has 2^n leaves."""
        roots = [leaf]
        for level in range((~self.size & self.size + 1).bit_length() - 1):
            roots.append(node_hash(self.subtrees[-1 - level], roots[-1]))
        return roots

    def root(self) -> bytes:
        """Return the Merkle tree hash of all leaves (32 bytes); of none it is SHA-256 of nothing."""
        if not self.subtrees:
            return EMPTY_ROOT
        *wider, root = self.subtrees
        for subtree in reversed(wider):
            root = node_hash(subtree, root)
        return root

    def to_text(self) -> str:
        """Return the subtrees as lower-case hex, widest first, with a space between."""
        return " ".join(subtree.hex() for subtree in self.subtrees)

    @classmethod
    def from_text(cls, size: int, text: str) -> Frontier:
        """Return what `to_text` wrote. Raises ValueError when it is no frontier of a tree of `size` leaves."""
        subtrees = tuple(bytes.fromhex(word) for word in text.split())
        if size < 0 or len(subtrees) != size.bit_count() or any(len(subtree) != HASH_BYTES for subtree in subtrees):
            raise ValueError(f"not the frontier of a tree of {size} leaves")
        return cls(size, subtrees)
