from __future__ import annotations

import os
from pathlib import Path

import pytest

from containers_app.archives.stores import ArchiveWriter
from containers_app.archives.stores import space as module
from containers_app.archives.stores.local import LocalStore
from containers_app.errors import StorageFull
from tests.unit.archives.conftest import MakeDisk
from tests.unit.archives.samples import OPERATION, names_below, store_archive, write_and_seal

KIB = 1024
MIB = 1024 * 1024


@pytest.fixture
def disk(small_disk: MakeDisk) -> Path:
    """A real disk of 2 MiB."""
    return small_disk("size=2m")


def free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def write_for_ever(writer: ArchiveWriter, chunk: bytes) -> None:
    while True:
        writer.write(chunk)


def fill(disk: Path) -> None:
    """What somebody else does to a disk."""
    with (disk / "filler").open("wb", buffering=0) as file:
        while free(disk):
            file.write(bytes(free(disk)))


def test_a_real_full_disk_fails_clean_and_leaves_its_space_free(disk: Path):
    store = LocalStore((str(disk),), reserve_bytes=0)
    before = free(disk)
    with store.open_for_write(store.locate(None, "x.tar"), OPERATION) as writer, pytest.raises(StorageFull):
        write_for_ever(writer, bytes(64 * KIB))
    assert names_below(disk) == set()
    assert free(disk) == before


def test_a_disk_that_somebody_else_fills_fails_clean(disk: Path):
    store = LocalStore((str(disk),), reserve_bytes=0)
    with store.open_for_write(store.locate("team", "x.tar"), OPERATION) as writer:
        writer.write(bytes(KIB))
        fill(disk)
        with pytest.raises(StorageFull, match="no space left while writing"):
            writer.write(bytes(MIB))
        assert names_below(disk) == {"filler"}


def test_a_manifest_that_does_not_fit_leaves_no_manifest(disk: Path):
    store = LocalStore((str(disk),), reserve_bytes=0)
    with store.open_for_write(store.locate(None, "x.tar"), OPERATION) as writer:
        write_and_seal(writer, b"content")
        writer.publish()
    with store.open_for_write(store.locate(None, "x.tar").manifest, OPERATION) as manifest:
        fill(disk)
        with pytest.raises(StorageFull):
            write_and_seal(manifest, b"{}\n")
        assert names_below(disk) == {"filler", "x.tar"}


def test_the_reserve_stays_free_and_deleting_still_works(disk: Path):
    store = LocalStore((str(disk),), reserve_bytes=MIB)
    location = store.locate(None, "x.tar")
    with store.open_for_write(location, OPERATION) as writer:
        with pytest.raises(StorageFull, match="reserve"):
            write_for_ever(writer, bytes(4 * KIB))
        assert writer.inode
    store_archive(store, location, bytes(free(disk) - MIB - 64 * KIB))
    assert free(disk) >= MIB
    Path(store.path_of(location)).unlink()


def test_the_reserve_is_never_touched_on_the_way(monkeypatch: pytest.MonkeyPatch, disk: Path):
    write, lowest = os.write, free(disk)

    def watched(descriptor: int, data: bytes) -> int:
        nonlocal lowest
        written = write(descriptor, data)
        lowest = min(lowest, free(disk))
        return written

    monkeypatch.setattr(os, "write", watched)
    store = LocalStore((str(disk),), reserve_bytes=MIB)
    with store.open_for_write(store.locate(None, "x.tar"), OPERATION) as writer, pytest.raises(StorageFull):
        write_for_ever(writer, bytes(12 * KIB))
    assert MIB <= lowest < MIB + 16 * KIB


def test_what_does_not_fit_is_refused_before_it_is_begun(disk: Path):
    store = LocalStore((str(disk),), reserve_bytes=512 * KIB)
    location = store.locate("team", "x.tar")
    store.check_space(location, MIB)
    store.check_space(location)
    with pytest.raises(StorageFull, match=r"needs 1\.8 MiB beside its reserve of 512\.0 KiB, and has 2\.0 MiB"):
        store.check_space(location, 1800 * KIB)
    assert store.free_bytes() == store.free_bytes(location) == free(disk)


def test_a_disk_within_its_reserve_is_refused_at_once(disk: Path):
    store = LocalStore((str(disk),), reserve_bytes=3 * MIB)
    location = store.locate(None, "x.tar")
    for begin in (lambda: store.check_space(location), lambda: store.open_for_write(location, OPERATION)):
        with pytest.raises(StorageFull, match="reserve"):
            begin()
    assert names_below(disk) == set()


def test_a_disk_without_inodes_is_refused(small_disk: MakeDisk):
    disk = small_disk("size=2m,nr_inodes=4")
    (disk / "one").touch()
    (disk / "two").touch()
    store = LocalStore((str(disk),), reserve_bytes=0)
    location = store.locate(None, "x.tar")
    for begin in (lambda: store.check_space(location), lambda: store.open_for_write(location, OPERATION)):
        with pytest.raises(StorageFull, match="no more files"):
            begin()
    assert names_below(disk) == {"one", "two"}


def test_inodes_that_run_out_later_fail_clean(small_disk: MakeDisk):
    disk = small_disk("size=2m,nr_inodes=4")
    (disk / "one").touch()
    store = LocalStore((str(disk),), reserve_bytes=0)
    with store.open_for_write(store.locate(None, "x.tar"), OPERATION) as writer:
        write_and_seal(writer, b"content")
        (disk / "two").touch()
        with pytest.raises(StorageFull):
            writer.publish()
        assert names_below(disk) == {"one", "two"}


def test_a_file_system_that_counts_no_inodes_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    status = os.statvfs(tmp_path)
    without = os.statvfs_result((*status[:5], 0, 0, 0, *status[8:]))
    monkeypatch.setattr(os, "statvfs", lambda _: without)
    module.require_inodes(str(tmp_path))


def test_the_guard_asks_rarely_while_there_is_room_and_often_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    status, left, asked = os.statvfs(tmp_path), 200 * MIB, 0

    def statvfs(_: object) -> os.statvfs_result:
        nonlocal asked
        asked += 1
        return os.statvfs_result((1, 1, 0, 0, left, *status[5:]))

    monkeypatch.setattr(os, "statvfs", statvfs)
    guard = module.SpaceGuard(0, 50 * MIB)
    for _ in range(150):
        guard.before_writing(MIB)
        left -= MIB
    assert asked == 3
    with pytest.raises(StorageFull):
        guard.before_writing(1)
