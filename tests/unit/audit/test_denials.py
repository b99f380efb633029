"""A flood of refused requests writes few entries, and each refusal is counted in exactly one of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from containers_app.audit import denials, ledger
from containers_app.audit.canonical import Unrecordable
from containers_app.audit.denials import (
    BURST,
    MOST_BRIEF_BYTES,
    MOST_NAMED_BYTES,
    SETTLE_SECONDS,
    SETTLED_AT_ONCE,
    Denial,
    FloodControl,
)
from containers_app.audit.models import Entry
from containers_app.audit.record import Actor, Source, Subject
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

    @property
    def named(self) -> Counter[str]:
        """How often each deed is named, by its entry's object or beside it."""
        found = Counter(one.subject.id for one, _ in self.entries)
        for one, _ in self.entries:
            found.update({also["id"]: also.get("times", 1) for also in also_of(one.details)})
        return found


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


def deed(name: str, host: str = "local") -> Denial:
    return Denial(
        action="engine.unattributed",
        code="",
        actor=Actor(type="anonymous"),
        source=Source(channel="engine"),
        subject=Subject(type="container", id=name, host=host),
        outcome="success",
        details={"actions": ["exec_create"]},
        brief={"id": name, "actions": ["exec_create"]},
    )


def also_of(details: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = details.get("also", [])
    return found


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


def test_a_deed_among_cheap_ones_is_named(control: FloodControl, written: Written, clock: Clock) -> None:
    for number in range(BURST):
        control.record(deed(f"noise{number}"))
    for name in ("evil", "noise", "noise"):
        control.record(deed(name))
    clock.now += SETTLE_SECONDS + 1
    control.record(deed("elsewhere", host="site-b"))
    summary, suppressed = written.entries[-2]
    assert (summary.subject.id, suppressed) == ("noise", 2)
    assert also_of(summary.details) == [{"id": name, "actions": ["exec_create"]} for name in ("evil", "noise")]
    assert summary.details["actions"] == ["exec_create"]


def test_the_next_deed_that_is_written_names_those_that_waited(
    control: FloodControl, written: Written, clock: Clock
) -> None:
    for name in (*(f"noise{number}" for number in range(BURST)), "evil", "evil", "evil"):
        control.record(deed(name))
    clock.now += 2
    control.record(deed("next"))
    assert written.entries[-1][1] == 3
    assert also_of(written.entries[-1][0].details) == [{"id": "evil", "actions": ["exec_create"], "times": 3}]


def test_a_flood_of_deeds_names_each_in_few_entries_of_bounded_size(control: FloodControl, written: Written) -> None:
    names = [f"{number:064d}" for number in range(5_000)]
    for name in names:
        control.record(deed(name))
    control.settle_all()
    assert written.named == Counter(names)
    assert written.counted == len(names)
    assert len(written.entries) < BURST + len(names) / 50
    assert all(len(json.dumps(also_of(one.details))) < 2 * MOST_NAMED_BYTES for one, _ in written.entries)


def test_a_name_that_is_too_long_is_its_hash(control: FloodControl, written: Written) -> None:
    for _ in range(BURST + 2):
        control.record(Denial(**{**vars(deed("x")), "brief": {"filters": ["y" * 500] * 20}}))
    control.settle_all()
    (also,) = also_of(written.entries[-1][0].details)
    assert also["omitted_bytes"] > MOST_BRIEF_BYTES
    assert len(also["omitted_sha256"]) == 64


def test_what_has_no_place_in_the_ledger_takes_no_other_with_it(
    control: FloodControl, written: Written, clock: Clock
) -> None:
    for _ in range(BURST + 3):
        control.record(deed("x"))
    clock.now += SETTLE_SECONDS + 1
    with pytest.raises(Unrecordable):
        control.record(Denial(**{**vars(deed("x")), "brief": {"ключ": 1}}))
    control.settle_all()
    assert written.counted == BURST + 3


def test_when_an_entry_is_unrecordable_the_others_still_wait(control: FloodControl, written: Written) -> None:
    def write(one: Denial, suppressed: int) -> int:
        if one.subject.id == "bad":
            raise Unrecordable("bad")
        return written(one, suppressed)

    picky = FloodControl(write)
    for name in (*["x"] * BURST, "bad"):
        picky.record(deed(name))
    for _ in range(BURST + 2):
        picky.record(deed("y", host="site-b"))
    with pytest.raises(Unrecordable):
        picky.settle_all()
    assert picky.settle(deed("y", host="site-b").key)
    assert written.counted == BURST + BURST + 2


def test_who_comes_again_with_it_is_not_counted_each_time(
    control: FloodControl, written: Written, clock: Clock
) -> None:
    written.is_down = True
    for _ in range(30):
        with pytest.raises(AuditUnavailable):
            control.record(deed("one"), is_retried=True)
    clock.now += 0.1
    assert control.waiting == 0
    written.is_down = False
    assert control.record(deed("one"), is_retried=True) is not None
    control.settle_all()
    assert (written.counted, written.named) == (1, Counter(["one"]))


def test_what_waited_for_who_comes_again_still_waits(control: FloodControl, written: Written, clock: Clock) -> None:
    for name in (*["noise"] * BURST, "evil", "late"):
        control.record(deed(name), is_retried=True)
    clock.now += 2
    written.is_down = True
    with pytest.raises(AuditUnavailable):
        control.record(deed("again"), is_retried=True)
    assert control.waiting == 2
    written.is_down = False
    control.settle_all()
    assert written.named == Counter({"noise": BURST, "evil": 1, "late": 1})
    assert written.counted == BURST + 2


def test_while_the_ledger_is_down_names_are_kept_as_far_as_one_entry_has_room(
    control: FloodControl, written: Written
) -> None:
    for number in range(3_000):
        control.count(deed(f"{number:064d}"))
    assert control.waiting == 3_000
    control.settle_all()
    (one, suppressed), named = written.entries[0], also_of(written.entries[0][0].details)
    assert (suppressed, one.subject.id) == (2_999, f"{2_999:064d}")
    assert MOST_NAMED_BYTES / 2 < len(json.dumps(named)) < 2 * MOST_NAMED_BYTES


def test_a_key_is_settled_when_nothing_of_it_waits_or_is_being_written(written: Written) -> None:
    answers: list[bool] = []

    def write(one: Denial, suppressed: int) -> int:
        if suppressed:
            answers.append(flood.settle(one.key))
        return written(one, suppressed)

    flood = FloodControl(write)
    assert flood.settle(deed("x").key)
    for _ in range(BURST + 2):
        flood.record(deed("x"))
    assert flood.settle(deed("x").key)
    assert answers == [False]
    assert written.counted == BURST + 2


@pytest.mark.django_db(databases=["audit"])
def test_a_real_flood_of_the_longest_names_names_each_in_the_ledger() -> None:
    names = [f"{number:03d}" + "語" * 250 for number in range(300)]
    for name in names:
        one = deed(name)
        denials.record(Denial(**{**vars(one), "subject": Subject(type="container", name=name, host="local")}))
    denials.control.settle_all()
    payloads = [json.loads(entry.payload) for entry in Entry.objects.all()]
    told = [payload["object"]["name"] for payload in payloads]
    told += [also["id"] for payload in payloads for also in also_of(payload["details"])]
    assert sorted(told) == names
    assert len(payloads) < 100


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
