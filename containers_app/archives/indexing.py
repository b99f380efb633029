"""Walks and indexes a tar in a thread of its own, so that who receives it hardly waits for that."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from containers_app.archives.beside import Beside
from containers_app.archives.index_builder import IndexBuilder
from containers_app.archives.tar_walker import TarSummary
from containers_app.errors import StorageError


class Indexing:
    """Give every plain chunk to `observe`, in order, and call `finish`; the thread is a few chunks behind at most.

    What is no whole tar is refused; a tar that cannot be indexed is walked all the same, see `failure`.
    """

    def __init__(self, *, within: Path, hashed: bool) -> None:
        """`within`: the folder for the file, which must exist. `hashed`: files get digests. Raises StorageError."""
        try:
            self._builder = IndexBuilder(within=within, tolerant=True, hashed=hashed)
        except (OSError, sqlite3.Error) as error:
            words = "The data folder takes no temporary file for the index: free some space in it, then retry."
            raise StorageError(words) from error
        self._beside = Beside(self._builder.feed)

    @property
    def failure(self) -> Exception | None:
        """Why there is no index."""
        return self._builder.failure

    @property
    def file(self) -> BinaryIO:
        """The index, once it is finished."""
        return self._builder.file

    def observe(self, chunk: bytes) -> None:
        """The next bytes. Raises ArchiveInvalid for what is no tar, a few chunks late."""
        self._beside.feed(chunk)

    def finish(self) -> TarSummary:
        """What the tar holds. Raises ArchiveTruncated or ArchiveInvalid for what is no whole one."""
        self._beside.finish()
        return self._builder.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The thread first: it works with the file.
        self._beside.close()
        self._builder.__exit__(kind, error, traceback)
