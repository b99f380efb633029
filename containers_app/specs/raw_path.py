"""Writes paths as text and reads them back without loss: Linux names are bytes, and need not be UTF-8."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from containers_app.errors import InvalidRequest

LONGEST_CHARACTERS = 3 * 4096
_ESCAPED = re.compile(r"[\x00-\x1f%\x7f-\x9f\udc80-\udcff]")
_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")


def shown(path: bytes) -> str:
    """The path as text: `%`, control characters and what is not UTF-8 as `%` and two hex digits for each byte."""
    text = path.decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(lambda found: "".join(f"%{byte:02X}" for byte in _bytes(found[0])), text)


def raw(text: str, *, field: str) -> bytes:
    """The path that `shown` wrote so. Raises InvalidRequest that names the field."""
    if len(text) > LONGEST_CHARACTERS or _STRAY.search(text):
        words = f"'{field}' must be as answers write it: at most {LONGEST_CHARACTERS} characters, and each '%' as '%25'"
        raise InvalidRequest(words, field=field)
    try:
        path = unquote_to_bytes(text)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"'{field}' holds what is no character", field=field) from error
    if b"\0" in path:
        raise InvalidRequest(f"'{field}' holds a NUL byte, which no name has", field=field)
    return path


def _bytes(character: str) -> bytes:
    return character.encode("utf-8", "surrogateescape")
