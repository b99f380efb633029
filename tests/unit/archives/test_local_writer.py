from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from containers_app.archives.stores import folders, read_back
from containers_app.archives.stores.local import ArchiveWriter, LocalStore, Location
from containers_app.errors import Cancelled, MycoError, NameTaken, StorageError, StorageFull
from tests.unit.archives.samples import OPERATION, names_below, store_archive, store_file, write_and_seal

CONTENT = b"archive" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PARTIAL = f".{OPERATION}.partial"


class FailOnce:
    """Wraps one function of `os`: the Nth call fails, all others work. `calls` counts them."""

    def __init__(self, name: str, *, call: int, code: int = errno.EIO, after: bool = False) -> None:
        self._function: Callable[..., Any] = getattr(os, name)
        self._call = call
        self._error = OSError(code, os.strerror(code), "/secret/place")
        self._after = after
        self.calls = 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.calls += 1
        if self.calls != self._call:
            return self._function(*arguments, **keywords)
        if self._after:
            self._function(*arguments, **keywords)
        raise self._error

    @property
    def was_reached(self) -> bool:
        return self.calls >= self._call


@pytest.fixture
def location(store: LocalStore) -> Location:
    return store.locate("team/web", "web.tar")


@pytest.fixture
def writer(store: LocalStore, location: Location) -> ArchiveWriter:
    return store.open_for_write(location, OPERATION)


def test_a_published_archive_and_its_manifest_are_all_that_is_left(root: Path, store: LocalStore, location: Location):
    inode = store_archive(store, location, CONTENT)
    folder = root / "team" / "web"
    assert names_below(root) == {"team/web/web.tar", "team/web/web.tar.manifest.json"}
    assert (folder / "web.tar").read_bytes() == CONTENT
    assert (folder / "web.tar.manifest.json").read_bytes() == b"{}\n"
    assert (folder / "web.tar").stat().st_ino == inode
    assert (folder / "web.tar").stat().st_nlink == 1


def test_files_and_folders_are_for_their_owner_alone(root: Path, store: LocalStore, location: Location):
    store_archive(store, location, CONTENT)
    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_the_final_name_never_stands_before_the_seal(root: Path, writer: ArchiveWriter):
    with writer:
        writer.write(CONTENT)
        assert names_below(root) == {f"team/web/{PARTIAL}"}
        with pytest.raises(RuntimeError):
            writer.publish()
        assert names_below(root) == {f"team/web/{PARTIAL}"}
    assert names_below(root) == set()


def test_leaving_without_publishing_discards_the_archive(root: Path, writer: ArchiveWriter):
    with writer:
        write_and_seal(writer, CONTENT)
    assert names_below(root) == set()


def test_abort_may_come_again_and_after_publishing(root: Path, writer: ArchiveWriter):
    write_and_seal(writer, CONTENT)
    writer.publish()
    writer.abort()
    writer.abort()
    assert names_below(root) == {"team/web/web.tar"}


def test_a_discarded_archive_takes_no_further_step(writer: ArchiveWriter):
    writer.abort()
    writer.abort()
    for step in (lambda: writer.write(b"x"), lambda: writer.seal("0" * 64, 0), writer.publish):
        with pytest.raises(RuntimeError):
            step()


def test_it_keeps_no_descriptor_open(store: LocalStore, open_descriptors: Callable[[], int]):
    before = open_descriptors()
    store_archive(store, store.locate(None, "one.tar"), CONTENT)
    with store.open_for_write(store.locate(None, "two.tar"), OPERATION) as writer:
        writer.write(CONTENT)
    with pytest.raises(NameTaken):
        store.open_for_write(store.locate(None, "one.tar"), OPERATION)
    assert open_descriptors() == before


@pytest.mark.parametrize(("sha256", "size_bytes"), [("0" * 64, len(CONTENT)), (None, len(CONTENT) + 1)])
def test_it_refuses_a_file_that_is_not_what_was_sent(
    root: Path, writer: ArchiveWriter, sha256: str | None, size_bytes: int
):
    writer.write(CONTENT)
    with pytest.raises(StorageError, match="did not give back"):
        writer.seal(sha256 or DIGEST, size_bytes)
    assert names_below(root) == set()


def test_it_notices_bytes_that_changed_on_the_storage(root: Path, writer: ArchiveWriter):
    writer.write(CONTENT)
    with (root / "team" / "web" / PARTIAL).open("r+b") as file:
        file.write(b"X")
    with pytest.raises(StorageError, match="did not give back"):
        write_and_seal(writer, b"")
    assert names_below(root) == set()


def test_it_notices_another_file_under_its_temporary_name(root: Path, writer: ArchiveWriter):
    writer.write(CONTENT)
    temporary = root / "team" / "web" / PARTIAL
    temporary.unlink()
    temporary.write_bytes(CONTENT)
    with pytest.raises(StorageError):
        write_and_seal(writer, b"")
    assert names_below(root) == {f"team/web/{PARTIAL}"}, "what it did not make is not its to remove"


def test_an_archive_of_many_short_writes_is_read_back_whole(monkeypatch: pytest.MonkeyPatch, writer: ArchiveWriter):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, memoryview(data)[:100]))
    with writer:
        write_and_seal(writer, CONTENT)


def test_it_can_be_stopped_while_it_reads_back(root: Path, writer: ArchiveWriter):
    def stop() -> None:
        raise Cancelled("Stopped on request.")

    writer.write(CONTENT)
    with pytest.raises(Cancelled):
        writer.seal("0" * 64, len(CONTENT), checkpoint=stop)
    assert names_below(root) == set()


def test_a_name_taken_meanwhile_is_kept_and_nothing_else_is_left(root: Path, writer: ArchiveWriter):
    write_and_seal(writer, CONTENT)
    other = root / "team" / "web" / "web.tar"
    other.write_bytes(b"other")
    with pytest.raises(NameTaken) as caught:
        writer.publish()
    assert caught.value.field == "options.name"
    assert "web.tar" in caught.value.message
    assert names_below(root) == {"team/web/web.tar"}
    assert other.read_bytes() == b"other"


def test_a_link_planted_under_the_final_name_is_not_written_through(root: Path, outside: Path, writer: ArchiveWriter):
    write_and_seal(writer, CONTENT)
    (root / "team" / "web" / "web.tar").symlink_to(outside / "target")
    with pytest.raises(NameTaken):
        writer.publish()
    assert names_below(outside) == set()


def test_of_two_writers_with_one_name_the_second_is_refused(root: Path, store: LocalStore, location: Location):
    first = store.open_for_write(location, "first")
    second = store.open_for_write(location, "second")
    write_and_seal(first, b"first")
    write_and_seal(second, b"second")
    first.publish()
    with pytest.raises(NameTaken):
        second.publish()
    assert (root / "team/web/web.tar").read_bytes() == b"first"
    assert names_below(root) == {"team/web/web.tar"}


def test_a_failed_fsync_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, root: Path, writer: ArchiveWriter):
    failing = FailOnce("fsync", call=1)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageError, match="Input/output error"), writer:
        write_and_seal(writer, CONTENT)
    assert failing.calls == 1
    assert names_below(root) == set()
    with pytest.raises(RuntimeError):
        writer.seal("0" * 64, len(CONTENT))
    assert failing.calls == 1


def test_a_full_disk_that_fails_again_at_close_is_reported_once_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, root: Path, writer: ArchiveWriter, open_descriptors: Callable[[], int]
):
    monkeypatch.setattr(os, "write", FailOnce("write", call=1, code=errno.ENOSPC))
    monkeypatch.setattr(os, "close", FailOnce("close", call=1, code=errno.ENOSPC, after=True))
    with pytest.raises(StorageFull, match="while writing") as caught, writer:
        writer.write(CONTENT)
    assert isinstance(caught.value.__cause__, OSError)
    assert names_below(root) == set()


def test_an_error_at_close_fails_the_seal(monkeypatch: pytest.MonkeyPatch, root: Path, writer: ArchiveWriter):
    monkeypatch.setattr(os, "close", FailOnce("close", call=1, code=errno.EDQUOT, after=True))
    with pytest.raises(StorageFull), writer:
        write_and_seal(writer, CONTENT)
    assert names_below(root) == set()


CRASH_POINTS = ["open", "mkdir", "write", "fsync", "fstat", "statvfs", "preadv", "link", "stat", "close"]


@pytest.mark.parametrize("name", CRASH_POINTS)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_whichever_call_fails_the_file_is_there_whole_or_not_at_all(
    tmp_path: Path, name: str, code: int, open_descriptors: Callable[[], int]
):
    before, call, reached = open_descriptors(), 0, True
    while reached:
        call += 1
        root = tmp_path / f"{name}-{call}"
        with pytest.MonkeyPatch.context() as patch:
            failing = FailOnce(name, call=call, code=code, after=name == "close")
            patch.setattr(os, name, failing)
            error = _back_up(root)
            reached = failing.was_reached
        left = names_below(root) if root.exists() else set()
        assert left == ({"team/web.tar"} if error is None else set())
        assert error is None or (isinstance(error, StorageFull) == (code == errno.ENOSPC))
        assert error is None or "/secret" not in error.message
        assert open_descriptors() == before
    assert call > 1, "the call is made at all"


def _back_up(root: Path) -> MycoError | None:
    store = LocalStore((str(root),), reserve_bytes=0)
    try:
        store_file(store, store.locate("team", "web.tar"), CONTENT)
    except StorageError as error:
        return error
    return None


@pytest.mark.parametrize("call", [1, 2])
def test_a_temporary_name_that_cannot_be_removed_does_not_undo_a_published_backup(
    monkeypatch: pytest.MonkeyPatch, root: Path, store: LocalStore, location: Location, call: int
):
    monkeypatch.setattr(os, "unlink", FailOnce("unlink", call=call))
    store_archive(store, location, CONTENT)
    monkeypatch.undo()
    assert {"team/web/web.tar", "team/web/web.tar.manifest.json"} < names_below(root)
    (leftover,) = store.sweep_candidates()
    store.sweep(leftover)
    assert len(names_below(root)) == 2


def _without_hard_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def _without_exclusive_rename(*_: object) -> int:
    return errno.EINVAL


@pytest.fixture(params=["renameat2", "look and rename"])
def poor_file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links, with or without an exclusive rename."""
    monkeypatch.setattr(os, "link", _without_hard_links)
    if request.param == "look and rename":
        monkeypatch.setattr(folders, "_renameat2", _without_exclusive_rename)


@pytest.mark.usefixtures("poor_file_system")
def test_it_publishes_without_hard_links(root: Path, store: LocalStore, location: Location):
    store_archive(store, location, CONTENT)
    assert names_below(root) == {"team/web/web.tar", "team/web/web.tar.manifest.json"}


@pytest.mark.usefixtures("poor_file_system")
def test_it_never_replaces_a_file_without_hard_links_either(root: Path, writer: ArchiveWriter):
    write_and_seal(writer, CONTENT)
    (root / "team" / "web" / "web.tar").write_bytes(b"other")
    with pytest.raises(NameTaken):
        writer.publish()
    assert names_below(root) == {"team/web/web.tar"}
    assert (root / "team" / "web" / "web.tar").read_bytes() == b"other"


def test_an_error_of_the_rename_itself_is_reported(monkeypatch: pytest.MonkeyPatch, root: Path, writer: ArchiveWriter):
    monkeypatch.setattr(os, "link", _without_hard_links)
    monkeypatch.setattr(folders, "_renameat2", lambda *_: errno.EIO)
    write_and_seal(writer, CONTENT)
    with pytest.raises(StorageError, match="Input/output error"):
        writer.publish()
    assert names_below(root) == set()


KILLED = """
import os, signal, sys
from containers_app.archives.stores.local import LocalStore
from containers_app.archives.stores import local_writer
from tests.unit.archives.samples import write_and_seal

root, operation_id, point = sys.argv[1:]
store = LocalStore((root,), reserve_bytes=0)
writer = store.open_for_write(store.locate("team", "web.tar"), operation_id)
print(writer.inode, flush=True)
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if point == "written":
    writer.write(b"half")
    die()
write_and_seal(writer, b"whole")
if point == "sealed":
    die()
place = local_writer.place
def place_and_die(folder, temporary, name):
    place(folder, temporary, name)
    if point == "placed":
        die()
local_writer.place = place_and_die
writer.publish()
die()
"""

KILL_POINTS = {
    "written": {PARTIAL},
    "sealed": {PARTIAL},
    "placed": {PARTIAL, "web.tar"},
    "published": {"web.tar"},
}


def _kill_at(point: str, root: Path) -> int:
    """Run a backup in a process that is killed; returns the inode of its archive."""
    command = [sys.executable, "-c", KILLED, str(root), OPERATION, point]
    result = subprocess.run(command, check=False, capture_output=True, cwd=Path(__file__).parents[3])
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    return int(result.stdout)


@pytest.mark.parametrize("point", KILL_POINTS)
def test_all_that_a_killed_operation_left_is_removed_by_its_inode(root: Path, store: LocalStore, point: str):
    inode = _kill_at(point, root)
    assert names_below(root / "team") == KILL_POINTS[point]
    removed = store.remove_leftovers(store.locate("team", "web.tar"), OPERATION, inode)
    assert set(removed) == KILL_POINTS[point]
    assert names_below(root) == set()
    assert store.remove_leftovers(store.locate("team", "web.tar"), OPERATION, inode) == ()


@pytest.mark.parametrize("point", ["placed", "published"])
@pytest.mark.parametrize("knows_inode", [True, False])
def test_a_final_file_of_somebody_else_is_never_removed(root: Path, store: LocalStore, point: str, knows_inode: bool):
    inode = _kill_at(point, root)
    kept = KILL_POINTS[point] - {PARTIAL}
    store.remove_leftovers(store.locate("team", "web.tar"), OPERATION, inode + 1 if knows_inode else None)
    assert names_below(root / "team") == kept


def test_a_temporary_that_stands_already_is_not_touched(root: Path, store: LocalStore, location: Location):
    store_archive(store, store.locate("team/web", "other.tar"), b"", "other-operation")
    planted = root / "team" / "web" / PARTIAL
    planted.write_bytes(b"somebody writes here")
    with pytest.raises(StorageError, match="temporary file of this operation"):
        store.open_for_write(location, OPERATION)
    assert planted.read_bytes() == b"somebody writes here"


def test_a_link_planted_under_the_temporary_name_is_not_followed(
    root: Path, outside: Path, store: LocalStore, location: Location
):
    (root / "team" / "web").mkdir(parents=True)
    (root / "team" / "web" / PARTIAL).symlink_to(outside / "pwned")
    with pytest.raises(StorageError):
        store.open_for_write(location, OPERATION)
    assert names_below(outside) == set()


def test_it_reads_back_in_pieces(monkeypatch: pytest.MonkeyPatch, writer: ArchiveWriter):
    monkeypatch.setattr(read_back, "BLOCK_BYTES", 1000)
    checks: list[None] = []
    with writer:
        writer.write(CONTENT)
        writer.seal(DIGEST, len(CONTENT), checkpoint=lambda: checks.append(None))
    assert len(checks) == 7


def test_a_manifest_is_written_beside_an_archive_that_is_on_its_way(root: Path, store: LocalStore, location: Location):
    with store.open_for_write(location, OPERATION) as archive, store.open_for_write(location.manifest, OPERATION):
        archive.write(CONTENT)
        assert len(names_below(root)) == 2
    assert names_below(root) == set()


def test_a_large_file_is_made_durable_and_read_back_while_it_is_written(
    monkeypatch: pytest.MonkeyPatch, writer: ArchiveWriter
):
    monkeypatch.setattr(read_back, "STEP_BYTES", len(CONTENT))
    synced = FailOnce("fdatasync", call=0)
    monkeypatch.setattr(os, "fdatasync", synced)
    with writer:
        for _ in range(20):
            writer.write(CONTENT)
        writer.seal(hashlib.sha256(CONTENT * 20).hexdigest(), 20 * len(CONTENT))
    assert synced.calls >= 1


def test_a_disk_that_fails_while_it_is_written_ends_it(
    monkeypatch: pytest.MonkeyPatch, root: Path, writer: ArchiveWriter
):
    monkeypatch.setattr(read_back, "STEP_BYTES", len(CONTENT))
    failing = FailOnce("fdatasync", call=1)
    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(StorageError), writer:
        writer.write(CONTENT)
        writer.seal(DIGEST, len(CONTENT))
    assert (failing.calls, names_below(root)) == (1, set())


def test_a_file_that_became_shorter_after_it_was_read_back_is_no_archive(
    monkeypatch: pytest.MonkeyPatch, root: Path, writer: ArchiveWriter
):
    fsync = os.fsync

    def cut(descriptor: int) -> None:
        fsync(descriptor)
        os.truncate(descriptor, 10)

    monkeypatch.setattr(read_back, "STEP_BYTES", len(CONTENT))
    with pytest.raises(StorageError, match="did not give back"), writer:
        writer.write(CONTENT)
        read = writer._read_back  # type: ignore[attr-defined]
        read._wait()
        monkeypatch.setattr(os, "fsync", cut)
        writer.seal(DIGEST, len(CONTENT))
    assert names_below(root) == set()


def test_an_archive_that_is_given_up_does_not_wait_for_what_is_still_to_be_read_back(
    monkeypatch: pytest.MonkeyPatch, writer: ArchiveWriter
):
    monkeypatch.setattr(read_back, "STEP_BYTES", len(CONTENT))
    monkeypatch.setattr(read_back, "BLOCK_BYTES", 1)
    reads = FailOnce("preadv", call=0)
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Any:
        begun.set()
        go_on.wait(10)
        return reads(*arguments)

    monkeypatch.setattr(os, "preadv", slowly)
    with writer:
        writer.write(CONTENT)
        assert begun.wait(10)
        giving_up = threading.Thread(target=writer.abort)
        giving_up.start()
        giving_up.join(0.05)
        go_on.set()
        giving_up.join(10)
    assert reads.calls <= 2
