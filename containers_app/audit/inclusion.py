"""The proof of one entry as people follow it: which hash stands on which side, up to the signed root."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from containers_app.audit.appending import answering
from containers_app.audit.merkle import leaf_hash, node_hash
from containers_app.audit.models import Entry
from containers_app.audit.published import NOT_COVERED, newest_checkpoint, way_to
from containers_app.audit.record import projection
from containers_app.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Step:
    """The hash (hex) that stands `side` (left or right) of the way up."""

    side: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Inclusion:
    """From `leaf`, the hash of the stored payload, by `steps` to `reached`; all in hex.

    `signed` is the root of the checkpoint of `size` entries. `columns_fit` says whether the columns that lists show
    are those of the payload.
    """

    leaf: str
    steps: tuple[Step, ...]
    reached: str
    size: int
    signed: str
    origin: str
    signed_at: datetime
    leaf_fits: bool
    columns_fit: bool

    @property
    def holds(self) -> bool:
        """Whether the payload leads to the signed root."""
        return self.leaf_fits and self.reached == self.signed


def inclusion(entry: Entry) -> Inclusion:
    """Follow the way of `entry` up to the last checkpoint of its shard.

    Raises NotFound while no checkpoint covers it or where the stored tree is damaged, `AuditUnavailable`.
    """
    with answering():
        row = newest_checkpoint(entry.shard)
        if row is None:
            raise NotFound(NOT_COVERED)
        hashes = way_to(row, entry)
    leaf = leaf_hash(entry.payload.encode())
    steps, reached = _way_up(leaf, hashes, index=entry.leaf_index, last=row.size - 1)
    return Inclusion(
        leaf=leaf.hex(),
        steps=steps,
        reached=reached.hex(),
        size=row.size,
        signed=row.root,
        origin=row.origin,
        signed_at=row.signed_at,
        leaf_fits=leaf.hex() == entry.leaf_hash,
        columns_fit=_columns_fit(entry),
    )


def _way_up(leaf: bytes, hashes: list[bytes], *, index: int, last: int) -> tuple[tuple[Step, ...], bytes]:
    """RFC 9162, section 2.1.3.2."""
    steps, root = [], leaf
    for beside in hashes:
        is_left = bool(index & 1) or index == last
        root = node_hash(beside, root) if is_left else node_hash(root, beside)
        steps.append(Step(side="left" if is_left else "right", hash=beside.hex()))
        while is_left and not index & 1 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    return tuple(steps), root


def _columns_fit(entry: Entry) -> bool:
    try:
        expected = projection(json.loads(entry.payload))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return all(getattr(entry, column) == value for column, value in expected.items())
