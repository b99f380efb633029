"""Answers what is in an archive, and what changed between two, from an index alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from containers_app.archives.index_schema import (
    APPLICATION_ID,
    PATH_LIMIT_BYTES,
    TABLES,
    VERSION,
    Entry,
    split,
)
from containers_app.archives.tar_member import clean_path
from containers_app.errors import ArchiveInvalid, NotFound

FOLDER_LIMIT = 200

_ENTRY = (
    "SELECT folders.path, name, kind, mode, uid, gid, mtime_seconds, mtime_nanoseconds, size_bytes, sha256, target,"
    " header_offset, member_bytes, data_offset, stored_bytes, sparse"
    " FROM folders CROSS JOIN entries ON entries.folder_id = folders.id "
)
_CHILDREN = _ENTRY + "WHERE folders.path = ? AND name > ? ORDER BY name LIMIT ?"
_ONE = _ENTRY + "WHERE folders.path = ? AND name = ?"
_ALL = _ENTRY + "ORDER BY folders.path, name"
# A hard link to a file elsewhere is met where that file's content is, which is before the link.
_BELOW = (
    f"SELECT * FROM ({_ENTRY} WHERE folders.path = :folder AND name = :name UNION ALL"  # noqa: S608 - no value in it
    f" {_ENTRY} WHERE folders.path = :path OR (folders.path >= :first AND folders.path < :end))"
    " WHERE header_offset IS NOT NULL"
    " ORDER BY CASE WHEN kind = 'hardlink' AND target != :path AND (target < :first OR target >= :end)"
    " THEN coalesce(data_offset, header_offset) ELSE header_offset END, header_offset"
)
_ORDER = attrgetter("folder", "name")
_FACTS = attrgetter(
    "kind", "size_bytes", "sha256", "target", "mode", "uid", "gid", "mtime_seconds", "mtime_nanoseconds"
)
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


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One path that is not the same in two archives.

    `what` says what changed, out of `kind`, `content`, `target`, `mode`, `owner` and `modified`; it is empty unless
    `change` is `changed`.
    """

    path: bytes
    change: Literal["new", "changed", "deleted"]
    what: tuple[str, ...] = ()


class Index(AbstractContextManager["Index"]):
    """The index of one archive, read only. Paths are bytes; `./a/`, `/a` and `a` are one path, empty is the root."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in this file. Raises ArchiveInvalid when it is none, of another version, or not to be read.

        An index that a stranger made says what he wants: build it again from the archive.
        """
        try:
            database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        except sqlite3.Error as error:
            raise ArchiveInvalid("The index cannot be opened: build it again.") from error
        try:
            _check(database)
        except BaseException:
            database.close()
            raise
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

    def compare(self, other: Index) -> Iterator[Difference]:
        """What is different in `other`, which is taken for the later one.

        The root comes first, then folder by folder in byte order of their paths, by name within one. A file and a
        hard link are equal when their contents are, since which of two names is the link is an accident of the order.
        Extended attributes and device numbers are not compared. Memory is constant.
        """
        return _merged(self._entries(_ALL), other._entries(_ALL))

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

    def _entries(self, query: str, values: tuple[object, ...] | Mapping[str, object] = ()) -> Iterator[Entry]:
        try:
            for row in self._database.execute(query, values):
                yield Entry(*row)
        except sqlite3.DatabaseError as error:
            raise ArchiveInvalid("The index is damaged: build it again.") from error


def _check(database: sqlite3.Connection) -> None:
    try:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = {sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    except sqlite3.DatabaseError as error:
        raise ArchiveInvalid("The file is no index: build it again.") from error
    # The texts are compared, so that no view or trigger of a stranger answers in the place of a table.
    if (application, version, tables) != (APPLICATION_ID, VERSION, set(TABLES)):
        raise ArchiveInvalid(f"The file is no index of version {VERSION}: build it again.")


def _merged(mine: Iterator[Entry], theirs: Iterator[Entry]) -> Iterator[Difference]:
    before, after = next(mine, None), next(theirs, None)
    while before is not None and after is not None:
        first, second = _ORDER(before), _ORDER(after)
        if first < second:
            yield Difference(path=before.path, change="deleted")
        elif second < first:
            yield Difference(path=after.path, change="new")
        elif _FACTS(before) != _FACTS(after):
            yield from _changes(before, after)
        before = next(mine, None) if first <= second else before
        after = next(theirs, None) if second <= first else after
    while before is not None:
        yield Difference(path=before.path, change="deleted")
        before = next(mine, None)
    while after is not None:
        yield Difference(path=after.path, change="new")
        after = next(theirs, None)


def _changes(before: Entry, after: Entry) -> Iterator[Difference]:
    if what := tuple(name for name, same in _compared(before, after) if not same):
        yield Difference(path=after.path, change="changed", what=what)


def _compared(before: Entry, after: Entry) -> Iterator[tuple[str, bool]]:
    kinds = {"file" if entry.kind == "hardlink" else entry.kind for entry in (before, after)}
    yield "kind", len(kinds) == 1
    yield "content", (before.size_bytes, before.sha256) == (after.size_bytes, after.sha256)
    yield "target", "symlink" not in kinds or before.target == after.target
    # Of a folder without a member nothing is known.
    if before.header_offset is not None and after.header_offset is not None:
        yield "mode", before.mode == after.mode
        yield "owner", (before.uid, before.gid) == (after.uid, after.gid)
        yield "modified", before.mtime_ns == after.mtime_ns
