"""The ledger's check of itself: every leaf, column, tree and checkpoint recomputed, with nothing taken on trust."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from typing import Any, Final

from django.db import connections
from django.db.models import Max

from containers_app.audit.appending import answering
from containers_app.audit.canonical import Unrecordable, read_canonical
from containers_app.audit.closing import NOT_TOLD, Ending, endings_told
from containers_app.audit.merkle import Frontier, leaf_hash, subtree_root
from containers_app.audit.models import Entry, Head, SignedCheckpoint
from containers_app.audit.notes import NoteRefused, UnknownSigner, open_note, parse_checkpoint, split_note
from containers_app.audit.pruned import Pruning, columns_of_pruned, pruning_of
from containers_app.audit.record import projection
from containers_app.audit.router import ALIAS
from containers_app.audit.shards import newest, rank
from containers_app.audit.tree import false_subtrees

MOST_PROBLEMS: Final = 100
# A perfect subtree each, so that two processes can work on the same shard.
LEVEL: Final = 12
# Starting processes takes longer than to check so many.
FEW: Final = 20_000
_CHECKPOINTS_AT_ONCE: Final = 1_000
_QUICK: Final = ("leaf_index", "payload", "leaf_hash")
_LEAST: Final = dict.fromkeys(("phase", "action", "category"), "") | {"time": "2026-01-01T00:00:00.000000Z"}
_COPIED: Final = tuple(projection({**_LEAST, "actor": {"type": ""}, "source": {"channel": ""}}))
_EMPTY: Final = leaf_hash(b"")


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """What a check of one shard found: `root` in hex over `size` entries, and at most 100 problems in words.

    `checkpoints` is how many signed ones were compared with the entries, of which `unknown` are signed by none of the
    keys that were to be trusted, and `lost` are over entries whose loss was accepted; `pruned` is how many payloads
    retention took away: of these only the leaf hash is there, as an entry tells.
    """

    shard: int
    size: int
    root: str
    problems: tuple[str, ...]
    checkpoints: int = 0
    unknown: int = 0
    lost: int = 0
    pruned: int = 0

    @property
    def is_clean(self) -> bool:
        """Say whether nothing was found."""
        return not self.problems


def _nobody(entries: int, size_bytes: int) -> None:
    """Nobody waits for the check."""


def self_check(
    shard: int,
    *,
    quick: bool = False,
    vkeys: Sequence[str] = (),
    processes: int = 1,
    watch: Callable[[int, int], None] = _nobody,
) -> SelfCheck:
    """Recompute the tree of `shard` from the stored payloads and compare it with all that is stored beside them.

    Finds changed, missing, reordered and added entries, hashes and columns that part from their payload, and a head
    that parts from the root, or from what the next shard tells of it; and a checkpoint that is not signed by its key,
    or signs another tree. With `vkeys` only these keys count, and not those of the database. `quick` leaves out the
    columns and the canonical form.
    What somebody with the rights to rewrite all of it changed consistently, only a checkpoint kept elsewhere finds.
    Writers go on meanwhile. More `processes` make it quicker; never in a thread or a transaction. `watch` is told
    after each piece how many entries it had and how many bytes of payload, and may raise to stop. Raises
    `AuditUnavailable`.
    """
    with answering():
        # Before the head, which then has at least as many entries as any of them, and grows no more once it is closed.
        endings = _endings(shard)
        last = SignedCheckpoint.objects.using(ALIAS).filter(shard=shard).aggregate(last=Max("id"))["last"] or 0
        head = Head.objects.using(ALIAS).filter(shard=shard).first() or Head(shard=shard, size=0, frontier="")
        check = _Check(head=head, gone=pruning_of(shard), vkeys=vkeys, accepted=_accepted(shard), endings=endings)
        work = partial(_look, shard, head.size, quick, check.gone.end if check.gone else 0)
        with _pool(processes if head.size > FEW else 1) as mapped:
            pieces = mapped(work, range(0, head.size, 1 << LEVEL))
            # Only now: the processes are there, and this connection is none of theirs.
            signed = _Signed(_checkpoints(shard, last))
            for looked in pieces:
                check.take(looked, signed)
                watch(len(looked.leaves) // 32, looked.size_bytes)
        check.close(signed)
        if _last_index(shard) >= _size(shard):
            check.say("there are entries after the head")
        for level, number in () if quick else false_subtrees(shard):
            check.say(f"the stored subtree {number} of level {level} is not that of the entries")
    return check.report()


@dataclass(frozen=True, kw_only=True)
class _Looked:
    """What was found of the entries of one piece: their leaf hashes, one after the other, and what is wrong."""

    leaves: bytes
    problems: list[str]
    pruned: int
    size_bytes: int


def _look(shard: int, size: int, quick: bool, gone: int, begin: int) -> _Looked:
    """Read the piece that begins at `begin`, and check each entry by itself; below `gone` some payloads are pruned."""
    columns = _QUICK if quick else (*_QUICK, *_COPIED)
    rows = Entry.objects.using(ALIAS).filter(shard=shard, leaf_index__gte=begin, leaf_index__lt=size)
    rows = rows.filter(leaf_index__lt=begin + (1 << LEVEL)).order_by("leaf_index")
    leaves: list[bytes] = []
    problems: list[str] = []
    pruned = size_bytes = 0
    with answering():
        for expected, (index, payload, stored, *copied) in enumerate(rows.values_list(*columns), begin):
            if index != expected:
                problems.append(f"where entry {expected} should be, there is entry {index}")
            if not payload:
                pruned += 1
                leaves.append(_bytes_of(stored))
                if index >= gone:
                    problems.append(f"entry {index}: the payload is gone, and no entry tells that it was pruned")
            else:
                text = payload.encode()
                size_bytes += len(text)
                leaves.append(leaf_hash(text))
            if leaves[-1].hex() != stored:
                problems.append(f"entry {index}: the payload does not have the stored hash")
            for one in _parting(shard, payload, copied) if copied else ():
                problems.append(f"entry {index}: {one} is not what the payload says")
    return _Looked(leaves=b"".join(leaves), problems=problems[:MOST_PROBLEMS], pruned=pruned, size_bytes=size_bytes)


def _parting(shard: int, payload: str, copied: list[Any]) -> list[str]:
    """The columns that are not what the payload says."""
    try:
        expected = projection(read_canonical(payload)) if payload else columns_of_pruned(shard)
    except (KeyError, TypeError, AttributeError, Unrecordable):
        return ["payload"]
    if payload and [*expected.values()] == copied:
        return []
    return [name for name, value in zip(_COPIED, copied, strict=True) if expected[name] != value]


def _bytes_of(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return _EMPTY


class _Signed:
    """The checkpoints of a shard by their size, one group after the other."""

    def __init__(self, rows: Iterator[SignedCheckpoint]) -> None:
        self._groups = groupby(rows, key=lambda row: row.size)
        self._advance()

    def _advance(self) -> None:
        found: tuple[int | None, Iterator[SignedCheckpoint]] = next(self._groups, (None, iter(())))
        self.size, self._rows = found

    def take(self) -> list[SignedCheckpoint]:
        """The next ones, which are all over `size` entries; heartbeats repeat a checkpoint, so each is there once."""
        found = list({row.note: row for row in self._rows}.values())
        self._advance()
        return found


@dataclass
class _Check:
    head: Head
    gone: Pruning | None
    vkeys: Sequence[str]
    accepted: dict[int, int]
    endings: list[Ending] | None
    subtrees: Frontier = field(default_factory=Frontier)
    frontier: Frontier = field(default_factory=Frontier)
    problems: list[str] = field(default_factory=list)
    checkpoints: int = 0
    unknown: int = 0
    lost: int = 0
    pruned: int = 0

    def say(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def take(self, looked: _Looked, signed: _Signed) -> None:
        for problem in looked.problems:
            self.say(problem)
        self._compare(signed)
        self.pruned += looked.pruned
        leaves = [looked.leaves[at : at + 32] for at in range(0, len(looked.leaves), 32)]
        end = self.frontier.size + len(leaves)
        is_full = len(leaves) == 1 << LEVEL and self.frontier.size == self.subtrees.size << LEVEL
        if not is_full or (signed.size or end) < end or (self.gone and self.frontier.size < self.gone.end <= end):
            self._walk(leaves, signed)
        if is_full:
            self.subtrees = self.subtrees.append(subtree_root(looked.leaves))
            self.frontier = Frontier(end, self.subtrees.subtrees)
        self._compare(signed)

    def _walk(self, leaves: Iterable[bytes], signed: _Signed) -> None:
        """Leaf by leaf: a checkpoint is over some of them, or they are not a perfect subtree."""
        for leaf in leaves:
            self._compare(signed)
            self.frontier = self.frontier.append(leaf)
            if self.gone is not None and self.gone.end == self.frontier.size:
                self._compare_pruned(self.gone)

    def _compare_pruned(self, gone: Pruning) -> None:
        if self.frontier.root().hex() != gone.root:
            self.say(f"what was pruned had another root, as entry {gone.place} tells")

    def _compare(self, signed: _Signed) -> None:
        """The checkpoints over exactly the entries that there are so far."""
        while signed.size is not None and signed.size <= self.frontier.size:
            root = self.frontier.root() if signed.size == self.frontier.size else b""
            for row in signed.take():
                self._open(row, root)

    def _open(self, row: SignedCheckpoint, root: bytes) -> None:
        self.checkpoints += 1
        try:
            signed_root = open_note(row.note, self.vkeys or [row.vkey]).root
        except UnknownSigner:
            if not self.vkeys:
                self.say(f"the checkpoint over {row.size} entries is not signed by its key")
            self.unknown += 1
            signed_root = parse_checkpoint(split_note(row.note)[0]).root
        except (NoteRefused, ValueError) as failure:
            self.say(f"the checkpoint over {row.size} entries is not good: {failure}")
            return
        if signed_root != root:
            self.say(f"the first {row.size} entries are not those that a checkpoint has signed")

    def close(self, signed: _Signed) -> None:
        self._compare(signed)
        while signed.size is not None:
            size, rows = signed.size, signed.take()
            self.lost += len(rows)
            if size > max(self.accepted, default=0):
                self.say(f"a checkpoint has signed {size} entries, there are {self.frontier.size}")
        if self.frontier.size != self.head.size:
            self.say(f"the head counts {self.head.size} entries, there are {self.frontier.size}")
        if self.frontier.to_text() != self.head.frontier:
            self.say("the tree over the stored payloads is not the one of the head")
        if self.gone is not None and self.gone.end > self.frontier.size:
            self._compare_pruned(self.gone)
        self._compare_endings()

    def _compare_endings(self) -> None:
        if self.endings is None or self.frontier.size in self.accepted.values():
            return
        for problem in [one.parting(self.frontier.size, self.frontier.root().hex()) for one in self.endings]:
            if problem:
                self.say(problem)
        if not self.endings:
            self.say(NOT_TOLD)

    def report(self) -> SelfCheck:
        return SelfCheck(
            shard=self.head.shard,
            size=self.frontier.size,
            root=self.frontier.root().hex(),
            problems=tuple(self.problems),
            checkpoints=self.checkpoints,
            unknown=self.unknown,
            lost=self.lost,
            pruned=self.pruned,
        )


@contextmanager
def _pool(processes: int) -> Iterator[Any]:
    """The built-in `map`, or one that has so many processes work."""
    if processes < 2:
        yield map
        return
    # A process of its own needs a connection of its own, and must not find this one.
    connections[ALIAS].close()
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield pool.map


def _checkpoints(shard: int, last: int) -> Iterator[SignedCheckpoint]:
    rows = SignedCheckpoint.objects.using(ALIAS).filter(shard=shard, id__lte=last).order_by("size", "id")
    return rows.iterator(_CHECKPOINTS_AT_ONCE)


def _endings(shard: int) -> list[Ending] | None:
    """How a shard ended, as later ones tell; None for the newest one, and for one that is not there."""
    every = set(Head.objects.using(ALIAS).values_list("shard", flat=True))
    if shard not in every or shard == newest(every):
        return None
    return [one for one in endings_told() if one.shard == shard]


def _accepted(shard: int) -> dict[int, int]:
    """How many entries were signed, and how many there were, when losses of a shard were accepted, as later ones tell.

    Only an entry that has its own hash counts.
    """
    openings = Entry.objects.using(ALIAS).filter(leaf_index=0, action="audit.accept_rollback")
    return {size: left for one in openings if rank(one.shard) > rank(shard) for size, left in _accepted_in(one, shard)}


def _accepted_in(opening: Entry, shard: int) -> list[tuple[int, int]]:
    if leaf_hash(opening.payload.encode()).hex() != opening.leaf_hash:
        return []
    try:
        told = json.loads(opening.payload)["details"]["rollback"]
        return [(int(one["size"]), int(one["left"])) for one in told if one["shard"] == shard]
    except (ValueError, KeyError, TypeError):
        return []


def _last_index(shard: int) -> int:
    last: int | None = Entry.objects.using(ALIAS).filter(shard=shard).aggregate(last=Max("leaf_index"))["last"]
    return -1 if last is None else last


def _size(shard: int) -> int:
    size: int | None = Head.objects.using(ALIAS).filter(shard=shard).values_list("size", flat=True).first()
    return size or 0
