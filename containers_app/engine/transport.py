"""One verified, redirect-free, time-limited HTTP connection to an Engine; the SDK gives the transport, nothing more."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NewType
from urllib.parse import quote, urlsplit

import docker
import requests
from docker.tls import TLSConfig

from containers_app.engine.addresses import GuardedAdapter
from containers_app.engine.errors import STREAM_FAILURES, refusal, translated
from containers_app.engine.unframed import speak_unframed
from containers_app.errors import EngineError, EngineUnavailable, InvalidRequest, TimedOut
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.reference import is_full_id

# Bodies are built for these; an Engine that speaks more is asked to speak 1.51 (Docker 28.5).
LOWEST_API = "1.24"
HIGHEST_API = "1.51"
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_ANSWER_BLOCK_BYTES = 256 * 1024

ContainerId = NewType("ContainerId", str)
NetworkId = NewType("NetworkId", str)
Parameters = Mapping[str, str | list[str]]

_API = re.compile(r"1\.[0-9]{1,3}", re.ASCII)
_SERVER = re.compile(r"Docker/([0-9][0-9A-Za-z.+~-]{0,40})", re.ASCII)
_UNCHANGED = 304


@dataclass(frozen=True, kw_only=True)
class EngineLimits:
    """How long one operation waits for an Engine.

    `remaining_seconds` gives what is left of the operation's own time, or None where it has no limit.
    """

    connect_seconds: float = 5.0
    call_seconds: float = 60.0
    stall_seconds: float = 30.0
    remaining_seconds: Callable[[], float | None] = lambda: None

    def within(self, seconds: float) -> float:
        """`seconds`, or less where less is left. Raises TimedOut when nothing is left."""
        remaining = self.remaining_seconds()
        if remaining is None:
            return seconds
        if remaining <= 0:
            raise TimedOut("The operation's time limit passed before the Engine had answered.")
        return min(seconds, remaining)


def container_id(value: str) -> ContainerId:
    """The only door for container ids into a URL. Raises InvalidRequest for anything but 64 lower-case hex digits."""
    if not is_full_id(value):
        raise InvalidRequest("A container must be named to the Engine by its full id.", field="containerId")
    return ContainerId(value)


def network_id(value: str) -> NetworkId:
    """The only door for network ids into a URL of a change. Raises InvalidRequest."""
    if not is_full_id(value):
        raise InvalidRequest("A network must be named to the Engine by its full id.", field="network")
    return NetworkId(value)


def name_segment(value: str) -> str:
    """A network's or volume's name, quoted to be exactly one part of a URL's path. Raises InvalidRequest."""
    if not value or len(value) > 255 or value in (".", "..") or "/" in value or not value.isprintable():
        raise InvalidRequest("The name is not one an Engine could have given.", field="name")
    return quote(value, safe="")


class _Client(docker.APIClient):
    """The SDK's transport without its trust in the environment, its redirects and its configuration files."""

    def __init__(self, endpoint: Endpoint, limits: EngineLimits, *, framed: bool = True) -> None:
        # A stated version keeps the SDK from asking the Engine before the settings below hold.
        super().__init__(
            base_url=endpoint.url,
            version=LOWEST_API,
            timeout=int(limits.connect_seconds) or 1,
            tls=_tls(endpoint),
        )
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"
        if endpoint.guarded and endpoint.scheme != "unix":
            self.mount(f"{endpoint.scheme}://", GuardedAdapter())
        if not framed:
            self.headers["Host"] = urlsplit(endpoint.url).netloc or "docker"
            for adapter in self.adapters.values():
                speak_unframed(adapter)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options["allow_redirects"] = False
        response = super().send(request, **options)
        return response if response.status_code == _UNCHANGED else _no_redirect(response)


def _no_redirect(response: requests.Response) -> requests.Response:
    if 300 <= response.status_code < 400:
        response.close()
        raise EngineError(f"The Engine answered with a redirect ({response.status_code}), which is never followed.")
    return response


def _tls(endpoint: Endpoint) -> TLSConfig | bool:
    if endpoint.scheme != "https":
        return False
    if endpoint.tls_directory is None:
        return True
    folder = Path(endpoint.tls_directory)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    pair = (str(certificate), str(key)) if certificate.exists() or key.exists() else None
    return TLSConfig(client_cert=pair, ca_cert=str(folder / "ca.pem"), verify=True)


class EngineConnection:
    """Calls to one Engine at its negotiated API version; opened by `connect`, closed at its exit."""

    def __init__(self, client: _Client, endpoint: Endpoint, limits: EngineLimits) -> None:
        self._client = client
        self._unframed: _Client | None = None
        self._base = client.base_url.rstrip("/")
        self.endpoint = endpoint
        self.limits = limits
        self.api = LOWEST_API
        self.engine = ""

    def negotiate(self) -> None:
        """Agree on the API version, within the connect limit for the answer too."""
        seconds = self.limits.within(self.limits.connect_seconds)
        with self._limited(), self._send("GET", f"{self._base}/_ping", read_seconds=seconds) as response:
            announced = response.headers.get("Api-Version", "")
            server = _SERVER.match(response.headers.get("Server", ""))
            if response.status_code != 200 or _API.fullmatch(announced) is None:
                raise EngineUnavailable(f"What answers at {self.endpoint.url} is not a Docker Engine.")
        self.api = min(announced, HIGHEST_API, key=api_number)
        self.engine = server[1] if server else ""

    def json(
        self,
        method: str,
        path: str,
        *,
        subject: str,
        parameters: Parameters | None = None,
        body: object | None = None,
        secrets: tuple[str, ...] = (),
        patience_seconds: float = 0.0,
    ) -> Any:
        """One call; returns the decoded JSON answer, or None for an empty one.

        `patience_seconds` is what the Engine may need on top of the limit of every call. Raises EngineUnavailable,
        TimedOut, and what `refusal` makes of a status of 400 or more.
        """
        with self._limited():
            seconds = self.limits.within(self.limits.call_seconds + patience_seconds)
            with self._send(
                method, self._url(path), read_seconds=seconds, parameters=parameters, body=body
            ) as response:
                content = self._content(response, time.monotonic() + seconds)
        if response.status_code >= 400:
            raise refusal(response.status_code, _message(content), subject, secrets)
        return _decoded(content)

    def change(
        self,
        path: str,
        *,
        subject: str,
        parameters: Parameters | None = None,
        secrets: tuple[str, ...] = (),
        patience_seconds: float = 0.0,
    ) -> bool:
        """POST a change of state. False when the Engine says that all is so already (304).

        `patience_seconds` is what the Engine was told to wait for, on top of the limit of every call. Raises as `json`.
        """
        with self._limited():
            seconds = self.limits.within(self.limits.call_seconds + patience_seconds)
            with self._send(
                "POST", self._url(path), read_seconds=seconds, parameters=parameters, may_be_unchanged=True
            ) as response:
                content = self._content(response, time.monotonic() + seconds)
        if response.status_code >= 400:
            raise refusal(response.status_code, _message(content), subject, secrets)
        return response.status_code != _UNCHANGED

    def stream(
        self,
        path: str,
        *,
        subject: str,
        read_seconds: float,
        method: str = "GET",
        parameters: Parameters | None = None,
        body: object | None = None,
        content: Iterator[bytes] | None = None,
        upgrade: bool = False,
        framed: bool = True,
        secrets: tuple[str, ...] = (),
    ) -> requests.Response:
        """Open a streamed answer whose socket times out after `read_seconds`; the caller closes the response.

        An answer that is not `framed` is read faster, and only its own format tells whether it is whole. `body` is sent
        as JSON, or `content` as it comes, as a tar. With `upgrade`, the connection's socket is the caller's afterwards.
        A refusal does not repeat the `secrets`.
        """
        with self._limited():
            response = self._send(
                method,
                self._url(path),
                read_seconds=self.limits.within(read_seconds),
                parameters=parameters,
                body=body,
                content=content,
                headers={"Connection": "Upgrade", "Upgrade": "tcp"} if upgrade else None,
                client=self._client if framed else self._unframed_client(),
            )
            if response.status_code < 400:
                return response
            with response:
                answer = self._content(response, time.monotonic() + self.limits.within(read_seconds))
        raise refusal(response.status_code, _message(answer), subject, secrets)

    def close(self) -> None:
        for client in filter(None, (self._client, self._unframed)):
            client.close()

    def _unframed_client(self) -> _Client:
        if self._unframed is None:
            self._unframed = _Client(self.endpoint, self.limits, framed=False)
        return self._unframed

    def _url(self, path: str) -> str:
        return f"{self._base}/v{self.api}{path}"

    def _send(
        self,
        method: str,
        url: str,
        *,
        read_seconds: float,
        parameters: Parameters | None = None,
        body: object | None = None,
        content: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        may_be_unchanged: bool = False,
        client: _Client | None = None,
    ) -> requests.Response:
        if body is not None:
            headers = {"Content-Type": "application/json"}
        elif content is not None:
            headers = {"Content-Type": "application/x-tar"}
        # What limits connecting also limits each write of what is sent.
        connect_seconds = read_seconds if content else self.limits.within(self.limits.connect_seconds)
        response = (client or self._client).request(
            method,
            url,
            params=parameters,
            data=content if body is None else json.dumps(body).encode(),
            headers=headers,
            stream=True,
            timeout=(connect_seconds, read_seconds),
        )
        return response if may_be_unchanged else _no_redirect(response)

    def _content(self, response: requests.Response, until: float) -> bytes:
        blocks: list[bytes] = []
        size_bytes = 0
        # `read1`, because what waits for a full block lets an answer in drops outlast every limit.
        while block := response.raw.read1(_ANSWER_BLOCK_BYTES, decode_content=True):
            size_bytes += len(block)
            blocks.append(block)
            if size_bytes > ANSWER_LIMIT_BYTES:
                raise EngineError(f"The Engine's answer is larger than {ANSWER_LIMIT_BYTES} bytes.")
            if time.monotonic() > until:
                raise requests.Timeout("the answer took too long")
        return b"".join(blocks)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Translate failures; where the operation's own time ran out meanwhile, that is what is raised."""
        with translated(self.endpoint):
            try:
                yield
            except STREAM_FAILURES as error:
                remaining = self.limits.remaining_seconds()
                if remaining is not None and remaining <= 0:
                    raise TimedOut("The operation's time limit passed while the Engine was working.") from error
                raise


@contextmanager
def connect(endpoint: Endpoint, limits: EngineLimits) -> Iterator[EngineConnection]:
    """Open one connection for one operation and agree on the API version. Raises EngineUnavailable or TimedOut."""
    with translated(endpoint):
        client = _Client(endpoint, limits)
    connection = EngineConnection(client, endpoint, limits)
    try:
        connection.negotiate()
        yield connection
    finally:
        connection.close()


def api_number(api: str) -> tuple[int, ...]:
    """`1.41` as (1, 41), so that versions compare as numbers."""
    return tuple(int(part) for part in api.split("."))


def _message(content: bytes) -> str:
    """The Engine's words: JSON `message`, or what there is where a proxy answered instead."""
    try:
        decoded = json.loads(content)
    except ValueError:
        return content[:2000].decode("utf-8", "replace")
    return str(decoded.get("message", "")) if isinstance(decoded, dict) else ""


def _decoded(content: bytes) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        raise EngineError("The Engine's answer is not JSON: is something else behind this address?") from error
