"""Reads what a tar header says of its member, for whoever wants to know more than that the archive is whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["file", "folder", "symlink", "hardlink", "character", "block", "fifo"]

LARGEST_NUMBER = 2**63 - 1
# POSIX.1-2001, "ustar Interchange Format"; type 7 is "high performance", which every reader takes for a file.
KINDS: Mapping[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "character",
    b"4": "block",
    b"5": "folder",
    b"6": "fifo",
}
LINKS = frozenset(("symlink", "hardlink"))
SPARSE_PREFIX = b"GNU.sparse."
SPARSE_NAME, SPARSE_SIZE = b"GNU.sparse.name", b"GNU.sparse.realsize"
# What a header for a whole archive must not set: readers differ in which member it reaches.
MEMBER_KEYWORDS = frozenset((b"path", b"linkpath", b"size", b"mtime", b"uid", b"gid"))

_SPARSE_KEYWORDS = frozenset((b"GNU.sparse.major", b"GNU.sparse.minor", SPARSE_NAME, SPARSE_SIZE))
_USTAR_MAGIC = b"ustar\0"
_SECONDS = re.compile(rb"(-?)([0-9]{1,19})(?:\.([0-9]*))?")
_PERMISSION_BITS = 0o7777


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """One member as its headers describe it.

    `path` and `target` are the bytes of the archive, unchanged; `target` is empty for what is no link. `size_bytes` is
    the size that the file has once restored, `stored_bytes` what stands in the archive for it; they differ in a sparse
    file. `mtime_ns` counts from 1970, UTC, and may be negative. Offsets count from the start of the plain tar:
    `header_offset` is where the first header of this member starts, extension headers included, `data_offset` where its
    content does. `records` are its pax records, in which a GNU long name stands as `path` or `linkpath`.
    """

    path: bytes
    kind: Kind
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime_ns: int
    target: bytes
    header_offset: int
    data_offset: int
    stored_bytes: int
    sparse: bool
    records: Mapping[bytes, bytes]


class MemberObserver(Protocol):
    """Who is told what passes."""

    def member(self, member: TarMember, /) -> None:
        """The headers of the next member have passed."""

    def content(self, piece: memoryview, /) -> None:
        """The next stored bytes of that member, without padding; the piece is valid during this call only."""


def member_of(
    block: bytes, records: Mapping[bytes, bytes], *, header_offset: int, data_offset: int, stored_bytes: int
) -> TarMember:
    """The member of a header block and the records of the extension headers before it. Raises ValueError, in words."""
    path, kind = _text(records.get(b"path"), _path(block)), KINDS[block[156:157]]
    sparse = is_sparse(records)
    if sparse:
        path = _text(records[SPARSE_NAME], b"")
    if not path:
        raise ValueError("a member has no name")
    return TarMember(
        path=path,
        kind=_kind(block, path, stored_bytes),
        mode=number(block[100:108]) & _PERMISSION_BITS,
        uid=_owner(records.get(b"uid"), block[108:116]),
        gid=_owner(records.get(b"gid"), block[116:124]),
        size_bytes=decimal(records[SPARSE_SIZE]) if sparse else stored_bytes,
        mtime_ns=_mtime_ns(records.get(b"mtime"), block[136:148]),
        target=_target(block, records) if kind in LINKS else b"",
        header_offset=header_offset,
        data_offset=data_offset,
        stored_bytes=stored_bytes,
        sparse=sparse,
        records=records,
    )


def clean_path(path: bytes) -> bytes:
    """The path without `.`, empty components and slashes at its ends, as a reader understands it; empty is the root."""
    if not path.startswith((b"/", b"./")) and b"//" not in path and b"/." not in path and path != b".":
        return path.removesuffix(b"/")
    return b"/".join(component for component in path.split(b"/") if component not in (b"", b"."))


def is_sparse(records: Mapping[bytes, bytes]) -> bool:
    """Whether they announce a sparse file of version 1.0, the only one that GNU tar, Go and Python read alike.

    GNU tar's manual, "Storing Sparse Files": the content starts with a map. Raises ValueError for other versions.
    """
    found = [keyword for keyword in records if keyword[:11] == SPARSE_PREFIX] if records else None
    if not found:
        return False
    if set(found) != _SPARSE_KEYWORDS or (records[b"GNU.sparse.major"], records[b"GNU.sparse.minor"]) != (b"1", b"0"):
        raise ValueError("sparse members are not supported, but for those of version 1.0")
    return True


def number(field: bytes) -> int:
    """An octal field, or a GNU base-256 one (first byte 0x80); only the latter holds 8 GiB and more.

    Raises ValueError.
    """
    if field[0] == 0x80:
        return _bounded(int.from_bytes(field[1:], "big"))
    digits = field.strip(b" \0")
    if digits.translate(None, b"01234567"):
        raise ValueError("a number in the next header is malformed")
    return int(digits or b"0", 8)


def decimal(value: bytes) -> int:
    """A pax number of 0 to 2^63 - 1. Raises ValueError."""
    if not value.isdigit() or len(value) > len(str(LARGEST_NUMBER)):
        raise ValueError("a size or an owner in an extension header is not a number")
    return _bounded(int(value))


def _bounded(value: int) -> int:
    if value > LARGEST_NUMBER:
        raise ValueError("a member declares an impossible size")
    return value


def _signed(field: bytes) -> int:
    """As `number`, or a negative one in base 256 (first byte 0xff)."""
    return int.from_bytes(field, "big", signed=True) if field[0] == 0xFF else number(field)


def _path(block: bytes) -> bytes:
    name, prefix = _until_nul(block[:100]), b""
    if block[257:263] == _USTAR_MAGIC:
        prefix = _until_nul(block[345:500])
    return prefix + b"/" + name if prefix else name


def _target(block: bytes, records: Mapping[bytes, bytes]) -> bytes:
    target = _text(records.get(b"linkpath"), _until_nul(block[157:257]))
    if not target:
        raise ValueError("a link has no target")
    return target


def _kind(block: bytes, path: bytes, stored_bytes: int) -> Kind:
    """The kind; before POSIX a folder was a file whose name ends in a slash, which readers know of type NUL alone."""
    typeflag = block[156:157]
    kind = KINDS[typeflag]
    if kind != "file" or not path.endswith(b"/"):
        return kind
    if typeflag != b"\0" or stored_bytes:
        raise ValueError("the name of a file ends in a slash")
    return "folder"


def _owner(record: bytes | None, field: bytes) -> int:
    return _signed(field) if record is None else decimal(record)


def _mtime_ns(record: bytes | None, field: bytes) -> int:
    if record is None:
        return _time(_signed(field)) * 10**9
    found = _SECONDS.fullmatch(record)
    if found is None:
        raise ValueError("a time in an extension header is malformed")
    sign, seconds, fraction = found.groups(default=b"")
    nanoseconds = _time(int(seconds)) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return -nanoseconds if sign else nanoseconds


def _time(seconds: int) -> int:
    if not -LARGEST_NUMBER < seconds < LARGEST_NUMBER:
        raise ValueError("a member has an impossible time")
    return seconds


def _text(record: bytes | None, otherwise: bytes) -> bytes:
    if record is None:
        return otherwise
    if b"\0" in record:
        raise ValueError("a name in an extension header holds a NUL byte")
    return record


def _until_nul(field: bytes) -> bytes:
    return field.partition(b"\0")[0]
