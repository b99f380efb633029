"""Keeps indexes in plain form near their readers, so that a folder of a backup opens without reading the backup."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from containers_app.archives.index import Index
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.errors import BackupUnusable, StorageError

LIMIT_BYTES = 1024**3
# Whoever opens a file now must not lose its name, and whoever writes one for longer than an hour is gone.
IN_USE_SECONDS = 60
ABANDONED_SECONDS = 3600
_PARTIAL = ".partial"


@dataclass(frozen=True, kw_only=True)
class WantedIndex:
    """What an index must be, and where its plain bytes come from when it is not there yet."""

    sha256: str
    size_bytes: int
    source: Callable[[], AbstractContextManager[ByteSource]]


class IndexCache:
    """Files of one folder, for the owner alone, named by the SHA-256 of what is in them.

    SQLite opens files by their paths and follows links, `/proc/self/fd` among them; so an index is never opened on the
    storage, where others may write, but copied here, compared with its digest, and given its name when it is whole.
    Above `limit_bytes` those go that were not used for longest. Several processes may use one folder.
    """

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def open(self, wanted: WantedIndex) -> Index:
        """The index, open. Raises BackupUnusable for other bytes than wanted, StorageError, and as the source does."""
        path = self._folder / wanted.sha256
        with _faults():
            if not _touched(path):
                self._fetch(path, wanted)
                self._evict()
        return Index.open(path)

    def _fetch(self, path: Path, wanted: WantedIndex) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(suffix=_PARTIAL, dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file, wanted.source() as source:
                _copy(source, file, wanted)
                # Before it gets the name that says that it is whole.
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _evict(self) -> None:
        now = time.time()
        kept_bytes = 0
        for facts, path in sorted(self._files(), key=lambda found: -found[0].st_mtime):
            age_seconds = now - facts.st_mtime
            kept_bytes += facts.st_size
            over = kept_bytes > self._limit_bytes and age_seconds > IN_USE_SECONDS
            if over or (path.suffix == _PARTIAL and age_seconds > ABANDONED_SECONDS):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[os.stat_result, Path]]:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                yield path.stat(), path


def _touched(path: Path) -> bool:
    """Whether the file is there; it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _copy(source: ByteSource, file: BinaryIO, wanted: WantedIndex) -> None:
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        file.write(chunk)
        size_bytes += len(chunk)
    if (digest.hexdigest(), size_bytes) != (wanted.sha256, wanted.size_bytes):
        raise BackupUnusable("The index on the storage is not what its backup says: have the backup verified.")


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown reason"
        raise StorageError(f"The index cannot be kept in the data folder: {reason}.") from error
