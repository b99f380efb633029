"""Reads the map that starts the content of a sparse member: where in the file its stored bytes belong."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from containers_app.archives.tar_member import LARGEST_NUMBER

MAP_LIMIT_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 512

_DIGITS = len(str(LARGEST_NUMBER))


class SparseMap:
    """Gathers a map from blocks of 512 bytes; memory is at most a few times the limit.

    The format is that of GNU tar's manual, "Storing Sparse Files", PAX 1.0: decimal numbers, each with a newline behind
    it, first the count of regions, then offset and length of each; zeros fill the last block. All methods raise
    ValueError, in words.
    """

    def __init__(self, *, limit_bytes: int = MAP_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._text = bytearray()
        self._newlines = 0
        self._wanted_newlines: int | None = None

    @property
    def map_bytes(self) -> int:
        """What the map takes of the member's content so far, a multiple of 512."""
        return len(self._text)

    def add(self, block: bytes) -> bool:
        """Take the next 512 bytes; returns whether the map is complete with them."""
        self._text += block
        if len(self._text) > self._limit_bytes:
            raise ValueError(f"the map of a sparse file has more than {self._limit_bytes} bytes")
        self._newlines += block.count(b"\n")
        if self._wanted_newlines is None and self._newlines:
            self._wanted_newlines = 1 + 2 * _number(self._text, 0, self._text.index(b"\n"))
        return self._wanted_newlines is not None and self._newlines >= self._wanted_newlines

    def regions(self, *, size_bytes: int, stored_bytes: int) -> Iterator[tuple[int, int]]:
        """Offset and length of each region of a file of `size_bytes`, in order and apart from each other.

        `stored_bytes` is what the archive holds for the member, this map included: the regions must fill it.
        """
        numbers, end, data_bytes = self._numbers(), 0, 0
        for offset, length in zip(numbers[::2], numbers[1::2], strict=True):
            if offset < end or offset + length > size_bytes:
                raise ValueError("the map of a sparse file has overlapping regions, or some beyond its end")
            end, data_bytes = offset + length, data_bytes + length
            yield offset, length
        if data_bytes != stored_bytes - len(self._text):
            raise ValueError("the map of a sparse file does not fit its content")

    def _numbers(self) -> array[int]:
        numbers, start = array("Q"), self._text.index(b"\n") + 1
        for _ in range((self._wanted_newlines or 1) - 1):
            end = self._text.index(b"\n", start)
            numbers.append(_number(self._text, start, end))
            start = end + 1
        if self._text[start:].strip(b"\0"):
            raise ValueError("the map of a sparse file is followed by something else")
        return numbers


def _number(text: bytearray, start: int, end: int) -> int:
    digits = text[start : min(end, start + _DIGITS + 1)]
    value = int(digits) if digits.isdigit() else LARGEST_NUMBER + 1
    if value > LARGEST_NUMBER:
        raise ValueError("a number in the map of a sparse file is malformed")
    return value
