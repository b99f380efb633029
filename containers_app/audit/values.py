"""What may stand in an entry: plain bounded values, none that redraws a screen, none that looks like a secret."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from containers_app.audit.canonical import DEEPEST_NESTING, Json, Unrecordable

MOST_CHARACTERS: Final = 512
REDACTED: Final = "redacted"

_SECRET_WORDS: Final = frozenset(
    (
        *("authorization", "cookie", "credential", "credentials", "env", "environment", "passphrase", "passwd"),
        *("password", "passwords", "secret", "secrets", "token", "tokens"),
    )
)
_SECRET_PAIRS: Final = ("apikey", "privatekey", "accesskey")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_DIGEST: Final = re.compile(r"(sha256:|hmac:[A-Za-z0-9_-]+:)[0-9a-f]{64}", re.ASCII)
# Control characters, lone surrogates, line separators, and the marks that reorder text on a screen.
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def printable(text: str, most_characters: int = MOST_CHARACTERS) -> str:
    """Return `text` with control and reordering characters as `\\uXXXX`, shortened to `most_characters`.

    What is shortened ends in `…sha256:` and the digest of the whole, so that the entry still says which text it was.
    """
    safe = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if len(safe) <= most_characters:
        return safe
    mark = "…sha256:" + hashlib.sha256(safe.encode()).hexdigest()
    return safe[: most_characters - len(mark)] + mark


def recordable(values: Mapping[str, object]) -> dict[str, Json]:
    """Return `values` (lists, objects, text, whole numbers, true, false, None) in the form the ledger takes.

    Text is made `printable`. Under a key that looks like a secret's (`password`, `env`, `apiToken`, ...) only true,
    false, None and a digest (`sha256:<hex>`, `hmac:<key id>:<hex>`) stay; all else becomes "redacted". That is a net
    under the caller's allow-list, not its replacement. Raises `Unrecordable` for other types and for non-ASCII keys.
    """
    return {key: _member(key, value, DEEPEST_NESTING) for key, value in values.items()}


def looks_secret(key: str) -> bool:
    """Say whether a word of `key` (snake_case, kebab-case or camelCase) names a secret."""
    words = [word.lower() for word in _WORD.findall(key)]
    return not _SECRET_WORDS.isdisjoint(words) or any(pair in "".join(words) for pair in _SECRET_PAIRS)


def _member(key: object, value: object, levels_left: int) -> Json:
    if not isinstance(key, str) or not key.isascii() or _UNPRINTABLE.search(key):
        raise Unrecordable("The keys of a ledger entry are printable ASCII text.")
    if looks_secret(key) and not _is_harmless(value):
        return REDACTED
    return _plain(value, levels_left)


def _is_harmless(value: object) -> bool:
    return value is None or isinstance(value, bool) or (isinstance(value, str) and bool(_DIGEST.fullmatch(value)))


def _plain(value: object, levels_left: int) -> Json:
    if levels_left <= 0:
        raise Unrecordable("The value is nested too deep for the ledger.")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple):
        return [_plain(item, levels_left - 1) for item in value]
    if isinstance(value, Mapping):
        return {key: _member(key, item, levels_left - 1) for key, item in value.items()}
    raise Unrecordable(f"A value of type {type(value).__name__} has no place in the ledger.")
