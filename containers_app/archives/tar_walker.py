"""Walks a tar stream while it passes, because the clean end of an HTTP body does not prove a complete archive."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from containers_app.errors import ArchiveInvalid, ArchiveTruncated

BLOCK_BYTES = 512
EXTENSION_LIMIT_BYTES = 1024 * 1024

_ZERO_BLOCK = bytes(BLOCK_BYTES)
_LARGEST_SIZE_BYTES = 2**63 - 1
_FILE_TYPES = frozenset((b"0", b"\0", b"7"))
_HEADER_ONLY_TYPES = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_EXTENSION_TYPES = frozenset((b"x", b"g", b"L", b"K"))
_SPARSE_TYPE = b"S"


@dataclass(frozen=True)
class TarSummary:
    """What a whole archive held: `members` counts files, folders, links and devices, not extension headers."""

    members: int


class TarWalker:
    """Reads headers, skips payloads, and says whether a stream was one whole tar archive.

    Feed every chunk in order, then call `finish`. Memory does not grow with the archive: payloads are skipped by
    arithmetic, and an extension header over 1 MiB is refused. Formats: POSIX.1-1988 ustar, POSIX.1-2001 pax
    (`x`, `g`; a `size` record replaces the size of the member after it) and GNU (`L`, `K`, base-256 numbers).
    What readers understand differently is refused, since then no reader proves what another one restores.
    """

    def __init__(self) -> None:
        self._expect: Callable[[bytes], None] = self._header
        self._wanted_bytes = BLOCK_BYTES
        self._gathered = bytearray()
        self._skip_bytes = 0
        self._extension_type = b""
        self._extension_bytes = 0
        self._announced = b""
        self._size_override: int | None = None
        self._members = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Walk the next bytes of the stream, any number of them. Raises ArchiveInvalid."""
        view = memoryview(chunk)
        position, length = 0, len(view)
        while position < length:
            if self._skip_bytes:
                step = min(self._skip_bytes, length - position)
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
        if block == _ZERO_BLOCK:
            self._first_zero_block()
            return
        if _checksum(block) != self._number(block[148:156]):
            raise self._damaged("the checksum of the next header is wrong")
        typeflag, size_bytes = block[156:157], self._number(block[124:136])
        if typeflag in _EXTENSION_TYPES:
            self._start_extension(typeflag, size_bytes)
        else:
            self._start_member(typeflag, size_bytes if self._size_override is None else self._size_override)

    def _start_member(self, typeflag: bytes, size_bytes: int) -> None:
        if typeflag in _FILE_TYPES:
            self._skip_bytes = _padded(size_bytes)
        elif typeflag == _SPARSE_TYPE:
            raise self._damaged("sparse members are not supported")
        elif typeflag not in _HEADER_ONLY_TYPES:
            raise self._damaged(f"members of type {typeflag!r} are not supported")
        elif size_bytes:
            raise self._damaged("a member that is not a file declares data")
        self._announced = b""
        self._size_override = None
        self._members += 1

    def _start_extension(self, typeflag: bytes, size_bytes: int) -> None:
        if size_bytes > EXTENSION_LIMIT_BYTES:
            raise self._damaged(
                f"an extension header has {size_bytes} bytes, over the limit of {EXTENSION_LIMIT_BYTES}"
            )
        if typeflag in self._announced:
            raise self._damaged("two extension headers of one kind describe the same member")
        if typeflag != b"g":
            self._announced += typeflag
        self._extension_type, self._extension_bytes = typeflag, size_bytes
        if size_bytes:
            self._await(self._extension, _padded(size_bytes))

    def _extension(self, payload: bytes) -> None:
        self._await(self._header, BLOCK_BYTES)
        if self._extension_type not in b"xg":
            return
        for keyword, value in self._records(payload[: self._extension_bytes]):
            if keyword.startswith(b"GNU.sparse."):
                raise self._damaged("sparse members are not supported")
            if keyword == b"size":
                self._override_size(value)

    def _override_size(self, value: bytes) -> None:
        if self._extension_type == b"g":
            raise self._damaged("a global extension header sets a size")
        if not value.isdigit() or len(value) > len(str(_LARGEST_SIZE_BYTES)):
            raise self._damaged("the size in an extension header is not a number")
        self._size_override = self._bounded(int(value))

    def _records(self, payload: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The keyword and value of each pax record, `"%d %s=%s\\n" % (length, keyword, value)`."""
        position = 0
        while position < len(payload):
            space = payload.find(b" ", position, position + 8)
            digits = payload[position : max(space, position)]
            end = position + int(digits) if digits.isdigit() else 0
            keyword, equals, value = payload[space + 1 : max(end - 1, 0)].partition(b"=")
            if not keyword or not equals or payload[end - 1 : end] != b"\n":
                raise self._damaged("an extension header holds a malformed record")
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

    def _number(self, field: bytes) -> int:
        """An octal field, or a GNU base-256 one (first bit set); only the latter holds 8 GiB and more."""
        if field[0] == 0x80:
            return self._bounded(int.from_bytes(field[1:], "big"))
        digits = field.strip(b" \0")
        if digits.translate(None, b"01234567"):
            raise self._damaged("a number in the next header is malformed")
        return int(digits or b"0", 8)

    def _bounded(self, size_bytes: int) -> int:
        if size_bytes > _LARGEST_SIZE_BYTES:
            raise self._damaged("a member declares an impossible size")
        return size_bytes

    def _damaged(self, words: str) -> ArchiveInvalid:
        return ArchiveInvalid(f"The archive is damaged after {self._members} members: {words}.")

    def _trailing_data(self) -> ArchiveInvalid:
        return ArchiveInvalid("The archive has trailing data after its end marker: make the backup again.")


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def _checksum(block: bytes) -> int:
    """The sum of the header's bytes, with the checksum field read as eight spaces (POSIX.1-1988, section 10.1.1)."""
    # Adler-32 (RFC 1950) keeps 1 + the sum of the bytes modulo 65521 in its low half: exact for 256 bytes, and
    # several times as fast as summing in Python.
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    return total - sum(block[148:156]) + 8 * 0x20
