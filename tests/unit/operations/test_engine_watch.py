"""Many events of one act are one deed, and what an Engine does by itself is none."""

from __future__ import annotations

import math
from typing import Any

import pytest

from containers_app.operations.engine_watch import LONGEST_SECONDS, MOST_DEEDS, QUIET_SECONDS, Deed, Journal
from containers_app.specs.engine import EngineEvent

WEB, VOLUME = "a" * 64, "f" * 64
BEGIN = 1_700_000_000.0


def event(action: str, at: float = 0.0, **fields: Any) -> EngineEvent:
    values = {"container_id": WEB, "object_id": WEB, "name": "web", "image": "", **fields}
    return EngineEvent(action=action, at_epoch_seconds=BEGIN + at, **values)


def other(kind: str, action: str, at: float = 0.0, **fields: Any) -> EngineEvent:
    return event(action, at, **{"type": kind, "container_id": "", "object_id": "data", "name": "", **fields})


def deeds(*events: EngineEvent) -> list[tuple[str, str, list[str]]]:
    journal = Journal(None)
    for one in events:
        journal.add(one, now=0.0)
    return [(deed.type, deed.name, deed.requests()) for deed in journal.due(QUIET_SECONDS)]


def test_a_run_is_one_deed() -> None:
    connect = other("network", "connect", 0.1, container_id=WEB, object_id="bridge")
    found = deeds(event("create"), event("attach", 0.05), connect, event("start", 0.2))
    assert found == [("container", "web", ["create", "attach", "start"])]


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["exec_create", "exec_start", "exec_die"], ["exec_create"]),
        (["kill", "die", "stop"], ["kill", "stop"]),
        (["kill", "die", "destroy"], ["kill", "destroy"]),
        (["destroy"], ["destroy"]),
        (["die"], None),
        (["oom", "die"], None),
        (["die", "destroy"], None),
        (["health_status", "top", "resize"], None),
        (["rename"], ["rename"]),
        (["extract-to-dir"], ["extract-to-dir"]),
    ],
)
def test_of_a_container_what_somebody_asked_for_counts(actions: list[str], expected: list[str] | None) -> None:
    assert deeds(*(event(action) for action in actions)) == ([("container", "web", expected)] if expected else [])


def test_a_network_that_a_container_leaves_at_its_end_is_no_deed() -> None:
    left = other("network", "disconnect", 0.1, container_id=WEB, object_id="bridge")
    assert deeds(event("die"), left) == []
    assert deeds(left) == [("container", "", ["disconnect"])]


@pytest.mark.parametrize("action", ["create", "destroy"])
def test_a_volume_that_comes_and_goes_with_its_container_is_no_deed(action: str) -> None:
    anonymous = other("volume", action, 0.5, object_id=VOLUME)
    assert deeds(event(action), anonymous) == [("container", "web", [action])]
    assert deeds(anonymous) == [("volume", VOLUME, [action])]
    assert len(deeds(event(action), other("volume", action, 0.5))) == 2


def test_health_checks_keep_no_other_deed_waiting() -> None:
    assert deeds(event("start"), event("exec_create", 0.5), event("stop", 1.0)) == [
        ("container", "web", ["start", "stop"]),
        ("container", "web", ["exec_create"]),
    ]


@pytest.mark.parametrize("action", ["exec_create", "health_status"])
def test_what_a_health_check_says_does_not_delay_what_was_done_before(action: str) -> None:
    journal = Journal(None)
    journal.add(event("start"), now=10.0)
    journal.add(event(action, 1.0), now=11.0)
    assert [deed.requests() for deed in journal.due(10.0 + QUIET_SECONDS)] == [["start"]]


def test_a_pause_ends_a_deed() -> None:
    assert len(deeds(event("stop"), event("start", QUIET_SECONDS + 0.1))) == 2


def test_a_deed_waits_until_it_is_quiet_but_not_for_ever() -> None:
    journal = Journal(None)
    journal.add(event("create"), now=10.0)
    assert journal.due(10.0 + QUIET_SECONDS / 2) == []
    for step in range(20):
        journal.add(event("update", step), now=10.0 + step)
    assert len(journal.due(10.0 + LONGEST_SECONDS)) == 1


def test_what_came_before_a_stream_broke_is_not_taken_twice() -> None:
    journal = Journal(None)
    assert journal.resume() is None
    journal.add(event("create", 1.0), now=0.0)
    assert journal.resume() == BEGIN + 1.0
    journal.add(event("create", 1.0), now=1.0)
    journal.add(event("start", 1.5), now=1.0)
    (deed,) = journal.due(60.0)
    assert (deed.asked, deed.count) == (["create", "start"], 2)


def followed(*events: EngineEvent, until: float = BEGIN) -> Journal:
    """What a stream from `until` on begins with."""
    journal = Journal(until)
    journal.resume()
    for one in events:
        journal.add(one, now=0.0)
    return journal


@pytest.mark.parametrize("first", [0.0, -1.0, 1e-6, 0.001])
def test_a_stream_that_begins_with_what_was_seen_joins_on(first: float) -> None:
    assert followed(event("create", first), event("start", 3600.0)).gap() is None


def test_a_stream_that_begins_later_leaves_a_gap_until_it_is_told() -> None:
    journal = followed(event("start", 60.0), event("stop", 90.0))
    gap = journal.gap()
    assert gap == (BEGIN, BEGIN + 60.0)
    assert journal.due(60.0)
    assert journal.until() == BEGIN
    journal.gap_is_told(gap)
    assert (journal.gap(), journal.until()) == (None, BEGIN + 90.0)


def test_a_gap_that_grew_while_it_was_told_is_told_again() -> None:
    journal = followed(event("start", 60.0))
    gap = journal.gap()
    journal.resume()
    journal.add(event("start", 120.0), now=0.0)
    assert gap is not None
    journal.gap_is_told(gap)
    assert journal.gap() == (BEGIN, BEGIN + 120.0)


def test_what_was_noted_before_a_deed_that_was_not_judged_joins_on() -> None:
    before = followed(event("create", 0.0), other("volume", "create", 5.25))
    before.due(0.0)
    until = before.until()
    assert until is not None
    assert followed(other("volume", "create", 5.25), until=math.ceil(until * 1e6) / 1e6).gap() is None


def test_an_engine_that_nobody_followed_before_has_no_gap() -> None:
    journal = Journal(None)
    journal.resume()
    journal.add(event("create", 60.0), now=0.0)
    assert journal.gap() is None


def test_until_stays_before_what_is_not_judged_yet() -> None:
    journal = Journal(BEGIN)
    assert journal.until() == BEGIN
    journal.add(event("create", 5.0), now=0.0)
    journal.add(other("volume", "create", 9.0), now=8.0)
    found = journal.due(9.0)
    assert (journal.until() or 0) < BEGIN + 9.0
    journal.put_back(found)
    assert (journal.until() or 0) < BEGIN + 5.0
    assert journal.due(60.0)
    assert journal.until() == BEGIN + 9.0


def test_a_flood_keeps_a_bounded_number_open_and_loses_none() -> None:
    journal = Journal(None)
    for number in range(MOST_DEEDS + 50):
        journal.add(other("volume", "create", number / 1e4, object_id=f"v{number}"), now=0.0)
    early = journal.due(0.0)
    assert len(early) == 50
    assert len(journal.due(60.0)) == MOST_DEEDS


def test_a_deed_has_the_label_and_the_commands_of_its_events() -> None:
    deed = Deed(type="container", id=WEB, first=0.0, last=0.0, arrived=0.0, begun=0.0)
    deed.add(event("exec_create", command_sha256="ab", operation_id="op"), 0.0)
    assert (deed.operation_id, deed.commands) == ("op", {"ab"})
