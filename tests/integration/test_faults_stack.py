"""What happens when a part dies, hangs or lies in the middle of the work: a clear end, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.stack import ENGINE_CALL_SECONDS, PATIENCE_SECONDS, Stack, children_of

pytest_plugins = ["tests.integration.stack_fixture"]
HELD_BYTES = 2 * 2**20
REACHED_SECONDS = 30.0


@contextlib.contextmanager
def backup_in_the_middle(stack: Stack, source: Any, **options: Any) -> Iterator[str]:
    """While inside, the operation of this id waits for the rest of the export; at the end it goes on."""
    with stack.proxy.fault("/export", hold_bytes=HELD_BYTES) as held:
        operation = stack.begin_operation("backup", source.name, **options)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        yield operation


def assert_backups_work(stack: Stack, source: Any) -> None:
    operation = stack.begin_operation("backup", source.name)
    assert stack.finished(operation)["state"] == "succeeded"


def entries_of(stack: Stack, operation: str) -> list[tuple[str, str]]:
    entries = stack.ask("facts")["entries"]
    return [(entry["action"], entry["outcome"]) for entry in entries if entry["operation_id"] == operation]


def kill_worker(stack: Stack, operation: str) -> None:
    stack.kill("worker")
    stack.start("worker")


def kill_child(stack: Stack, operation: str) -> None:
    os.kill(stack.worker_process(operation), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_worker, kill_child])
def test_a_backup_whose_worker_is_killed_is_interrupted_and_leaves_nothing(
    stack: Stack, kill: Callable[[Stack, str], None]
) -> None:
    source = stack.source(large=True)
    before = stack.files()
    with backup_in_the_middle(stack, source) as operation:
        kill(stack, operation)
        ended = stack.finished(operation)
    assert (ended["state"], ended["code"]) == ("interrupted", "INTERRUPTED")
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert ("container.backup", "unknown") in entries_of(stack, operation)
    assert stack.files() == before
    assert_backups_work(stack, source)


@pytest.mark.slow
def test_the_scheduler_alone_ends_the_work_of_a_worker_that_never_comes_back(stack: Stack) -> None:
    source = stack.source(large=True)
    with stack_without_worker_in_the_middle(stack, source) as operation:
        assert stack.finished(operation)["state"] == "interrupted"
        assert not [path for path in stack.files() if path.name.endswith(".partial")]
    assert_backups_work(stack, source)


@contextlib.contextmanager
def stack_without_worker_in_the_middle(stack: Stack, source: Any) -> Iterator[str]:
    with backup_in_the_middle(stack, source) as operation, stack.without("worker"):
        yield operation


@pytest.mark.slow
def test_a_clone_that_a_killed_worker_had_just_created_is_found_by_its_label_and_removed(stack: Stack) -> None:
    source = stack.source()
    with stack.proxy.fault("/containers/create", hold_bytes=0) as held:
        operation = stack.begin_operation("clone", source.name)
        assert held.reached.wait(REACHED_SECONDS)
        assert operation in stack.labelled().values()
        kill_worker(stack, operation)
        ended = stack.finished(operation)
    assert ended["state"] == "interrupted"
    stack.wait(lambda: operation not in stack.labelled().values(), what="the removal of the clone")


@pytest.mark.slow
def test_a_create_that_a_frozen_engine_still_carries_out_leaves_no_clone(stack: Stack) -> None:
    source = stack.source()
    with stack.proxy.fault("/containers/create", hold_bytes=0) as held:
        operation = stack.begin_operation("clone", source.name)
        assert held.reached.wait(REACHED_SECONDS)
        with stack.engine.frozen():
            kill_worker(stack, operation)
            stack.wait(
                lambda: stack.ask("operation", operation)["state"] == "interrupted", what="the end of the operation"
            )
            assert stack.ask("operation", operation)["undo"] != []
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="the removal of the clone")
    assert operation not in stack.labelled().values()


@pytest.mark.slow
@pytest.mark.parametrize(("action", "code"), [("clone", "CLONE_FAILED"), ("backup", "BACKUP_FAILED")])
def test_a_frozen_engine_is_the_documented_error_in_time(stack: Stack, action: str, code: str) -> None:
    source = stack.source()
    before = stack.files()
    begun = time.monotonic()
    with stack.engine.frozen():
        answer = stack.act(action, source.name)
    assert (answer.status_code, answer.json()["code"]) == (500, code)
    assert time.monotonic() - begun < ENGINE_CALL_SECONDS + 15
    assert stack.files() == before


def test_an_export_that_the_engine_cut_short_at_a_member_is_never_a_backup(stack: Stack) -> None:
    source = stack.source(large=True)
    before = stack.files()
    with stack.proxy.fault("/export", cut_bytes=512 * 4000):
        answer = stack.act("backup", source.name)
    assert (answer.status_code, answer.json()["code"]) == (500, "BACKUP_FAILED")
    assert stack.files() == before


def test_files_that_shrink_while_they_are_exported_fail_the_backup(stack: Stack) -> None:
    source = stack.source(large=True)
    before = stack.files()
    with backup_in_the_middle(stack, source) as operation:
        shrink = source.exec_run(["sh", "-c", "for i in /data/*; do : > $i; done"])
        assert shrink.exit_code == 0
    ended = stack.finished(operation)
    assert ended["state"] == "failed", ended
    assert ended["code"] == "ARCHIVE_TRUNCATED"
    assert stack.files() == before


def test_a_container_that_is_removed_meanwhile_is_backed_up_whole_or_not_at_all(stack: Stack) -> None:
    source = stack.source(large=True)
    with backup_in_the_middle(stack, source) as operation:
        source.remove(force=True)
    assert stack.finished(operation)["state"] in ("succeeded", "failed")


def test_a_full_disk_is_507_and_nothing_is_left(stack: Stack, small_storage: Callable[[int], None]) -> None:
    if os.geteuid() != 0:
        pytest.skip("a file system of one's own needs root")
    source = stack.source(large=True)
    small_storage(4)
    answer = stack.act("backup", source.name, path=str(stack.small))
    assert (answer.status_code, answer.json()["code"]) == (507, "STORAGE_FULL")
    assert list(stack.small.iterdir()) == []


@pytest.mark.slow
def test_without_a_broker_nothing_is_done_and_afterwards_it_works_again(stack: Stack) -> None:
    source = stack.source()
    with stack.without("broker"):
        answer = stack.act("clone", source.name, name=f"never-{source.name}")
    assert (answer.status_code, answer.json()["code"]) == (503, "QUEUE_UNAVAILABLE")
    assert answer.headers["Retry-After"].isdigit()
    assert_backups_work(stack, source)
    assert not stack.docker.containers.list(all=True, filters={"name": f"never-{source.name}"})


@pytest.mark.slow
def test_what_was_accepted_while_the_broker_was_away_is_done_later(stack: Stack) -> None:
    source = stack.source()
    with stack.without("broker"):
        operation = stack.begin_operation("clone", source.name)
    assert stack.finished(operation)["state"] == "succeeded"


@pytest.mark.slow
def test_a_worker_that_wakes_up_after_its_lease_publishes_nothing(stack: Stack) -> None:
    source = stack.source(large=True)
    name = f"zombie-{uuid.uuid4().hex[:8]}.tar"
    with backup_in_the_middle(stack, source, name=name) as operation:
        child = stack.worker_process(operation)
        assert child in children_of_any(stack)
        os.kill(child, signal.SIGSTOP)
        try:
            ended = stack.finished(operation)
        finally:
            os.kill(child, signal.SIGCONT)
    assert ended["state"] == "interrupted"
    stack.wait(
        lambda: ("operation.fenced", "failure") in entries_of(stack, operation),
        seconds=PATIENCE_SECONDS,
        what="the note that the worker was fenced",
    )
    assert not [path for path in stack.files() if path.name.startswith(name)]
    second = stack.begin_operation("backup", source.name, name=name)
    assert stack.finished(second)["state"] == "succeeded"


def children_of_any(stack: Stack) -> list[int]:
    return children_of(stack.process_id("worker"))


@pytest.mark.slow
def test_an_engine_that_dies_in_the_middle_of_an_export_is_the_documented_error(stack: Stack) -> None:
    source = stack.source(large=True)
    before = stack.files()
    with backup_in_the_middle(stack, source) as operation:
        stack.engine.power_cut()
    try:
        ended = stack.finished(operation)
    finally:
        stack.engine.begin()
    assert ended["state"] == "failed"
    assert ended["code"] in ("STREAM_BROKEN", "STREAM_STALLED", "ENGINE_UNAVAILABLE")
    assert stack.files() == before
    assert_backups_work(stack, source)
