"""Stands before a real Engine and lets one answer hang or end early, so that a fault happens at a chosen byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

BLOCK_BYTES = 64 * 1024
LONGEST_HOLD_SECONDS = 60.0


@dataclass
class Fault:
    """What happens to answers of requests whose first line has `path` in it.

    `hold_bytes`: stop after so many raw bytes until `release()`. `cut_bytes`: end the body of an answer in HTTP/1.0
    cleanly after so many bytes of it, as a proxy or a handler that gave up does. `skip`: so many such requests pass
    before. `asked` is set when such a request has passed.
    """

    path: str
    hold_bytes: int | None = None
    cut_bytes: int | None = None
    skip: int = 0
    asked: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let what is held go on."""
        self.released.set()


class FaultProxy:
    """A unix socket that passes everything on to the Engine's, truthfully but for one fault at a time."""

    def __init__(self, path: Path, upstream: str) -> None:
        self.url = f"unix://{path}"
        self._upstream = upstream
        self._fault: Fault | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @contextlib.contextmanager
    def fault(
        self, path: str, *, hold_bytes: int | None = None, cut_bytes: int | None = None, skip: int = 0
    ) -> Iterator[Fault]:
        """While inside, answers to requests for `path` suffer this."""
        self._fault = fault = Fault(path, hold_bytes=hold_bytes, cut_bytes=cut_bytes, skip=skip)
        try:
            yield fault
        finally:
            self._fault = None
            fault.release()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = socket.socket(socket.AF_UNIX)
        with client, upstream:
            try:
                upstream.connect(self._upstream)
            except OSError:
                return
            connection = _Connection(client, upstream)
            forward = threading.Thread(target=connection.pass_requests, args=(self,), daemon=True)
            forward.start()
            connection.pass_answers()
            forward.join()

    def fault_of(self, request: bytes) -> Fault | None:
        """The fault that this piece of a request asks for."""
        line = request.split(b"\r\n", 1)[0]
        fault = self._fault
        if fault is None or b" HTTP/1." not in line or fault.path.encode() not in line:
            return None
        fault.skip -= 1
        return fault if fault.skip < 0 else None


class _Connection:
    """One client and its own connection to the Engine; the SDK sends the next request only after the answer."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self._client = client
        self._upstream = upstream
        self._fault: Fault | None = None

    def pass_requests(self, proxy: FaultProxy) -> None:
        with contextlib.suppress(OSError):
            while request := self._client.recv(BLOCK_BYTES):
                self._fault = proxy.fault_of(request) or self._fault
                self._upstream.sendall(request)
                if self._fault:
                    self._fault.asked.set()
        self._close()

    def pass_answers(self) -> None:
        with contextlib.suppress(OSError):
            while block := self._upstream.recv(BLOCK_BYTES):
                fault, self._fault = self._fault, None
                if fault is None:
                    self._client.sendall(block)
                elif fault.cut_bytes is not None:
                    self._cut(block, fault, fault.cut_bytes)
                    break
                else:
                    self._hold(block, fault, fault.hold_bytes or 0)
        self._close()

    def _hold(self, block: bytes, fault: Fault, left_bytes: int) -> None:
        while len(block) < left_bytes:
            self._client.sendall(block)
            left_bytes -= len(block)
            block = self._received()
        self._client.sendall(block[:left_bytes])
        fault.reached.set()
        fault.released.wait(LONGEST_HOLD_SECONDS)
        self._client.sendall(block[left_bytes:])

    def _cut(self, block: bytes, fault: Fault, left_bytes: int) -> None:
        while b"\r\n\r\n" not in block:
            block += self._received()
        head, _, body = block.partition(b"\r\n\r\n")
        self._client.sendall(head + b"\r\n\r\n")
        while left_bytes:
            body = body or self._received()
            self._client.sendall(body[:left_bytes])
            left_bytes -= len(body[:left_bytes])
            body = b""
        fault.reached.set()

    def _received(self) -> bytes:
        block = self._upstream.recv(BLOCK_BYTES)
        if not block:
            raise ConnectionError("the Engine closed the connection")
        return block

    def _close(self) -> None:
        for end in (self._client, self._upstream):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
