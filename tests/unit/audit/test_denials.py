"""A flood of refused requests writes few entries, and each refusal is counted in exactly one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from containers_app.audit import denials, ledger
from containers_app.audit.denials import BURST, SETTLE_SECONDS, SETTLED_AT_ONCE, Denial, FloodControl
from containers_app.audit.models import Entry
from containers_app.audit.record import Actor, Source
from containers_app.errors import AuditUnavailable

FEW_KEYS = 10


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Written:
    """A ledger that remembers what it was given, and can be down."""

    def __init__(self) -> None:
        self.entries: list[tuple[Denial, int]] = []
        self.is_down = False

    def __call__(self, denial: Denial, suppressed: int) -> int:
        if self.is_down:
            raise AuditUnavailable("down")
        self.entries.append((denial, suppressed))
        return len(self.entries) - 1

    @property
    def counted(self) -> int:
        """The number of denials that all entries stand for."""
        return sum(1 + suppressed for _, suppressed in self.entries)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def control(clock: Clock, written: Written) -> FloodControl:
    return FloodControl(written, clock=clock, most_keys=FEW_KEYS)


def denial(address: str = "192.0.2.1", code: str = "PERMISSION_DENIED", user: str = "") -> Denial:
    actor = Actor(type="user", id=user) if user else Actor(type="anonymous")
    return Denial(action="authz.denied", code=code, actor=actor, source=Source(channel="api", ip=address))


def addresses(count: int) -> Iterator[str]:
    return (f"198.51.{number // 256}.{number % 256}" for number in range(count))


def test_the_first_refusals_are_written_one_by_one(control: FloodControl, written: Written) -> None:
    assert [control.record(denial()) for _ in range(BURST)] == list(range(BURST))
    assert control.record(denial()) is None
    assert written.counted == BURST
    assert control.waiting == 1


def test_a_flood_writes_a_bounded_number_of_entries_and_loses_no_count(
    control: FloodControl, written: Written, clock: Clock
) -> None:
    for _ in range(10_000):
        clock.now += 0.001
        control.record(denial())
    assert len(written.entries) <= BURST + 10 + 1
    assert written.counted + control.waiting == 10_000
    control.settle_all()
    assert written.counted == 10_000
    assert control.waiting == 0


def test_after_a_pause_the_next_refusal_carries_the_count(
    control: FloodControl, written: Written, clock: Clock
) -> None:
    for _ in range(BURST + 5):
        control.record(denial())
    clock.now += 2
    control.record(denial())
    assert written.entries[-1] == (denial(), 5)


def test_a_count_that_waits_for_ten_seconds_is_written_by_the_next_refusal_of_anybody(
    control: FloodControl, written: Written, clock: Clock
) -> None:
    for _ in range(BURST + 5):
        control.record(denial())
    clock.now += SETTLE_SECONDS - 1
    control.record(denial("192.0.2.2"))
    assert control.waiting == 5
    clock.now += 2
    control.record(denial("192.0.2.2"))
    assert written.entries[-2:] == [(denial(), 4), (denial("192.0.2.2"), 0)]
    assert control.waiting == 0


def test_one_call_settles_a_few_keys_only(control: FloodControl, written: Written, clock: Clock) -> None:
    for address in addresses(FEW_KEYS):
        for _ in range(BURST + 1):
            control.record(denial(address))
    before = len(written.entries)
    clock.now += SETTLE_SECONDS + 1
    control.record(denial(next(addresses(1))))
    assert len(written.entries) == before + SETTLED_AT_ONCE + 1
    assert control.waiting == FEW_KEYS - SETTLED_AT_ONCE


def test_addresses_codes_and_users_are_counted_apart(control: FloodControl, written: Written) -> None:
    for _ in range(BURST):
        control.record(denial())
    for other in (denial("192.0.2.2"), denial(code="INVALID_REQUEST"), denial(user="7"), denial(user="8")):
        assert control.record(other) is not None
    assert control.record(denial()) is None


def test_a_known_user_is_counted_together_whatever_the_address(control: FloodControl) -> None:
    results = [control.record(denial(address, user="7")) for address in addresses(BURST + 3)]
    assert results.count(None) == 3


def test_the_addresses_of_one_ipv6_network_are_counted_together(control: FloodControl) -> None:
    results = [control.record(denial(f"2001:db8::{number:x}")) for number in range(BURST + 3)]
    assert results.count(None) == 3
    assert control.record(denial("2001:db8:0:1::1")) is not None


@pytest.mark.parametrize("address", ["", "not an address", "x" * 10_000, "fe80::1%eth0"])
def test_an_odd_address_is_a_key_like_any_other(control: FloodControl, address: str) -> None:
    results = [control.record(denial(address)) for _ in range(BURST + 1)]
    assert results.count(None) == 1
    assert all(len(part) <= 64 for part in denial(address).key)


def test_the_oldest_key_gives_way_and_its_count_is_written_first(control: FloodControl, written: Written) -> None:
    for _ in range(BURST + 5):
        control.record(denial("192.0.2.99"))
    for address in addresses(FEW_KEYS):
        control.record(denial(address))
    assert (denial("192.0.2.99"), 4) in written.entries
    assert control.waiting == 0
    assert written.counted == BURST + 5 + FEW_KEYS


def test_when_the_ledger_is_down_nothing_is_lost(control: FloodControl, written: Written, clock: Clock) -> None:
    written.is_down = True
    for _ in range(5):
        with pytest.raises(AuditUnavailable):
            control.record(denial())
    assert control.waiting == 5
    written.is_down = False
    clock.now += SETTLE_SECONDS + 1
    control.record(denial("192.0.2.2"))
    assert written.counted == 6


def test_when_the_ledger_is_down_memory_stays_bounded(control: FloodControl, written: Written) -> None:
    written.is_down = True
    for address in addresses(500):
        with pytest.raises(AuditUnavailable):
            control.record(denial(address))
    assert len(control._buckets) <= FEW_KEYS + 1
    written.is_down = False
    control.settle_all()
    assert written.counted == 500
    assert [entry.action for entry, _ in written.entries].count("authz.flood") == 1


def test_at_the_end_of_the_process_a_count_that_cannot_be_written_is_logged(
    control: FloodControl, written: Written, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(denials, "control", control)
    for _ in range(BURST + 5):
        control.record(denial())
    written.is_down = True
    denials._settle_at_exit()
    assert "did not take the count of 5 refused requests" in caplog.text
    written.is_down = False
    denials._settle_at_exit()
    assert written.counted == BURST + 5


def test_many_threads_lose_no_count(control: FloodControl, written: Written) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: control.record(denial(f"192.0.2.{number % 20}")), range(5_000)))
    control.settle_all()
    assert written.counted == 5_000


def test_a_forked_process_begins_with_nothing(control: FloodControl) -> None:
    for _ in range(BURST + 5):
        control.record(denial())
    control.forget()
    assert control.waiting == 0
    assert control.record(denial()) is not None


@pytest.mark.django_db(databases=["audit"])
def test_a_real_flood_stands_in_the_ledger_with_its_count() -> None:
    for _ in range(10_000):
        denials.record(denial())
    denials.control.settle_all()
    payloads = [json.loads(entry.payload) for entry in Entry.objects.all()]
    assert len(payloads) < 100
    assert sum(1 + payload.get("suppressed", 0) for payload in payloads) == 10_000
    assert {(payload["category"], payload["outcome"]) for payload in payloads} == {("authz", "denied")}
    assert ledger.self_check(Entry.objects.latest("id").shard).is_clean
