"""Gives the plain bytes of a stored part back, and raises for one that is cut, damaged or too large."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

from containers_app.archives.codecs import age_passphrase, age_recipients
from containers_app.archives.codecs.age_stream import VERSION_LINE
from containers_app.archives.codecs.compression import decompressed
from containers_app.archives.codecs.keys import Keys
from containers_app.archives.codecs.pipes import ChunkReader, Pipe
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, KeyMissing

CHUNK_BYTES = 1024 * 1024


class DecodedPart:
    """A ByteSource. Only who has read it to its end knows that the part is whole."""

    def __init__(self, chunks: Iterator[bytes], limit_bytes: int | None) -> None:
        self._reader = ChunkReader(chunks)
        self._limit_bytes = limit_bytes
        self._done_bytes = 0
        self._failure: BaseException | None = None

    def read(self, size_bytes: int, /) -> bytes:
        """Between one and `size_bytes` plain bytes, or none at the end. Raises what `decoded` says, then again."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._next(size_bytes)
        except BaseException as error:
            # Whoever goes on reading must not take the rest of a failed stream for its end.
            self._failure = error
            raise

    def _next(self, size_bytes: int) -> bytes:
        piece = self._reader.read(size_bytes)
        self._done_bytes += len(piece)
        if self._limit_bytes is not None and self._done_bytes > self._limit_bytes:
            raise ArchiveInvalid(f"The part holds more than the {self._limit_bytes} bytes that it may hold.")
        return piece


@contextmanager
def decoded(
    part_codec: str, encryption: str | None, source: BinaryIO, *, keys: Keys | None, limit_bytes: int | None = None
) -> Iterator[DecodedPart]:
    """The plain bytes of one stored part; `part_codec` and `encryption` as its manifest names them.

    `limit_bytes` is the most that it may hold: state what the manifest says, since a small file may decompress to
    anything. The source is read from a thread when the part is encrypted; leaving the context leaves none. Memory is
    constant, besides a zstd window of 128 MiB at most and up to 1 GiB for a passphrase. Entering and reading raise
    ArchiveTruncated or ArchiveInvalid for what is no whole part, KeyMissing, WrongKey, and what the source raises.
    """
    chunks = iter(lambda: source.read(CHUNK_BYTES), b"")
    with ThreadPoolExecutor(max_workers=1) as pool:
        pipe = Pipe()
        try:
            if encryption is not None:
                chunks = _decrypted(ChunkReader(chunks), keys or Keys(), pool, pipe)
            if part_codec != "none":
                chunks = decompressed(chunks, part_codec)
            yield DecodedPart(chunks, limit_bytes)
        finally:
            pipe.fail(_Abandoned())


class _Abandoned(Exception):
    """Nobody wants the rest."""


def _decrypted(source: ChunkReader, keys: Keys, pool: ThreadPoolExecutor, pipe: Pipe) -> Iterator[bytes]:
    start = source.read_fully(len(age_passphrase.MARK))
    source.unread(start)
    _check_start(start)
    if start == age_passphrase.MARK:
        if keys.passphrase is None:
            raise KeyMissing("The part is encrypted with a passphrase: send it.")
        return age_passphrase.decrypt(keys.passphrase, source)
    future = pool.submit(age_recipients.decrypt, keys, source, pipe.put)
    future.add_done_callback(lambda future: _end(pipe, future))
    return iter(pipe.get, b"")


def _check_start(start: bytes) -> None:
    line = VERSION_LINE
    if start.startswith(line):
        return
    if line.startswith(start):
        raise ArchiveTruncated("The part broke off in its first line: make the backup again.")
    raise ArchiveInvalid("The part is damaged: it does not begin as an age file does.")


def _end(pipe: Pipe, future: Future[None]) -> None:
    error = future.exception()
    if error is None:
        pipe.close()
    else:
        pipe.fail(error)
