"""One byte form for every entry, so that hashing what is stored is hashing what was said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from containers_app.errors import InvalidRequest

MOST_PAYLOAD_BYTES: Final = 65_535
LARGEST_INTEGER: Final = 2**53 - 1
DEEPEST_NESTING: Final = 32

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"

_TIMESTAMP: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)


class Unrecordable(InvalidRequest):
    """The value has no place in the ledger: what cannot be recorded is not run."""


def canonical(value: Json) -> bytes:
    """Return the one UTF-8 form of `value`: RFC 8785, restricted so that every JSON library writes the same bytes.

    The restriction: keys are ASCII (RFC 8785 sorts by UTF-16 code unit, most libraries by code point), numbers are
    whole and below 2^53 in size (section 3.2.2.3 needs ECMAScript's number printing), text has no lone surrogates
    (they have no UTF-8 form). Raises `Unrecordable` for anything else.
    """
    _check(value, DEEPEST_NESTING)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def canonical_payload(value: Json) -> str:
    """Return the canonical form of `value` as the text that is stored and hashed.

    Raises `Unrecordable` for more than 65,535 bytes: entry bundles of C2SP tlog-tiles hold the length in 16 bits.
    """
    payload = canonical(value)
    if len(payload) > MOST_PAYLOAD_BYTES:
        raise Unrecordable(f"The ledger entry would have {len(payload)} bytes; {MOST_PAYLOAD_BYTES} is the most.")
    return payload.decode()


def read_canonical(payload: str) -> Any:
    """Return the value that `canonical_payload` wrote. Raises `Unrecordable` for a text that it did not write."""
    try:
        value, end = _decoder.raw_decode(payload)
    except (ValueError, RecursionError) as failure:
        raise Unrecordable("The payload is no JSON of whole numbers.") from failure
    is_plain = payload.isascii() and len(payload) <= MOST_PAYLOAD_BYTES and end == len(payload)
    # What C writes the same again is canonical, if the keys are ASCII: that is what millions of entries are.
    if (_encode(value) if is_plain else canonical_payload(value)) != payload:
        raise Unrecordable("The payload is not in its canonical form.")
    return value


def timestamp(moment: datetime) -> str:
    """Return `moment` as RFC 3339 in UTC with six digits and `Z`. Raises `Unrecordable` without a time zone."""
    if moment.tzinfo is None:
        raise Unrecordable("A time without a time zone cannot be recorded.")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def moment_of(text: str) -> datetime:
    """Return the time that `timestamp` wrote. Raises `Unrecordable` for any other form."""
    if not _TIMESTAMP.fullmatch(text):
        raise Unrecordable("The time is not RFC 3339 in UTC with six digits.")
    try:
        return datetime.fromisoformat(text)
    except ValueError as failure:
        raise Unrecordable("The time is not on the calendar.") from failure


def _whole(text: str) -> int:
    number = int(text)
    _check_integer(number)
    return number


def _refuse(text: str) -> Json:
    raise ValueError(f"{text} is not a whole number")


_decoder = json.JSONDecoder(parse_int=_whole, parse_float=_refuse, parse_constant=_refuse)
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def _check(value: Json, levels_left: int) -> None:
    if levels_left < 0:
        raise Unrecordable(f"The value is nested deeper than {DEEPEST_NESTING} levels.")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, Mapping):
        _check_object(value, levels_left)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, levels_left - 1)
    elif isinstance(value, int):
        _check_integer(value)
    elif value is not None:
        raise Unrecordable(f"A value of type {type(value).__name__} has no canonical form.")


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as failure:
        raise Unrecordable("The text holds a lone surrogate, which has no UTF-8 form.") from failure


def _check_object(value: Mapping[str, Json], levels_left: int) -> None:
    if not isinstance(value, dict):
        raise Unrecordable(f"A value of type {type(value).__name__} has no canonical form.")
    for key, item in value.items():
        if not isinstance(key, str) or not key.isascii():
            raise Unrecordable("The keys of a ledger entry are ASCII text.")
        _check(item, levels_left - 1)


def _check_integer(value: int) -> None:
    if abs(value) > LARGEST_INTEGER:
        raise Unrecordable("Whole numbers of a ledger entry are below 2^53 in size.")
