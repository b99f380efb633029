"""Compresses and decompresses with libraries whose output `gzip -d` and `zstd -d` read, and the other way round."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Protocol, cast

from isal import igzip_lib, isal_zlib

from containers_app.errors import ArchiveInvalid, ArchiveTruncated
from containers_app.specs.encoding import DEFAULT_LEVELS, Encoding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 256 * 1024

_GZIP_CONTAINER = 31  # the zlib manual's windowBits: 15, and 16 for gzip's header and trailer
# isal publishes its class of errors under the type of an instance.
_GZIP_ERROR = cast("type[Exception]", igzip_lib.IsalError)


class Compressor(Protocol):
    """What both libraries offer."""

    def compress(self, chunk: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, chunk: bytes, /, max_length: int) -> bytes: ...


def compressor_for(encoding: Encoding) -> Compressor:
    """A new compressor for one part: one gzip member, or one zstd frame that ends with a checksum."""
    level = DEFAULT_LEVELS[encoding.codec] if encoding.level is None else encoding.level
    if encoding.codec == "gzip":
        return isal_zlib.compressobj(level, wbits=_GZIP_CONTAINER)
    parameter = zstd.CompressionParameter
    # A single worker would be a thread beside the one that calls, for nothing.
    workers = encoding.threads if encoding.threads > 1 else 0
    options: dict[int, int] = {
        parameter.compression_level: level,
        parameter.checksum_flag: 1,
        parameter.nb_workers: workers,
    }
    return zstd.ZstdCompressor(options=options)


def decompressed(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """The plain bytes in pieces of PIECE_BYTES at most. Raises ArchiveInvalid or ArchiveTruncated.

    The stream must be one gzip member or one zstd frame and nothing else, as MycoDocker, `gzip` and `zstd` write it: of
    several, nobody could tell that the last ones were cut off. A zstd window over 128 MiB is refused.
    """
    decompressor = _decompressor_for(codec)
    for chunk in chunks:
        if decompressor.eof:
            raise _trailing(codec)
        yield from _pieces(decompressor, chunk, codec)
        if decompressor.unused_data:
            raise _trailing(codec)
    if not decompressor.eof:
        raise ArchiveTruncated(f"The part broke off in the middle of its {codec} stream: make the backup again.")


def _decompressor_for(codec: str) -> _Decompressor:
    if codec == "gzip":
        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return zstd.ZstdDecompressor()


def _pieces(decompressor: _Decompressor, chunk: bytes, codec: str) -> Iterator[bytes]:
    try:
        while True:
            if piece := decompressor.decompress(chunk, max_length=PIECE_BYTES):
                yield piece
            if decompressor.eof or decompressor.needs_input:
                return
            chunk = b""
    except (zstd.ZstdError, _GZIP_ERROR) as error:
        raise ArchiveInvalid(f"The part is damaged: its {codec} stream cannot be decompressed.") from error


def _trailing(codec: str) -> ArchiveInvalid:
    return ArchiveInvalid(f"The part has trailing data after the end of its {codec} stream.")
