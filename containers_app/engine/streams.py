"""Streams of an Engine that cannot hang: the SDK's own generators switch the socket's time-out off, these never do."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import requests

from containers_app.engine.errors import STREAM_FAILURES, stream_failure
from containers_app.engine.transport import EngineLimits
from containers_app.errors import EngineUnavailable, StreamBroken
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL, EngineEvent

EVENT_TYPES = ("container", "volume", "network", "image")
EVENT_LIMIT_BYTES = 1024 * 1024
_EVENT_BLOCK_BYTES = 64 * 1024
_FRAME_HEAD_BYTES = 8
_FRAMES_BYTES = 256 * 1024
_FRAME_LIMIT_BYTES = 16 * 1024 * 1024


class ByteStream:
    """The body of one streamed answer, in constant memory.

    A short read means the end, as with a file; the end of an HTTP body does not prove that the Engine sent everything
    (it ends the body cleanly after a read error of its own), so the bytes must be judged by their format.
    """

    def __init__(self, response: requests.Response, endpoint: Endpoint, limits: EngineLimits) -> None:
        self._response = response
        self._endpoint = endpoint
        self._limits = limits
        self._aborted = threading.Event()

    def read(self, size_bytes: int) -> bytes:
        """`size_bytes` bytes; fewer only at the end, b"" at and after it.

        Raises StreamStalled when no byte came for `stall_seconds`, StreamBroken when the answer broke off or `abort`
        was called, TimedOut when the operation's own time is over.
        """
        parts: list[bytes] = []
        missing = size_bytes
        while missing > 0:
            part = self.read_some(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def abort(self) -> None:
        """End the stream from another thread: a read that is blocked raises StreamBroken at once."""
        self._aborted.set()
        shut_down(self._response)

    def read_some(self, limit_bytes: int) -> bytes:
        """What comes next, after one wait on the socket at most; b"" at the end. Raises as `read` does."""
        self._limits.within(self._limits.stall_seconds)
        try:
            part: bytes = self._response.raw.read1(limit_bytes, decode_content=False)
        except STREAM_FAILURES as error:
            raise self._failure(error) from error
        if self._aborted.is_set():
            raise StreamBroken("The stream was stopped on request.")
        return part

    def _failure(self, error: BaseException) -> EngineUnavailable:
        if self._aborted.is_set():
            return StreamBroken("The stream was stopped on request.")
        return stream_failure(self._endpoint, error, self._limits.stall_seconds)


class InputStream:
    """What is written to a container's standard input, in frames: a cut is seen there, because the last frame lacks.

    A frame is the length in 4 bytes, then the content; an empty frame is the end.
    """

    def __init__(self, response: requests.Response, endpoint: Endpoint, limits: EngineLimits) -> None:
        connected: socket.socket | None = getattr(response.raw.connection, "sock", None)
        if connected is None or response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            raise StreamBroken(f"The Engine at {endpoint.url} does not let anything be written to a container.")
        self._socket = connected
        self._endpoint = endpoint
        self._limits = limits

    def send(self, content: bytes) -> None:
        """Send one frame. Raises StreamStalled when it is not taken for `stall_seconds`, StreamBroken, TimedOut."""
        self._socket.settimeout(self._limits.within(self._limits.stall_seconds))
        try:
            self._socket.sendall(len(content).to_bytes(4, "big"))
            self._socket.sendall(content)
        except STREAM_FAILURES as error:
            raise stream_failure(self._endpoint, error, self._limits.stall_seconds) from error

    def abort(self) -> None:
        """End it from another thread: a write that is blocked raises StreamBroken at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class FrameStream:
    """A container's output as the Engine multiplexes it: (channel, content), where channel 1 is what it prints.

    Engine API, operation ContainerAttach: 1 byte of channel, 3 empty, 4 of length, content.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._taken, self._position = b"", 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> tuple[int, bytes] | None:
        """The next frame. Many come at once: to ask the connection for each head and each content costs the most."""
        while True:
            content = self._position + _FRAME_HEAD_BYTES
            length = int.from_bytes(self._taken[content - 4 : content], "big")
            end = content + length
            if content <= len(self._taken) and length > _FRAME_LIMIT_BYTES:
                raise StreamBroken("The container's output broke off.")
            if content <= len(self._taken) and end <= len(self._taken):
                channel, self._position = self._taken[self._position], end
                return channel, self._taken[content:end]
            more = self._stream.read_some(_FRAMES_BYTES)
            left = self._taken[self._position :]
            if not more and left:
                raise StreamBroken("The container's output broke off.")
            if not more:
                return None
            self._taken, self._position = left + more, 0

    def abort(self) -> None:
        """End it from another thread."""
        self._stream.abort()


class EventStream:
    """The Engine's events as they happen; it waits without a limit, and `abort` ends it from another thread.

    Iterating raises StreamBroken when the Engine goes away; it stops quietly after `abort`.
    """

    def __init__(self, response: requests.Response, endpoint: Endpoint) -> None:
        self._response = response
        self._endpoint = endpoint
        self._aborted = threading.Event()
        self._waiting = b""
        wait_forever(response)

    def __iter__(self) -> Iterator[EngineEvent]:
        return self

    def __next__(self) -> EngineEvent:
        while True:
            line = self._line()
            if line is None:
                raise StopIteration
            event = _event(line)
            if event is not None:
                return event

    def abort(self) -> None:
        self._aborted.set()
        shut_down(self._response)

    def _line(self) -> bytes | None:
        while b"\n" not in self._waiting:
            block = self._block()
            if self._aborted.is_set():
                return None
            if not block or len(self._waiting) > EVENT_LIMIT_BYTES:
                raise StreamBroken(f"The Engine at {self._endpoint.url} ended its events: is it still running?")
            self._waiting += block
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    def _block(self) -> bytes:
        try:
            block: bytes = self._response.raw.read1(_EVENT_BLOCK_BYTES, decode_content=False)
        except STREAM_FAILURES as error:
            if self._aborted.is_set():
                return b""
            raise StreamBroken(f"The Engine at {self._endpoint.url} broke off its events.") from error
        return block


def shut_down(response: requests.Response) -> None:
    """Close the reading side of the answer's socket; nothing happens when the answer was read to its end."""
    try:
        response.raw.shutdown()
    except (ValueError, RuntimeError, OSError):
        # urllib3 raises these where the connection is closed or given back already: there is nothing to stop.
        return


def wait_forever(response: requests.Response) -> None:
    """Take the time-out off the answer's socket; TCP keep-alive then notices a peer that vanished."""
    connected: socket.socket | None = getattr(response.raw.connection, "sock", None) or _own_socket(response)
    if connected is not None:
        connected.settimeout(None)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _own_socket(response: requests.Response) -> socket.socket | None:
    """That of an answer which lasts until it is closed: such a one takes the socket away from its connection."""
    file = getattr(getattr(response.raw, "_fp", None), "fp", None)
    found = getattr(getattr(file, "raw", None), "_sock", None)
    return found if isinstance(found, socket.socket) else None


def _event(line: bytes) -> EngineEvent | None:
    """One line of `GET /events` (Engine API, operation SystemEvents), or None for what is of no known type."""
    try:
        raw: Any = json.loads(line)
    except ValueError as error:
        raise StreamBroken("The Engine sent an event that is not JSON.") from error
    if not isinstance(raw, dict) or raw.get("Type") not in EVENT_TYPES:
        return None
    verb, _, rest = str(raw.get("Action", "")).partition(":")
    actor = raw.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    object_id, kind = str(actor.get("ID", "")), str(raw["Type"])
    return EngineEvent(
        action=verb,
        type=kind,
        object_id=object_id,
        container_id=object_id if kind == "container" else str(attributes.get("container", "")),
        operation_id=str(attributes.get(OPERATION_LABEL, "")),
        command_sha256=hashlib.sha256(rest.strip().encode()).hexdigest() if verb == "exec_create" else "",
        name=str(attributes.get("name", "")),
        image=str(attributes.get("image", "")),
        at_epoch_seconds=_seconds(raw),
        detail=rest.strip() if verb == "health_status" else "",
    )


def _seconds(raw: dict[str, Any]) -> float:
    nanoseconds = raw.get("timeNano")
    return float(nanoseconds) / 1e9 if nanoseconds else float(raw.get("time", 0))
