"""A workflow's view of its operation: it is told to stop in time, and a stuck one lets go of its lease."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from containers_app.conf import Conf, load
from containers_app.errors import Busy, Cancelled, EngineError, LeaseLost, StreamBroken, TimedOut
from containers_app.models import Operation
from containers_app.operations import progress, transitions
from containers_app.operations.progress import OperationContext
from tests import recipes
from tests.throwaway import wait_until

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


def context_of(operation: Operation, **changes: Any) -> OperationContext:
    values = {**vars(load()), "lease_seconds": 0.3, **changes}
    return OperationContext(operation, conf=Conf(**values), may=lambda permission: True)


def stored(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def stops(context: OperationContext) -> bool:
    try:
        context.checkpoint()
    except (Cancelled, TimedOut, LeaseLost):
        return True
    return False


def test_the_heartbeat_keeps_the_lease_alive() -> None:
    operation = recipes.running(lease_until=timezone.now())
    before = stored(operation).lease_until
    assert before is not None
    with context_of(operation, lease_seconds=30.0):
        wait_until(lambda: (stored(operation).lease_until or before) > before + timedelta(seconds=20))


def test_a_cancellation_reaches_the_next_checkpoint() -> None:
    operation = recipes.running()
    with context_of(operation) as context:
        context.checkpoint()
        transitions.request_cancel(operation, reason="cancelled by olga")
        wait_until(lambda: stops(context))
        with pytest.raises(Cancelled, match="cancelled by olga"):
            context.stage("next")


def test_a_lost_lease_reaches_the_next_checkpoint() -> None:
    operation = recipes.running()
    with context_of(operation) as context:
        Operation.objects.filter(pk=operation.pk).update(lease_token=9)
        wait_until(lambda: stops(context))
        with pytest.raises(LeaseLost):
            context.checkpoint()


def test_the_time_limit_is_a_reason_to_stop_that_says_what_to_do() -> None:
    now = timezone.now()
    operation = recipes.running(created_at=now - timedelta(seconds=5), deadline_at=now)
    with context_of(operation) as context, pytest.raises(TimedOut, match="within 5 s.*respond-async"):
        context.checkpoint()


@pytest.mark.parametrize(
    ("kind", "words"), [("clone", "cancelled and cleaned up"), ("stop", "given up; look at the container's state")]
)
def test_the_time_limit_says_whether_anything_was_taken_back(kind: str, words: str) -> None:
    operation = recipes.running(kind=kind, deadline_at=timezone.now())
    with context_of(operation) as context, pytest.raises(TimedOut, match=words):
        context.checkpoint()


def test_without_a_limit_there_is_no_time_left_to_count() -> None:
    assert context_of(recipes.running()).remaining_seconds() is None
    later = recipes.running(deadline_at=timezone.now() + timedelta(seconds=60))
    assert 50 < (context_of(later).remaining_seconds() or 0) <= 60


def test_a_blocked_read_is_aborted_and_the_cause_is_what_is_raised() -> None:
    operation = recipes.running()
    aborted = threading.Event()

    def blocked_read() -> None:
        assert aborted.wait(10)
        raise StreamBroken("the stream was aborted")

    with context_of(operation) as context, pytest.raises(Cancelled), context.interruptible(aborted.set):
        transitions.request_cancel(operation, reason="enough")
        blocked_read()


def test_a_failure_that_nobody_caused_is_raised_as_it_is() -> None:
    with (
        context_of(recipes.running()) as context,
        pytest.raises(StreamBroken),
        context.interruptible(lambda: None),
    ):
        raise StreamBroken("the Engine went away")


def test_a_stuck_operation_is_let_go() -> None:
    operation = recipes.running()
    with context_of(operation, stall_seconds=0.03) as context:
        wait_until(lambda: not context._heartbeat.is_alive(), seconds=10, what="the end of the heartbeat")
        wait_until(lambda: not Operation.objects.filter(pk=operation.pk, lease_until__gt=timezone.now()).exists())


def test_stages_follow_each_other_and_are_stored() -> None:
    operation = recipes.running()
    with context_of(operation) as context:
        context.stage("first")
        context.stage("second")
    row = stored(operation)
    assert row.stage == "second"
    assert [(stage["name"], stage["state"]) for stage in row.stages] == [("first", "done"), ("second", "running")]


def test_a_pinned_target_is_locked_against_a_second_operation() -> None:
    first, second = recipes.running(), recipes.running()
    context_of(first).pin_target("a" * 64, "web", lock=True)
    with pytest.raises(Busy):
        context_of(second).pin_target("a" * 64, "web", lock=True)
    assert second.target_id == stored(second).target_id == ""
    context_of(second).pin_target("a" * 64, "web", lock=False)
    assert (stored(first).target_id, stored(second).target_lock) == ("a" * 64, None)


def test_undo_and_warnings_are_stored_before_what_comes_next() -> None:
    operation = recipes.running()
    context = context_of(operation)
    context.remember_undo({"action": "one"})
    context.remember_undo({"action": "two"})
    context.warn("HOST_POWER", "as its source")
    row = stored(operation)
    assert row.undo == context.undo == [{"action": "one"}, {"action": "two"}]
    assert row.warnings == [{"code": "HOST_POWER", "message": "as its source"}]


def test_nothing_is_written_with_an_old_token() -> None:
    operation = recipes.running()
    context = context_of(operation)
    Operation.objects.filter(pk=operation.pk).update(lease_token=2)
    with pytest.raises(LeaseLost):
        context.progress(5)
    with pytest.raises(LeaseLost):
        context.remember_undo({"action": "late"})
    assert (stored(operation).bytes_done, stored(operation).undo) == (0, [])


@pytest.mark.parametrize("failures", [0, 2])
def test_what_is_taken_back_before_the_end_is_forgotten(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    operation, rounds = recipes.running(), list[Any]()

    def replayed(steps: Any, **_: Any) -> Any:
        rounds.append(steps)
        return steps if len(rounds) <= failures else []

    monkeypatch.setattr(progress, "replay", replayed)
    context = context_of(operation)
    context.remember_undo({"action": "one"})
    context.take_back()
    assert rounds == [[{"action": "one"}]] * (failures + 1)
    assert stored(operation).undo == context.undo == []


def test_what_cannot_be_taken_back_stays_for_later_and_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = recipes.running()
    monkeypatch.setattr(progress, "replay", lambda steps, **_: list(steps))
    context = context_of(operation)
    context.remember_undo({"action": "one"})
    with pytest.raises(EngineError, match="tried again"):
        context.take_back()
    assert stored(operation).undo == [{"action": "one"}]
