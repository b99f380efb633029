"""Takes a part of a backup off its source, and lets no tar count as received that is not a whole one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from containers_app.archives.beside import Beside
from containers_app.archives.codecs import Stored, encoding_writer
from containers_app.archives.stores import ArchiveWriter
from containers_app.archives.tar_walker import TarWalker
from containers_app.specs.encoding import Encoding

CHUNK_BYTES = 1024 * 1024
PROGRESS_INTERVAL_SECONDS = 0.5
_PLAIN = Encoding()


class ByteSource(Protocol):
    """Where the bytes come from."""

    def read(self, size_bytes: int, /) -> bytes:
        """Between one and `size_bytes` bytes, or none at the end."""


@dataclass(frozen=True, kw_only=True)
class ReceivedArchive:
    """What arrived and what was written for it; every SHA-256 in lower-case hex.

    `size_bytes` and `sha256` are of the plain bytes, `stored_bytes` and `stored_sha256` of what the writer got.
    `members` counts those of the tar; None: it was not walked.
    """

    size_bytes: int
    sha256: str
    stored_bytes: int
    stored_sha256: str
    members: int | None


def receive(
    source: ByteSource,
    writer: ArchiveWriter,
    *,
    on_progress: Callable[[int], None],
    checkpoint: Callable[[], None],
    encoding: Encoding = _PLAIN,
    walk: bool = True,
    observe: Callable[[bytes], None] | None = None,
) -> ReceivedArchive:
    """Copy one part from its source into a writer, which is neither sealed nor published by this.

    `on_progress` gets the plain bytes done so far, at most twice a second and once at the end. `checkpoint` is called
    for each chunk and raises to stop. `walk`: it must be one whole tar. `observe` gets every plain chunk, before it is
    written. Encoded bytes are written from another thread, which is gone afterwards. Memory is constant. Raises
    ArchiveInvalid, ArchiveTruncated, what the source raises, StorageFull, StorageError, and what `checkpoint` and
    `observe` raise.
    """
    walker, progress = TarWalker() if walk else None, _Progress(on_progress)
    with ExitStack() as stack:
        sink = None if encoding.plain else stack.enter_context(encoding_writer(encoding, writer.write))
        digest = hashlib.sha256()
        hashing = stack.enter_context(Beside(digest.update))
        write = sink.write if sink else writer.write
        watchers = [watch for watch in (walker and walker.feed, observe) if watch]
        while chunk := source.read(CHUNK_BYTES):
            checkpoint()
            for watch in watchers:
                watch(chunk)
            hashing.feed(chunk)
            write(chunk)
            progress.advance(len(chunk))
        hashing.finish()
        summary = walker.finish() if walker else None
        plain = Stored(size_bytes=progress.bytes_done, sha256=digest.hexdigest())
        stored = sink.finish() if sink else plain
    progress.report()
    return ReceivedArchive(
        size_bytes=plain.size_bytes,
        sha256=plain.sha256,
        stored_bytes=stored.size_bytes,
        stored_sha256=stored.sha256,
        members=summary.members if summary else None,
    )


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
