from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from containers_app.archives.index_cache import ABANDONED_SECONDS, IN_USE_SECONDS, IndexCache, WantedIndex
from containers_app.errors import BackupUnusable, StorageError
from tests.unit.archives.indexes import index_bytes
from tests.unit.archives.samples import Member, tar_of


class Stored:
    """An index on a storage, that counts how often it is read."""

    def __init__(self, *names: str) -> None:
        self.content = index_bytes(tar_of([Member(name) for name in names]))
        self.digest = hashlib.sha256(self.content).hexdigest()
        self.size_bytes = len(self.content)
        self.reads = 0

    @contextmanager
    def source(self) -> Iterator[io.BytesIO]:
        self.reads += 1
        yield io.BytesIO(self.content)

    @property
    def wanted(self) -> WantedIndex:
        return WantedIndex(sha256=self.digest, size_bytes=self.size_bytes, source=self.source)


def names(cache: IndexCache, stored: Stored) -> list[bytes]:
    with cache.open(stored.wanted) as index:
        return [entry.name for entry in index.folder(b"")]


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_an_index_is_read_from_the_storage_once(tmp_path: Path):
    cache, stored = IndexCache(tmp_path / "indexes"), Stored("a", "b")
    assert names(cache, stored) == names(cache, stored) == [b"a", b"b"]
    assert stored.reads == 1
    folder, (file,) = tmp_path / "indexes", list((tmp_path / "indexes").iterdir())
    assert file.name == stored.digest
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


@pytest.mark.parametrize("change", [b"", b"longer", None])
def test_another_content_than_wanted_is_never_opened(tmp_path: Path, change: bytes | None):
    stored = Stored("a")
    stored.content = stored.content[:-1] if change is None else bytes(len(stored.content)) + change
    with pytest.raises(BackupUnusable, match="not what its backup says"):
        names(IndexCache(tmp_path), stored)
    assert list(tmp_path.iterdir()) == []


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stored, synced, real = Stored("a"), [], os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, [path.suffix for path in tmp_path.iterdir()]))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert names(IndexCache(tmp_path), stored) == [b"a"]
    assert synced == [(stored.size_bytes, [".partial"])]


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path):
    indexes = [Stored(name) for name in "abc"]
    cache = IndexCache(tmp_path, limit_bytes=2 * indexes[0].size_bytes)
    for age_seconds, stored in zip((900, 600), indexes, strict=False):
        names(cache, stored)
        aged(tmp_path / stored.digest, age_seconds)
    names(cache, indexes[0])
    names(cache, indexes[2])
    assert {path.name for path in tmp_path.iterdir()} == {indexes[0].digest, indexes[2].digest}
    assert names(cache, indexes[1]) == [b"b"]
    assert indexes[1].reads == 2


def test_what_is_in_use_keeps_its_name_however_full_it_is(tmp_path: Path):
    cache, indexes = IndexCache(tmp_path, limit_bytes=1), [Stored(name) for name in "ab"]
    for stored in indexes:
        names(cache, stored)
    assert len(list(tmp_path.iterdir())) == 2
    aged(tmp_path / indexes[0].digest, IN_USE_SECONDS + 1)
    names(cache, Stored("c"))
    assert indexes[0].digest not in {path.name for path in tmp_path.iterdir()}


def test_what_a_killed_process_left_half_written_goes_after_an_hour(tmp_path: Path):
    young, old = tmp_path / "young.partial", tmp_path / "old.partial"
    for path, seconds in ((young, 5), (old, ABANDONED_SECONDS + 1)):
        path.touch()
        aged(path, seconds)
    names(IndexCache(tmp_path), Stored("a"))
    assert young.exists()
    assert not old.exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_data_folder(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="data folder"):
        names(IndexCache(tmp_path / "file" / "indexes"), Stored("a"))
