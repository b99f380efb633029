"""Published ports: what is shown of each, and the address to open it, where a browser could reach and understand it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from containers_app.conf import load
from containers_app.models import Container
from containers_app.templatetags.console import foreign

# Services that speak to no browser: a link to them would be a trap.
NOT_FOR_BROWSERS = frozenset({21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2049, 3306})
NOT_FOR_BROWSERS |= {5432, 5671, 5672, 6379, 8883, 9042, 11211, 27017}
ENCRYPTED = frozenset({443, 8443, 9443})


def published_ports(row: Container) -> SafeString:
    """Each published port once, as a link where that makes sense."""
    if not row.ports:
        return format_html('<span class="faint">{}</span>', "none")
    shown: dict[str, str] = {}
    for port in row.ports:
        words = f"{port['host'] or 'any'}→{port['container']}"
        words += "" if port["protocol"] == "tcp" else f"/{port['protocol']}"
        shown[words] = shown.get(words) or (address_of(port, engine=row.host.address) if row.state == "running" else "")
    return format_html_join(" ", "{}", ((_port(words, address),) for words, address in _in_order(shown)))


def address_of(port: Mapping[str, Any], *, engine: str) -> str:
    """Where a browser finds this port of a container whose Engine has that address; empty where it would not."""
    number = port["container"]
    if not str(port["host"]).isdecimal() or port["protocol"] != "tcp" or number in NOT_FOR_BROWSERS:
        return ""
    name = _name(str(port["hostIp"] or ""), urlsplit(engine).hostname or urlsplit(load().public_url).hostname or "")
    scheme = "https" if number in ENCRYPTED else "http"
    return f"{scheme}://{name}:{port['host']}/" if name else ""


def _name(bound: str, host: str) -> str:
    """The name for what the port is bound to: the host's own, unless that is one address of it."""
    try:
        address = ip_address(bound or "0.0.0.0")
    except ValueError:
        return ""
    if address.is_unspecified:
        return f"[{host}]" if ":" in host else host
    if address.is_loopback:
        return host if _is_loopback(host) else ""
    return f"[{address}]" if address.version == 6 else str(address)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _in_order(shown: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return sorted(shown.items(), key=lambda pair: (len(pair[0].partition("→")[0]), pair[0]))


def _port(words: str, address: str) -> SafeString:
    if not address:
        return format_html('<span class="port">{}</span>', foreign(words))
    return format_html('<a class="port" href="{}" rel="noreferrer">{}</a>', address, words)
