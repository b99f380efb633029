"""Plain HTTP calls to an Engine for arranging samples and removing what a trial made.

The product itself reaches an Engine only through the gateway, which asks for the ledger's receipt; what a person's own
terminal arranges here has none.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from containers_app.errors import EngineUnavailable
from containers_app.specs.endpoint import Endpoint


@dataclass(frozen=True)
class Answer:
    """An Engine's answer: the HTTP status and the body."""

    status: int
    body: bytes

    @property
    def is_good(self) -> bool:
        """2xx, or 304 for what is so already."""
        return 200 <= self.status < 300 or self.status == 304

    def json(self) -> Any:
        """The body as JSON, None when it is empty. Raises ValueError."""
        return json.loads(self.body) if self.body.strip() else None

    def message(self) -> str:
        """What the Engine says is wrong."""
        try:
            return str(self.json()["message"])
        except (ValueError, TypeError, KeyError):
            return f"HTTP {self.status}"


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("engine", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class EngineCalls:
    """One Engine; a connection a call."""

    endpoint: Endpoint
    seconds: float = 30.0

    def answers(self) -> bool:
        """Whether the Engine answers a ping."""
        try:
            return self.call("GET", "/_ping").is_good
        except EngineUnavailable:
            return False

    def call(self, method: str, path: str, *, body: object = None, query: Mapping[str, str] | None = None) -> Answer:
        """One request, `body` sent as JSON. Raises EngineUnavailable when there is no answer."""
        target = f"{path}?{urlencode(query)}" if query else path
        connection = self._connection()
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, target, body=None if body is None else json.dumps(body), headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise EngineUnavailable(f"The Engine at {self.endpoint.url} does not answer.") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.endpoint.scheme == "unix":
            return _SocketConnection(self.endpoint.address, self.seconds)
        if self.endpoint.scheme == "http":
            return http.client.HTTPConnection(self.endpoint.address, timeout=self.seconds)
        return http.client.HTTPSConnection(self.endpoint.address, timeout=self.seconds, context=self._trust())

    def _trust(self) -> ssl.SSLContext:
        if self.endpoint.tls_directory is None:
            return ssl.create_default_context()
        folder = Path(self.endpoint.tls_directory)
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        return context
