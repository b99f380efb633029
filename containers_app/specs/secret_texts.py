"""The texts of a request to an Engine that must not be repeated when the Engine refuses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from containers_app.specs.engine import LABEL_PREFIX

# Free text of users, and options that drivers define: passwords of file servers, keys of log collectors.
DRIVER_OPTIONS = frozenset({"Annotations", "DriverOpts", "Options", "StorageOpt"})
_KEYS = frozenset({"Config", "Env", "Labels", "Test", *DRIVER_OPTIONS})
# Labels whose values everybody knows, and needs to read in an error.
_KNOWN = ("com.docker.compose.", LABEL_PREFIX)


def secret_texts(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Values of the environment, labels, health tests and drivers' options, and a command's words after the first.

    The first word is the program, which an Engine names when it cannot find it.
    """
    command = [*(body.get("Entrypoint") or []), *(body.get("Cmd") or [])]
    return (*map(str, command[1:]), *_under(body, hidden=False))


def _under(value: Any, *, hidden: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from () if key.startswith(_KNOWN) else _under(entry, hidden=hidden or key in _KEYS)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _under(entry, hidden=hidden)
    elif hidden and isinstance(value, str):
        yield value
