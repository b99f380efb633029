"""A socket that answers HTTP requests with whatever bytes a test scripts: the faults no healthy Engine shows."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from containers_app.specs.endpoint import Endpoint

Script = Callable[[socket.socket, str], None]
PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"


def json_answer(body: str, status: str = "200 OK") -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def chunked_head() -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


class ScriptedEngine:
    """Answers `/_ping` properly and leaves every other request to the script, which gets its first line."""

    def __init__(self, listening: socket.socket, script: Script, *, ping: bytes = PING) -> None:
        self.requests: list[str] = []
        self.released = threading.Event()
        self._listening = listening
        self._script = script
        self._ping = ping
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as incoming:
            while line := incoming.readline().decode().strip():
                size_bytes = 0
                while header := incoming.readline().decode().strip():
                    name, _, value = header.partition(":")
                    size_bytes = int(value) if name.lower() == "content-length" else size_bytes
                incoming.read(size_bytes)
                self.requests.append(line)
                if " /_ping " in line:
                    connection.sendall(self._ping)
                else:
                    self._script(connection, line)

    def close(self) -> None:
        self.released.set()
        # accept() sleeps on after a close() from another thread, not after a shutdown().
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in (self._accepting, *self._threads):
            thread.join(timeout=5)


@contextlib.contextmanager
def scripted(script: Script, *, ping: bytes = PING) -> Iterator[tuple[ScriptedEngine, Endpoint]]:
    """A scripted Engine on a unix socket."""
    with tempfile.TemporaryDirectory(prefix="scripted-") as folder:
        path = Path(folder) / "engine.sock"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        engine = ScriptedEngine(listening, script, ping=ping)
        try:
            yield engine, Endpoint("unix", str(path))
        finally:
            engine.close()


@contextlib.contextmanager
def scripted_over_network(
    script: Script, *, context: ssl.SSLContext | None = None, tls_directory: str | None = None
) -> Iterator[tuple[ScriptedEngine, Endpoint]]:
    """A scripted Engine on a TCP port of this machine, with TLS where a context is given."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    if context is not None:
        listening = context.wrap_socket(listening, server_side=True)
    engine = ScriptedEngine(listening, script)
    try:
        yield engine, Endpoint("https" if context else "http", f"127.0.0.1:{port}", tls_directory)
    finally:
        engine.close()
