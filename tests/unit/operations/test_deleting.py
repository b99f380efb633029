"""A backup is deleted on a typed word, by nobody while something keeps it, and never by half."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.db import OperationalError
from django.utils import timezone

from containers_app.archives.stores.local import LocalStore
from containers_app.errors import StorageError
from containers_app.models import BackupPart, Container, DockerHost, Operation, State
from containers_app.operations import progress, recovery, transitions
from containers_app.operations.answers import published_error
from containers_app.workflows import deletion, set_removal
from tests import recipes
from tests.stored_sets import IMAGE, WEB, names, stored_set, write_set
from tests.unit.operations.conftest import outcomes_of
from tests.unit.operations.keeping_bench import delete, state, verify

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]
FILES = ["web.tar", "web.tar.config.json", "web.tar.manifest.json", "web.tar.volume-1-data.tar"]


class Killed(BaseException):
    """The process is gone: nothing after this is run by it."""


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Engine may be asked."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a deletion needs no Engine")

    monkeypatch.setattr(progress, "open_gateway", refuse)
    monkeypatch.setattr(recovery, "republish", lambda operation: True)


def test_a_deleted_set_leaves_no_file_and_keeps_its_record(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    beside = stored_set(backup_root, "db.tar")
    row = delete(backup, confirm="web.tar")
    assert (row.state, row.undo, row.target_id) == ("succeeded", [], str(backup.pk))
    assert row.result == {
        "success": True,
        "message": "The backup is deleted",
        "action": "deleteBackup",
        "backupFile": "web.tar",
        "backupPath": backup.path,
        "backupId": str(backup.pk),
        "stateBefore": "complete",
        "stateAfter": "deleted",
        "keptFiles": [],
    }
    assert (state(backup), state(beside), BackupPart.objects.filter(backup=backup).count()) == (
        "deleted",
        "complete",
        3,
    )
    assert names(backup_root) == sorted(name.replace("web", "db", 1) for name in FILES)
    assert outcomes_of(row) == ["success"]


@pytest.mark.parametrize("typed", ["", "web", "WEB.TAR", "web.tar ", "db.tar"])
def test_another_name_deletes_nothing(backup_root: Path, typed: str) -> None:
    backup = stored_set(backup_root)
    row = delete(backup, confirm=typed)
    assert (row.state, row.error_code, state(backup)) == ("failed", "INVALID_REQUEST", "complete")
    assert "web.tar" in row.error_message
    assert names(backup_root) == FILES


def day(number: int) -> Any:
    return timezone.now() + timedelta(days=number)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pinned": True}, "BACKUP_PINNED"),
        ({"hold_reason": "a lawsuit", "hold_owner": "adam"}, "BACKUP_HELD"),
        ({"hold_reason": "a lawsuit", "hold_until": day(1), "pinned": True}, "BACKUP_HELD"),
        ({"hold_reason": "a lawsuit", "hold_until": day(1), "state": "corrupt"}, "BACKUP_HELD"),
        ({"state": "deleted"}, "BACKUP_DELETED"),
    ],
)
def test_what_is_kept_is_not_deleted(backup_root: Path, fields: dict[str, Any], code: str) -> None:
    backup = stored_set(backup_root, **fields)
    row = delete(backup)
    assert (row.state, row.error_code) == ("failed", code)
    assert published_error(row) == {"error": f"Deletion failed: {row.error_message}", "code": code}
    assert (state(backup), row.undo) == (fields.get("state", "complete"), [])
    assert names(backup_root) == FILES


def test_a_hold_that_is_over_keeps_nothing(backup_root: Path) -> None:
    backup = stored_set(backup_root, hold_reason="a lawsuit", hold_until=day(-1))
    assert (delete(backup).state, state(backup)) == ("succeeded", "deleted")


LAST = [
    ("complete", [], "LAST_GOOD_BACKUP"),
    ("complete", ["corrupt", "missing", "deleted", "partial"], "LAST_GOOD_BACKUP"),
    ("partial", ["corrupt"], "LAST_GOOD_BACKUP"),
    ("complete", ["complete"], ""),
    ("partial", ["partial"], ""),
    ("partial", ["complete"], ""),
    ("corrupt", [], ""),
    ("missing", ["corrupt"], ""),
]


@pytest.mark.parametrize(("own", "others", "code"), LAST)
def test_the_last_set_that_is_as_good_is_not_deleted_while_the_container_is_there(
    backup_root: Path, own: str, others: list[str], code: str
) -> None:
    container = recipes.container(engine_id=WEB)
    backup = stored_set(backup_root, state=own, container=container)
    for number, other in enumerate(others):
        stored_set(backup_root / str(number), state=other, container=container)
    row = delete(backup, confirm_last=True)
    assert (row.error_code, state(backup)) == (code, own if code else "deleted")
    assert ("make another one first" in row.error_message) is bool(code)


def test_sets_of_other_containers_and_hosts_do_not_count(backup_root: Path) -> None:
    backup = stored_set(backup_root, container=recipes.container(engine_id=WEB))
    stored_set(backup_root, "db.tar", container_engine_id="b" * 64)
    stored_set(backup_root, "far.tar", host=recipes.host("far"))
    assert delete(backup).error_code == "LAST_GOOD_BACKUP"


@pytest.mark.parametrize("gone", ["unknown", "removed", "disabled"])
def test_the_last_set_of_a_container_that_is_gone_needs_a_word_more(backup_root: Path, gone: str) -> None:
    container = None if gone == "unknown" else recipes.container(engine_id=WEB)
    backup = stored_set(backup_root, container=container)
    if gone == "removed":
        Container.objects.update(removed_at=timezone.now())
    if gone == "disabled":
        DockerHost.objects.update(enabled=False)
    refused = delete(backup, confirm_last=False)
    assert (refused.error_code, state(backup)) == ("LAST_GOOD_BACKUP", "complete")
    assert "confirmLast" in refused.error_message
    assert delete(backup, confirm_last=True).state == "succeeded"


def test_an_image_that_another_set_needs_stays_and_goes_with_the_last_of_them(backup_root: Path) -> None:
    first, second = stored_set(backup_root, image=True), stored_set(backup_root, "db.tar", image=True)
    stored_set(backup_root / "other", image=True)
    row = delete(first)
    assert (row.result or {})["keptFiles"] == [IMAGE]
    assert verify(second).state == "succeeded"
    assert delete(second, confirm="db.tar").state == "succeeded"
    assert names(backup_root) == []
    assert IMAGE in names(backup_root / "other")


@pytest.mark.parametrize("other", ["corrupt", "missing"])
def test_what_a_damaged_set_needs_stays_too(backup_root: Path, other: str) -> None:
    first = stored_set(backup_root, image=True)
    stored_set(backup_root, "db.tar", image=True, state=other)
    delete(first)
    assert IMAGE in names(backup_root)


def test_an_image_is_not_taken_from_a_backup_that_may_count_on_it(backup_root: Path) -> None:
    backup = stored_set(backup_root, image=True)
    recipes.running(kind="backup", params={"contents": ["rootfs", "image"]})
    assert (delete(backup).error_code, state(backup)) == ("BUSY", "complete")
    plain = stored_set(backup_root / "plain", "db.tar")
    assert delete(plain, confirm="db.tar").state == "succeeded"


def test_a_backup_with_an_image_that_begins_meanwhile_is_waited_for_by_the_files_alone(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, before = stored_set(backup_root, image=True), names(backup_root)
    begun: list[Operation] = []

    def record(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        begun.append(recipes.running(kind="backup", params={"contents": ["rootfs", "image"]}))

    real = deletion._record
    monkeypatch.setattr(deletion, "_record", record)
    row = delete(backup)
    assert (row.state, state(backup), len(row.undo)) == ("succeeded", "deleted", 1)
    assert [warning["code"] for warning in row.warnings] == ["FILES_GO_LATER"]
    assert IMAGE in names(backup_root)
    recovery.reconcile()
    assert IMAGE in names(backup_root)
    assert len(before) > len(names(backup_root)) >= 1
    Operation.objects.filter(pk=begun[0].pk).update(state=State.FAILED, lease_until=None, outcome_index=1)
    recovery.reconcile()
    assert (names(backup_root), Operation.objects.get(pk=row.pk).undo) == ([], [])


@pytest.mark.parametrize(("running", "code"), [("restore", "BUSY"), ("drill", "BUSY"), ("", "")])
def test_a_set_that_something_works_with_is_not_deleted(backup_root: Path, running: str, code: str) -> None:
    backup = stored_set(backup_root)
    recipes.running(kind=running or "restore", params={"backup": str(backup.pk) if running else "another"})
    assert (delete(backup).error_code, state(backup)) == (code, "complete" if running else "deleted")


def test_a_set_whose_files_are_gone_already_is_deleted(backup_root: Path) -> None:
    backup = stored_set(backup_root, state="missing")
    for name in FILES[:2]:
        (backup_root / name).unlink()
    assert (delete(backup).state, state(backup), names(backup_root)) == ("succeeded", "deleted", [])


def test_a_storage_that_does_not_answer_deletes_nothing(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    shutil.move(backup_root, backup_root.with_name("elsewhere"))
    row = delete(backup)
    shutil.move(backup_root.with_name("elsewhere"), backup_root)
    assert (row.error_code, row.undo, state(backup)) == ("STORAGE_ERROR", [], "complete")
    assert names(backup_root) == FILES


def test_an_intent_that_the_ledger_does_not_have_deletes_nothing(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    row = delete(backup, intent_hash="f" * 64)
    assert (row.error_code, state(backup)) == ("AUDIT_UNAVAILABLE", "complete")
    assert names(backup_root) == FILES


def killing_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """The worker dies instead of removing the file with this number; the list has those that it removed."""
    removed: list[str] = []
    remove = LocalStore.remove_marked

    def kill_or_remove(self: LocalStore, location: Any, mark: str) -> bool:
        if len(removed) == number:
            raise Killed
        removed.append(location.name)
        return remove(self, location, mark)

    monkeypatch.setattr(LocalStore, "remove_marked", kill_or_remove)
    return removed


@pytest.mark.parametrize("number", range(4))
def test_what_a_killed_worker_left_is_removed_by_the_reconciler(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    backup = stored_set(backup_root)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        removed = killing_at(patch, number)
        delete(backup)
    assert removed == ["web.tar.manifest.json", "web.tar.config.json", "web.tar.volume-1-data.tar"][:number]
    assert state(backup) == "deleted"
    Operation.objects.filter(kind="deleteBackup").update(lease_until=timezone.now() - timedelta(seconds=60))
    assert recovery.reconcile()["interrupted"] == 1
    row = Operation.objects.get(kind="deleteBackup")
    assert (row.state, row.undo, outcomes_of(row)) == ("interrupted", [], ["unknown"])
    assert "carried out all the same" in row.error_message
    assert (names(backup_root), state(backup)) == ([], "deleted")


def test_a_worker_that_is_killed_before_the_record_deletes_nothing(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored_set(backup_root)

    def kill(*_: object, **__: object) -> NoReturn:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(deletion, "_record", kill)
        delete(backup)
    Operation.objects.filter(kind="deleteBackup").update(lease_until=timezone.now() - timedelta(seconds=60))
    recovery.reconcile()
    assert (state(backup), names(backup_root)) == ("complete", FILES)


def test_a_step_that_was_never_committed_removes_nothing(backup_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is lost between the mark and the step: the record is rolled back, so the files stay."""
    backup = stored_set(backup_root)
    write = transitions.write

    def lose(operation_id: Any, *, token: int, **values: Any) -> None:
        if "undo" in values:
            Operation.objects.filter(pk=operation_id).update(lease_token=99)
        write(operation_id, token=token, **values)

    monkeypatch.setattr(transitions, "write", lose)
    delete(backup)
    assert (state(backup), names(backup_root)) == ("complete", FILES)


def test_a_database_that_goes_away_at_the_record_leaves_everything(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored_set(backup_root)

    def fail(*_: object, **__: object) -> NoReturn:
        raise OperationalError("the database is away")

    monkeypatch.setattr(progress.OperationContext, "remember_undo", fail)
    delete(backup)
    assert (state(backup), names(backup_root)) == ("complete", FILES)


def test_a_storage_that_fails_in_the_middle_is_tried_again_until_all_is_gone(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored_set(backup_root)
    remove = LocalStore.remove

    def fail(self: LocalStore, location: Any) -> bool:
        if location.name == "web.tar":
            raise StorageError("read-only")
        return remove(self, location)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "remove", fail)
        row = delete(backup)
        assert (row.state, row.error_code, len(row.undo)) == ("failed", "STORAGE_ERROR", 1)
        recovery.reconcile()
        assert names(backup_root) == ["web.tar"]
    assert recovery.reconcile()["undone"] == 1
    assert (state(backup), names(backup_root)) == ("deleted", [])


def test_a_new_backup_under_the_same_name_is_not_what_was_to_be_deleted(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored_set(backup_root)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killing_at(patch, 2)
        delete(backup)
    for path in backup_root.iterdir():
        path.unlink()
    write_set(backup_root)
    Operation.objects.filter(kind="deleteBackup").update(lease_until=timezone.now() - timedelta(seconds=60))
    recovery.reconcile()
    assert Operation.objects.get(kind="deleteBackup").undo == []
    assert names(backup_root) == FILES


def test_nobody_cancels_a_deletion_that_has_begun(backup_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = stored_set(backup_root)
    remove_set = set_removal.remove_set

    def cancel_and_remove(*arguments: Any) -> Any:
        transitions.request_cancel(Operation.objects.get(kind="deleteBackup"), reason="enough")
        return remove_set(*arguments)

    monkeypatch.setattr(deletion, "remove_set", cancel_and_remove)
    assert delete(backup).state == "succeeded"
    assert (state(backup), names(backup_root)) == ("deleted", [])


@pytest.mark.parametrize("make", [recipes.stranger, recipes.operator, recipes.auditor])
def test_who_may_not_delete_deletes_nothing(backup_root: Path, make: Callable[[], Any]) -> None:
    backup = stored_set(backup_root)
    row = delete(backup, user=make())
    assert (row.state, row.error_code, state(backup)) == (State.FAILED, "PERMISSION_DENIED", "complete")
    assert names(backup_root) == FILES


def test_a_deletion_that_another_one_holds_is_refused(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    recipes.running(kind="verify", target_lock=f"{backup.host_id}:{backup.pk}")
    assert (delete(backup).error_code, state(backup)) == ("BUSY", "complete")
