"""How a configuration value is shown to people: short, printable, and hidden where people keep secrets."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from containers_app.specs.host_settings import HostSettings
from containers_app.specs.record import Record
from containers_app.specs.secret_texts import DRIVER_OPTIONS
from containers_app.specs.settings import ContainerSettings

SHOWN_CHARACTERS = 200
HIDDEN = "[hidden]"
ABSENT = "[absent]"

# Besides what the records call secret: free text of users, and options that drivers define.
_HIDDEN_KEYS = frozenset({"Healthcheck", "OnBuild", "Shell", "Labels", *DRIVER_OPTIONS})


def _public_keys(cls: type[Record]) -> frozenset[str]:
    return frozenset(field.metadata["key"] for field in dataclasses.fields(cls) if field.repr) - _HIDDEN_KEYS


_PUBLIC = _public_keys(ContainerSettings) | _public_keys(HostSettings)


def shown(value: Any) -> str:
    """The value as a short text, with what stands under a key of secrets hidden."""
    return ABSENT if value is None else printable(json.dumps(_masked(value), sort_keys=True, ensure_ascii=False))


def shown_under(key: str, value: Any) -> str:
    """The same for a field of `Config` or `HostConfig`: what no record knows as public is hidden whole."""
    if value is None or key in _PUBLIC:
        return shown(value)
    return HIDDEN


def printable(text: str) -> str:
    """The text without characters that a database or a terminal takes amiss, cut to SHOWN_CHARACTERS."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return clean if len(clean) <= SHOWN_CHARACTERS else clean[: SHOWN_CHARACTERS - 1] + "…"


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: HIDDEN if entry and key in _HIDDEN_KEYS else _masked(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(entry) for entry in value]
    return value
