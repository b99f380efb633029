"""Where an Engine is reached, by a grammar of our own: the SDK's parser takes hosts no operator ever meant."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from containers_app.errors import InvalidRequest

Scheme = Literal["unix", "http", "https"]

LOCAL_SOCKET = "/var/run/docker.sock"
DEFAULT_WINDOWS = "http://localhost:2375"
DEFAULT_ELSEWHERE = "http://host.docker.internal:2375"
SOCKET_PATH_LIMIT_BYTES = 107

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_NUMERIC_LABEL = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_EXPECTED = "use unix:///absolute/path, tcp://host:port, http://host:port or https://host:port"


@dataclass(frozen=True)
class Endpoint:
    """One Engine address.

    `address` is the absolute path of the socket for `unix`, else `host:port`. `tls_directory` holds `ca.pem`,
    `cert.pem` and `key.pem` and stands only with `https`; without it the system's authorities are trusted. `guarded`
    says that a connection is made only to addresses that `specs.addresses` lets an Engine have.
    """

    scheme: Scheme
    address: str
    tls_directory: str | None = None
    guarded: bool = False

    @property
    def url(self) -> str:
        """The address as the SDK takes it and as people read it; it never holds a secret."""
        return f"{self.scheme}://{self.address}"

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """Host (an IPv6 address without brackets) and port; None for a socket."""
        if self.scheme == "unix":
            return None
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    @classmethod
    def parse(cls, url: str, tls_directory: str | None = None) -> Endpoint:
        """Read an Engine address; `tcp` becomes `https` when a certificate folder is given, else `http`.

        Raises InvalidRequest (field `url`); its message never repeats the address, which may hold a password.
        """
        scheme, separator, rest = url.partition("://")
        if not separator or any(character.isspace() or not character.isprintable() for character in url):
            raise _refused(f"The Engine address is malformed: {_EXPECTED}.")
        if scheme == "ssh":
            raise _refused(
                "Engines over ssh:// are not supported: forward the socket (ssh -L) and name it with unix://, "
                "or use tcp:// with TLS."
            )
        if scheme == "unix":
            return cls("unix", _socket_path(rest, tls_directory), None)
        if scheme not in ("tcp", "http", "https"):
            raise _refused(f"The Engine address has an unknown scheme: {_EXPECTED}.")
        return _over_network(scheme, _authority(rest), tls_directory)


def endpoint_candidates(
    environment: Mapping[str, str], *, platform: str, exists: Callable[[str], bool]
) -> tuple[Endpoint, ...]:
    """The Engine address to try: DOCKER_API_URL, else DOCKER_HOST, else the local socket, else the default.

    `platform` is `sys.platform`; `exists` tells whether a path is there. An empty variable counts as unset.
    Raises InvalidRequest whose field is the variable that is wrong.
    """
    for variable in ("DOCKER_API_URL", "DOCKER_HOST"):
        if environment.get(variable):
            return (_from_variable(variable, environment),)
    if exists(LOCAL_SOCKET):
        return (Endpoint("unix", LOCAL_SOCKET),)
    return (Endpoint.parse(DEFAULT_WINDOWS if platform.startswith("win") else DEFAULT_ELSEWHERE),)


def _from_variable(variable: str, environment: Mapping[str, str]) -> Endpoint:
    url = environment[variable]
    tls_directory = _tls_directory(environment) if url.startswith(("tcp://", "https://")) else None
    try:
        return Endpoint.parse(url, tls_directory)
    except InvalidRequest as error:
        field = "DOCKER_CERT_PATH" if error.field == "tls_directory" else variable
        raise InvalidRequest(f"{variable}: {error.message}", field=field) from error


def _tls_directory(environment: Mapping[str, str]) -> str | None:
    """The certificate folder; a folder alone also asks for TLS, as a plain connection would be the unsafe reading."""
    if environment.get("DOCKER_CERT_PATH"):
        return environment["DOCKER_CERT_PATH"]
    if not environment.get("DOCKER_TLS_VERIFY"):
        return None
    if environment.get("HOME"):
        return environment["HOME"].rstrip("/") + "/.docker"
    raise InvalidRequest(
        "DOCKER_TLS_VERIFY is set, but no folder with certificates: set DOCKER_CERT_PATH.", field="DOCKER_CERT_PATH"
    )


def _over_network(scheme: str, address: str, tls_directory: str | None) -> Endpoint:
    if tls_directory is not None and scheme == "http":
        raise _refused("An http:// Engine address cannot use certificates: write https:// or tcp://.")
    if tls_directory is not None and not tls_directory.startswith(("/", "\\")) and tls_directory[1:3] != ":\\":
        raise InvalidRequest("The folder with certificates must be an absolute path.", field="tls_directory")
    secure = scheme == "https" or tls_directory is not None
    return Endpoint("https" if secure else "http", address, tls_directory)


def _socket_path(path: str, tls_directory: str | None) -> str:
    if tls_directory is not None:
        raise _refused("A unix:// Engine address cannot use certificates.")
    if not path.startswith("/") or path.endswith("/") or any(part in (".", "..") for part in path.split("/")):
        raise _refused("The Engine socket must be an absolute path without . or .. parts: unix:///var/run/docker.sock.")
    if "//" in path or any(character in path for character in "?#@%\\"):
        raise _refused("The Engine socket's path holds a character that is not accepted: ? # @ % \\ or //.")
    if len(path.encode()) > SOCKET_PATH_LIMIT_BYTES:
        raise _refused(f"The Engine socket's path is longer than {SOCKET_PATH_LIMIT_BYTES} bytes.")
    return path


def _authority(rest: str) -> str:
    if "@" in rest:
        raise _refused("The Engine address must not hold a user or a password.")
    if any(character in rest for character in "/?#"):
        raise _refused("The Engine address must end after the port: no path, query or fragment.")
    match = _AUTHORITY.fullmatch(rest)
    if match is None:
        raise _refused(f"The Engine address needs a host and a port: {_EXPECTED}.")
    port = int(match["port"])
    if not 1 <= port <= 65535:
        raise _refused("The Engine address has a port outside 1 to 65535.")
    return f"{_host(match['host'])}:{port}"


def _host(host: str) -> str:
    """A DNS name, a dotted IPv4 or a bracketed IPv6 address; number forms such as 0x7f000001 are refused."""
    try:
        if host.startswith("["):
            return f"[{ipaddress.IPv6Address(host[1:-1])}]"
        if _NUMERIC_LABEL.fullmatch(host.rsplit(".", 1)[-1]):
            return str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise _refused("The Engine address holds a malformed IP address.") from error
    if len(host) > 253 or _NAME.fullmatch(host) is None:
        raise _refused("The Engine address holds a malformed host name.")
    return host.lower()


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="url")
