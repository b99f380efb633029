"""Our own reading of request bodies: what a lenient parser accepts in silence is refused here, by name and early."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from django.http import HttpRequest
from rest_framework.parsers import BaseParser

from containers_app.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType
from containers_app.specs import fields

LIMIT_BYTES = 64 * 1024
LIMIT_DEPTH = 8
_LARGEST_INTEGER = 2**53
# Possessive, and a string may lack its end: each byte is looked at once, whatever the body.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_CONTENT_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


class StrictJsonParser(BaseParser):
    """Tells the framework which media type the API takes; the bodies are read by `read_object`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Never called by our views."""
        return parse_object(stream.read(LIMIT_BYTES + 1))


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the request's body.

    Raises UnsupportedMediaType, RequestTooLarge, or InvalidRequest that says what is wrong: not UTF-8, not JSON, not an
    object, deeper than 8, a key twice, a number that is not finite or over 2^53, a NUL or a lone surrogate.
    """
    _check_headers(request)
    return parse_object(_read(request))


def read_nothing(request: HttpRequest) -> None:
    """For requests that say everything by their address. Raises as `read_object`, and for a body with any field."""
    fields.only(read_optional(request), frozenset())


def read_optional(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the request's body, empty without a body. Raises as `read_object`."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if "HTTP_TRANSFER_ENCODING" not in request.META and declared.strip("0") == "":
        return {}
    return read_object(request)


def parse_object(body: bytes) -> dict[str, Any]:
    """As `read_object`, from bytes."""
    if len(body) > LIMIT_BYTES:
        raise RequestTooLarge(f"the body is over {LIMIT_BYTES} bytes")
    if not body.strip():
        raise InvalidRequest("the body is empty: send a JSON object")
    _check_depth(body)
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_small_integer,
        )
    except UnicodeDecodeError as error:
        raise InvalidRequest("the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error.msg} at character {error.pos}") from error
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    _check_text(value)
    return value


def _check_headers(request: HttpRequest) -> None:
    if not _CONTENT_TYPE.fullmatch(request.META.get("CONTENT_TYPE", "")):
        raise UnsupportedMediaType("send the body with 'Content-Type: application/json', in UTF-8")
    if request.headers.get("Content-Encoding"):
        raise UnsupportedMediaType("send the body without Content-Encoding")


def _read(request: HttpRequest) -> bytes:
    """At most one byte over the limit; a chunked body is not known to Django, so it is taken from the server."""
    try:
        if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
            return bytes(request.META["wsgi.input"].read(LIMIT_BYTES + 1))
        return _read_declared(request)
    except OSError as error:
        raise InvalidRequest("the body broke off") from error


def _read_declared(request: HttpRequest) -> bytes:
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if not (declared.isascii() and declared.isdigit()):
        raise InvalidRequest("'Content-Length' must be a whole number")
    if len(declared) > len(str(LIMIT_BYTES)) or int(declared) > LIMIT_BYTES:
        raise RequestTooLarge(f"the body is over {LIMIT_BYTES} bytes")
    return request.read(LIMIT_BYTES + 1)


def _check_depth(body: bytes) -> None:
    depth = 0
    for token in _TOKENS.finditer(body):
        first = body[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > LIMIT_DEPTH:
            raise InvalidRequest(f"the body is nested deeper than {LIMIT_DEPTH}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InvalidRequest(f"the key {_shown(twice)} is there twice", field=_shown(twice))
    return result


def _no_constant(word: str) -> NoReturn:
    raise InvalidRequest(f"{word} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidRequest("a number is too large")
    return value


def _small_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > _LARGEST_INTEGER:
        raise InvalidRequest("a number is too large")
    return int(text)


def _check_text(value: Any) -> None:
    if isinstance(value, str) and _FORBIDDEN.search(value):
        raise InvalidRequest("a text holds a NUL or half of a surrogate pair")
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name)
            _check_text(inner)
    if isinstance(value, list):
        for inner in value:
            _check_text(inner)


def _shown(text: str) -> str:
    return json.dumps(text[:64])[1:-1]
