"""Keeps a flood of what anybody can repeat from filling the ledger: few entries, and each time counted in one."""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv6Network, NetmaskValueError
from threading import Lock
from typing import Final

from django.db import DatabaseError

from containers_app.audit import ledger
from containers_app.audit.record import NOTHING, Actor, Outcome, Source, Subject
from containers_app.errors import AuditUnavailable

BURST: Final = 20
PER_SECOND: Final = 1.0
SETTLE_SECONDS: Final = 10.0
MOST_KEYS: Final = 1_024
SETTLED_AT_ONCE: Final = 8

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Denial:
    """A request that was refused or made no sense: `code` is the error code the asker saw.

    Or, with an `outcome` of its own and no code, something else that can be repeated at will, such as a look at the
    ledger. `details` are those of the entry. `roles` gives the actor's, and is asked when the entry is written: a
    refusal that is only counted costs no query.
    """

    action: str
    code: str
    actor: Actor
    source: Source
    subject: Subject = NOTHING
    message: str = ""
    outcome: Outcome = "denied"
    details: Mapping[str, object] = field(default_factory=dict)
    roles: Callable[[], tuple[str, ...]] | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """Who is counted together: one known actor, one Docker host, else one address (for IPv6 one owner's /64)."""
        what = self.code or self.action
        if self.actor.id and self.actor.type != "anonymous":
            return f"{self.actor.type} {self.actor.id}", what
        return self.subject.host or _address_group(self.source.ip), what


def _crowd(denial: Denial) -> Denial:
    return Denial(
        action="authz.flood",
        code="TOO_MANY_ASKERS",
        actor=Actor(type="anonymous"),
        source=Source(channel=denial.source.channel),
    )


@dataclass
class _Bucket:
    tokens: float
    filled_at: float
    waiting: int = 0
    waiting_since: float = 0.0
    last: Denial | None = None


@dataclass(frozen=True)
class _Due:
    denial: Denial
    count: int


class FloodControl:
    """A token bucket for each key of `Denial`; thread-safe, bounded in memory, one for each process.

    `write` records a denial that stands for `suppressed` more and returns the leaf index. The sum over all entries of
    1 + suppressed is the number of denials, once nothing waits. When `write` raises, what it was to write waits again;
    when there is no place for its key any more, it is counted together with others under `authz.flood`.
    """

    def __init__(
        self,
        write: Callable[[Denial, int], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        most_keys: int = MOST_KEYS,
    ) -> None:
        self._write = write
        self._clock = clock
        self._most_keys = most_keys
        self.forget()

    def forget(self) -> None:
        """Drop all buckets and counts: for a forked process, whose parent still has them, and for tests."""
        self._lock = Lock()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._waiting: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """The number of denials that are in no entry yet."""
        with self._lock:
            return sum(self._buckets[key].waiting for key in self._waiting)

    def record(self, denial: Denial) -> int | None:
        """Record `denial`, or count it for a later entry; return the leaf index, or None when it was only counted.

        Writes before that the counts which have waited for 10 s, of at most 8 keys, and the count of a key that gives
        way to a new one. Raises `AuditUnavailable`; nothing is lost then, the denial itself is counted.
        """
        with self._lock:
            now = self._clock()
            due = self._make_room(denial.key) + self._settle(now, SETTLED_AT_ONCE)
            own = self._admit(denial, now)
        return self._write_all(due, own)

    def settle(self) -> None:
        """Write the counts that have waited for 10 s. Raises `AuditUnavailable`."""
        with self._lock:
            due = self._settle(self._clock(), SETTLED_AT_ONCE)
        self._write_all(due, None)

    def settle_all(self) -> None:
        """Write all counts that wait, whatever their age. Raises `AuditUnavailable`."""
        with self._lock:
            due = self._settle(float("inf"), len(self._waiting))
        self._write_all(due, None)

    def _admit(self, denial: Denial, now: float) -> _Due | None:
        bucket = self._bucket(denial.key, now)
        self._buckets.move_to_end(denial.key)
        bucket.tokens = min(float(BURST), bucket.tokens + (now - bucket.filled_at) * PER_SECOND)
        bucket.filled_at = now
        if bucket.tokens < 1:
            self._wait(denial, 1, now)
            return None
        bucket.tokens -= 1
        return _Due(denial, self._take(denial.key) + 1)

    def _bucket(self, key: tuple[str, str], now: float) -> _Bucket:
        if key not in self._buckets:
            self._buckets[key] = _Bucket(tokens=float(BURST), filled_at=now)
        return self._buckets[key]

    def _wait(self, denial: Denial, count: int, now: float) -> None:
        if denial.key not in self._buckets and len(self._buckets) >= self._most_keys:
            denial = _crowd(denial)
        bucket = self._bucket(denial.key, now)
        if not bucket.waiting:
            bucket.waiting_since = now
        bucket.waiting += count
        bucket.last = denial
        self._waiting[denial.key] = None

    def _take(self, key: tuple[str, str]) -> int:
        bucket = self._buckets[key]
        count, bucket.waiting = bucket.waiting, 0
        self._waiting.pop(key, None)
        return count

    def _make_room(self, key: tuple[str, str]) -> list[_Due]:
        due: list[_Due] = []
        while key not in self._buckets and len(self._buckets) >= self._most_keys:
            oldest = next(iter(self._buckets))
            due += self._due(oldest)
            del self._buckets[oldest]
        return due

    def _settle(self, now: float, most: int) -> list[_Due]:
        keys = [key for key, _ in zip(self._waiting, range(most), strict=False)]
        ripe = [key for key in keys if now - self._buckets[key].waiting_since > SETTLE_SECONDS]
        return [due for key in ripe for due in self._due(key)]

    def _due(self, key: tuple[str, str]) -> list[_Due]:
        last = self._buckets[key].last
        count = self._take(key)
        return [_Due(last, count)] if last is not None and count else []

    def _write_all(self, due: list[_Due], own: _Due | None) -> int | None:
        written = None
        remaining = [*due, own] if own else due
        for position, one in enumerate(remaining):
            try:
                written = self._write(one.denial, one.count - 1)
            except AuditUnavailable:
                self._put_back(remaining[position:])
                raise
        return written if own else None

    def _put_back(self, unwritten: list[_Due]) -> None:
        with self._lock:
            now = self._clock()
            for one in unwritten:
                self._wait(one.denial, one.count, now)


def _address_group(address: str) -> str:
    try:
        return str(IPv6Network((address, 64), strict=False))
    except (AddressValueError, NetmaskValueError, ValueError):
        return address[:64]


def _write(denial: Denial, suppressed: int) -> int:
    return ledger.event(
        action=denial.action,
        actor=_with_roles(denial),
        source=denial.source,
        subject=denial.subject,
        outcome=denial.outcome,
        error_code=denial.code,
        error_message=denial.message,
        details=denial.details,
        suppressed=suppressed,
    )


def _with_roles(denial: Denial) -> Actor:
    if denial.roles is None:
        return denial.actor
    try:
        return replace(denial.actor, roles=denial.roles())
    except DatabaseError:  # the refusal counts, whatever the other database does
        return denial.actor


control: Final = FloodControl(_write)


def record(denial: Denial) -> int | None:
    """Record `denial` under this process's flood control, see `FloodControl.record`."""
    return control.record(denial)


def connect() -> None:
    """Write what waits when the interpreter ends; let a forked process begin with nothing."""
    atexit.register(_settle_at_exit)
    os.register_at_fork(after_in_child=control.forget)


def _settle_at_exit() -> None:
    try:
        control.settle_all()
    except AuditUnavailable:
        _LOG.error("The ledger did not take the count of %d refused requests.", control.waiting)
