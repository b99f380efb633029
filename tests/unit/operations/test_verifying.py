"""A verification says what every byte is, its finding outlives its failure, and nothing counts that was not read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from containers_app.archives import checking
from containers_app.errors import StorageError
from containers_app.models import Backup, Operation, State
from containers_app.operations import progress
from containers_app.operations.answers import published_error
from containers_app.operations.backup_checks import check_backups
from containers_app.workflows import set_record
from tests import recipes
from tests.stored_sets import IMAGE, edited, flip, stored_set
from tests.unit.operations.conftest import outcomes_of
from tests.unit.operations.keeping_bench import events, state, verify

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]
FILES = ["web.tar", "web.tar.volume-1-data.tar", "web.tar.config.json", "web.tar.manifest.json"]


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Engine may be asked."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a verification needs no Engine")

    monkeypatch.setattr(progress, "open_gateway", refuse)


def verified_at(backup: Backup) -> Any:
    return Backup.objects.get(pk=backup.pk).verified_at


@pytest.mark.usefixtures("no_engine")
def test_a_whole_set_is_verified_without_an_engine(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    row = verify(backup)
    assert (row.state, row.target_id, row.target_name) == ("succeeded", str(backup.pk), "web.tar")
    result = row.result or {}
    assert [part["verdict"] for part in result["parts"]] == ["intact"] * 4
    assert result["bytesRead"] == sum((backup_root / name).stat().st_size for name in FILES)
    assert result["verifiedAt"][:16] == f"{verified_at(backup):%Y-%m-%dT%H:%M}"
    assert (state(backup), events(backup), outcomes_of(row)) == ("complete", [], ["success"])
    assert (row.bytes_done, row.bytes_total) == (result["bytesRead"], backup.stored_bytes)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file_is_recorded_although_the_operation_fails(backup_root: Path, name: str) -> None:
    backup = stored_set(backup_root)
    flip(backup_root / name, 300)
    row = verify(backup)
    assert (row.state, row.error_code) == ("failed", "BACKUP_CORRUPT")
    verdicts = {part["path"]: part["verdict"] for part in (row.result or {})["parts"]}
    assert verdicts == {**dict.fromkeys(FILES, "intact"), name: "corrupt"}
    assert (state(backup), verified_at(backup)) == ("corrupt", None)
    assert (events(backup), outcomes_of(row)) == ([("backup.found_corrupt", "failure")], ["failure"])
    assert published_error(row) == {"error": f"Verification failed: {row.error_message}", "code": "BACKUP_CORRUPT"}
    assert name in row.error_message
    assert sorted(path.name for path in backup_root.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_makes_it_missing(backup_root: Path, name: str) -> None:
    backup = stored_set(backup_root)
    (backup_root / name).unlink()
    row = verify(backup)
    assert (row.error_code, state(backup)) == ("BACKUP_MISSING", "missing")
    assert events(backup) == [("backup.found_missing", "failure")]


@pytest.mark.parametrize("changes", [{"consistencyGrade": "stopped"}, {"parts": None}])
def test_a_manifest_that_was_edited_is_corrupt(backup_root: Path, changes: dict[str, Any]) -> None:
    backup = stored_set(backup_root)
    edited(backup_root / "web.tar.manifest.json", **changes)
    assert (verify(backup).error_code, state(backup)) == ("BACKUP_CORRUPT", "corrupt")


def test_what_is_whole_again_is_verified_and_usable(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    flip(backup_root / "web.tar")
    verify(backup)
    flip(backup_root / "web.tar")
    assert verify(backup).state == "succeeded"
    assert state(backup) == "complete"
    assert [action for action, _ in events(backup)] == ["backup.found_corrupt", "backup.found_complete"]


@pytest.mark.parametrize("found", ["complete", "missing"])
def test_what_a_partial_restore_saved_before_stays_what_it_was(backup_root: Path, found: str) -> None:
    result = {"safetyState": "complete"}
    maker = recipes.operation(kind="restore", state=State.PARTIAL, outcome_index=1, result=result)
    backup = stored_set(backup_root, operation=maker, state=found)
    assert (verify(backup).state, state(backup)) == ("succeeded", "complete")


def test_a_partial_set_stays_partial(backup_root: Path) -> None:
    maker = recipes.operation(state=State.PARTIAL, outcome_index=1)
    backup = stored_set(backup_root, operation=maker, state="partial")
    assert (verify(backup).state, state(backup)) == ("succeeded", "partial")
    assert verified_at(backup) is not None


def test_a_damaged_file_that_sets_share_is_found_for_all_of_them(backup_root: Path) -> None:
    first, second = stored_set(backup_root, image=True), stored_set(backup_root, "db.tar", image=True)
    elsewhere = stored_set(backup_root / "other", "db.tar", image=True)
    flip(backup_root / IMAGE)
    verify(first)
    assert [state(backup) for backup in (first, second, elsewhere)] == ["corrupt", "corrupt", "complete"]
    assert events(second) == [("backup.found_corrupt", "failure")]


def test_a_storage_that_does_not_answer_changes_no_state(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    shutil.rmtree(backup_root)
    row = verify(backup)
    assert (row.state, row.error_code, row.result) == ("failed", "STORAGE_ERROR", None)
    assert (state(backup), verified_at(backup), events(backup)) == ("complete", None, [])


def test_a_disk_that_cannot_be_read_changes_no_state(backup_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = stored_set(backup_root)

    def fail(*_: object) -> NoReturn:
        raise StorageError("the disk cannot be read")

    monkeypatch.setattr(checking._Stored, "read", fail)
    assert verify(backup).error_code == "STORAGE_ERROR"
    assert (state(backup), verified_at(backup)) == ("complete", None)


def test_a_finding_that_the_ledger_does_not_take_is_not_recorded(
    backup_root: Path, break_ledger: Callable[[], Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored_set(backup_root)
    flip(backup_root / "web.tar")
    check = checking.check_parts

    def check_and_break(*arguments: Any) -> Any:
        found = check(*arguments)
        break_ledger()
        return found

    monkeypatch.setattr(set_record, "check_parts", check_and_break)
    row = verify(backup)
    assert (row.state, row.error_code) == ("failed", "AUDIT_UNAVAILABLE")
    assert (state(backup), verified_at(backup)) == ("complete", None)


def test_a_state_that_somebody_changed_meanwhile_is_not_written_over(
    backup_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = stored_set(backup_root)
    check = checking.check_parts

    def check_and_change(*arguments: Any) -> Any:
        found = check(*arguments)
        Backup.objects.filter(pk=backup.pk).update(state="missing")
        return found

    monkeypatch.setattr(set_record, "check_parts", check_and_change)
    assert verify(backup).error_code == "BUSY"
    assert (state(backup), verified_at(backup)) == ("missing", None)


def test_a_cancelled_verification_verifies_nothing(backup_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = stored_set(backup_root)
    monkeypatch.setattr(checking, "REPORT_INTERVAL_SECONDS", 0.0)
    beat = progress.OperationContext.progress

    def cancel(self: Any, bytes_done: int, *, bytes_total: int | None = None) -> None:
        beat(self, bytes_done, bytes_total=bytes_total)
        Operation.objects.filter(kind="verify").update(cancel_requested_at=timezone.now(), cancel_reason="enough")
        self._look_for_a_reason_to_stop()

    monkeypatch.setattr(progress.OperationContext, "progress", cancel)
    row = verify(backup)
    assert (row.state, row.error_message) == ("cancelled", "enough")
    assert (state(backup), verified_at(backup)) == ("complete", None)


def test_two_verifications_of_one_set_do_not_run_at_once(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    recipes.running(kind="verify", target_lock=f"{backup.host_id}:{backup.pk}")
    assert verify(backup).error_code == "BUSY"


def test_a_deleted_backup_is_not_verified(backup_root: Path) -> None:
    backup = stored_set(backup_root, state="deleted")
    assert verify(backup).error_code == "BACKUP_DELETED"


def test_who_lost_the_permission_meanwhile_verifies_nothing(backup_root: Path) -> None:
    backup = stored_set(backup_root)
    row = verify(backup, user=recipes.stranger())
    assert (row.error_code, verified_at(backup)) == ("PERMISSION_DENIED", None)


def test_the_look_of_the_reconciler_reads_the_manifest_before_it_calls_a_set_complete_again(
    backup_root: Path,
) -> None:
    backup = stored_set(backup_root)
    edited(backup_root / "web.tar.manifest.json", host={"name": "elsewhere"}, consistencyGrade="paused")
    verify(backup)
    Backup.objects.update(checked_at=None, state="missing")
    check_backups()
    assert state(backup) == "corrupt"
