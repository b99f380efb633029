"""A backup's state says what became of its file, and a storage that does not answer says nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.models import Backup, Operation, State
from containers_app.models.backups import BackupState
from containers_app.operations import backup_checks
from containers_app.operations.backup_checks import check_backups
from tests import recipes
from tests.stored_sets import manifest_of, part_of, tar

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
CONTENT = tar("web")


@pytest.fixture
def root(backup_root: Path) -> Path:
    """The backup folder, there."""
    backup_root.mkdir(parents=True, exist_ok=True)
    return backup_root


def stored(root: Path, name: str = "web.tar", **fields: Any) -> Backup:
    """A complete backup with its file."""
    file = root / name
    part = part_of("rootfs", "web", file, CONTENT, members=1)
    file.with_name(f"{file.name}.manifest.json").write_bytes(manifest_of([part]).to_bytes())
    figures = {"size_bytes": len(CONTENT), "sha256": part.sha256, "members": 1, "consistency_grade": "live"}
    return recipes.backup(path=str(file), file_name=file.name, **figures, **fields)


def state(backup: Backup) -> str:
    return Backup.objects.get(pk=backup.pk).state


def events(backup: Backup) -> list[tuple[str, str]]:
    """What the ledger has of the backup, oldest first."""
    rows = ledger.entries().filter(object_id=str(backup.pk)).order_by("id")
    return list(rows.values_list("action", "outcome"))


def later(seconds: float = 7200) -> Any:
    return time_machine.travel(timezone.now() + timedelta(seconds=seconds))


def test_a_file_that_is_there_changes_nothing_but_the_time_of_the_look(root: Path) -> None:
    backup = stored(root, "nightly/web.tar")
    assert check_backups() == 0
    assert state(backup) == "complete"
    assert Backup.objects.get().checked_at is not None
    assert events(backup) == []


def test_a_file_that_vanished_is_missing_and_the_ledger_knows_it_once(root: Path) -> None:
    backup = stored(root)
    Path(backup.path).unlink()
    assert [check_backups(), check_backups()] == [1, 0]
    assert state(backup) == "missing"
    assert events(backup) == [("backup.found_missing", "failure")]


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x"])
def test_a_file_of_another_size_is_corrupt(root: Path, content: bytes) -> None:
    backup = stored(root)
    Path(backup.path).write_bytes(content)
    assert check_backups() == 1
    assert state(backup) == "corrupt"
    assert events(backup) == [("backup.found_corrupt", "failure")]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc/passwd"), os.mkfifo])
def test_what_is_no_file_is_no_backup(root: Path, make: Callable[[Path], None]) -> None:
    backup = stored(root)
    Path(backup.path).unlink()
    make(Path(backup.path))
    check_backups()
    assert state(backup) == "missing"


def test_a_folder_that_vanished_takes_its_backups_along(root: Path) -> None:
    backup = stored(root, "nightly/web.tar")
    shutil.rmtree(Path(backup.path).parent)
    check_backups()
    assert state(backup) == "missing"


def test_the_same_bytes_again_make_it_complete(root: Path) -> None:
    backup = stored(root)
    Path(backup.path).unlink()
    check_backups()
    Path(backup.path).write_bytes(CONTENT)
    assert check_backups() == 1
    assert state(backup) == "complete"
    assert [action for action, _ in events(backup)] == ["backup.found_missing", "backup.found_complete"]


def test_other_bytes_of_the_same_size_do_not(root: Path) -> None:
    backup = stored(root)
    Path(backup.path).unlink()
    check_backups()
    Path(backup.path).write_bytes(CONTENT.upper())
    assert check_backups() == 1
    assert state(backup) == "corrupt"
    with later():
        assert check_backups() == 0
        Path(backup.path).write_bytes(CONTENT)
    with later(15000):
        assert check_backups() == 1
    assert state(backup) == "complete"


def test_one_file_at_most_is_read_in_a_sweep(root: Path) -> None:
    backups = [stored(root, f"{number}.tar", state="missing") for number in range(3)]
    gone = stored(root, "gone.tar", state="missing", checked_at=timezone.now() - timedelta(days=1))
    Path(gone.path).unlink()
    assert [check_backups() for _ in range(4)] == [1, 1, 1, 0]
    assert {state(backup) for backup in backups} == {"complete"}
    assert state(gone) == "missing"


def test_the_oldest_looks_come_first_and_each_sweep_has_a_budget(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_checks, "BATCH", 2)
    now = timezone.now()
    ages = {"fresh.tar": now, "old.tar": now - timedelta(days=2), "older.tar": now - timedelta(days=3)}
    backups = {name: stored(root, name, checked_at=moment) for name, moment in ages.items()}
    backups["never.tar"] = stored(root, "never.tar")
    for backup in backups.values():
        Path(backup.path).unlink()
    assert check_backups() == 2
    assert {name for name, backup in backups.items() if state(backup) == "missing"} == {"never.tar", "older.tar"}
    assert check_backups() == 2


def test_a_storage_that_is_not_there_marks_nothing(root: Path) -> None:
    backup = stored(root)
    root.rename(root.with_name("elsewhere"))
    assert check_backups() == 0
    root.write_text("a file where the folder should be")
    assert check_backups() == 0
    root.unlink()
    root.with_name("elsewhere").rename(root)
    assert state(backup) == "complete"
    assert Backup.objects.get().checked_at is None


def test_a_folder_that_other_settings_named_marks_nothing(root: Path, tmp_path: Path) -> None:
    backup = stored(tmp_path)
    Path(backup.path).unlink()
    beside = stored(root)
    Path(beside.path).unlink()
    assert check_backups() == 1
    assert (state(backup), state(beside)) == ("complete", "missing")


def test_a_state_without_its_ledger_event_is_not_written(
    root: Path, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    backup = stored(root)
    Path(backup.path).unlink()
    mend_ledger = break_ledger()
    assert check_backups() == 0
    assert state(backup) == "complete"
    mend_ledger()
    assert check_backups() == 1
    assert state(backup) == "missing"


def test_a_backup_that_somebody_deleted_meanwhile_keeps_that_state(root: Path) -> None:
    backup = stored(root)
    Path(backup.path).unlink()
    Backup.objects.update(state="deleted")
    assert backup_checks._change(backup, BackupState.MISSING) is False
    assert check_backups() == 0
    assert (state(backup), events(backup)) == ("deleted", [])


@pytest.mark.parametrize(("harm", "expected"), [("remove", "missing"), ("cut", "corrupt"), ("manifest", "missing")])
def test_every_file_of_a_set_is_looked_at(root: Path, harm: str, expected: str) -> None:
    backup = stored(root)
    second = root / "web.tar.volume-1-data.tar"
    second.write_bytes(CONTENT)
    recipes.part(backup, 1, kind="volume", name="data", file_name=second.name)
    assert check_backups() == 0
    match harm:
        case "remove":
            second.unlink()
        case "cut":
            second.write_bytes(b"")
        case _:
            (root / backup.manifest_name).unlink()
    assert check_backups() == 1
    assert state(backup) == expected


def test_a_partial_backup_that_comes_back_is_partial_again(root: Path) -> None:
    backup = stored(root, state=BackupState.PARTIAL)
    Operation.objects.filter(pk=backup.operation_id).update(state=State.PARTIAL)
    content = Path(backup.path).read_bytes()
    Path(backup.path).unlink()
    check_backups()
    Path(backup.path).write_bytes(content)
    check_backups()
    assert state(backup) == "partial"
    assert [action for action, _ in events(backup)] == ["backup.found_missing", "backup.found_partial"]
