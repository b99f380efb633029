"""A registered Docker host as an administrator writes it, and the rules that hold before anything is stored or sent."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from containers_app.errors import InvalidRequest
from containers_app.specs.addresses import SERVICE_PORTS, why_refused
from containers_app.specs.endpoint import Endpoint

LONGEST_URL, LONGEST_FOLDER = 255, 255
PLAIN_WARNING = (
    "The connection has no TLS: whoever reaches this port, or the network in between, is root on that host. "
    "Give the Engine certificates, and name their folder."
)
_WORD = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class HostValues:
    """What is chosen for a host. `tls_directory` is a folder below the root of certificates, or empty.

    `queue` is the broker queue of the workers that reach this Engine; `allow_plain` lets the address be without TLS.
    """

    name: str
    url: str
    tls_directory: str = ""
    queue: str = "local"
    enabled: bool = True
    allow_plain: bool = False


def check_name(name: str) -> str:
    """The name, if a host may be called so. Raises InvalidRequest."""
    if _WORD.fullmatch(name) is None:
        raise InvalidRequest("'name' must be 1 to 63 of a-z, 0-9, '_', '.', '-', and begin with a-z, 0-9", field="name")
    return name


def check_queue(queue: str) -> str:
    """The queue, if one may be called so. Raises InvalidRequest."""
    if _WORD.fullmatch(queue) is None:
        raise InvalidRequest(
            "'queue' must be 1 to 63 of a-z, 0-9, '_', '.', '-', and begin with a-z, 0-9", field="queue"
        )
    return queue


def guarded_endpoint(values: HostValues, *, tls_root: str, own_ports: frozenset[int]) -> Endpoint:
    """The address of a registered host, by the one grammar and these rules on top of it.

    Raises InvalidRequest for an address that no Engine may have, one of the product's own services, a folder outside
    of `tls_root`, and a connection without TLS that nobody allowed. Names are resolved when the connection is made.
    """
    endpoint = Endpoint.parse(values.url, _folder(values.tls_directory, tls_root))
    if endpoint.scheme == "http" and not values.allow_plain:
        raise InvalidRequest(
            "The address is without TLS: name a folder with certificates, or allow it with 'allowPlain'.",
            field="allowPlain",
        )
    if endpoint.host_and_port is not None:
        _check_host_and_port(*endpoint.host_and_port, own_ports)
    return replace(endpoint, guarded=True)


def is_plain(values: HostValues) -> bool:
    """Whether the connection is without TLS, for the warning."""
    return values.url.startswith("http://") or (values.url.startswith("tcp://") and not values.tls_directory)


def _folder(name: str, tls_root: str) -> str | None:
    if not name:
        return None
    if len(name) > LONGEST_FOLDER or _FOLDER.fullmatch(name) is None:
        raise InvalidRequest(
            "'tlsDirectory' must name a folder below MYCO_TLS_ROOT, such as 'site-b': letters, digits, '_', '.', '-'",
            field="tlsDirectory",
        )
    return f"{tls_root.rstrip('/')}/{name}"


def _check_host_and_port(host: str, port: int, own_ports: frozenset[int]) -> None:
    try:
        why = why_refused(str(ipaddress.ip_address(host)))
    except ValueError:
        why = None
    if why is not None:
        raise InvalidRequest(f"The Engine address is refused, because {why}.", field="url")
    if port in own_ports | SERVICE_PORTS:
        raise InvalidRequest(
            f"The Engine address is refused, because port {port} is a database's or a broker's.", field="url"
        )
