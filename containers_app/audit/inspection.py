"""Reads the ledger back: for people, with the names joined in; for its own check, with nothing taken on trust."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Max, Q, QuerySet

from containers_app.audit.appending import answering
from containers_app.audit.canonical import Unrecordable, canonical_payload
from containers_app.audit.commitments import opened
from containers_app.audit.merkle import Frontier, leaf_hash
from containers_app.audit.models import Disclosure, Entry, Head, SignedCheckpoint
from containers_app.audit.notes import NoteRefused, open_note
from containers_app.audit.record import COMMITTED, projection
from containers_app.audit.router import ALIAS
from containers_app.audit.shards import rank

MOST_PROBLEMS: Final = 100
ROWS_AT_ONCE: Final = 2_000
# SQLite takes so many parameters in every build; PostgreSQL more.
DIGESTS_AT_ONCE: Final = 900


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """What a check of one shard found: `root` in hex over `size` entries, and at most 100 problems in words.

    `checkpoints` is how many signed ones were compared with the entries.
    """

    shard: int
    size: int
    root: str
    problems: tuple[str, ...]
    checkpoints: int = 0

    @property
    def is_clean(self) -> bool:
        """Say whether nothing was found."""
        return not self.problems


def entries() -> QuerySet[Entry]:
    """All entries, for reading: lists filter and page it, newest first."""
    return Entry.objects.using(ALIAS).order_by("-id")


def at_leaf(index: int) -> Q:
    """What the entries with this leaf index fulfil, one in each shard: no index has leaves alone."""
    return Q(shard__in=Head.objects.using(ALIAS).values("shard"), leaf_index=index)


def known_shards() -> list[int]:
    """The shards that there are, oldest first. Raises `AuditUnavailable`."""
    with answering():
        return sorted(Head.objects.using(ALIAS).values_list("shard", flat=True), key=rank)


def disclosed(entry: Entry) -> dict[str, Any]:
    """Return the payload of `entry` for display, see `disclosed_all`."""
    return disclosed_all([entry])[0]


def disclosed_all(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the payloads of `entries` with each commitment (`label_c`) replaced by its value (`label`).

    A value whose disclosure was deleted reads "erased", one whose disclosure was tampered with "altered". A payload
    that was tampered with until it is no JSON object stands under `damaged`. One query for all. Raises
    `AuditUnavailable`.
    """
    payloads = [_payload(entry) for entry in entries]
    texts = _texts(payloads)
    for payload in payloads:
        for holder, name in list(_commitments(payload)):
            digest = holder.pop(name)
            holder[name.removesuffix("_c")] = opened(digest, texts.get(digest))
    return payloads


def disclosures_of(entries: Iterable[Entry]) -> list[tuple[Entry, list[str]]]:
    """Return each of `entries` with the disclosure texts that are still there. One query for all."""
    held = [(entry, _payload(entry)) for entry in entries]
    texts = _texts([payload for _, payload in held])
    return [
        (entry, [texts[holder[name]] for holder, name in _commitments(payload) if holder[name] in texts])
        for entry, payload in held
    ]


def self_check(shard: int, *, quick: bool = False, vkeys: Sequence[str] = ()) -> SelfCheck:
    """Recompute the tree of `shard` from the stored payloads and compare it with all that is stored beside them.

    Finds changed, missing, reordered and added entries, hashes and columns that part from their payload, and a head
    that parts from the root; and a checkpoint that is not signed by its key, or signs another tree. With `vkeys`
    only these keys count, and not those of the database. `quick` leaves out the columns and the canonical form.
    What somebody with the rights to rewrite all of it changed consistently, only a checkpoint kept elsewhere finds.
    Writers go on meanwhile. Raises `AuditUnavailable`.
    """
    with answering():
        # Before the head, which then has at least as many entries as any of them.
        signed = _signed(shard)
        head = _head(shard)
        check = _Check(watched=frozenset(row.size for row in signed))
        for entry in _entries(shard, head.size, *(() if not quick else ("leaf_index", "payload", "leaf_hash"))):
            check.take(entry, quick=quick)
        check.close(head)
        check.compare(signed, vkeys)
        if _last_index(shard) >= _head(shard).size:
            check.say("there are entries after the head")
    return check.report(shard)


@dataclass
class _Check:
    watched: frozenset[int]
    frontier: Frontier = field(default_factory=Frontier)
    roots: dict[int, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    checkpoints: int = 0

    def say(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def take(self, entry: Entry, *, quick: bool) -> None:
        expected = self.frontier.size
        if entry.leaf_index != expected:
            self.say(f"where entry {expected} should be, there is entry {entry.leaf_index}")
        leaf = leaf_hash(entry.payload.encode())
        self.frontier = self.frontier.append(leaf)
        if expected + 1 in self.watched:
            self.roots[expected + 1] = self.frontier.root()
        if leaf.hex() != entry.leaf_hash:
            self.say(f"entry {entry.leaf_index}: the payload does not have the stored hash")
        for column in () if quick else _columns_that_part(entry):
            self.say(f"entry {entry.leaf_index}: {column} is not what the payload says")

    def close(self, head: Head) -> None:
        if self.frontier.size != head.size:
            self.say(f"the head counts {head.size} entries, there are {self.frontier.size}")
        if self.frontier.to_text() != head.frontier:
            self.say("the tree over the stored payloads is not the one of the head")

    def compare(self, signed: Iterable[SignedCheckpoint], vkeys: Sequence[str]) -> None:
        for row in signed:
            self.checkpoints += 1
            try:
                checkpoint = open_note(row.note, vkeys or [row.vkey])
            except (NoteRefused, ValueError) as failure:
                self.say(f"the checkpoint over {row.size} entries is not good: {failure}")
                continue
            if self.roots.get(checkpoint.size) != checkpoint.root:
                self.say(f"the first {checkpoint.size} entries are not those that a checkpoint has signed")

    def report(self, shard: int) -> SelfCheck:
        root = self.frontier.root().hex()
        return SelfCheck(
            shard=shard,
            size=self.frontier.size,
            root=root,
            problems=tuple(self.problems),
            checkpoints=self.checkpoints,
        )


def _columns_that_part(entry: Entry) -> list[str]:
    try:
        payload = json.loads(entry.payload)
        expected = projection(payload) | {"payload": canonical_payload(payload)}
    except (ValueError, KeyError, TypeError, AttributeError, Unrecordable):
        return ["payload"]
    return [column for column, value in expected.items() if getattr(entry, column) != value]


def _texts(payloads: Iterable[dict[str, Any]]) -> dict[str, str]:
    digests = sorted({holder[name] for payload in payloads for holder, name in _commitments(payload)})
    texts: dict[str, str] = {}
    with answering():
        for begin in range(0, len(digests), DIGESTS_AT_ONCE):
            piece = digests[begin : begin + DIGESTS_AT_ONCE]
            rows = Disclosure.objects.using(ALIAS).filter(commitment__in=piece)
            texts.update(rows.values_list("commitment", "text"))
    return texts


def _payload(entry: Entry) -> dict[str, Any]:
    try:
        payload = json.loads(entry.payload)
    except ValueError:
        payload = None
    return payload if isinstance(payload, dict) else {"damaged": entry.payload}


def _commitments(payload: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for *parents, name in COMMITTED:
        holder: Any = payload
        for parent in parents:
            holder = holder.get(parent, {}) if isinstance(holder, dict) else {}
        if isinstance(holder, dict) and isinstance(holder.get(f"{name}_c"), str):
            yield holder, f"{name}_c"


def _head(shard: int) -> Head:
    found: Head | None = Head.objects.using(ALIAS).filter(shard=shard).first()
    return found or Head(shard=shard, size=0, frontier="")


def _signed(shard: int) -> list[SignedCheckpoint]:
    """Heartbeats repeat a checkpoint; each is there once."""
    rows = SignedCheckpoint.objects.using(ALIAS).filter(shard=shard).order_by("id")
    return list({row.note: row for row in rows}.values())


def _entries(shard: int, size: int, *columns: str) -> Iterator[Any]:
    """Rows with all columns, or with the named ones only."""
    reached = -1
    while rows := list(_piece(shard, reached, columns).filter(leaf_index__lt=size)[:ROWS_AT_ONCE]):
        yield from rows
        reached = rows[-1].leaf_index


def _piece(shard: int, reached: int, columns: Sequence[str]) -> QuerySet[Any, Any]:
    rows = _after(shard, reached).order_by("leaf_index")
    return rows.values_list(*columns, named=True) if columns else rows


def _after(shard: int, leaf_index: int) -> QuerySet[Entry]:
    return Entry.objects.using(ALIAS).filter(shard=shard, leaf_index__gt=leaf_index)


def _last_index(shard: int) -> int:
    last: int | None = _after(shard, -1).aggregate(last=Max("leaf_index"))["last"]
    return -1 if last is None else last
