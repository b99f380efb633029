"""Reads one file or one folder out of a plain tar, so that nobody restores a whole backup to get one file back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator

from containers_app.archives.index_schema import Entry, is_below
from containers_app.archives.sparse_map import SparseMap
from containers_app.archives.tar_member import clean_path
from containers_app.archives.tar_walker import BLOCK_BYTES
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, NotFound

_ZEROS = bytes(CHUNK_BYTES)
_END_MARKER = bytes(2 * BLOCK_BYTES)


def file_content(source: ByteSource, entry: Entry) -> Iterator[bytes]:
    """The bytes of one file, also through a hard link: `entry.size_bytes` of them, a sparse file's holes as zeros.

    `source` gives the plain tar from its start, and is read no further than needed; a seekable file is not read up to
    there either. Pieces have at most 1 MiB. Raises NotFound for what is no file, ArchiveTruncated, ArchiveInvalid, and
    what the source raises.
    """
    if entry.data_offset is None:
        raise NotFound("What stands under this path is no file.")
    return _content(_Tape(source), entry, entry.data_offset)


def folder_archive(source: ByteSource, entries: Iterable[Entry], *, folder: bytes) -> Iterator[bytes]:
    """A whole tar of the `entries` that `Index.entries_below(folder)` gives.

    Each member is copied byte for byte, extension headers included, under its whole path, in the order of the archive;
    headers for the whole archive are not copied, which no reader needs. A hard link to a file outside the folder would
    lead nowhere: the first one becomes a file with that content and its own owner, mode and time, but without the
    extended attributes that stand with the file outside; further ones are links to that first one. A hard link to a
    symbolic link, a device or a pipe outside is left out. Reads forward only. Raises
    as `file_content` does.
    """
    tape, copied, folder = _Tape(source), _Copied(), clean_path(folder)
    for entry in entries:
        outside = entry.kind == "hardlink" and not is_below(entry.target, folder)
        if not outside:
            yield from tape.piece(entry.header_offset or 0, entry.member_bytes or 0)
        elif entry.data_offset is not None:
            yield from _instead_of_link(tape, entry, copied.first(entry.data_offset, entry.path))
    yield _END_MARKER


def leads_nowhere(entry: Entry, folder: bytes) -> bool:
    """Whether it is one of those that an archive of this folder leaves out."""
    return entry.kind == "hardlink" and not is_below(entry.target, folder) and entry.data_offset is None


class _Copied:
    """Which name the content that stands at an offset got first; those of one file come one after the other."""

    def __init__(self) -> None:
        self._data_offset = -1
        self._path = b""

    def first(self, data_offset: int, path: bytes) -> bytes:
        """The name that this content has by now, which is `path` when it is new."""
        if data_offset != self._data_offset:
            self._data_offset, self._path = data_offset, path
        return self._path


def _instead_of_link(tape: _Tape, entry: Entry, first: bytes) -> Iterator[bytes]:
    """A file in the place of a hard link, or a link to the file that the first of them became."""
    info = tarfile.TarInfo(_text(entry.path))
    info.mode, info.uid, info.gid = entry.mode or 0, entry.uid or 0, entry.gid or 0
    info.mtime = entry.mtime_seconds or 0
    if first != entry.path:
        info.type, info.linkname = tarfile.LNKTYPE, _text(first)
        yield _header(info)
        return
    info.size = entry.size_bytes
    yield _exact_time(entry.mtime_ns or 0)
    yield _header(info)
    yield from _content(tape, entry, entry.data_offset or 0)
    yield _ZEROS[: -entry.size_bytes % BLOCK_BYTES]


def _exact_time(mtime_ns: int) -> bytes:
    """An extension header with what of a time is more than seconds, if anything is."""
    seconds, nanoseconds = divmod(abs(mtime_ns), 10**9)
    if not nanoseconds:
        return b""
    record = b" mtime=%s%d.%09d\n" % (b"-" if mtime_ns < 0 else b"", seconds, nanoseconds)
    # With any time that the field of the header can hold, the length of the record has two digits.
    record = b"%d%s" % (len(record) + 2, record)
    info = tarfile.TarInfo("mtime")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(BLOCK_BYTES, b"\0")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _header(info: tarfile.TarInfo) -> bytes:
    # GNU's format holds any name as it is, which pax does not.
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _content(tape: _Tape, entry: Entry, data_offset: int) -> Iterator[bytes]:
    if not entry.sparse:
        yield from tape.piece(data_offset, entry.stored_bytes)
        return
    position, sparse_map = 0, _map(tape, data_offset, entry.stored_bytes)
    data_offset += sparse_map.map_bytes
    try:
        for offset, length in sparse_map.regions(size_bytes=entry.size_bytes, stored_bytes=entry.stored_bytes):
            yield from _zeros(offset - position)
            yield from tape.piece(data_offset, length)
            data_offset, position = data_offset + length, offset + length
    except ValueError as error:
        raise ArchiveInvalid(f"The archive is damaged: {error}.") from error
    yield from _zeros(entry.size_bytes - position)


def _map(tape: _Tape, data_offset: int, stored_bytes: int) -> SparseMap:
    sparse_map = SparseMap()
    for start in range(data_offset, data_offset + stored_bytes - BLOCK_BYTES + 1, BLOCK_BYTES):
        try:
            if sparse_map.add(b"".join(tape.piece(start, BLOCK_BYTES))):
                return sparse_map
        except ValueError as error:
            raise ArchiveInvalid(f"The archive is damaged: {error}.") from error
    raise ArchiveInvalid("The archive is damaged: the map of a sparse file is cut.")


def _zeros(size_bytes: int) -> Iterator[bytes]:
    while size_bytes > 0:
        yield _ZEROS[:size_bytes]
        size_bytes -= CHUNK_BYTES


class _Tape:
    """A source with a position, which goes forward only."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._position = 0
        self._seekable = isinstance(source, io.IOBase) and source.seekable()

    def piece(self, offset: int, size_bytes: int) -> Iterator[bytes]:
        """These bytes of the tar, in pieces of at most 1 MiB."""
        self._go(offset)
        yield from self._read(size_bytes)

    def _go(self, offset: int) -> None:
        if offset < self._position:
            raise ArchiveInvalid("The index does not fit the archive: build it again.")
        if self._seekable and isinstance(self._source, io.IOBase):
            self._source.seek(offset)
            self._position = offset
        for _ in self._read(offset - self._position):
            pass

    def _read(self, size_bytes: int) -> Iterator[bytes]:
        if size_bytes < 0:
            raise ArchiveInvalid("The index does not fit the archive: build it again.")
        while size_bytes:
            chunk = self._source.read(min(size_bytes, CHUNK_BYTES))
            if not chunk:
                raise ArchiveTruncated("The archive ends before the file that was asked for does.")
            size_bytes -= len(chunk)
            self._position += len(chunk)
            yield chunk
