"""Walks a tar stream while it passes, because the clean end of an HTTP body does not prove a complete archive."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from containers_app.archives.tar_member import (
    MEMBER_KEYWORDS,
    SPARSE_PREFIX,
    MemberObserver,
    decimal,
    is_sparse,
    member_of,
    number,
)
from containers_app.errors import ArchiveInvalid, ArchiveTruncated

BLOCK_BYTES = 512
EXTENSION_LIMIT_BYTES = 1024 * 1024
EXTENSION_LIMIT_RECORDS = 10_000

_ZERO_BLOCK = bytes(BLOCK_BYTES)
_FILE_TYPES = frozenset((b"0", b"\0", b"7"))
_HEADER_ONLY_TYPES = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_EXTENSION_TYPES = frozenset((b"x", b"g", b"L", b"K"))
_LONG_NAMES = {b"L": b"path", b"K": b"linkpath"}
_SPARSE_TYPE = b"S"


@dataclass(frozen=True)
class TarSummary:
    """What a whole archive held: `members` counts files, folders, links and devices, not extension headers."""

    members: int


class TarWalker:
    """Reads headers, skips payloads, and says whether a stream was one whole tar archive.

    Feed every chunk in order, then call `finish`. Memory does not grow with the archive: payloads are skipped by
    arithmetic, and an extension header over 1 MiB is refused. Formats: POSIX.1-1988 ustar, POSIX.1-2001 pax
    (`x`, `g`; a `size` record replaces the size of the member after it) and GNU (`L`, `K`, base-256 numbers, sparse
    files of version 1.0). What readers understand differently is refused, since then no reader proves what another one
    restores.

    An observer is told of each member and its content; only for one are names, owners and times looked at.
    """

    def __init__(
        self,
        observer: MemberObserver | None = None,
        *,
        extension_bytes: int = EXTENSION_LIMIT_BYTES,
        extension_records: int = EXTENSION_LIMIT_RECORDS,
    ) -> None:
        self._observer = observer
        self._limit_bytes, self._limit_records = extension_bytes, extension_records
        self._expect: Callable[[bytes], None] = self._header
        self._wanted_bytes = BLOCK_BYTES
        self._gathered = bytearray()
        self._skip_bytes = 0
        self._extension_type = b""
        self._extension_bytes = 0
        self._announced = b""
        self._records: dict[bytes, bytes] = {}
        self._members = 0
        # Where the bytes that are expected next end, where the member's first header starts, and how much of what is
        # skipped is padding.
        self._offset = 0
        self._start: int | None = None
        self._padding_bytes = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Walk the next bytes of the stream, any number of them. Raises ArchiveInvalid."""
        view = memoryview(chunk)
        position, length = 0, len(view)
        while position < length:
            if self._skip_bytes:
                step = min(self._skip_bytes, length - position)
                if self._observer is not None:
                    self._show(view[position : position + step])
                self._skip_bytes -= step
                position += step
            else:
                position = self._gather(view, position)

    def finish(self) -> TarSummary:
        """The summary of the archive that was fed. Raises ArchiveTruncated or ArchiveInvalid."""
        if self._expect != self._padding:
            raise ArchiveTruncated(
                f"The archive broke off after {self._members} members, before its end marker: make the backup again."
            )
        if any(self._gathered):
            raise self._trailing_data()
        if self._gathered:
            raise ArchiveTruncated("The archive broke off in its last block: make the backup again.")
        if not self._members:
            raise ArchiveInvalid("The archive is empty: it ends before its first member.")
        return TarSummary(members=self._members)

    def _show(self, skipped: memoryview) -> None:
        """Give the observer what of these bytes is content."""
        content_bytes = self._skip_bytes - self._padding_bytes
        if self._observer is not None and content_bytes > 0:
            self._observer.content(skipped[:content_bytes])

    def _gather(self, view: memoryview, position: int) -> int:
        """Hand on the wanted bytes once they are all there; returns the position behind the bytes it used."""
        end = min(len(view), position + self._wanted_bytes - len(self._gathered))
        if end - position == self._wanted_bytes:
            self._expect(bytes(view[position:end]))
            return end
        self._gathered += view[position:end]
        if len(self._gathered) == self._wanted_bytes:
            whole = bytes(self._gathered)
            self._gathered.clear()
            self._expect(whole)
        return end

    def _header(self, block: bytes) -> None:
        self._offset += BLOCK_BYTES
        if not block[0] and block == _ZERO_BLOCK:
            self._first_zero_block()
            return
        if self._start is None:
            self._start = self._offset - BLOCK_BYTES
        try:
            if _checksum(block) != number(block[148:156]):
                raise ValueError("the checksum of the next header is wrong")
            typeflag, size_bytes = block[156:157], number(block[124:136])
            if typeflag in _EXTENSION_TYPES:
                self._start_extension(typeflag, size_bytes)
            else:
                self._start_member(block, size_bytes)
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _start_member(self, block: bytes, size_bytes: int) -> None:
        records = self._records
        if records:
            if b"size" in records:
                size_bytes = decimal(records[b"size"])
            self._records = {}
        if records or block[156:157] not in _FILE_TYPES:
            _check_member(block[156:157], records, size_bytes)
        if self._observer is not None:
            self._tell(self._observer, block, records, size_bytes)
        self._skip_bytes = _padded(size_bytes)
        self._padding_bytes = self._skip_bytes - size_bytes
        self._offset += self._skip_bytes
        self._start, self._announced = None, b""
        self._members += 1

    def _tell(
        self, observer: MemberObserver, block: bytes, records: Mapping[bytes, bytes], stored_bytes: int, /
    ) -> None:
        start = self._offset - BLOCK_BYTES if self._start is None else self._start
        observer.member(
            member_of(block, records, header_offset=start, data_offset=self._offset, stored_bytes=stored_bytes)
        )

    def _start_extension(self, typeflag: bytes, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise ValueError(f"an extension header has {size_bytes} bytes, over the limit of {self._limit_bytes}")
        if typeflag in self._announced:
            raise ValueError("two extension headers of one kind describe the same member")
        if typeflag != b"g":
            self._announced += typeflag
        elif not self._announced:
            self._start = None
        self._extension_type, self._extension_bytes = typeflag, size_bytes
        if size_bytes:
            self._offset += _padded(size_bytes)
            self._await(self._extension, _padded(size_bytes))

    def _extension(self, payload: bytes) -> None:
        self._await(self._header, BLOCK_BYTES)
        content = payload[: self._extension_bytes]
        try:
            if self._extension_type in _LONG_NAMES:
                self._keep({_LONG_NAMES[self._extension_type]: content.partition(b"\0")[0]})
            elif self._extension_type == b"x":
                # Of two records with one keyword the last wins, as POSIX says.
                self._keep(dict(self._pax_records(content)))
            else:
                self._check_global(content)
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _keep(self, records: dict[bytes, bytes]) -> None:
        if self._records:
            if self._records.keys() & records.keys():
                raise ValueError("two extension headers give the same member a name")
            records |= self._records
        self._records = records

    def _check_global(self, content: bytes) -> None:
        for keyword, _ in self._pax_records(content):
            if keyword in MEMBER_KEYWORDS or keyword.startswith(SPARSE_PREFIX):
                raise ValueError(f"a global extension header sets {keyword.decode(errors='replace')}")

    def _pax_records(self, payload: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The keyword and value of each pax record, `"%d %s=%s\\n" % (length, keyword, value)`."""
        position = count = 0
        while position < len(payload):
            space = payload.find(b" ", position, position + 8)
            digits = payload[position : max(space, position)]
            end = position + int(digits) if digits.isdigit() else 0
            keyword, equals, value = payload[space + 1 : max(end - 1, 0)].partition(b"=")
            if not keyword or not equals or payload[end - 1 : end] != b"\n":
                raise ValueError("an extension header holds a malformed record")
            count += 1
            if count > self._limit_records:
                raise ValueError(f"an extension header holds more than {self._limit_records} records")
            yield keyword, value
            position = end

    def _first_zero_block(self) -> None:
        if self._announced:
            raise self._damaged("an extension header describes no member")
        self._await(self._second_zero_block, BLOCK_BYTES)

    def _second_zero_block(self, block: bytes) -> None:
        if block != _ZERO_BLOCK:
            raise self._damaged("one block of zeros stands between members")
        self._await(self._padding, BLOCK_BYTES)

    def _padding(self, block: bytes) -> None:
        if block != _ZERO_BLOCK:
            raise self._trailing_data()

    def _await(self, expect: Callable[[bytes], None], wanted_bytes: int) -> None:
        self._expect, self._wanted_bytes = expect, wanted_bytes

    def _damaged(self, words: str) -> ArchiveInvalid:
        return ArchiveInvalid(f"The archive is damaged after {self._members} members: {words}.")

    def _trailing_data(self) -> ArchiveInvalid:
        return ArchiveInvalid("The archive has trailing data after its end marker: make the backup again.")


def _check_member(typeflag: bytes, records: Mapping[bytes, bytes], size_bytes: int) -> None:
    if typeflag == _SPARSE_TYPE:
        raise ValueError("sparse members are not supported, but for those of version 1.0")
    sparse = is_sparse(records)
    if typeflag in _FILE_TYPES:
        return
    if typeflag not in _HEADER_ONLY_TYPES:
        raise ValueError(f"members of type {typeflag!r} are not supported")
    if size_bytes or sparse:
        raise ValueError("a member that is not a file declares data")


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def _checksum(block: bytes) -> int:
    """The sum of the header's bytes, with the checksum field read as eight spaces (POSIX.1-1988, section 10.1.1)."""
    # Adler-32 (RFC 1950) keeps 1 + the sum of the bytes modulo 65521 in its low half: exact for 256 bytes, and
    # several times as fast as summing in Python.
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    return total - sum(block[148:156]) + 8 * 0x20
