"""The clone form's lines of text: read into the options of a request, and written from them.

No message repeats a line: it may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from containers_app.templatetags.console import visible

_PORT = re.compile(
    r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<four>[0-9.]+)):)?(?P<host>auto|[0-9]+):(?P<container>[0-9]+)(?:/(?P<protocol>[a-z]+))?"
)
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")
_NANO = 10**9
ANY_ADDRESS = "0.0.0.0"


def lines(text: str) -> list[str]:
    """The lines that are not blank, each as it was typed."""
    return [line for line in re.split(r"\r?\n", text) if line.strip()]


def words(text: str) -> list[str]:
    """The same, without blanks around them: names."""
    return [line.strip() for line in lines(text)]


def pairs(text: str) -> dict[str, str]:
    """NAME=VALUE lines; the value is everything behind the first `=`."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines(text), 1):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise forms.ValidationError(f"Line {number} must be NAME=VALUE.")
        if name.strip() in found:
            raise forms.ValidationError(f"Line {number} sets a name for the second time.")
        found[name.strip()] = value
    return found


def ports(text: str) -> list[dict[str, Any]]:
    """`[ip:]host:container[/protocol]` lines, `auto` for a free host port."""
    return [_port(number, line) for number, line in enumerate(words(text), 1)]


def _port(number: int, line: str) -> dict[str, Any]:
    found = _PORT.fullmatch(line)
    if found is None:
        raise forms.ValidationError(f"Line {number} must be [ip:]host:container[/protocol], an IPv6 address in [ ].")
    return {
        "container": int(found["container"]),
        "host": None if found["host"] == "auto" else int(found["host"]),
        "hostIp": found["six"] or found["four"],
        "protocol": found["protocol"] or "tcp",
    }


def port_lines(entries: Iterable[Mapping[str, Any]]) -> str:
    """Published ports as the form takes them; every address of both kinds is one line without an address."""
    every = list(entries)
    return "\n".join(dict.fromkeys(_port_line(entry, every) for entry in every))


def _port_line(entry: Mapping[str, Any], every: list[Mapping[str, Any]]) -> str:
    address = str(entry.get("hostIp") or "")
    twin = {"": "", ANY_ADDRESS: "::", "::": ANY_ADDRESS}.get(address)
    if any({**entry, "hostIp": twin} == {**other} for other in every):
        address = ""
    shown = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    protocol = str(entry.get("protocol") or "tcp")
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    return visible(f"{shown}{entry.get('host') or 'auto'}:{entry['container']}{suffix}")


def networks(text: str) -> list[dict[str, Any]]:
    """`name [ip=address] [alias=name …]` lines."""
    return [_network(number, line.split()) for number, line in enumerate(words(text), 1)]


def _network(number: int, parts: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": parts[0], "aliases": []}
    for part in parts[1:]:
        key, _, value = part.partition("=")
        if key == "alias" and value:
            found["aliases"].append(value)
        elif key == "ip" and value:
            found["ipv6Address" if ":" in value else "ipv4Address"] = value
        else:
            raise forms.ValidationError(f"Line {number} must be a name, then ip=ADDRESS and alias=NAME as wanted.")
    return found


def network_lines(entries: Iterable[Mapping[str, Any]]) -> str:
    """Networks as the form takes them."""
    return "\n".join(" ".join(_network_words(entry)) for entry in entries)


def _network_words(entry: Mapping[str, Any]) -> list[str]:
    addresses = [entry[name] for name in ("ipv4Address", "ipv6Address") if entry.get(name)]
    aliases = [f"alias={alias}" for alias in entry.get("aliases") or ()]
    return [str(entry["name"]), *(f"ip={address}" for address in addresses), *aliases]


def size_bytes(text: str) -> int:
    """`512m`, `1.5 GiB`, or bytes; the units are powers of 1024."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise forms.ValidationError("Write a size such as 512m or 2g.")
    return int(float(found["number"]) * 1024 ** " kmgt".index(found["unit"].lower() or " "))


def nano_processors(text: str) -> int:
    """A number of processors, such as 0.5, in billionths."""
    if _NUMBER.fullmatch(text.strip()) is None:
        raise forms.ValidationError("Write a number of processors such as 0.5 or 2.")
    whole, _, part = text.strip().partition(".")
    return int(whole) * _NANO + int(part.ljust(9, "0"))


def as_fields(resolution: Mapping[str, Any] | None) -> dict[str, str]:
    """A collision's proposal as the fields of the form that it fills; empty when it has none that the form knows."""
    options = resolution or {}
    overrides = options.get("overrides") or {}
    filled = {
        "name": str(options.get("name") or ""),
        "confirm_privileged": "on" if options.get("confirmPrivileged") else "",
        "ports": port_lines(overrides.get("ports") or ()),
        "networks": network_lines(overrides.get("networks") or ()),
    }
    return {name: value for name, value in filled.items() if value}
