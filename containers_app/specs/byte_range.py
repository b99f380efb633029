"""Which bytes of a file a request asks for: RFC 9110, section 14, for one range."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """From `start` up to `end`, which is not part of it; both in bytes."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many bytes these are."""
        return self.end - self.start


class Unsatisfiable(ValueError):
    """Not one byte of what is asked for exists."""


def asked_range(header: str | None, *, if_range: str | None, etag: str, size_bytes: int) -> ByteRange | None:
    """The bytes that `Range` names; None: all of them.

    A range that is malformed, of another unit, or one of several is disregarded, and so is one whose `If-Range` is not
    this very `etag`: the client then gets the whole. Raises Unsatisfiable.
    """
    found = _ONE.fullmatch(header or "")
    if found is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = found.groups()
    if not first:
        return _last_bytes(int(last), size_bytes) if last else None
    start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        raise Unsatisfiable
    return ByteRange(start=start, end=end)


def _last_bytes(wanted_bytes: int, size_bytes: int) -> ByteRange:
    if not wanted_bytes or not size_bytes:
        raise Unsatisfiable
    return ByteRange(start=max(0, size_bytes - wanted_bytes), end=size_bytes)
