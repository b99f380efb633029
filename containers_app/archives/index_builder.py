"""Builds the index of a tar while its plain bytes pass, so that nobody reads a whole backup to find one file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from containers_app.archives.index_schema import (
    APPLICATION_ID,
    PATH_LIMIT_BYTES,
    ROOT_ID,
    TABLES,
    VERSION,
    joined,
    split,
)
from containers_app.archives.tar_member import TarMember, clean_path
from containers_app.archives.tar_walker import BLOCK_BYTES, TarSummary, TarWalker
from containers_app.errors import ArchiveInvalid

CACHE_KIBIBYTES = 8192
CACHED_FOLDERS = 10_000

_STORE = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_IMPLY = "INSERT OR IGNORE INTO entries VALUES (?, ?, 'folder', ?, ?, ?, ?, ?, 0, ?, x'', ?, ?, ?, 0, 0)"
_LINKED = (
    "SELECT size_bytes, sha256, data_offset, stored_bytes, sparse FROM entries"
    " WHERE folder_id = ? AND name = ? AND header_offset IS NOT NULL AND kind != 'folder'"
)
_UNKNOWN = (None,) * 9


class IndexBuilder(AbstractContextManager["IndexBuilder"]):
    """Feed every chunk in order, call `finish`, and copy `file` away before leaving the context.

    The file is SQLite's. It is made in the folder `within` (None: the system's place for temporary files), and loses
    its name at once, so that nothing is left of it whatever kills the process. Everything is one transaction. Memory
    does not grow with the archive: SQLite keeps 8 MiB of pages, and the folders known by heart are at most 10,000. A
    member that stands twice is the last one, as for tar. The index judges nothing: an archive that a stranger made goes
    through `validate` first. May be used from any thread, by one at a time.

    `tolerant`: a whole tar that cannot be indexed, or not here, is no error; `failure` says why it has no index.
    Without `hashed`, entries have no digest.
    """

    def __init__(self, *, within: Path | None = None, tolerant: bool = False, hashed: bool = True) -> None:
        """Raises OSError and sqlite3.Error when the file cannot be made."""
        self.failure: ArchiveInvalid | sqlite3.Error | None = None
        self._tolerant, self._hashed = tolerant, hashed
        self._walker = TarWalker(self)
        self._member: TarMember | None = None
        self._digest = hashlib.sha256()
        self._folder_ids: dict[bytes, int] = {}
        descriptor, name = tempfile.mkstemp(prefix="index-", dir=within)
        self.file: BinaryIO = os.fdopen(descriptor, "rb")
        try:
            self._database = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
            self._prepare()
        finally:
            Path(name).unlink()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def feed(self, chunk: bytes | memoryview) -> None:
        """Index the next plain bytes of the tar. Raises ArchiveInvalid."""
        self._walker.feed(chunk)

    def finish(self) -> TarSummary:
        """Complete the file, unless there is a `failure`. Raises ArchiveTruncated or ArchiveInvalid."""
        summary = self._walker.finish()
        self._attempt(self._close_member)
        self._attempt(self._complete)
        self._database.close()
        return summary

    def member(self, member: TarMember, /) -> None:
        """The walker's word that a member starts."""
        self._attempt(self._close_member)
        self._member = member
        self._digest = hashlib.sha256()

    def content(self, piece: memoryview, /) -> None:
        """The walker's next bytes of that member."""
        if self._hashed and self.failure is None:
            self._digest.update(piece)

    def _attempt(self, step: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            step()
        except (ArchiveInvalid, sqlite3.Error) as error:
            if not self._tolerant:
                raise
            self.failure = error

    def _complete(self) -> None:
        self._database.execute("INSERT INTO totals SELECT kind, COUNT(*), SUM(size_bytes) FROM entries GROUP BY kind")
        self._database.execute("COMMIT")

    def _prepare(self) -> None:
        # Nobody else sees the file, and what is not finished is thrown away: no journal, no waiting for the disk.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIBIBYTES}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._database.execute(f"PRAGMA user_version = {VERSION}")
        self._database.execute("BEGIN")
        for table in TABLES:
            self._database.execute(table)
        self._database.execute("INSERT INTO folders VALUES (?, x'')", (ROOT_ID,))
        self._database.execute(_IMPLY, (ROOT_ID, b"", *_UNKNOWN))

    def _close_member(self) -> None:
        member, self._member = self._member, None
        if member is None:
            return
        path = _path(member.path)
        folder_id, name = self._place(path)
        size_bytes, sha256, data_offset, stored_bytes, sparse = self._content(member)
        seconds, nanoseconds = divmod(member.mtime_ns, 10**9)
        values = (folder_id, name, member.kind, member.mode, member.uid, member.gid, seconds, nanoseconds, size_bytes)
        target = _path(member.target) if member.kind == "hardlink" else member.target
        start = member.header_offset
        member_bytes = member.data_offset - start - (-member.stored_bytes // BLOCK_BYTES) * BLOCK_BYTES
        places = (sha256, target, start, member_bytes, data_offset, stored_bytes, sparse)
        self._database.execute(_STORE, values + places)

    def _content(self, member: TarMember) -> tuple[int, bytes | None, int | None, int, int]:
        """Size, digest and place of the content that stands behind this name."""
        if member.kind == "file":
            digest = self._digest.digest() if self._hashed else None
            return member.size_bytes, digest, member.data_offset, member.stored_bytes, int(member.sparse)
        if member.kind != "hardlink":
            return 0, None, None, 0, 0
        # Now, since a later member of that name would be another file.
        found = self._database.execute(_LINKED, self._place(_path(member.target))).fetchone()
        if found is None:
            raise ArchiveInvalid("The archive holds a hard link to something that is not before it.")
        size_bytes, sha256, data_offset, stored_bytes, sparse = found
        return size_bytes, sha256, data_offset, stored_bytes, sparse

    def _place(self, path: bytes) -> tuple[int, bytes]:
        folder, name = split(path)
        known = self._folder_ids.get(folder)
        return (self._folder_id(folder) if known is None else known), name

    def _folder_id(self, path: bytes) -> int:
        """The folder's number, after all folders above it got theirs."""
        missing: list[bytes] = []
        found = self._known(path)
        while found is None:
            folder, name = split(path)
            missing.append(name)
            path, found = folder, self._known(folder)
        for name in reversed(missing):
            self._database.execute(_IMPLY, (found, name, *_UNKNOWN))
            path = joined(path, name)
            found = self._database.execute("INSERT INTO folders (path) VALUES (?)", (path,)).lastrowid or 0
        if len(self._folder_ids) >= CACHED_FOLDERS:
            self._folder_ids.clear()
        self._folder_ids[path] = found
        return found

    def _known(self, path: bytes) -> int | None:
        if not path:
            return ROOT_ID
        found = self._database.execute("SELECT id FROM folders WHERE path = ?", (path,)).fetchone()
        return None if found is None else int(found[0])


def _path(path: bytes) -> bytes:
    clean = clean_path(path)
    if len(clean) > PATH_LIMIT_BYTES:
        raise ArchiveInvalid(f"The archive cannot be indexed: a path has more than {PATH_LIMIT_BYTES} bytes.")
    if b".." in clean and b".." in clean.split(b"/"):
        raise ArchiveInvalid("The archive cannot be indexed: a path leads upwards.")
    return clean
