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

from containers_app.audit import shards
from containers_app.audit.commitments import Commitment
from containers_app.audit.merkle import Frontier, leaf_hash
from containers_app.audit.models import Disclosure, Entry, Head, SignedCheckpoint, Standing, Stored, Subtree
from containers_app.audit.record import Actor, Fact, Recorded, Source, compose, projection
from containers_app.audit.router import ALIAS
from containers_app.audit.tree import STEP
from containers_app.errors import AuditUnavailable

# The first 63 bits of SHA-256("mycodocker audit ledger"): advisory locks share one number space per database.
LOCK_NUMBER: Final = 3_160_585_963_228_209_605
LOCK_SECONDS: Final = 5
HALTED: Final = "halted"
HALTED_WORDS: Final = (
    "The audit ledger lost entries or was changed, so nothing is run. An administrator has to look at it: "
    "see 'manage.py ledger accept-rollback'."
)
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
        _drop_dead_connection()
        yield
    except Error as failure:
        raise AuditUnavailable("The audit ledger does not answer; nothing was run. Try again later.") from failure


@contextmanager
def appending() -> Iterator[None]:
    """Hold the ledger's one writer lock for the transaction that `append` needs; durable at the end.

    Never hold it across anything but the ledger's own queries; within it, a second one belongs to the first. Raises
    `AuditUnavailable` when the database fails or the lock is not free within 5 s; then nothing was written, save that
    a failed commit may have been carried out.
    """
    if getattr(_here, "held", False):
        yield
        return
    with answering(), transaction.atomic(using=ALIAS, durable=True):
        _lock()
        _here.held = True
        try:
            yield
        finally:
            _here.held = False


def append(fact: Fact) -> Entry:
    """Write `fact` as the next leaf, within `appending`.

    Raises `Unrecordable` for what has no place in the ledger, `LedgerHalted` after a loss that nobody accepted yet.
    """
    if is_halted():
        raise LedgerHalted(HALTED_WORDS)
    moment = _now()
    head = _current_head(moment)
    return _add(compose(fact, moment), head)[0]


def is_halted() -> bool:
    """Whether the signer stopped the ledger. Raises django.db.Error."""
    last = Standing.objects.using(ALIAS).order_by("-id").first()
    return last is not None and last.state == HALTED


def _now() -> datetime:
    return datetime.now(UTC)


def _drop_dead_connection() -> None:
    connection = connections[ALIAS]
    if connection.connection is not None and not connection.in_atomic_block and not connection.is_usable():
        connection.close()


def _lock() -> None:
    # SQLite holds its one write lock since BEGIN IMMEDIATE (transaction_mode in the settings).
    connection = connections[ALIAS]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SELECT pg_advisory_xact_lock({LOCK_NUMBER})",
            )


def _current_head(moment: datetime) -> Head:
    heads = {head.shard: head for head in Head.objects.using(ALIAS).all()}
    newest = shards.newest(heads)
    if newest is None:
        return Head(shard=moment.year, size=0, frontier="")
    # A clock that goes back over New Year must not reopen the closed shard.
    if shards.year_of(newest) >= moment.year:
        return heads[newest]
    return open_shard(moment.year, _opening(heads[newest]))


def open_shard(shard: int, fact: Fact) -> Head:
    """Begin `shard` with `fact` as its first leaf, within `appending`, and return its head."""
    return _add(compose(fact, _now()), Head(shard=shard, size=0, frontier=""))[1]


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
    _insert_disclosures(recorded.disclosures)
    _insert_entry(entry)
    _insert_subtrees(head, frontier.completed(leaf))
    return entry, _grow(head, frontier.append(leaf))


def _frontier(head: Head) -> Frontier:
    try:
        return Frontier.from_text(head.size, head.frontier)
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


def _insert_disclosures(commitments: tuple[Commitment, ...]) -> None:
    rows = [Disclosure(commitment=one.digest, kind=one.name, text=one.text) for one in commitments]
    if rows:
        writable(Disclosure).bulk_create(rows)


def _insert_entry(entry: Entry) -> None:
    writable(Entry).bulk_create([entry])


def _insert_subtrees(head: Head, completed: list[bytes]) -> None:
    rows = [
        Subtree(shard=head.shard, level=level, number=head.size >> level, root=completed[level].hex())
        for level in range(STEP, len(completed), STEP)
    ]
    if rows:
        writable(Subtree).bulk_create(rows)


def _grow(head: Head, frontier: Frontier) -> Head:
    grown = Head(shard=head.shard, size=frontier.size, frontier=frontier.to_text())
    heads = writable(Head)
    if head.size == 0:
        heads.bulk_create([grown])
    elif heads.filter(shard=head.shard, size=head.size).update(size=grown.size, frontier=grown.frontier) != 1:
        raise HeadUnfit("the head of the ledger moved under the lock")
    return grown


def writable(model: type[Stored]) -> QuerySet[Stored]:
    """The rows of a table of the ledger, for the ledger's own modules to add to."""
    return QuerySet(model, using=ALIAS)
