"""Makes a file durable and reads it back while it is still being written, so that nobody waits for that at the end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event

from containers_app.archives.stores import nothing_to_check

STEP_BYTES = 16 * 1024 * 1024
# Where the disk reads more slowly than it writes, a step must not last for minutes.
MOST_STEP_BYTES = 4 * STEP_BYTES
BLOCK_BYTES = 1024 * 1024


class ReadBack:
    """The SHA-256 of what the storage gives back, from the disk where the kernel lets go of its cached pages.

    The descriptor is always the same one, open for reading too; the caller closes it after `close`. A step that failed
    is never tried again, an fsync least of all: the kernel may have dropped the pages that it could not write and
    report success the second time.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._read_bytes = 0
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._under_way: Future[None] | None = None
        self._closed = Event()

    def follow(self, descriptor: int, size_bytes: int) -> None:
        """Tell how much is written; from now and then a thread reads that much. Raises the OSError of that thread."""
        busy = self._under_way is not None and not self._under_way.done()
        if size_bytes - self._read_bytes < STEP_BYTES or busy:
            return
        self._wait()
        end_bytes = min(size_bytes, self._read_bytes + MOST_STEP_BYTES)
        self._under_way = self._pool.submit(self._step, descriptor, end_bytes)

    def finish(self, descriptor: int, checkpoint: Callable[[], None]) -> tuple[str, int]:
        """The SHA-256 in lower-case hex and the size in bytes, once the whole file is durable.

        Raises OSError, and what `checkpoint` raises between two reads.
        """
        self._wait()
        os.fsync(descriptor)
        self._read(descriptor, os.fstat(descriptor).st_size, checkpoint)
        # By now, and not when it was read: a file that became shorter is not whole.
        return self._digest.hexdigest(), min(self._read_bytes, os.fstat(descriptor).st_size)

    def close(self) -> None:
        """Let the thread stop, and wait until it does not use the descriptor any more; never raises."""
        self._closed.set()
        self._pool.shutdown()

    def _step(self, descriptor: int, end_bytes: int) -> None:
        os.fdatasync(descriptor)
        self._read(descriptor, end_bytes, nothing_to_check)

    def _read(self, descriptor: int, end_bytes: int, checkpoint: Callable[[], None]) -> None:
        """Up to this place, or to the end of the file where that comes first."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(descriptor, self._read_bytes, 0, os.POSIX_FADV_DONTNEED)
        buffer = memoryview(bytearray(BLOCK_BYTES))
        while count := os.preadv(descriptor, [buffer[: end_bytes - self._read_bytes]], self._read_bytes):
            checkpoint()
            if self._closed.is_set():
                return
            self._digest.update(buffer[:count])
            self._read_bytes += count

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
