"""Walks and indexes a tar in a thread of its own, so that who receives it hardly waits for that."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from containers_app.archives.index_builder import IndexBuilder
from containers_app.archives.tar_walker import TarSummary
from containers_app.errors import StorageError


class Indexing:
    """Give every plain chunk to `observe`, in order, and call `finish`; the thread is one chunk behind at most.

    What is no whole tar is refused; a tar that cannot be indexed is walked all the same, see `failure`.
    """

    def __init__(self, *, within: Path, hashed: bool) -> None:
        """`within`: the folder for the file, which must exist. `hashed`: files get digests. Raises StorageError."""
        try:
            self._builder = IndexBuilder(within=within, tolerant=True, hashed=hashed)
        except (OSError, sqlite3.Error) as error:
            words = "The data folder takes no temporary file for the index: free some space in it, then retry."
            raise StorageError(words) from error
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._under_way: Future[None] | None = None

    @property
    def failure(self) -> Exception | None:
        """Why there is no index."""
        return self._builder.failure

    @property
    def file(self) -> BinaryIO:
        """The index, once it is finished."""
        return self._builder.file

    def observe(self, chunk: bytes) -> None:
        """The next bytes. Raises ArchiveInvalid for what is no tar, one chunk late."""
        self._wait()
        self._under_way = self._pool.submit(self._builder.feed, chunk)

    def finish(self) -> TarSummary:
        """What the tar holds. Raises ArchiveTruncated or ArchiveInvalid for what is no whole one."""
        self._wait()
        return self._builder.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The thread first: it works with the file.
        self._pool.shutdown()
        self._builder.__exit__(kind, error, traceback)

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
