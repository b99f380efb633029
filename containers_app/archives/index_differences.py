"""Says what is different between two archives, entry by entry, from the rows of their indexes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from containers_app.archives.index_schema import Entry, joined

# The columns of an `Entry`, in their order: making one of each of a million rows would take longer than comparing them.
Row = tuple[Any, ...]
Pair = tuple[Row | None, Row | None]

_PLACE = slice(0, 2)
_FACTS = slice(2, 11)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One path that is not the same in two archives.

    `what` says what changed, out of `kind`, `content`, `target`, `mode`, `owner` and `modified`; it is empty unless
    `change` is `changed`.
    """

    path: bytes
    change: Literal["new", "changed", "deleted"]
    what: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparedPage:
    """Some differences, and the path behind which to go on; None: there are no more."""

    differences: tuple[Difference, ...]
    next_after: bytes | None


def paired(mine: Iterator[Row], theirs: Iterator[Row]) -> Iterator[Pair]:
    """The rows of both, each beside the one of the same path, in the order that both have."""
    before, after = next(mine, None), next(theirs, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before[_PLACE] < after[_PLACE]):
            yield before, None
            before = next(mine, None)
        elif before is None or after[_PLACE] < before[_PLACE]:
            yield None, after
            after = next(theirs, None)
        else:
            yield before, after
            before, after = next(mine, None), next(theirs, None)


def path_of(pair: Pair) -> bytes:
    """The path that the pair is of."""
    row = pair[0] or pair[1] or (b"", b"")
    return joined(row[0], row[1])


def difference(pair: Pair) -> Difference | None:
    """What is different, if anything is."""
    before, after = pair
    if after is None:
        return Difference(path=path_of(pair), change="deleted")
    if before is None:
        return Difference(path=path_of(pair), change="new")
    if before[_FACTS] == after[_FACTS]:
        return None
    what = tuple(name for name, same in _compared(Entry(*before), Entry(*after)) if not same)
    return Difference(path=path_of(pair), change="changed", what=what) if what else None


def _compared(before: Entry, after: Entry) -> Iterator[tuple[str, bool]]:
    kinds = {"file" if entry.kind == "hardlink" else entry.kind for entry in (before, after)}
    yield "kind", len(kinds) == 1
    unknown = kinds == {"file"} and None in (before.sha256, after.sha256)
    yield "content", before.size_bytes == after.size_bytes and (unknown or before.sha256 == after.sha256)
    yield "target", "symlink" not in kinds or before.target == after.target
    # Of a folder without a member nothing is known.
    if before.header_offset is not None and after.header_offset is not None:
        yield "mode", before.mode == after.mode
        yield "owner", (before.uid, before.gid) == (after.uid, after.gid)
        yield "modified", before.mtime_ns == after.mtime_ns
