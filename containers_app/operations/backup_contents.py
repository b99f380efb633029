"""What is in backups, for people: a folder, a download, a comparison. Each is in the ledger before its first byte."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from containers_app.archives.extract import file_content, folder_archive
from containers_app.archives.index import ComparedPage
from containers_app.archives.index_schema import Entry
from containers_app.archives.stores.faults import storage_faults
from containers_app.audit import ledger
from containers_app.audit.ledger import Source, Subject
from containers_app.conf import load
from containers_app.errors import BackupUnusable, NotFound
from containers_app.models import Backup, BackupPart
from containers_app.operations.authority import Asker
from containers_app.operations.hosts import store_of
from containers_app.operations.stored_parts import (
    check_readable,
    location_of,
    opened_index,
    part_named,
    plain_bytes,
    stored_file,
)
from containers_app.operations.visibility import find
from containers_app.specs.raw_path import shown

# A million paths take seconds: a page ends there, however little it has found.
MOST_COMPARED = 100_000


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads, and which way the request came in."""

    asker: Asker
    source: Source


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What of a backup is wanted: a part by its file's name (None: the first), and a path in it (None: all of it)."""

    backup_id: UUID
    part: str | None = None
    path: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Some entries of a folder by name in byte order, and the name behind which to go on; None: there are no more."""

    backup: Backup
    part: BackupPart
    entries: tuple[Entry, ...]
    next_after: bytes | None


@dataclass(frozen=True, kw_only=True)
class WholePart:
    """A part as it is stored: `path` is absolute, `sha256` in hex is of the stored bytes."""

    part: BackupPart
    path: str
    file_name: str
    size_bytes: int
    sha256: str

    def opened(self) -> AbstractContextManager[Any]:
        """Its file. Raises BackupUnusable and StorageError."""
        return stored_file(self.part)


class Pieces(Iterator[bytes]):
    """Bytes on their way, begun already: the storage, the key and the first of them have shown themselves."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self._rest = pieces
        self._first = next(pieces, b"")

    def __next__(self) -> bytes:
        first, self._first = self._first, b""
        return first or next(self._rest)

    def close(self) -> None:
        """Let go of what they come from; may be called again."""
        self._rest.close()


@dataclass(frozen=True, kw_only=True)
class Extract:
    """A file, or a folder as a tar, out of a part. `size_bytes` is None where only the end tells."""

    file_name: str
    size_bytes: int | None
    pieces: Pieces


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two backups, the parts that were compared, and what is different in the later one."""

    later: BackupPart
    earlier: BackupPart
    page: ComparedPage


def find_part(reader: Reader, wish: Wish, verb: str) -> BackupPart:
    """The part, for who may do `verb` to the backup. Raises what `find` does, NotFound and BackupUnusable."""
    backup = find(reader.asker, "backup", verb, pk=wish.backup_id)
    check_readable(backup)
    return part_named(backup, wish.part)


def list_folder(reader: Reader, wish: Wish, *, after: bytes | None, limit: int) -> Folder:
    """One folder of a part, in pieces. Raises as `find_part` and `opened_index`, NotFound, AuditUnavailable."""
    part = find_part(reader, wish, "read")
    with opened_index(part) as index:
        entries = index.folder(wish.path or b"", after=after, limit=limit + 1)
    record(reader, "backup.browse", part, path=wish.path or b"")
    more = entries[limit - 1].name if len(entries) > limit else None
    return Folder(backup=part.backup, part=part, entries=entries[:limit], next_after=more)


def download(reader: Reader, wish: Wish, *, asked_range: str = "") -> WholePart | Extract:
    """The part, or what stands at the path. Whoever takes an Extract reads it to its end or closes its pieces.

    `asked_range` is for the ledger. Raises as `find_part` and `opened_index` do, NotFound, AuditUnavailable.
    """
    part = find_part(reader, wish, "download")
    with opened_content(part, wish.path) as found:
        record(reader, "backup.download", part, path=wish.path, asked_range=asked_range)
    return found


def compare(reader: Reader, wish: Wish, earlier_id: UUID, *, after: bytes | None, limit: int) -> Comparison:
    """What is different in the wished part since an earlier backup, in pieces. Raises as `list_folder` does."""
    later = find_part(reader, wish, "read")
    other = find(reader.asker, "backup", "read", pk=earlier_id)
    check_readable(other)
    earlier = _counterpart(later, other)
    with ExitStack() as stack:
        before, now = stack.enter_context(opened_index(earlier)), stack.enter_context(opened_index(later))
        page = before.compare_page(now, after=after, limit=limit, most_pairs=MOST_COMPARED)
    record(reader, "backup.compare", later, earlier=str(other.pk))
    return Comparison(later=later, earlier=earlier, page=page)


def record(reader: Reader, action: str, part: BackupPart, *, path: bytes | None = None, **details: str) -> None:
    """Write to the ledger that this is about to be read. Raises AuditUnavailable: then it must not be."""
    place = {} if path is None else {"path": shown(path)}
    backup = part.backup
    ledger.event(
        action=action,
        actor=reader.asker.as_actor(),
        source=reader.source,
        subject=Subject(type="backup", id=str(backup.pk), name=backup.file_name, host=backup.host.name),
        details={"part": part.file_name, **place, **{name: value for name, value in details.items() if value}},
    )


@contextmanager
def opened_content(part: BackupPart, path: bytes | None) -> Iterator[WholePart | Extract]:
    """What is about to be given out; whatever is raised inside takes it back. Raises as `download` does."""
    found = whole_part(part) if path is None else extract(part, path)
    try:
        yield found
    except BaseException:
        if isinstance(found, Extract):
            found.pieces.close()
        raise


def whole_part(part: BackupPart) -> WholePart:
    """The part as it is stored. Raises BackupUnusable and StorageError."""
    with stored_file(part):
        path = store_of(load()).path_of(location_of(part))
    return WholePart(
        part=part, path=path, file_name=part.file_name, size_bytes=part.stored_bytes, sha256=part.stored_sha256
    )


def extract(part: BackupPart, path: bytes) -> Extract:
    """What stands at this path: a file, or a folder as a tar. Raises NotFound for what is neither."""
    with opened_index(part) as index:
        entry = index.entry(path)
    if entry.kind == "folder":
        pieces = Pieces(_folder_pieces(part, entry.path))
        name = shown(entry.name) or part.file_name.removesuffix(".tar")
        return Extract(file_name=f"{name}.tar", size_bytes=None, pieces=pieces)
    if entry.data_offset is None:
        raise NotFound(f"what stands under this path is a {entry.kind}, which has no content", field="path")
    pieces = Pieces(_file_pieces(part, entry))
    return Extract(file_name=shown(entry.name), size_bytes=entry.size_bytes, pieces=pieces)


def _counterpart(part: BackupPart, other: Backup) -> BackupPart:
    """The part of another backup that is of the same thing; a container has one file system, whatever its name is."""
    for found in other.parts.all():
        if found.kind == part.kind and (part.kind == "rootfs" or found.name == part.name):
            return found
    raise NotFound(f"the backup of 'with' has no {part.kind} {part.name}", field="with")


def _folder_pieces(part: BackupPart, folder: bytes) -> Generator[bytes]:
    with opened_index(part) as index, plain_bytes(part) as source, _reading():
        yield from folder_archive(source, index.entries_below(folder), folder=folder)


def _file_pieces(part: BackupPart, entry: Entry) -> Generator[bytes]:
    """The last piece is given out only when all of them are what was backed up."""
    digest, held = hashlib.sha256(), b""
    with plain_bytes(part) as source, _reading():
        for piece in file_content(source, entry):
            digest.update(piece)
            if held:
                yield held
            held = piece
    if entry.sha256 is not None and not entry.sparse and digest.digest() != entry.sha256:
        raise BackupUnusable("the file is not what was backed up: have the backup verified")
    yield held


@contextmanager
def _reading() -> Iterator[None]:
    with storage_faults("reading the backup"):
        yield
