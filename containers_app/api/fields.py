"""Typed reading of a parsed body: every mistake names its field; unknown keys are mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from containers_app.errors import InvalidRequest

LONGEST_REASON, LONGEST_TICKET = 500, 64


def only(body: Mapping[str, Any], known: frozenset[str], *, inside: str = "") -> None:
    """Raise InvalidRequest for a key that is not known."""
    for name in body:
        if name not in known:
            field = json.dumps(inside + name[:64])[1:-1]
            raise InvalidRequest(f"unknown field '{field}': known are {', '.join(sorted(known))}", field=field)


def text(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int = 255) -> str | None:
    """A text, or None when it is absent or null. Raises InvalidRequest for another type or a longer text."""
    value = body.get(name)
    if value is None:
        return None
    field = inside + name
    if not isinstance(value, str):
        raise InvalidRequest(f"'{field}' must be a text", field=field)
    if len(value) > longest:
        raise InvalidRequest(f"'{field}' is longer than {longest} characters", field=field)
    return value


def required_text(body: Mapping[str, Any], name: str, *, inside: str = "", longest: int = 255) -> str:
    """A text that must be there."""
    value = text(body, name, inside=inside, longest=longest)
    if not value:
        raise InvalidRequest(f"'{inside + name}' is required", field=inside + name)
    return value


def flag(body: Mapping[str, Any], name: str, *, inside: str = "") -> bool:
    """True or false; false when absent."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"'{inside + name}' must be true or false", field=inside + name)
    return value


def seconds(body: Mapping[str, Any], name: str, *, inside: str = "", most: int) -> int | None:
    """A whole number of seconds from 0 to `most`, or None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        field = inside + name
        raise InvalidRequest(f"'{field}' must be a whole number of seconds from 0 to {most}", field=field)
    return value


def mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object; empty when absent or null."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{name}' must be an object", field=name)
    return value


def line(body: Mapping[str, Any], name: str, *, longest: int) -> str:
    """A short text for people, on one line; empty when absent."""
    value = text(body, name, longest=longest) or ""
    if not value.isprintable():
        raise InvalidRequest(f"'{name}' holds a control character", field=name)
    return value
