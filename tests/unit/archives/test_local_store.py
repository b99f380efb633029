from __future__ import annotations

import itertools
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from containers_app.archives.stores import ArchiveStore
from containers_app.archives.stores import local as module
from containers_app.errors import InvalidRequest, MycoError, NameTaken, StorageError
from tests.unit.archives.samples import OPERATION, names_below, store_archive, store_file

OTHER_OPERATION = OPERATION.replace("0192", "0193")


def test_it_is_an_archive_store(root: Path):
    store: ArchiveStore = module.LocalStore((str(root),))
    assert store.path_of(store.locate("team/web", "x.tar")) == f"{root}/team/web/x.tar"


def test_a_path_is_shown_as_the_user_writes_it(tmp_path: Path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    store = module.LocalStore((str(link),), reserve_bytes=0)
    location = store.locate(f"{link}/team", "x.tar")
    store_archive(store, location, b"content")
    assert store.path_of(location) == f"{link}/team/x.tar"
    assert (real / "team" / "x.tar").read_bytes() == b"content"


def test_a_missing_root_is_made_with_the_folders_above_it(tmp_path: Path):
    root = tmp_path / "a" / "b" / "backups"
    store = module.LocalStore((str(root),), reserve_bytes=0)
    assert store.free_bytes() > 0
    store.check_space(store.locate("team", "x.tar"), 1)
    assert not (tmp_path / "a").exists(), "asking makes nothing"
    store_archive(store, store.locate(None, "x.tar"), b"content")
    assert root.stat().st_mode & 0o777 == 0o700


def test_each_root_keeps_its_own_archives(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    store = module.LocalStore((str(first), f"{second}/"), reserve_bytes=0)
    store_archive(store, store.locate(None, "x.tar"), b"1")
    store_archive(store, store.locate(str(second), "x.tar"), b"2")
    assert ((first / "x.tar").read_bytes(), (second / "x.tar").read_bytes()) == (b"1", b"2")


def test_a_name_in_use_is_refused_before_anything_is_written(root: Path, store: module.LocalStore):
    root.mkdir()
    (root / "x.tar").write_bytes(b"old")
    location = store.locate(None, "x.tar")
    for begin in (lambda: store.open_for_write(location, OPERATION), lambda: store.require_free(location)):
        with pytest.raises(NameTaken, match="exists already") as caught:
            begin()
        assert caught.value.field == "options.name"
    assert names_below(root) == {"x.tar"}


@pytest.mark.parametrize("path", [None, "missing/deeper"])
def test_a_name_that_nothing_has_is_free(root: Path, store: module.LocalStore, path: str | None):
    root.mkdir()
    store.require_free(store.locate(path, "x.tar"))
    assert names_below(root) == set()


def test_a_dangling_link_is_not_free(root: Path, store: module.LocalStore, outside: Path):
    root.mkdir()
    (root / "x.tar").symlink_to(outside / "nothing")
    with pytest.raises(NameTaken):
        store.require_free(store.locate(None, "x.tar"))


def test_it_removes_a_file_for_good_and_says_whether_there_was_one(root: Path, store: module.LocalStore):
    location = store.locate("team", "x.tar")
    store_archive(store, location, b"content")
    assert store.remove(location)
    assert not store.remove(location)
    assert names_below(root) == {"team/x.tar.manifest.json"}


def test_it_removes_nothing_through_a_linked_folder(root: Path, store: module.LocalStore, outside: Path):
    root.mkdir()
    (outside / "x.tar").touch()
    (root / "team").symlink_to(outside)
    with pytest.raises(StorageError):
        store.remove(store.locate("team", "x.tar"))
    assert names_below(outside) == {"x.tar"}


def test_a_dangling_link_takes_a_name_too(root: Path, store: module.LocalStore, outside: Path):
    root.mkdir()
    (root / "x.tar").symlink_to(outside / "nothing")
    with pytest.raises(NameTaken):
        store.open_for_write(store.locate(None, "x.tar"), OPERATION)


@pytest.mark.parametrize("planted", ["link to a folder", "link to nothing", "link in the root", "file", "pipe"])
def test_it_refuses_a_folder_that_is_none(root: Path, store: module.LocalStore, outside: Path, planted: str):
    (root / "real").mkdir(parents=True)
    team = root / "team"
    match planted:
        case "link to a folder":
            team.symlink_to(outside)
        case "link to nothing":
            team.symlink_to(outside / "nothing")
        case "link in the root":
            team.symlink_to("real")
        case "file":
            team.touch()
        case _:
            os.mkfifo(team)
    for path in ("team", "team/web", str(root / "team")):
        with pytest.raises(InvalidRequest, match="symbolic links") as caught:
            store.open_for_write(store.locate(path, "x.tar"), OPERATION)
        assert caught.value.field == "options.path"
    assert names_below(outside) == set()
    assert names_below(root / "real") == set()


def test_nothing_is_written_outside_while_a_folder_and_a_link_change_places(
    root: Path, store: module.LocalStore, outside: Path
):
    (outside / "web").mkdir()
    root.mkdir()
    over = threading.Event()

    def swap() -> None:
        team = root / "team"
        for number in itertools.count():
            with suppress(OSError):
                team.symlink_to(outside)
            with suppress(OSError):
                team.unlink()
            if over.wait(0.0005):
                return
            with suppress(OSError):
                team.rename(root / f"old-{number}")

    attacker = threading.Thread(target=swap)
    attacker.start()
    outcomes: set[str] = set()
    deadline = time.monotonic() + 60
    try:
        for number in itertools.count():
            if number > 300 and outcomes >= {"stored", "INVALID_REQUEST"}:
                break
            assert time.monotonic() < deadline, outcomes
            try:
                store_archive(store, store.locate("team/web", f"{number}.tar"), b"content")
                outcomes.add("stored")
            except MycoError as error:
                outcomes.add(error.code)
            assert names_below(outside) == set()
    finally:
        over.set()
        attacker.join()
    assert not any(name.endswith(".partial") for name in names_below(root))


def test_a_root_that_is_a_file_fails_as_storage(root: Path, store: module.LocalStore):
    root.touch()
    with pytest.raises(StorageError, match="Not a directory"):
        store.open_for_write(store.locate(None, "x.tar"), OPERATION)


def test_it_reads_what_was_stored(store: module.LocalStore):
    location = store.locate("team", "x.tar")
    store_archive(store, location, b"0123456789")
    assert store.exists(location)
    assert store.size(location) == 10
    with store.read(location) as file:
        file.seek(4)
        assert file.read(3) == b"456"
    assert file.closed


@pytest.mark.parametrize("path", [None, "team", "other/team"])
def test_what_was_never_stored_does_not_exist(store: module.LocalStore, path: str | None):
    store_archive(store, store.locate(None, "y.tar"), b"")
    location = store.locate(path, "x.tar")
    assert not store.exists(location)
    with pytest.raises(StorageError, match="No such file"), store.read(location):
        pass
    with pytest.raises(StorageError):
        store.size(location)


@pytest.mark.parametrize("planted", ["link", "pipe", "folder"])
def test_it_reads_nothing_but_regular_files(root: Path, store: module.LocalStore, outside: Path, planted: str):
    root.mkdir()
    (outside / "secret").write_bytes(b"secret")
    match planted:
        case "link":
            (root / "x.tar").symlink_to(outside / "secret")
        case "pipe":
            os.mkfifo(root / "x.tar")
        case _:
            (root / "x.tar").mkdir()
    location = store.locate(None, "x.tar")
    assert not store.exists(location)
    with pytest.raises(StorageError), store.read(location):
        pass


def test_it_reads_through_no_linked_folder(root: Path, store: module.LocalStore, outside: Path):
    root.mkdir()
    (outside / "x.tar").write_bytes(b"secret")
    (root / "team").symlink_to(outside)
    location = store.locate("team", "x.tar")
    with pytest.raises(StorageError), store.read(location):
        pass
    with pytest.raises(StorageError):
        store.exists(location)


def test_an_error_of_the_reader_is_not_the_storage_s(store: module.LocalStore):
    location = store.locate(None, "x.tar")
    store_archive(store, location, b"content")
    with pytest.raises(ConnectionResetError), store.read(location):
        raise ConnectionResetError


@pytest.mark.parametrize("path", [None, "missing", "missing/deeper"])
def test_leftovers_of_missing_folders_are_no_error(store: module.LocalStore, path: str | None):
    assert store.remove_leftovers(store.locate(path, "x.tar"), OPERATION, 1) == ()
    assert store.sweep_candidates() == ()


def test_leftovers_are_not_removed_through_a_linked_folder(root: Path, store: module.LocalStore, outside: Path):
    root.mkdir()
    planted = outside / f".{OPERATION}.partial"
    planted.touch()
    (root / "team").symlink_to(outside)
    with pytest.raises(StorageError):
        store.remove_leftovers(store.locate("team", "x.tar"), OPERATION, planted.stat().st_ino)
    assert planted.exists()


def test_leftovers_of_other_operations_stay(root: Path, store: module.LocalStore):
    root.mkdir()
    for name in (f".{OPERATION}.partial", f".{OTHER_OPERATION}.partial", "x.tar"):
        (root / name).touch()
    assert store.remove_leftovers(store.locate(None, "x.tar"), OPERATION, None) == (f".{OPERATION}.partial",)
    assert names_below(root) == {f".{OTHER_OPERATION}.partial", "x.tar"}


def test_the_sweep_finds_temporaries_everywhere_below_the_roots(tmp_path: Path):
    roots = tmp_path / "first", tmp_path / "second", tmp_path / "missing"
    deep = roots[1] / "a/b/c/d/e/f/g/h"
    deep.mkdir(parents=True)
    roots[0].mkdir()
    (roots[0] / f".{OPERATION}.partial").touch()
    (deep / f".{OTHER_OPERATION}.manifest.partial").touch()
    store = module.LocalStore(map(str, roots), reserve_bytes=0)
    found = store.sweep_candidates()
    assert {(leftover.location.root, leftover.location.folders, leftover.operation_id) for leftover in found} == {
        (str(roots[0]), (), OPERATION),
        (str(roots[1]), tuple("abcdefgh"), OTHER_OPERATION),
    }
    for leftover in found:
        store.sweep(leftover)
    assert store.sweep_candidates() == ()
    assert names_below(tmp_path) == set()


def test_the_sweep_leaves_what_is_not_ours(root: Path, store: module.LocalStore, outside: Path):
    hidden, deep = root / ".snapshots", root / "a/b/c/d/e/f/g/h/i"
    for folder in (root, hidden, deep, outside):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".download.partial").touch()
    for folder in (hidden, deep, outside):
        (folder / f".{OPERATION}.partial").touch()
    (root / "link").symlink_to(outside)
    assert store.sweep_candidates() == ()


def test_the_sweep_goes_through_a_root_that_is_a_link(tmp_path: Path, outside: Path):
    (outside / f".{OPERATION}.partial").touch()
    (tmp_path / "root").symlink_to(outside)
    assert len(module.LocalStore((str(tmp_path / "root"),)).sweep_candidates()) == 1


def test_the_sweep_is_bounded(monkeypatch: pytest.MonkeyPatch, root: Path, store: module.LocalStore):
    monkeypatch.setattr(module, "SWEEP_LIMIT_ENTRIES", 10)
    for number in range(20):
        folder = root / f"folder-{number:02d}"
        folder.mkdir(parents=True)
        (folder / f".{OPERATION}.partial").touch()
    assert len(store.sweep_candidates()) < 20


def test_a_marked_file_is_removed_and_one_that_took_its_name_is_not(root: Path, store: module.LocalStore):
    location = store.locate(None, "x.tar")
    store_file(store, location, b"content")
    mark = store.mark(location)
    assert mark is not None
    (root / "x.tar").unlink()
    assert (store.mark(location), store.remove_marked(location, mark)) == (None, False)
    store_file(store, location, b"another")
    assert store.remove_marked(location, mark) is False
    assert (root / "x.tar").read_bytes() == b"another"
    assert store.remove_marked(location, store.mark(location) or "") is True
    assert not (root / "x.tar").exists()


def test_a_file_that_got_the_inode_of_the_marked_one_is_another(root: Path, store: module.LocalStore):
    location = store.locate(None, "x.tar")
    store_file(store, location, b"content")
    mark = store.mark(location) or ""
    status = (root / "x.tar").stat()
    os.utime(root / "x.tar", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert store.remove_marked(location, mark) is False


def test_a_storage_that_does_not_answer_has_no_mark(root: Path, store: module.LocalStore):
    with pytest.raises(StorageError):
        store.mark(store.locate(None, "x.tar"))


def test_manifests_are_found_by_their_names_alone_where_requests_may_put_them(root: Path, store: module.LocalStore):
    for name in ("x.tar.manifest.json", "a/b/y.manifest.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name in (".x.manifest.json", ".manifest.json", "x.tar", "x.manifest.json.partial", ".hidden/z.manifest.json"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    found = sorted(store.path_of(location) for location in store.manifests())
    assert found == [f"{root}/a/b/y.manifest.json", f"{root}/x.tar.manifest.json"]


def test_the_search_for_manifests_ends(root: Path, store: module.LocalStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SWEEP_LIMIT_ENTRIES", 3)
    for number in range(10):
        (root / str(number)).mkdir(parents=True)
        (root / str(number) / "x.manifest.json").touch()
    assert len(store.manifests()) <= 3
