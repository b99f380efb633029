"""How bytes pass between the threads of a pipeline: bounded, and an error at one end is known at the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition

LIMIT_CHUNKS = 4


class Pipe:
    """Chunks on their way from one thread to one other, LIMIT_CHUNKS at most.

    After the first `fail`, both ends raise its error: what waits in the pipe is not given out any more.
    """

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._changed = Condition()
        self._closed = False
        self.failure: BaseException | None = None

    def put(self, chunk: bytes) -> None:
        """Append a chunk that is not empty; waits while the pipe is full."""
        with self._changed:
            self._changed.wait_for(lambda: self.failure or len(self._chunks) < LIMIT_CHUNKS)
            self._raise_failure()
            self._chunks.append(chunk)
            self._changed.notify_all()

    def get(self) -> bytes:
        """The next chunk, or none at the end; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self.failure or self._chunks or self._closed)
            self._raise_failure()
            chunk = self._chunks.popleft() if self._chunks else b""
            self._changed.notify_all()
            return chunk

    def close(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Let both ends raise this error, unless another one came first."""
        with self._changed:
            self.failure = self.failure or error
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure


class ChunkReader:
    """Reads by size what comes in chunks of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size_bytes: int, /) -> bytes:
        """Between one and `size_bytes` bytes, or none at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece, self._rest = self._rest[:size_bytes], self._rest[size_bytes:]
        return bytes(piece)

    def read_fully(self, size_bytes: int) -> bytes:
        """Exactly `size_bytes` bytes, unless the end comes first."""
        pieces, missing_bytes = [], size_bytes
        while missing_bytes and (piece := self.read(missing_bytes)):
            pieces.append(piece)
            missing_bytes -= len(piece)
        return b"".join(pieces)

    def unread(self, content: bytes) -> None:
        """Put back what was read last."""
        self._rest = memoryview(content + bytes(self._rest))
