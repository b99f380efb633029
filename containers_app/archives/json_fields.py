"""Reads the fields of a JSON object one by one, so that nothing unknown, missing or mistyped goes by unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from containers_app.errors import ArchiveInvalid

LONGEST_TEXT = 4096
LARGEST_COUNT = 2**63 - 1

_SURROGATE = re.compile("[\ud800-\udfff]")


class Fields:
    """One JSON object whose fields are taken out; `end` refuses what is left. Every method raises ArchiveInvalid."""

    def __init__(self, content: object, place: str = "") -> None:
        self._place = place
        if not isinstance(content, dict):
            raise self.invalid("", "is not an object")
        self._content: dict[str, Any] = dict(content)

    def text(self, key: str, *, minimum: int = 0) -> str:
        """A text of `minimum` to 4096 characters."""
        value = self._take(key)
        if not isinstance(value, str) or not minimum <= len(value) <= LONGEST_TEXT or _SURROGATE.search(value):
            raise self.invalid(key, f"is not a text of {minimum} to {LONGEST_TEXT} characters")
        return value

    def matching(self, key: str, pattern: str) -> str:
        """A text that matches the whole pattern."""
        value = self.text(key)
        if not re.fullmatch(pattern, value):
            raise self.invalid(key, "has the wrong form")
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of the texts."""
        value = self.text(key)
        if value not in choices:
            raise self.invalid(key, f"is not one of {', '.join(choices)}")
        return value

    def count(self, key: str) -> int:
        """A whole number from 0 to 2**63 - 1."""
        value = self._take(key)
        if type(value) is not int or not 0 <= value <= LARGEST_COUNT:
            raise self.invalid(key, f"is not a whole number from 0 to {LARGEST_COUNT}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._take(key)
        if not isinstance(value, list):
            raise self.invalid(key, "is not a list")
        inner = Fields({str(number): entry for number, entry in enumerate(value)}, self._named(key))
        return tuple(inner.text(str(number)) for number in range(len(value)))

    def has(self, key: str) -> bool:
        """Whether the field, which may be left out, is there."""
        return key in self._content

    def takes_null(self, key: str) -> bool:
        """Whether the field is null; if so it is taken."""
        return key in self._content and self._content[key] is None and self._take(key) is None

    @contextmanager
    def object(self, key: str) -> Iterator[Fields]:
        """An object in the object, which must be used up when the block ends."""
        inner = Fields(self._take(key), self._named(key))
        yield inner
        inner.end()

    def objects(self, key: str) -> tuple[Fields, ...]:
        """A list of objects; whoever reads one ends it."""
        value = self._take(key)
        if not isinstance(value, list):
            raise self.invalid(key, "is not a list")
        return tuple(Fields(item, f"{self._named(key)}[{index}]") for index, item in enumerate(value))

    def end(self) -> None:
        """Refuse what was not taken."""
        for key in self._content:
            raise self.invalid(ascii(key[:100]), "is unknown")

    def invalid(self, key: str, words: str) -> ArchiveInvalid:
        """The error that names a field of this object."""
        return ArchiveInvalid(f"The manifest is invalid: {self._named(key) or 'it'} {words}.")

    def _named(self, key: str) -> str:
        return ".".join(filter(None, (self._place, key)))

    def _take(self, key: str) -> Any:
        if key not in self._content:
            raise self.invalid(key, "is missing")
        return self._content.pop(key)


def parse_object(content: bytes) -> Fields:
    """The JSON object in these bytes: UTF-8, no key twice, no NaN. Raises ArchiveInvalid."""
    try:
        parsed = json.loads(content.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArchiveInvalid("The manifest is invalid: it is not JSON in UTF-8 with every key once.") from error
    return Fields(parsed)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
