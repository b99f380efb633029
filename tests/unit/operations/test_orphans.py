"""Sets that stand in the storage without a record are found by name, read strictly, and never by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from containers_app.errors import BackupCorrupt, InvalidRequest, NotFound, StorageError
from containers_app.models import Backup, Operation, State
from containers_app.operations import orphans as module
from containers_app.operations.orphans import host_of_orphan, orphans
from tests import recipes
from tests.stored_sets import edited, stored_set, write_set

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture
def root(backup_root: Path) -> Path:
    backup_root.mkdir(parents=True)
    return backup_root


def found() -> list[str]:
    return [Path(orphan.path).name for orphan in orphans().orphans]


def test_a_set_without_a_row_is_an_orphan_wherever_it_is(root: Path) -> None:
    stored_set(root, "known.tar")
    stored_set(root / "a", "web.tar")
    write_set(root, "web.tar")
    manifest = write_set(root / "a" / "b", "lost.tar")
    assert [orphan.path for orphan in orphans().orphans] == [
        f"{root}/a/b/lost.tar.manifest.json",
        f"{root}/web.tar.manifest.json",
    ]
    assert orphans().orphans[0].manifest == manifest
    assert orphans().more is False


@pytest.mark.parametrize("state", ["complete", "partial", "corrupt", "missing"])
def test_a_set_with_a_row_of_any_state_is_none(root: Path, state: str) -> None:
    stored_set(root, state=state)
    assert found() == []


def test_a_deleted_set_whose_files_came_back_is_one_but_not_while_it_is_being_deleted(root: Path) -> None:
    backup = stored_set(root, state="deleted")
    deletion = recipes.running(kind="deleteBackup", params={"backup": str(backup.pk)})
    assert found() == []
    Operation.objects.filter(pk=deletion.pk).update(state=State.SUCCEEDED)
    assert found() == ["web.tar.manifest.json"]


def test_a_set_that_is_being_made_is_none(root: Path) -> None:
    maker = recipes.running()
    write_set(root, operation_id=str(maker.pk))
    assert found() == []
    Operation.objects.filter(pk=maker.pk).update(state=State.SUCCEEDED)
    assert found() == ["web.tar.manifest.json"]


def test_a_manifest_that_cannot_be_read_is_listed_with_its_problem(root: Path) -> None:
    write_set(root)
    edited(root / "web.tar.manifest.json", unknown=1)
    (orphan,) = orphans().orphans
    assert (orphan.manifest, "unknown" in orphan.problem) == (None, True)
    with pytest.raises(BackupCorrupt):
        host_of_orphan(orphan.path)


def test_a_long_list_is_cut_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(3):
        write_set(root, f"{number}.tar")
    assert (len(orphans().orphans), orphans().more) == (2, True)


def test_the_host_is_the_one_that_the_set_names_if_it_is_registered(root: Path) -> None:
    far = recipes.host("far")
    write_set(root, "far.tar", host="far")
    write_set(root, "lost.tar", host="nobody")
    assert host_of_orphan(f"{root}/far.tar.manifest.json") == far
    assert host_of_orphan(f"{root}/lost.tar.manifest.json").is_local
    with pytest.raises(NotFound):
        host_of_orphan(f"{root}/nothing.tar.manifest.json")
    with pytest.raises(InvalidRequest):
        host_of_orphan("/etc/passwd")


def test_a_storage_that_is_not_there_has_no_orphans_and_loses_no_row(root: Path) -> None:
    backup = stored_set(root)
    root.rename(root.with_name("elsewhere"))
    assert found() == []
    root.write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        orphans()
    root.unlink()
    root.with_name("elsewhere").rename(root)
    assert Backup.objects.get() == backup
