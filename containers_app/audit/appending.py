"""The only way into the ledger's tables: one short, serialised, durable transaction on the ledger's own database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from django.db import DatabaseError, Error, connections, transaction
from django.db.models import QuerySet

from containers_app.audit import flushing, one_trip, shards, statements
from containers_app.audit.merkle import Frontier, leaf_hash
from containers_app.audit.models import Disclosure, Entry, Head, SignedCheckpoint, Standing, Stored, Subtree
from containers_app.audit.record import Actor, Fact, Recorded, Source, compose, projection
from containers_app.audit.router import ALIAS
from containers_app.audit.statements import Statement
from containers_app.audit.tree import STEP
from containers_app.errors import AuditUnavailable
from containers_app.specs.receipt import Receipt

# The first 63 bits of SHA-256("mycodocker audit ledger"): advisory locks share one number space per database.
LOCK_NUMBER: Final = 3_160_585_963_228_209_605
LOCK_SECONDS: Final = 5
HALTED: Final = "halted"
HALTED_WORDS: Final = (
    "The audit ledger lost entries or was changed, so nothing is run. An administrator has to look at it: "
    "see 'manage.py ledger accept-rollback'."
)
_LOCK: Final = f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SELECT pg_advisory_xact_lock({LOCK_NUMBER})"
_here = threading.local()


class HeadUnfit(DatabaseError):
    """The head moved in spite of the lock, or is no head of a tree: nothing is written after it."""


class LedgerHalted(AuditUnavailable):
    """The signer found that entries are lost or were changed: an administrator decides, not another try."""

    retryable = False


@contextmanager
def answering() -> Iterator[None]:
    """Turn every failure of the ledger's database into `AuditUnavailable`; a connection that died idle is replaced."""
    try:
        statements.drop_dead_connection()
        yield
    except Error as failure:
        raise AuditUnavailable("The audit ledger does not answer; nothing was run. Try again later.") from failure


@contextmanager
def appending() -> Iterator[None]:
    """Hold the ledger's one writer lock for the transaction that `append` needs; durable at the end.

    Never hold it across anything but the ledger's own queries; within it, a second one belongs to the first. The disk
    is waited for once the lock is free, see `flushing`. Raises `AuditUnavailable` when the database or the disk fails
    or the lock is not free within 5 s; then nothing was written, save that a failed commit may have been carried out.
    """
    if getattr(_here, "held", False):
        yield
        return
    with answering(), flushing.afterwards(), transaction.atomic(using=ALIAS, durable=True):
        _lock()
        _here.held = True
        try:
            yield
        finally:
            _here.held = False


def append_at_once(fact: Fact) -> Receipt | None:
    """Write `fact` as the next leaf, durably, where one question to the database does it; else None, and nothing.

    Then the way is `append` within `appending`. Raises `Unrecordable`, `AuditUnavailable` (as `appending`).
    """
    connection = connections[ALIAS]
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        return None
    with answering():
        return one_trip.append(fact, lock=_LOCK)


def append(fact: Fact) -> Entry:
    """Write `fact` as the next leaf, within `appending`.

    Raises `Unrecordable` for what has no place in the ledger, `LedgerHalted` after a loss that nobody accepted yet.
    """
    state, heads = statements.standing_and_heads()
    if state == HALTED:
        raise LedgerHalted(HALTED_WORDS)
    # Only within the lock, so that the times of the entries are in the order of the leaves.
    moment = _now()
    return _add(compose(fact, moment), _current_head(heads, moment))[0]


def is_halted() -> bool:
    """Whether the signer stopped the ledger. Raises django.db.Error."""
    last = Standing.objects.using(ALIAS).order_by("-id").first()
    return last is not None and last.state == HALTED


def _now() -> datetime:
    """One clock for all machines where there is one: that of the server, as `one_trip` has it."""
    connection = connections[ALIAS]
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def _lock() -> None:
    # SQLite holds its one write lock since BEGIN IMMEDIATE (transaction_mode in the settings).
    connection = connections[ALIAS]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"{flushing.LATER}; {_LOCK}")


def _current_head(heads: dict[int, Head], moment: datetime) -> Head:
    newest = shards.newest(heads)
    if newest is None:
        return Head(shard=moment.year, size=0, frontier="")
    # A clock that goes back over New Year must not reopen the closed shard.
    if shards.year_of(newest) >= moment.year:
        return heads[newest]
    # The opening is before the entry that it is made for, and so is its time.
    return open_shard(moment.year, _opening(heads[newest]), moment)


def open_shard(shard: int, fact: Fact, moment: datetime | None = None) -> Head:
    """Begin `shard` with `fact` as its first leaf, at `moment` or now, within `appending`, and return its head."""
    return _add(compose(fact, moment or _now()), Head(shard=shard, size=0, frontier=""))[1]


def how_it_ended(head: Head) -> dict[str, object]:
    """What the first leaf of a new shard says of the one before: size, root, and the last checkpoint, line by line."""
    closed: dict[str, object] = {"shard": head.shard, "size": head.size, "root": _frontier(head).root().hex()}
    last = SignedCheckpoint.objects.using(ALIAS).filter(shard=head.shard).order_by("-id").first()
    return closed if last is None else closed | {"checkpoint": last.note.splitlines()}


def _opening(closed: Head) -> Fact:
    return Fact(
        phase="event",
        action="audit.open_shard",
        outcome="success",
        actor=Actor(type="system"),
        source=Source(channel="engine"),
        details={"previous": how_it_ended(closed)},
    )


def _add(recorded: Recorded, head: Head) -> tuple[Entry, Head]:
    frontier = _frontier(head)
    entry = _entry(recorded, head)
    leaf = bytes.fromhex(entry.leaf_hash)
    following = frontier.append(leaf)
    grown = Head(shard=head.shard, size=following.size, frontier=following.to_text())
    rows = [*_disclosures(recorded), entry, *_subtrees(head, frontier.completed(leaf))]
    if statements.run([*statements.insertions(rows), _growth(head, grown)]) != 1:
        raise HeadUnfit("the head of the ledger moved under the lock")
    return entry, grown


def _frontier(head: Head) -> Frontier:
    try:
        return head.tree()
    except ValueError as failure:
        raise HeadUnfit(f"the head of shard {head.shard} is damaged") from failure


def _entry(recorded: Recorded, head: Head) -> Entry:
    return Entry(
        shard=head.shard,
        leaf_index=head.size,
        payload=recorded.payload,
        leaf_hash=leaf_hash(recorded.payload.encode()).hex(),
        **projection(json.loads(recorded.payload)),
    )


def _disclosures(recorded: Recorded) -> list[Disclosure]:
    return [Disclosure(commitment=one.digest, kind=one.name, text=one.text) for one in recorded.disclosures]


def _subtrees(head: Head, completed: list[bytes]) -> list[Subtree]:
    return [
        Subtree(shard=head.shard, level=level, number=head.size >> level, root=completed[level].hex())
        for level in range(STEP, len(completed), STEP)
    ]


def _growth(head: Head, grown: Head) -> Statement:
    """The head goes on only from where it was read: then it is one row that was written."""
    if head.size == 0:
        (insertion,) = statements.insertions([grown])
        return insertion
    return statements.GROW, [grown.size, grown.frontier, head.shard, head.size]


def writable(model: type[Stored]) -> QuerySet[Stored]:
    """The rows of a table of the ledger, for the ledger's own modules to add to."""
    return QuerySet(model, using=ALIAS)
