"""The life of a claimed operation: every way to end it leaves one state, one outcome and no secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.errors import Cancelled, ContainerNotFound, DrillFailed, LeaseLost, MycoError, StorageFull, TimedOut
from containers_app.models import Operation, State
from containers_app.operations import runner, transitions
from containers_app.operations.answers import published_error
from containers_app.operations.kinds import BACKUP
from containers_app.workflows.context import Context, Done
from containers_app.workflows.undo import remove_files, remove_labelled
from tests import recipes
from tests.unit.operations.conftest import Make, outcomes_of

SECRET = "hunter2-do-not-tell"
Workflow = Callable[[Context, Any], Done]

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]


@pytest.fixture
def run(queued: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Operation]:
    """A function: run this workflow as a backup that an operator asked for; returns the row afterwards."""
    monkeypatch.setenv("DOCKER_API_URL", "unix:///nonexistent/engine.sock")

    def go(workflow: Workflow, **fields: Any) -> Operation:
        kinds = {"backup": replace(BACKUP, workflow=workflow)}
        monkeypatch.setattr(runner, "KINDS", kinds)
        user = fields.pop("user", None) or recipes.operator()
        operation = queued(user=user, **fields)
        runner.run(operation.pk)
        return Operation.objects.get(pk=operation.pk)

    return go


def raising(error: Exception) -> Workflow:
    def workflow(context: Context, params: Any) -> Done:
        context.stage("work")
        raise error

    return workflow


def test_a_workflow_that_ends_well_succeeds_with_its_rows(run: Callable[..., Operation]) -> None:
    written: list[Any] = []

    def workflow(context: Context, params: Any) -> Done:
        context.stage("work")
        context.progress(7)
        return Done(result={"success": True}, record=lambda: written.append(params.container))

    row = run(workflow)
    assert (row.state, row.result, row.bytes_done, written) == (State.SUCCEEDED, {"success": True}, 7, ["web"])
    assert [(stage["name"], stage["state"]) for stage in row.stages] == [("work", "done")]
    assert outcomes_of(row) == ["success"]


def test_what_is_missing_makes_it_partial(run: Callable[..., Operation]) -> None:
    def workflow(context: Context, params: Any) -> Done:
        context.warn("VOLUME_MISSING", "the volume data is not in it")
        return Done(result={}, partial=True)

    row = run(workflow)
    assert row.state == State.PARTIAL
    assert ledger.disclosed(ledger.entries().get(phase="outcome"))["details"]["warnings"] == ["VOLUME_MISSING"]


def test_the_evidence_of_a_drill_that_failed_is_kept(run: Callable[..., Operation]) -> None:
    row = run(raising(DrillFailed("it did not come up", proof={"passed": False})))
    assert (row.state, row.error_code, row.proof) == (State.FAILED, "DRILL_FAILED", {"passed": False})


@pytest.mark.parametrize(
    ("error", "state", "published"),
    [
        (ContainerNotFound("there is none"), State.FAILED, "BACKUP_FAILED"),
        (StorageFull("no space"), State.FAILED, "STORAGE_FULL"),
        (Cancelled("cancelled by adam"), State.CANCELLED, "BACKUP_FAILED"),
        (TimedOut("not within 5 s"), State.CANCELLED, "BACKUP_FAILED"),
    ],
)
def test_a_foreseen_failure_is_explained(
    run: Callable[..., Operation], error: MycoError, state: State, published: str
) -> None:
    row = run(raising(error))
    assert (row.state, row.error_code) == (state, error.code)
    assert published_error(row) == {"error": f"Backup failed: {error.message}", "code": published}
    assert row.stages[-1]["state"] == "failed"
    assert outcomes_of(row) == ["failure"]


def test_a_bug_gets_a_reference_and_no_value_leaves_the_process(
    run: Callable[..., Operation], caplog: pytest.LogCaptureFixture
) -> None:
    def workflow(context: Context, params: Any) -> Done:
        password = "-".join(["hunter2", "do", "not", "tell"])
        raise ValueError(f"bad password {password}")

    with caplog.at_level(logging.DEBUG):
        row = run(workflow)
    assert (row.state, row.error_code) == (State.ERRORED, "INTERNAL")
    assert str(row.pk) in row.error_message
    assert row.error_trace.endswith("ValueError")
    assert "test_runner.py" in row.error_trace
    assert str(Path(__file__).resolve().parents[3]) not in row.error_trace
    assert outcomes_of(row) == ["error"]
    everything = [repr(Operation.objects.values()), repr(ledger.disclosed_all(ledger.entries())), caplog.text]
    assert not any(SECRET in text for text in everything)
    assert published_error(row) == {"error": f"Backup failed: {row.error_message}", "code": "BACKUP_FAILED"}


@pytest.mark.parametrize(
    ("kind", "undo", "words"),
    [
        ("backup", [remove_labelled("x")], "is being taken back"),
        ("backup", [], "look at the container's state"),
        ("stop", [remove_labelled("x")], "look at the container's state"),
    ],
)
def test_a_bug_is_said_to_be_taken_back_only_where_something_is(kind: str, undo: list[Any], words: str) -> None:
    context: Any = SimpleNamespace(undo=undo)
    assert words in runner._unforeseen(recipes.operation(kind=kind), context, ValueError()).error_message


def test_a_failure_after_a_success_was_stored_takes_nothing_of_it_back(
    run: Callable[..., Operation], monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed: list[object] = []

    def replay(undo: object, **clients: object) -> list[object]:
        replayed.append(undo)
        return []

    monkeypatch.setattr(runner, "replay", replay)

    def broken(operations: object) -> None:
        raise ValueError

    monkeypatch.setattr(transitions, "record_outcomes", broken)
    row = run(lambda context, params: Done(result={"x": 1}))
    assert (row.state, replayed) == (State.SUCCEEDED, [])


def test_whoever_lost_the_right_meanwhile_runs_nothing(run: Callable[..., Operation]) -> None:
    touched: list[str] = []

    def workflow(context: Context, params: Any) -> Done:
        touched.append("engine")
        return Done(result={})

    row = run(workflow, user=recipes.stranger())
    assert (row.state, row.error_code, touched) == (State.FAILED, "PERMISSION_DENIED", [])
    assert outcomes_of(row) == ["failure"]


def test_an_operation_whose_intent_is_not_in_the_ledger_runs_nothing(run: Callable[..., Operation]) -> None:
    touched: list[str] = []

    def workflow(context: Context, params: Any) -> Done:
        touched.append("engine")
        return Done(result={})

    row = run(workflow, intent_hash="f" * 64)
    assert (row.state, row.error_code, touched) == (State.FAILED, "AUDIT_UNAVAILABLE", [])


def test_params_of_another_version_are_a_bug_that_ends(run: Callable[..., Operation]) -> None:
    row = run(raising(Cancelled("never reached")), params={"container": "web", "compression": "zstd"})
    assert row.state == State.ERRORED


def test_a_second_delivery_runs_nothing(run: Callable[..., Operation]) -> None:
    runs: list[int] = []

    def workflow(context: Context, params: Any) -> Done:
        runs.append(1)
        return Done(result={})

    row = run(workflow)
    runner.run(row.pk)
    assert runs == [1]
    assert outcomes_of(row) == ["success"]


def test_a_failure_takes_its_files_back_and_keeps_what_it_cannot_take_back(run: Callable[..., Operation]) -> None:
    partial: list[Path] = []

    def workflow(context: Context, params: Any) -> Done:
        location = context.store.locate(None, "a.tar")
        identifier = context.facts.operation_id
        context.remember_undo(remove_labelled(identifier))
        context.remember_undo(remove_files(location, operation_id=identifier, inode=None))
        context.store.open_for_write(location, identifier).write(b"x")
        partial.append(Path(location.root, f".{identifier}.partial"))
        assert partial[0].exists()
        raise ContainerNotFound("gone")

    row = run(workflow)
    assert not partial[0].exists()
    assert row.undo == [remove_labelled(str(row.pk))]


def lose_lease(context: Context) -> None:
    """What the reconciler does when the lease is dead."""
    Operation.objects.filter(pk=context.facts.operation_id).update(state=State.INTERRUPTED, finished_at=timezone.now())


@pytest.mark.parametrize("after", [None, ContainerNotFound("x"), LeaseLost("x"), ValueError("x")])
def test_a_worker_that_lost_its_lease_writes_nothing_and_says_so_in_the_ledger(
    run: Callable[..., Operation], after: Exception | None
) -> None:
    written: list[str] = []

    def workflow(context: Context, params: Any) -> Done:
        lose_lease(context)
        if after:
            raise after
        return Done(result={"success": True}, record=lambda: written.append("row"))

    row = run(workflow)
    assert (row.state, row.result, written) == (State.INTERRUPTED, None, [])
    assert [entry.action for entry in ledger.entries().filter(phase="event")] == ["operation.fenced"]
    assert outcomes_of(row) == []


def test_a_fenced_worker_ends_quietly_although_the_ledger_is_away(
    run: Callable[..., Operation], break_ledger: Callable[[], Callable[[], None]]
) -> None:
    def workflow(context: Context, params: Any) -> Done:
        lose_lease(context)
        break_ledger()
        raise LeaseLost("lost")

    assert run(workflow).state == State.INTERRUPTED


def publish_a_file(context: Context) -> None:
    location = context.store.locate(None, "a.tar")
    with context.store.open_for_write(location, context.facts.operation_id) as writer:
        context.remember_undo(remove_files(location, operation_id=context.facts.operation_id, inode=writer.inode))
        writer.write(b"x")
        writer.seal("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", 1)
        writer.publish()


def test_a_database_that_goes_away_after_the_end_was_stored_costs_no_backup(
    run: Callable[..., Operation], monkeypatch: pytest.MonkeyPatch, backup_root: Path
) -> None:
    def go_away(operation: Operation) -> None:
        raise OperationalError("server closed the connection")

    def workflow(context: Context, params: Any) -> Done:
        publish_a_file(context)
        monkeypatch.setattr(transitions, "_record", go_away)
        return Done(result={"success": True})

    row = run(workflow)
    assert (row.state, row.visible_state) == (State.SUCCEEDED, State.RUNNING)
    assert (backup_root / "a.tar").exists()


def test_a_database_that_goes_away_before_leaves_the_end_to_the_reconciler(run: Callable[..., Operation]) -> None:
    row = run(raising(OperationalError("server closed the connection")))
    assert (row.state, row.lease_token) == (State.RUNNING, 1)
    assert row.lease_until is not None
    assert outcomes_of(row) == []


def test_an_unknown_operation_is_no_work(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        runner.run(recipes.operation(state=State.CANCELLED).pk)
    assert "nothing to claim" in caplog.text


def test_an_inactive_asker_runs_nothing(run: Callable[..., Operation]) -> None:
    olga = recipes.operator("left")
    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert run(raising(Cancelled("never reached")), user=olga).error_code == "PERMISSION_DENIED"
