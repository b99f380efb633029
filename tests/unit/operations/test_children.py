"""Parts of an operation: recorded intent first, ended with their whole and never before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import AuditUnavailable, Busy
from containers_app.models import Operation, State
from containers_app.operations import children, recovery, transitions
from containers_app.operations.cancel import cancel
from containers_app.operations.transitions import Ending
from containers_app.workflows.context import ChildTarget, Done
from tests import recipes
from tests.unit.operations.conftest import Make, outcomes_of

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
TARGET = ChildTarget(
    kind="clone",
    container_id="c" * 64,
    name="shop-web-1",
    params={"container": "c" * 64, "name": "copy-web-1"},
    lock=True,
)
OTHER = replace(TARGET, container_id="d" * 64, name="shop-db-1")
MADE = Done(result={"success": True, "newId": "d" * 64}, proof={"configuration": {"equal": True}})


@pytest.fixture
def parent(claimed: Make) -> Operation:
    return claimed(kind="stackClone", params={"project": "shop", "new_project": "copy"}, target_name="shop")


def part_of(parent: Operation, *, done: Done | None = MADE) -> Operation:
    (child_id,) = children.begin(parent, [TARGET])
    if done is not None:
        children.describe(parent, child_id, done)
    return stored(child_id)


def stored(identifier: Any) -> Operation:
    return Operation.objects.get(pk=identifier)


def end(parent: Operation, state: State) -> None:
    ending = Ending(state=state, error_code="" if state == State.SUCCEEDED else "X")
    assert transitions.finish(parent, ending, then=lambda: children.end_with(parent))


def test_a_part_is_in_the_ledger_before_it_is_a_row(
    parent: Operation, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    mend = break_ledger()
    with pytest.raises(AuditUnavailable):
        children.begin(parent, [TARGET, OTHER])
    mend()
    assert not Operation.objects.filter(parent=parent).exists()

    part = part_of(parent, done=None)
    (intent,) = ledger.entries().filter(operation_id=str(part.pk))
    assert (intent.phase, intent.action, intent.object_name) == ("intent", "container.clone", "shop-web-1")
    assert str(parent.pk) in intent.payload
    assert (part.state, part.lease_until, part.actor) == (State.RUNNING, None, parent.actor)


def test_a_part_holds_its_target_until_it_is_over(parent: Operation) -> None:
    part_of(parent)
    with pytest.raises(Busy, match="shop-web-1"):
        children.begin(parent, [OTHER, TARGET])
    assert Operation.objects.filter(parent=parent).count() == 1
    end(parent, State.SUCCEEDED)
    assert set(Operation.objects.filter(parent=parent).values_list("target_lock", flat=True)) == {None}


def test_what_was_announced_for_a_held_target_is_closed_at_once(parent: Operation) -> None:
    part = part_of(parent)
    with pytest.raises(Busy):
        children.begin(parent, [OTHER, TARGET])
    told = ledger.entries().exclude(operation_id=str(part.pk)).exclude(operation_id=str(parent.pk))
    announced = set(told.filter(phase="intent").values_list("operation_id", flat=True))
    assert len(announced) == 2
    closed = told.filter(phase="outcome", outcome="failure", operation_id__in=announced)
    assert sorted(closed.values_list("object_name", flat=True)) == ["shop-db-1", "shop-web-1"]
    assert all("NOT_STARTED" in entry.payload for entry in closed)


def test_parts_that_end_together_are_told_together(
    parent: Operation, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    begun = children.begin(parent, [TARGET, OTHER])
    for child_id in begun:
        children.describe(parent, child_id, MADE)
    Operation.objects.filter(pk=parent.pk).update(state=State.SUCCEEDED)
    parent.state = State.SUCCEEDED
    mend = break_ledger()
    assert children.end_with(parent) == 2
    mend()
    assert {stored(child_id).outcome_index for child_id in begun} == {None}
    Operation.objects.filter(pk__in=begun).update(finished_at=timezone.now() - timedelta(minutes=1))
    recovery.reconcile()
    indexes = {stored(child_id).outcome_index for child_id in begun}
    assert None not in indexes
    assert len(indexes) == 2


@pytest.mark.parametrize(
    ("whole", "done", "expected", "outcome"),
    [
        (State.SUCCEEDED, MADE, State.SUCCEEDED, "success"),
        (State.PARTIAL, MADE, State.SUCCEEDED, "success"),
        (State.SUCCEEDED, Done(result={}, partial=True), State.PARTIAL, "success"),
        (State.FAILED, MADE, State.CANCELLED, "failure"),
        (State.ERRORED, MADE, State.CANCELLED, "failure"),
        (State.CANCELLED, None, State.CANCELLED, "failure"),
        (State.INTERRUPTED, MADE, State.INTERRUPTED, "unknown"),
    ],
)
def test_parts_end_as_their_whole_does(
    parent: Operation, whole: State, done: Done | None, expected: State, outcome: str
) -> None:
    part = part_of(parent, done=done)
    end(parent, whole)
    row = stored(part.pk)
    assert row.state == expected
    assert row.is_finished
    assert outcomes_of(row) == [outcome]
    assert (row.result is None) == (expected not in (State.SUCCEEDED, State.PARTIAL))


def test_nobody_is_told_of_the_end_before_the_parts_have_ended(parent: Operation) -> None:
    part = part_of(parent)
    seen: list[tuple[bool, str]] = []

    def look() -> None:
        children.end_with(parent)
        seen.append((stored(parent.pk).is_finished, stored(part.pk).state))

    assert transitions.finish(parent, Ending(state=State.SUCCEEDED), then=look)
    assert seen == [(False, State.SUCCEEDED)]
    assert stored(parent.pk).is_finished


def test_a_part_of_an_operation_that_runs_is_not_ended(parent: Operation) -> None:
    part = part_of(parent)
    assert children.end_with(parent) == 0
    assert stored(part.pk).state == State.RUNNING


def test_a_part_ends_once(parent: Operation) -> None:
    part = part_of(parent)
    end(parent, State.SUCCEEDED)
    assert children.end_with(parent) == 0
    assert transitions.end_parts([(part, Ending(state=State.FAILED))]) == 0
    assert stored(part.pk).state == State.SUCCEEDED
    assert outcomes_of(part) == ["success"]


def test_the_reconciler_ends_the_parts_of_a_whole_that_is_over(parent: Operation, backup_root: Any) -> None:
    part = part_of(parent)
    Operation.objects.filter(pk=parent.pk).update(state=State.INTERRUPTED)
    assert recovery.reconcile()["parts"] == 1
    assert stored(part.pk).state == State.INTERRUPTED


def test_the_reconciler_leaves_a_part_whose_whole_is_alive(parent: Operation, backup_root: Any) -> None:
    part = part_of(parent)
    recovery.reconcile()
    assert stored(part.pk).state == State.RUNNING


def test_a_result_of_another_parents_part_is_not_taken(parent: Operation, claimed: Make) -> None:
    part = part_of(parent, done=None)
    children.describe(claimed(), str(part.pk), MADE)
    assert stored(part.pk).result is None


def test_to_cancel_a_part_is_to_cancel_the_whole(parent: Operation) -> None:
    part = part_of(parent)
    assert cancel(part, asker=recipes.asker(recipes.operator()), source=Source(channel="ui"))
    assert stored(parent.pk).cancel_requested_at is not None
    assert stored(part.pk).cancel_requested_at is None
