"""Typed reading of a parsed JSON object: every mistake names its field, and an unknown key is a mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from containers_app.errors import InvalidRequest

LONGEST_REASON, LONGEST_TICKET = 500, 64
# Entries are compared with each other.
LONGEST_LIST = 1024


def only(body: Mapping[str, Any], known: frozenset[str], *, inside: str = "") -> None:
    """Raise InvalidRequest for a key that is not known."""
    for name in body:
        if name not in known:
            field = inside + printable(name)
            names = ", ".join(sorted(known)) or "none"
            raise InvalidRequest(f"unknown field '{field}': known are {names}", field=field)


def printable(name: str) -> str:
    """A key that a client chose, cut to 64 characters and escaped, so that a message may repeat it.

    What follows a `=` is left out: whoever mistakes `NAME=value` for a name must not read the value in an error.
    """
    key, equals, _ = name.partition("=")
    return json.dumps(key[:64])[1:-1] + ("=..." if equals else "")


def text(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int = 255) -> str | None:
    """A text, or None when it is absent or null. Raises InvalidRequest for another type or a longer text."""
    value = body.get(name)
    return None if value is None else _text(value, inside + name, longest)


def required_text(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int = 255) -> str:
    """A text that must be there."""
    value = text(body, name, inside=inside, longest=longest)
    if not value:
        raise InvalidRequest(f"'{inside + name}' is required", field=inside + name)
    return value


def choice(body: Mapping[str, Any], name: str, known: tuple[str, ...], *, inside: str = "", default: str) -> str:
    """One of the known words; the default when absent or null."""
    value = text(body, name, inside=inside)
    if value is not None and value not in known:
        raise InvalidRequest(f"'{inside + name}' must be one of: {', '.join(known)}", field=inside + name)
    return default if value is None else value


def flag(body: Mapping[str, Any], name: str, *, inside: str = "") -> bool:
    """True or false; false when absent."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"'{inside + name}' must be true or false", field=inside + name)
    return value


def whole(body: Mapping[str, Any], name: str, *, inside: str = "", lowest: int = 0, highest: int = 2**53) -> int | None:
    """A whole number within these limits, or None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise InvalidRequest(f"'{inside + name}' must be a whole number, {lowest} to {highest}", field=inside + name)
    return value


def number(query: Mapping[str, str], name: str, *, default: int, highest: int) -> int:
    """A query parameter as a whole number, 1 to `highest`; the default when absent. Raises InvalidRequest."""
    given = query.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 20 and 1 <= int(given) <= highest):
        raise InvalidRequest(f"'{name}' must be 1 to {highest}", field=name)
    return int(given)


def mapping(body: Mapping[str, Any], name: str, *, inside: str = "") -> Mapping[str, Any]:
    """An object; empty when absent or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{inside + name}' must be an object", field=inside + name)
    return value


def text_map(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int = 65536) -> dict[str, str]:
    """An object of texts; empty when absent or null."""
    found = mapping(body, name, inside=inside)
    return {key: _text(value, f"{inside}{name}.{printable(key)}", longest) for key, value in found.items()}


def texts(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int = 65536) -> tuple[str, ...] | None:
    """A list of texts, or None when it is absent or null."""
    found = _list(body, name, inside=inside)
    if found is None:
        return None
    return tuple(_text(value, f"{inside}{name}[{number}]", longest) for number, value in enumerate(found))


def objects(
    body: Mapping[str, Any], name: str, *, inside: str = ""
) -> tuple[tuple[str, Mapping[str, Any]], ...] | None:
    """A list of objects, each with the prefix of its own fields, or None when it is absent or null."""
    found = _list(body, name, inside=inside)
    if found is None:
        return None
    for number, value in enumerate(found):
        if not isinstance(value, dict):
            field = f"{inside}{name}[{number}]"
            raise InvalidRequest(f"'{field}' must be an object", field=field)
    return tuple((f"{inside}{name}[{number}].", value) for number, value in enumerate(found))


def line(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int) -> str:
    """A short text for people, on one line; empty when absent."""
    value = text(body, name, inside=inside, longest=longest) or ""
    if not value.isprintable():
        raise InvalidRequest(f"'{inside + name}' holds a control character", field=inside + name)
    return value


def _list(body: Mapping[str, Any], name: str, *, inside: str) -> list[Any] | None:
    value = body.get(name)
    if value is not None and not isinstance(value, list):
        raise InvalidRequest(f"'{inside + name}' must be a list", field=inside + name)
    if value is not None and len(value) > LONGEST_LIST:
        raise InvalidRequest(f"'{inside + name}' has more than {LONGEST_LIST} entries", field=inside + name)
    return value


def _text(value: Any, field: str, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"'{field}' must be a text", field=field)
    if len(value) > longest:
        raise InvalidRequest(f"'{field}' is longer than {longest} characters", field=field)
    return value
