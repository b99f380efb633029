"""Keeps a flood of what anybody can repeat from filling the ledger: few entries, and each time counted in one."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv6Network, NetmaskValueError
from threading import Lock
from typing import Final

from django.db import DatabaseError

from containers_app.audit import ledger
from containers_app.audit.canonical import Unrecordable, canonical
from containers_app.audit.record import NOTHING, Actor, Outcome, Source, Subject
from containers_app.audit.values import recordable
from containers_app.errors import AuditUnavailable

BURST: Final = 20
PER_SECOND: Final = 1.0
SETTLE_SECONDS: Final = 10.0
MOST_KEYS: Final = 1_024
SETTLED_AT_ONCE: Final = 8
# What an entry may name besides itself, with room for its own details below the cap of a payload.
MOST_NAMED_BYTES: Final = 8_192
MOST_BRIEF_BYTES: Final = 4_096

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Denial:
    """A request that was refused or made no sense: `code` is the error code the asker saw.

    Or, with an `outcome` of its own and no code, something else that can be repeated at will, such as a look at the
    ledger. `details` are those of the entry. `roles` gives the actor's, and is asked when the entry is written: a
    refusal that is only counted costs no query. `brief` is what the entry that counts it says of it, in `details.also`;
    without one it is only a number there.
    """

    action: str
    code: str
    actor: Actor
    source: Source
    subject: Subject = NOTHING
    message: str = ""
    outcome: Outcome = "denied"
    details: Mapping[str, object] = field(default_factory=dict)
    brief: Mapping[str, object] = field(default_factory=dict)
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
    named: Counter[bytes] = field(default_factory=Counter)

    @property
    def is_full(self) -> bool:
        """Whether an entry could name no more."""
        return sum(map(len, self.named)) >= MOST_NAMED_BYTES


@dataclass(frozen=True, kw_only=True)
class _Due:
    """An entry for `count` denials: it is about `denial`, and names others. `instead` waits when it is not written."""

    denial: Denial
    count: int = 1
    named: Counter[bytes] = field(default_factory=Counter)
    instead: tuple[_Due, ...] | None = None

    def told(self) -> Denial:
        """The denial as its entry has it."""
        also = [{**json.loads(brief), **({"times": times} if times > 1 else {})} for brief, times in self.named.items()]
        return replace(self.denial, details={**self.denial.details, "also": also}) if also else self.denial


class FloodControl:
    """A token bucket for each key of `Denial`; thread-safe, bounded in memory, one for each process.

    `write` records a denial that stands for `suppressed` more and returns the leaf index. The sum over all entries of
    1 + suppressed is the number of denials, once nothing waits. What has a brief is named in the entry that counts it:
    one that can name no more is written, however fast they come. When `write` raises, what it was to write waits again,
    the names as far as one entry has room; when there is no place for its key any more, it is counted together with
    others under `authz.flood`.
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
        self._writing: Counter[tuple[str, str]] = Counter()

    @property
    def waiting(self) -> int:
        """The number of denials that are in no entry yet."""
        with self._lock:
            return sum(self._buckets[key].waiting for key in self._waiting)

    def record(self, denial: Denial, *, is_retried: bool = False) -> int | None:
        """Record `denial`, or count it for a later entry; return the leaf index, or None when it was only counted.

        Writes before that the counts which have waited for 10 s, of at most 8 keys, and the count of a key that gives
        way to a new one. Raises `AuditUnavailable`; nothing is lost then: the denial itself is counted, unless
        `is_retried` says that the caller comes again with it. Raises `Unrecordable`.
        """
        _brief(denial)  # what cannot be named is refused before anything is taken
        with self._lock:
            now = self._clock()
            due = self._make_room(denial.key) + self._settle(now, SETTLED_AT_ONCE)
            own = self._admit(denial, now, is_retried=is_retried)
            due = self._begun(due + own)
        written = self._write_all(due)
        return written if own else None

    def count(self, denial: Denial) -> None:
        """Count `denial` for a later entry."""
        with self._lock:
            self._wait(_Due(denial=denial), self._clock())

    def settle(self, key: tuple[str, str]) -> bool:
        """Write the count that waits for `key`, whatever its age; False while another thread writes of it as well.

        Raises `AuditUnavailable`.
        """
        with self._lock:
            due = self._begun(self._due(key))
        self._write_all(due)
        with self._lock:
            return key not in self._waiting and key not in self._writing

    def settle_all(self) -> None:
        """Write all counts that wait, whatever their age. Raises `AuditUnavailable`."""
        with self._lock:
            due = self._begun(self._settle(float("inf"), len(self._waiting)))
        self._write_all(due)

    def _admit(self, denial: Denial, now: float, *, is_retried: bool) -> list[_Due]:
        bucket = self._bucket(denial.key, now)
        self._buckets.move_to_end(denial.key)
        bucket.tokens = min(float(BURST), bucket.tokens + (now - bucket.filled_at) * PER_SECOND)
        bucket.filled_at = now
        if bucket.tokens < 1 and not bucket.is_full:
            self._wait(_Due(denial=denial), now)
            return []
        bucket.tokens = max(0.0, bucket.tokens - 1)
        named, waited = bucket.named, self._due(denial.key)
        count = 1 + sum(one.count for one in waited)
        return [_Due(denial=denial, count=count, named=named, instead=tuple(waited) if is_retried else None)]

    def _bucket(self, key: tuple[str, str], now: float) -> _Bucket:
        if key not in self._buckets:
            self._buckets[key] = _Bucket(tokens=float(BURST), filled_at=now)
        return self._buckets[key]

    def _wait(self, one: _Due, now: float) -> None:
        denial, named = one.denial, one.named + _brief(one.denial)
        if denial.key not in self._buckets and len(self._buckets) >= self._most_keys:
            denial = _crowd(denial)
        bucket = self._bucket(denial.key, now)
        if not bucket.waiting:
            bucket.waiting_since = now
        bucket.waiting += one.count
        bucket.last = denial
        for brief, times in named.items():
            if brief in bucket.named or not bucket.is_full:
                bucket.named[brief] += times
        self._waiting[denial.key] = None

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
        if self._waiting.pop(key, self) is self:
            return []
        bucket = self._buckets[key]
        last, count, named = bucket.last, bucket.waiting, bucket.named
        bucket.waiting, bucket.named = 0, Counter()
        return [_Due(denial=last, count=count, named=named - _brief(last))] if last else []

    def _begun(self, due: list[_Due]) -> list[_Due]:
        self._writing.update(one.denial.key for one in due)
        return due

    def _write_all(self, due: list[_Due]) -> int | None:
        written, unwritten = None, list(due)
        try:
            while unwritten:
                written = self._write(unwritten[0].told(), unwritten[0].count - 1)
                del unwritten[0]
        except Unrecordable:
            del unwritten[0]
            raise
        finally:
            self._end(due, unwritten)
        return written

    def _end(self, due: list[_Due], unwritten: list[_Due]) -> None:
        with self._lock:
            now = self._clock()
            self._writing -= Counter(one.denial.key for one in due)
            for one in unwritten:
                if one.instead is not None and one.denial.key in self._buckets:
                    self._buckets[one.denial.key].tokens += 1  # it comes again, and is no other one then
                for waits in (one,) if one.instead is None else one.instead:
                    self._wait(waits, now)


def _brief(denial: Denial) -> Counter[bytes]:
    """What may be named of it, bounded as the details of an entry are; nothing without a brief."""
    brief = canonical(recordable(denial.brief)) if denial.brief else b""
    if len(brief) > MOST_BRIEF_BYTES:
        brief = canonical({"omitted_bytes": len(brief), "omitted_sha256": hashlib.sha256(brief).hexdigest()})
    return Counter((brief,) if brief else ())


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


def record(denial: Denial, *, is_retried: bool = False) -> int | None:
    """Record `denial` under this process's flood control, see `FloodControl.record`."""
    return control.record(denial, is_retried=is_retried)


def connect() -> None:
    """Write what waits when the interpreter ends; let a forked process begin with nothing."""
    atexit.register(_settle_at_exit)
    os.register_at_fork(after_in_child=control.forget)


def _settle_at_exit() -> None:
    try:
        control.settle_all()
    except AuditUnavailable:
        _LOG.error("The ledger did not take the count of %d refused requests.", control.waiting)
