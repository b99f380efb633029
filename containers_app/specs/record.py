"""Typed records read from and written to Engine JSON by an allow-list: what has no field here is never sent on.

The Engine folds the case of JSON keys, so a deny-list cannot be made safe; only keys spelt here reach it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from containers_app.errors import EngineError


@dataclass(frozen=True)
class Shape:
    """How one value is checked when read, and how it is written back."""

    read: Callable[[Any, str], Any]
    write: Callable[[Any], Any]


def engine_field(key: str, shape: Shape, *, secret: bool = False) -> Any:
    """A dataclass field that stands under `key` in the Engine's JSON; None is absent, a secret is not in the repr."""
    return dataclasses.field(default=None, repr=not secret, metadata={"key": key, "shape": shape})


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all typed records. Null and absent are the same; an empty list is not."""

    @classmethod
    def read(cls, raw: Mapping[str, Any], where: str = "") -> Self:
        """Take the allow-listed keys. Raises EngineError, naming the field and never its value, on another shape."""
        if not isinstance(raw, Mapping):
            raise _unexpected(where)
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            key = field.metadata["key"]
            if raw.get(key) is not None:
                values[field.name] = field.metadata["shape"].read(raw[key], f"{where}.{key}" if where else key)
        return cls(**values)

    def body(self) -> dict[str, Any]:
        """The Engine's JSON; what is None is left out."""
        written: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                written[field.metadata["key"]] = field.metadata["shape"].write(value)
        return written


def many(inner: Shape) -> Shape:
    """A list, kept as a tuple."""

    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _unexpected(where)
        return tuple(inner.read(entry, where) for entry in value)

    return Shape(read, lambda value: [inner.write(entry) for entry in value])


def mapped(inner: Shape) -> Shape:
    """An object with free keys."""

    def read(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _unexpected(where)
        return {str(key): inner.read(entry, where) for key, entry in value.items()}

    return Shape(read, lambda value: {key: inner.write(entry) for key, entry in value.items()})


def nullable(inner: Shape) -> Shape:
    """A value inside a list or object that may be null."""
    return Shape(
        lambda value, where: None if value is None else inner.read(value, where),
        lambda value: None if value is None else inner.write(value),
    )


def record(cls: type[Record]) -> Shape:
    """A nested record."""
    return Shape(cls.read, lambda value: value.body())


def _scalar(*types: type) -> Shape:
    def read(value: Any, where: str) -> Any:
        # bool is an int to Python, not to the Engine.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise _unexpected(where)
        return value

    return Shape(read, lambda value: value)


def _read_empty(value: Any, where: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise _unexpected(where)


def _unexpected(where: str) -> EngineError:
    return EngineError(f"The Engine reports {where or 'the container'} in a shape that is not understood.")


TEXT = _scalar(str)
INTEGER = _scalar(int)
BOOLEAN = _scalar(bool)
TEXTS = many(TEXT)
INTEGERS = many(INTEGER)
TEXT_MAP = mapped(TEXT)
# The Engine's sets: an object whose values are empty objects.
KEY_SET = mapped(Shape(_read_empty, lambda value: {}))
