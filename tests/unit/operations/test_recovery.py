"""Each duty of the reconciler, and that a row which cannot be mended does not stop the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
import time_machine
from django.conf import settings as django_settings
from django.db import DatabaseError
from django.utils import timezone

from containers_app.archives.stores.local import LocalStore
from containers_app.audit import ledger
from containers_app.errors import EngineUnavailable
from containers_app.models import Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.operations import recovery
from containers_app.specs.endpoint import Endpoint
from containers_app.workflows.undo import remove_files, remove_labelled
from tests.unit.operations.conftest import Make, intent_of, outcomes_of

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
NOTHING = dict.fromkeys(
    ("expired", "republished", "interrupted", "parts", "undone", "late", "orphans", "swept", "exports"), 0
)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch, backup_root: Path) -> list[Operation]:
    """The operations that a worker was told of again; the Engine's socket does not exist."""
    told: list[Operation] = []

    def tell(operation: Operation) -> bool:
        told.append(operation)
        return True

    monkeypatch.setattr(recovery, "republish", tell)
    monkeypatch.setenv("DOCKER_API_URL", "unix:///nonexistent/engine.sock")
    return told


def past(seconds: float) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def stored(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def store() -> LocalStore:
    return LocalStore(django_settings.MYCODOCKER["backup_roots"], reserve_bytes=0)


def leave_partial(operation: Operation, name: str = "a.tar") -> Path:
    """The temporary file that a killed writer of this operation leaves."""
    location = store().locate(None, name)
    store().open_for_write(location, str(operation.pk)).write(b"x")
    return Path(location.root, f".{operation.pk}.partial")


def test_a_sweep_with_nothing_to_do_does_nothing() -> None:
    assert recovery.reconcile() == NOTHING


def test_a_wish_that_no_worker_took_in_time_is_ended(queued: Make) -> None:
    late, waiting = queued(deadline_at=past(1)), queued(deadline_at=timezone.now() + timedelta(minutes=1))
    assert recovery.reconcile() == {**NOTHING, "expired": 1}
    row = stored(late)
    assert (row.state, row.error_code) == (State.CANCELLED, "TIMED_OUT")
    assert outcomes_of(row) == ["failure"]
    assert stored(waiting).state == State.QUEUED


def test_lost_messages_are_sent_again_and_fresh_ones_are_not(queued: Make, sent: list[Operation]) -> None:
    never, old, _fresh = queued(published_at=None), queued(published_at=past(3600)), queued()
    assert recovery.reconcile() == {**NOTHING, "republished": 2}
    assert sent == [never, old]


def test_a_row_that_no_worker_takes_for_days_is_sent_in_growing_pauses(queued: Make) -> None:
    """The broker keeps every message, so their number must not grow with the sweeps."""
    moments: list[float] = []

    def tell(operation: Operation) -> bool:
        moments.append((timezone.now() - begun).total_seconds())
        return bool(Operation.objects.filter(pk=operation.pk).update(published_at=timezone.now()))

    with time_machine.travel(timezone.now(), tick=False) as traveller:
        begun = timezone.now()
        queued()
        for _sweep in range(4 * 24 * 6):
            traveller.shift(timedelta(minutes=10))
            recovery._each(recovery._lost_messages(), tell)
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert pauses == sorted(pauses)
    assert pauses[:4] == [600, 1200, 2400, 4800]
    assert pauses[-1] == recovery.LONGEST_PAUSE.total_seconds()
    assert len(moments) < 30


def test_a_row_that_waits_long_does_not_hide_one_that_is_due(queued: Make, sent: list[Operation]) -> None:
    queued(created_at=past(7200), published_at=past(3000))
    due = queued(created_at=past(7200), published_at=past(3700))
    assert recovery.reconcile() == {**NOTHING, "republished": 1}
    assert sent == [due]


def test_a_dead_lease_is_interrupted_and_what_it_made_is_removed(claimed: Make) -> None:
    operation = claimed(lease_until=past(1), target_lock="1:abc", stages=[{"name": "stream", "finishedAt": None}])
    partial = leave_partial(operation)
    step = remove_files(store().locate(None, "a.tar"), operation_id=str(operation.pk), inode=partial.stat().st_ino)
    Operation.objects.filter(pk=operation.pk).update(undo=[step])
    assert recovery.reconcile() == {**NOTHING, "interrupted": 1}
    row = stored(operation)
    assert (row.state, row.undo, row.target_lock) == (State.INTERRUPTED, [], None)
    assert row.stages[0]["state"] == "failed"
    assert outcomes_of(row) == ["unknown"]
    assert not partial.exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("backup", "being taken back. Run it again"),
        ("stop", "may have carried it out all the same. Look at the container's state"),
        ("remove", "may have carried it out all the same. Look at the container's state"),
    ],
)
def test_what_cannot_be_taken_back_is_not_said_to_be(claimed: Make, kind: str, words: str) -> None:
    operation = claimed(lease_until=past(1), kind=kind)
    recovery.reconcile()
    assert stored(operation).state == State.INTERRUPTED
    assert words in stored(operation).error_message


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ({"state": State.SUCCEEDED, "result": {"success": True}}, (State.SUCCEEDED, "")),
        ({"state": State.FAILED, "error_code": "COLLISION"}, (State.CANCELLED, "CANCELLED")),
        ({"state": State.INTERRUPTED, "error_code": "INTERRUPTED"}, (State.INTERRUPTED, "INTERRUPTED")),
    ],
)
def test_a_part_that_outlived_its_whole_is_ended_as_that_was(
    queued: Make, claimed: Make, whole: dict[str, Any], part: tuple[State, str]
) -> None:
    """A part has no lease of its own."""
    parent = queued(finished_at=timezone.now(), outcome_index=1, **whole)
    left = claimed(parent=parent, lease_until=None, stage="done", result={"success": True})
    living = claimed(parent=claimed(), lease_until=None)
    assert recovery.reconcile() == {**NOTHING, "parts": 1}
    assert (stored(left).state, stored(left).error_code) == part
    assert len(outcomes_of(left)) == 1
    assert stored(living).state == State.RUNNING


def test_a_living_lease_and_its_files_are_left_alone(claimed: Make) -> None:
    operation = claimed()
    partial = leave_partial(operation)
    assert recovery.reconcile() == NOTHING
    assert stored(operation).state == State.RUNNING
    assert partial.exists()


def test_what_cannot_be_taken_back_yet_is_kept_for_the_next_sweep(claimed: Make) -> None:
    operation = claimed(lease_until=past(1))
    partial = leave_partial(operation)
    identifier = str(operation.pk)
    files = remove_files(store().locate(None, "a.tar"), operation_id=identifier, inode=None)
    Operation.objects.filter(pk=operation.pk).update(undo=[remove_labelled(identifier), files])
    recovery.reconcile()
    row = stored(operation)
    assert (row.state, row.undo) == (State.INTERRUPTED, [remove_labelled(identifier)])
    assert not partial.exists()


def test_an_unfinished_undo_is_finished_later(claimed: Make) -> None:
    operation = claimed(state=State.FAILED, outcome_index=7)
    partial = leave_partial(operation)
    step = remove_files(store().locate(None, "a.tar"), operation_id=str(operation.pk), inode=None)
    Operation.objects.filter(pk=operation.pk).update(undo=[step])
    assert recovery.reconcile() == {**NOTHING, "undone": 1}
    assert stored(operation).undo == []
    assert not partial.exists()


def test_an_outcome_that_the_ledger_could_not_take_is_written_late_and_once(claimed: Make) -> None:
    operation = claimed(state=State.SUCCEEDED, finished_at=past(60))
    assert stored(operation).visible_state == State.RUNNING
    assert recovery.reconcile() == {**NOTHING, "late": 1}
    assert recovery.reconcile() == NOTHING
    assert stored(operation).visible_state == State.SUCCEEDED
    assert outcomes_of(operation) == ["success"]
    assert ledger.disclosed(ledger.entries().get(phase="outcome"))["late"] is True


def test_the_runner_is_given_a_moment_to_write_its_own_outcome(claimed: Make) -> None:
    claimed(state=State.SUCCEEDED, finished_at=timezone.now())
    assert recovery.reconcile() == NOTHING


def test_an_intent_whose_row_was_never_stored_is_closed_as_unknown(queued: Make) -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=10)):
        orphan = str(uuid7())
        intent_of(orphan)
        kept = queued(published_at=timezone.now() + timedelta(hours=1))
    assert recovery.reconcile() == {**NOTHING, "orphans": 1}
    outcome = ledger.entries().get(phase="outcome")
    assert (outcome.operation_id, outcome.outcome) == (orphan, "unknown")
    assert outcomes_of(kept) == []


def test_a_fresh_intent_is_no_orphan() -> None:
    intent_of(str(uuid7()))
    assert recovery.reconcile() == NOTHING


def test_temporary_files_of_operations_that_are_over_or_unknown_are_swept(claimed: Make) -> None:
    over = claimed(state=State.CANCELLED, outcome_index=7)
    partials = [leave_partial(over), leave_partial(Operation(id=uuid7()), "b.tar")]
    assert recovery.reconcile() == {**NOTHING, "swept": 2}
    assert not any(partial.exists() for partial in partials)


@pytest.mark.parametrize("undo", [[{"action": "from a later version"}], [{"action": "remove_files"}], ["no step"]])
def test_an_undo_of_another_version_does_not_stop_the_other_rows(claimed: Make, undo: list[Any]) -> None:
    odd = claimed(lease_until=past(2), undo=undo)
    plain = claimed(lease_until=past(1))
    recovery.reconcile()
    assert [stored(odd).state, stored(plain).state] == [State.INTERRUPTED, State.INTERRUPTED]
    assert stored(odd).undo == undo


def test_a_kind_of_another_version_does_not_stop_the_other_rows(claimed: Make) -> None:
    claimed(kind="drill", state=State.FAILED, finished_at=past(60))
    plain = claimed(state=State.FAILED, finished_at=past(60))
    recovery.reconcile()
    assert outcomes_of(plain) == ["failure"]


def test_while_the_ledger_is_away_the_other_duties_go_on(
    claimed: Make, queued: Make, sent: list[Operation], break_ledger: Callable[[], Callable[[], None]]
) -> None:
    dead = claimed(lease_until=past(1))
    lost = queued(published_at=None)
    swept = leave_partial(Operation(id=uuid7()))
    break_ledger()
    done = recovery.reconcile()
    assert (done["interrupted"], done["republished"], done["swept"]) == (1, 1, 1)
    assert stored(dead).visible_state == State.RUNNING
    assert sent == [lost]
    assert not swept.exists()


def test_rows_are_mended_oldest_first_and_a_failing_one_is_passed_over(
    queued: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [queued(published_at=None) for _ in range(3)]
    turns = itertools.count()

    def fail_first(operation: Operation) -> bool:
        if next(turns) == 0:
            raise DatabaseError("odd")
        return True

    monkeypatch.setattr(recovery, "republish", fail_first)
    assert recovery.reconcile()["republished"] == len(rows) - 1


def test_a_storage_that_cannot_be_read_stops_nothing(claimed: Make, backup_root: Path) -> None:
    backup_root.parent.mkdir(parents=True, exist_ok=True)
    backup_root.write_text("a file where a folder should be")
    operation = claimed(lease_until=past(1))
    recovery.reconcile()
    backup_root.unlink()
    assert stored(operation).state == State.INTERRUPTED


def test_a_sweep_asks_a_dead_engine_once_and_not_for_every_row(claimed: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def dead(endpoint: Endpoint, *rest: object) -> NoReturn:
        asked.append(endpoint.url)
        raise EngineUnavailable("no answer")

    monkeypatch.setattr(recovery, "open_gateway", dead)
    for _ in range(3):
        row = claimed(lease_until=past(2))
        Operation.objects.filter(pk=row.pk).update(undo=[remove_labelled(str(row.pk))], state=State.FAILED)
    recovery.reconcile()
    assert len(asked) == 1
    assert all(row.undo for row in Operation.objects.all())
