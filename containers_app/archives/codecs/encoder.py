"""Puts compression and encryption between a plain stream and where it is stored, each in a thread of its own.

While one chunk is stored, the next one is encrypted, the one after it compressed, and yet another read and hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from containers_app.archives.codecs import age_passphrase, age_recipients
from containers_app.archives.codecs.compression import compressor_for
from containers_app.archives.codecs.pipes import ChunkReader, Pipe
from containers_app.specs.encoding import Encoding

Write = Callable[[bytes], None]
_Work = Callable[[Pipe, Write], None]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What was handed on to be stored: its size, and its SHA-256 in lower-case hex."""

    size_bytes: int
    sha256: str


class EncodedSink:
    """Takes a plain stream and hands on what is to be stored of it; see `encoding_writer`."""

    def __init__(self, stages: list[_Stage], store: _Store, write: Write) -> None:
        self._stages, self._store, self._write = stages, store, write

    def write(self, chunk: bytes | memoryview) -> None:
        """Encode the next plain bytes. Raises what storing earlier ones raised."""
        if chunk:
            self._write(bytes(chunk))

    def finish(self) -> Stored:
        """Wait until all is handed on. Raises what storing it raised."""
        for stage in self._stages:
            stage.finish()
        return self._store.summary()


@contextmanager
def encoding_writer(encoding: Encoding, write: Callable[[bytes | memoryview], None]) -> Iterator[EncodedSink]:
    """A sink for one part's plain bytes, whose stored bytes go to `write`: write them all, then `finish`.

    `write` is called from another thread unless the encoding is plain. Leaving the context without `finish` discards
    what is under way; either way it leaves no thread. Memory is constant: a few chunks for each thread, what the
    compressor needs, and 256 MiB for a second for a passphrase.
    """
    store, works = _Store(write), _works(encoding)
    stages: list[_Stage] = []
    with ThreadPoolExecutor(max_workers=max(len(works), 1)) as pool:
        following: Write = store.write
        try:
            for work in reversed(works):
                stages.insert(0, _Stage(pool, work, following))
                following = stages[0].pipe.put
            yield EncodedSink(stages, store, following)
        finally:
            for stage in stages:
                stage.pipe.fail(_Abandoned())


def _works(encoding: Encoding) -> list[_Work]:
    works: list[_Work] = []
    if encoding.codec != "none":
        works.append(partial(_compress, encoding))
    if encoding.encrypted:
        works.append(partial(_encrypt, encoding))
    return works


def _compress(encoding: Encoding, pipe: Pipe, write: Write) -> None:
    compressor = compressor_for(encoding)
    while chunk := pipe.get():
        if compressed := compressor.compress(chunk):
            write(compressed)
    write(compressor.flush())


def _encrypt(encoding: Encoding, pipe: Pipe, write: Write) -> None:
    source = ChunkReader(iter(pipe.get, b""))
    if encoding.passphrase is not None:
        age_passphrase.encrypt(encoding.passphrase, source, write)
    else:
        age_recipients.encrypt(encoding.recipients, source, write)


class _Abandoned(Exception):
    """Nobody wants the rest."""


class _Stage:
    """One thread that works on what comes through its pipe."""

    def __init__(self, pool: ThreadPoolExecutor, work: _Work, write: Write) -> None:
        self.pipe = Pipe()
        self._write = write
        self._future = pool.submit(work, self.pipe, self._hand_on)
        self._future.add_done_callback(self._ended)

    def finish(self) -> None:
        """Wait until everything that was put is handed on. Raises what stopped the work."""
        self.pipe.close()
        wait([self._future])
        error = self.pipe.failure or self._future.exception()
        if error is not None:
            raise error

    def _hand_on(self, chunk: bytes) -> None:
        try:
            self._write(chunk)
        except BaseException as error:
            # pyrage puts an error of its own in the place of this one, so it is noted first.
            self.pipe.fail(error)
            raise

    def _ended(self, future: Future[None]) -> None:
        error = future.exception()
        if error is not None:
            self.pipe.fail(error)


class _Store:
    """The end of the line: counts and hashes what it hands on."""

    def __init__(self, write: Callable[[bytes | memoryview], None]) -> None:
        self._write = write
        self._digest = hashlib.sha256()
        self._size_bytes = 0

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._size_bytes += len(chunk)
        self._write(chunk)

    def summary(self) -> Stored:
        return Stored(size_bytes=self._size_bytes, sha256=self._digest.hexdigest())
