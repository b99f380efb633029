"""Answers what is in an archive, and what changed between two, from an index alone."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from containers_app.archives.index_differences import ComparedPage, Difference, Row, difference, paired, path_of
from containers_app.archives.index_schema import (
    APPLICATION_ID,
    PATH_LIMIT_BYTES,
    TABLES,
    VERSION,
    Entry,
    split,
)
from containers_app.archives.tar_member import KINDS, clean_path
from containers_app.errors import ArchiveInvalid, NotFound

__all__ = ["ComparedPage", "Difference", "Index", "IndexSummary"]

FOLDER_LIMIT = 200

_ENTRY = (
    "SELECT folders.path, name, kind, mode, uid, gid, mtime_seconds, mtime_nanoseconds, size_bytes, sha256, target,"
    " header_offset, member_bytes, data_offset, stored_bytes, sparse"
    " FROM folders CROSS JOIN entries ON entries.folder_id = folders.id "
)
_CHILDREN = _ENTRY + "WHERE folders.path = ? AND name > ? ORDER BY name LIMIT ?"
_ONE = _ENTRY + "WHERE folders.path = ? AND name = ?"
_ALL = _ENTRY + "ORDER BY folders.path, name"
_ALL_AFTER = (
    _ENTRY + "WHERE folders.path >= :folder AND (folders.path > :folder OR name > :name) ORDER BY folders.path, name"
)
# A hard link to a file elsewhere is met where that file's content is, which is before the link.
_BELOW = (
    f"SELECT * FROM ({_ENTRY} WHERE folders.path = :folder AND name = :name UNION ALL"  # noqa: S608 - no value in it
    f" {_ENTRY} WHERE folders.path = :path OR (folders.path >= :first AND folders.path < :end))"
    " WHERE header_offset IS NOT NULL"
    " ORDER BY CASE WHEN kind = 'hardlink' AND target != :path AND (target < :first OR target >= :end)"
    " THEN coalesce(data_offset, header_offset) ELSE header_offset END, header_offset"
)
_TOTALS = "SELECT kind, entries, size_bytes FROM totals"
_SHA256_COLUMN = 9
_KINDS = frozenset(KINDS.values())
_NO_STEPS = frozenset((b"", b".", b".."))
_BEYOND = b"\xff" * (PATH_LIMIT_BYTES + 1)


@dataclass(frozen=True, kw_only=True)
class IndexSummary:
    """How many entries of each kind an archive holds, and what its files take once restored.

    `folders` counts the root and those that only paths imply; `links` are symbolic and hard ones; `specials` are
    devices and named pipes.
    """

    files: int
    folders: int
    links: int
    specials: int
    size_bytes: int


class Index(AbstractContextManager["Index"]):
    """The index of one archive, read only. Paths are bytes; `./a/`, `/a` and `a` are one path, empty is the root."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in this file. Raises ArchiveInvalid when it is none, of another version, or not to be read.

        An index that a stranger made says what he wants: build it again from the archive.
        """
        return cls._checked(_connected(path, "&immutable=1"))

    @classmethod
    def of(cls, write: Callable[[BinaryIO], None], *, within: Path) -> Self:
        """The index that `write` writes into a file in this folder, which has lost its name before.

        Raises as `open`, OSError, and what `write` raises.
        """
        descriptor, name = tempfile.mkstemp(prefix="index-", dir=within)
        with os.fdopen(descriptor, "wb") as file:
            try:
                # What is immutable now would have no content for ever.
                database = _connected(Path(name))
            finally:
                Path(name).unlink()
            with _closing_on_error(database):
                write(file)
        return cls._checked(database)

    @classmethod
    def _checked(cls, database: sqlite3.Connection) -> Self:
        with _closing_on_error(database):
            _check(database)
        return cls(database)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def entry(self, path: bytes) -> Entry:
        """What stands at this path. Raises NotFound."""
        for entry in self._entries(_ONE, split(clean_path(path))):
            return entry
        raise NotFound("The archive holds nothing under this path.")

    def folder(self, path: bytes, *, after: bytes | None = None, limit: int = FOLDER_LIMIT) -> tuple[Entry, ...]:
        """What is in this folder, by name in byte order: at most `limit` entries, behind the name `after`.

        Raises NotFound for what is no folder.
        """
        if self.entry(path).kind != "folder":
            raise NotFound("The archive holds no folder under this path.")
        return tuple(self._entries(_CHILDREN, (clean_path(path), after or b"", limit)))

    def entries_below(self, path: bytes) -> Iterator[Entry]:
        """The entry at this path and those below it which have a member, in the order of the archive.

        A hard link to a file that is not among them comes where that file's content stands. Raises NotFound.
        """
        own = self.entry(path)
        first, end = (own.path + b"/", own.path + b"0") if own.path else (b"", _BEYOND)
        # The root stands in itself.
        folder = own.folder if own.path else None
        values = {"folder": folder, "name": own.name, "path": own.path, "first": first, "end": end}
        return self._entries(_BELOW, values)

    def compare(self, other: Index, *, after: bytes | None = None) -> Iterator[Difference]:
        """What is different in `other`, which is taken for the later one; with `after`, behind this path.

        The root comes first, then folder by folder in byte order of their paths, by name within one. A file and a
        hard link are equal when their contents are, since which of two names is the link is an accident of the order.
        Contents without a digest count as equal when their sizes are. Extended attributes and device numbers are not
        compared. Memory is constant.
        """
        for pair in paired(self._rows(after), other._rows(after)):
            if (found := difference(pair)) is not None:
                yield found

    def compare_page(self, other: Index, *, after: bytes | None, limit: int, most_pairs: int) -> ComparedPage:
        """The same in pieces: at most `limit` differences, and no more than `most_pairs` paths looked at for them."""
        found: list[Difference] = []
        for number, pair in enumerate(paired(self._rows(after), other._rows(after)), start=1):
            different = difference(pair)
            if different is not None:
                found.append(different)
            if len(found) == limit or number == most_pairs:
                return ComparedPage(differences=tuple(found), next_after=path_of(pair))
        return ComparedPage(differences=tuple(found), next_after=None)

    def is_same(self, other: Index) -> bool:
        """Whether both say the same of every entry, its place in the archive included.

        Digests count only where this one has any. The totals must be right too.
        """
        pairs = zip_longest(self._found(_ALL, ()), other._found(_ALL, ()))
        if any(first is None or second is None or not _same_row(first, second) for first, second in pairs):
            return False
        return set(self._found(_TOTALS, ())) == set(other._found(_TOTALS, ()))

    def summary(self) -> IndexSummary:
        """The totals of the archive."""
        totals = dict(self._database.execute("SELECT kind, entries FROM totals"))
        size = self._database.execute("SELECT size_bytes FROM totals WHERE kind = 'file'").fetchone()
        return IndexSummary(
            files=totals.get("file", 0),
            folders=totals.get("folder", 0),
            links=totals.get("symlink", 0) + totals.get("hardlink", 0),
            specials=totals.get("character", 0) + totals.get("block", 0) + totals.get("fifo", 0),
            size_bytes=size[0] if size else 0,
        )

    def _rows(self, after: bytes | None) -> Iterator[Row]:
        if after is None:
            return self._found(_ALL, ())
        folder, name = split(clean_path(after))
        return self._found(_ALL_AFTER, {"folder": folder, "name": name})

    def _entries(self, query: str, values: tuple[object, ...] | Mapping[str, object]) -> Iterator[Entry]:
        return (_harmless(Entry(*row)) for row in self._found(query, values))

    def _found(self, query: str, values: tuple[object, ...] | Mapping[str, object]) -> Iterator[Row]:
        try:
            # One that nobody reads to its end may outlive the database.
            for row in self._database.execute(query, values):  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise ArchiveInvalid("The index is damaged: build it again.") from error


def _harmless(entry: Entry) -> Entry:
    """Raise ArchiveInvalid for what no index of ours says, since what it says is where files are written."""
    texts = (entry.folder, entry.name, entry.target)
    if entry.kind not in _KINDS or any(type(text) is not bytes or b"\0" in text for text in texts):
        raise ArchiveInvalid("The index says something that no archive holds: build it again.")
    if b"/" in entry.name or (entry.path and not _NO_STEPS.isdisjoint(entry.path.split(b"/"))):
        raise ArchiveInvalid("The index has a path that no file can have: build it again.")
    return entry


def _same_row(first: Row, second: Row) -> bool:
    if first[_SHA256_COLUMN] is None:
        return first == (*second[:_SHA256_COLUMN], None, *second[_SHA256_COLUMN + 1 :])
    return first == second


@contextmanager
def _closing_on_error(database: sqlite3.Connection) -> Iterator[None]:
    """Close the connection when anything is raised inside."""
    try:
        yield
    except BaseException:
        database.close()
        raise


def _connected(path: Path, more: str = "") -> sqlite3.Connection:
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{more}", uri=True)
    except sqlite3.Error as error:
        raise ArchiveInvalid("The index cannot be opened: build it again.") from error


def _check(database: sqlite3.Connection) -> None:
    try:
        # A stranger's file: nothing in it is run, and each page is looked at before it is used.
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    except sqlite3.DatabaseError as error:
        raise ArchiveInvalid("The file is no index: build it again.") from error
    # The texts are compared, so that no view or trigger of a stranger answers in the place of a table.
    if (application, version, tables) != (APPLICATION_ID, VERSION, set(TABLES)):
        raise ArchiveInvalid(f"The file is no index of version {VERSION}: build it again.")
