"""A state changes once, for whoever holds the lease, and the ledger hears of each end exactly once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from containers_app.errors import Busy, LeaseLost
from containers_app.models import Operation, State
from containers_app.operations import transitions
from containers_app.operations.answers import published_error
from containers_app.operations.evidence import record_outcome
from containers_app.operations.transitions import Ending
from tests.unit.operations.conftest import Make, outcomes_of

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
SUCCEEDED = Ending(state=State.SUCCEEDED, result={"success": True})
INTERRUPTED = Ending(state=State.INTERRUPTED, error_code="INTERRUPTED")


def stored(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def test_of_two_claims_one_wins(queued: Make) -> None:
    operation = queued()
    first = transitions.claim(operation.pk, worker="one/1", lease_seconds=30)
    second = transitions.claim(operation.pk, worker="two/2", lease_seconds=30)
    assert first is not None
    assert second is None
    row = stored(operation)
    assert (row.state, row.worker, row.lease_token) == (State.RUNNING, "one/1", 1)
    assert row.lease_until is not None
    assert timedelta(seconds=20) < row.lease_until - timezone.now() <= timedelta(seconds=30)


def test_an_end_that_could_not_be_stored_is_not_in_the_object_either(claimed: Make) -> None:
    step = {"action": "remove_labelled", "operation": "x", "host": ""}
    operation = claimed(undo=[step])

    def fail() -> None:
        raise IntegrityError

    with pytest.raises(IntegrityError):
        transitions.finish(operation, SUCCEEDED, record=fail)
    assert (operation.state, operation.undo, operation.result) == (State.RUNNING, [step], None)
    assert (stored(operation).state, stored(operation).undo) == (State.RUNNING, [step])


def test_a_write_with_an_old_token_changes_nothing_and_says_so(claimed: Make) -> None:
    operation = claimed(lease_token=2, stage="stream")
    with pytest.raises(LeaseLost):
        transitions.write(operation.pk, token=1, stage="forged")
    assert stored(operation).stage == "stream"


def test_an_old_token_renews_nothing(claimed: Make) -> None:
    operation = claimed(lease_token=2)
    before = stored(operation).lease_until
    assert not transitions.renew(operation.pk, token=1, lease_seconds=99)
    assert stored(operation).lease_until == before
    assert transitions.renew(operation.pk, token=2, lease_seconds=99)
    after = stored(operation).lease_until
    assert before is not None
    assert after is not None
    assert after > before


def test_a_target_is_locked_for_one_operation(claimed: Make) -> None:
    first, second = claimed(), claimed()
    transitions.lock_target(first.pk, token=1, lock="1:abc", target_id="abc")
    with pytest.raises(Busy):
        transitions.lock_target(second.pk, token=1, lock="1:abc", target_id="abc")
    assert stored(second).target_id == ""
    assert transitions.finish(first, SUCCEEDED)
    transitions.lock_target(second.pk, token=1, lock="1:abc", target_id="abc")
    assert stored(second).target_lock == "1:abc"


def test_the_end_clears_the_lease_and_the_lock_and_tells_the_ledger(claimed: Make) -> None:
    operation = claimed(target_lock="1:abc", undo=[{"action": "remove_labelled"}])
    assert transitions.finish(operation, SUCCEEDED)
    row = stored(operation)
    assert (row.state, row.lease_until, row.target_lock, row.undo) == (State.SUCCEEDED, None, None, [])
    assert row.finished_at is not None
    assert row.is_finished
    assert outcomes_of(row) == ["success"]


def test_whoever_lost_the_lease_ends_nothing_and_its_rows_are_not_written(claimed: Make) -> None:
    operation = claimed()
    Operation.objects.filter(pk=operation.pk).update(lease_token=2)
    written: list[str] = []
    assert not transitions.finish(operation, SUCCEEDED, record=lambda: written.append("row"))
    assert written == []
    assert stored(operation).state == State.RUNNING
    assert outcomes_of(operation) == []


def test_a_row_that_cannot_be_written_takes_the_final_state_with_it(claimed: Make) -> None:
    operation = claimed()

    def refuse() -> None:
        raise LeaseLost("no")

    with pytest.raises(LeaseLost):
        transitions.finish(operation, SUCCEEDED, record=refuse)
    assert stored(operation).state == State.RUNNING


def test_a_lease_is_dead_only_when_the_database_says_that_it_ended(claimed: Make) -> None:
    operation = claimed()
    assert not transitions.interrupt(operation, INTERRUPTED)
    Operation.objects.filter(pk=operation.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert transitions.interrupt(operation, INTERRUPTED)
    assert outcomes_of(operation) == ["unknown"]


def test_a_lease_that_was_renewed_under_a_new_token_is_not_interrupted(claimed: Make) -> None:
    operation = claimed(lease_until=timezone.now() - timedelta(seconds=1))
    Operation.objects.filter(pk=operation.pk).update(lease_token=2)
    assert not transitions.interrupt(operation, INTERRUPTED)


def test_only_a_queued_operation_is_ended_without_a_worker(queued: Make, claimed: Make) -> None:
    ending = Ending(state=State.FAILED, error_code="QUEUE_UNAVAILABLE", error_message="no worker")
    waiting, working = queued(), claimed()
    assert transitions.end_queued(waiting, ending)
    assert not transitions.end_queued(working, ending)
    assert outcomes_of(waiting) == ["failure"]
    assert outcomes_of(working) == []
    assert transitions.claim(waiting.pk, worker="late/1", lease_seconds=30) is None


def test_a_cancelled_queued_operation_is_over_at_once(queued: Make) -> None:
    operation = queued()
    assert transitions.request_cancel(operation, reason="cancelled by olga")
    row = stored(operation)
    assert row.state == State.CANCELLED
    assert published_error(row) == {"error": "Backup failed: cancelled by olga", "code": "BACKUP_FAILED"}


def test_a_running_operation_is_asked_once_and_keeps_the_first_reason(claimed: Make) -> None:
    operation = claimed()
    assert transitions.request_cancel(operation, reason="first")
    assert transitions.request_cancel(operation, reason="second")
    row = stored(operation)
    assert (row.state, row.cancel_reason) == (State.RUNNING, "first")
    assert row.cancel_requested_at is not None


@pytest.mark.parametrize("state", Operation.TERMINAL_STATES)
def test_what_is_over_never_changes(claimed: Make, state: State) -> None:
    operation = claimed(state=state, lease_until=timezone.now() - timedelta(seconds=1))
    assert not transitions.finish(operation, SUCCEEDED)
    assert not transitions.interrupt(operation, INTERRUPTED)
    assert not transitions.end_queued(operation, INTERRUPTED)
    assert not transitions.request_cancel(operation, reason="too late")
    assert transitions.claim(operation.pk, worker="late/1", lease_seconds=30) is None
    with pytest.raises(LeaseLost):
        transitions.write(operation.pk, token=1, stage="late")
    assert stored(operation).state == state


def test_a_long_message_is_cut_to_what_a_row_holds(claimed: Make) -> None:
    operation = claimed()
    assert transitions.finish(operation, Ending(state=State.FAILED, error_code="X", error_message="x" * 5000))
    assert len(stored(operation).error_message) == 1000


def test_while_the_ledger_is_away_the_end_is_shown_as_running_and_one_outcome_follows(
    claimed: Make, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    operation = claimed()
    mend = break_ledger()
    assert transitions.finish(operation, SUCCEEDED)
    row = stored(operation)
    assert (row.state, row.visible_state, row.is_finished) == (State.SUCCEEDED, State.RUNNING, False)
    mend()
    index = record_outcome(row, late=True)
    assert record_outcome(row, late=True) == index
    row = stored(operation)
    assert (row.visible_state, row.outcome_index) == (State.SUCCEEDED, index)
    assert outcomes_of(row) == ["success"]
