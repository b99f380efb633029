"""Connections of registered hosts: a name is resolved once, each address judged, and a judged one connected to."""

from __future__ import annotations

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from containers_app.errors import EngineUnavailable
from containers_app.specs.addresses import why_refused


def allowed_addresses(host: str, port: int) -> tuple[str, ...]:
    """The IP addresses of a host, if an Engine may have each of them.

    Raises EngineUnavailable when it may not have one of them, and socket.gaierror when there are none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = tuple(dict.fromkeys(str(place[4][0]) for place in found))
    for address in addresses:
        why = why_refused(address)
        if why is not None:
            raise EngineUnavailable(f"The address behind the Engine's name is refused, because {why}.")
    return addresses


class GuardedAdapter(HTTPAdapter):
    """Makes connections to allowed addresses only; TLS still verifies the name."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As requests does, with our connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self, super()._new_conn)


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connected(self, super()._new_conn)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _connected(connection: HTTPConnection, connect: Any) -> socket.socket:
    """Connect by address instead of by name, so that nothing is resolved a second time, to something else."""
    name = connection.host
    try:
        addresses = allowed_addresses(name.strip("[]"), connection.port)
    except socket.gaierror as error:
        raise NameResolutionError(name, connection, error) from error
    failure: Exception | None = None
    for address in addresses:
        connection.host = address
        try:
            connected: socket.socket = connect()
            return connected
        except (ConnectTimeoutError, NewConnectionError) as error:
            failure = error
        finally:
            connection.host = name
    raise failure or NewConnectionError(connection, "the name has no address")
