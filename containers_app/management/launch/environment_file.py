"""Reads and writes the demonstration's file of shell assignments: whole, for its owner only, or not at all."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from containers_app.management.launch.failures import CannotStart


def render(values: Mapping[str, str]) -> str:
    """One assignment a line, quoted so that a POSIX shell reads back exactly these values."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def parse(text: str) -> dict[str, str]:
    """The values in a file that `render` made. Raises ValueError for one that no shell would read."""
    pairs = (word.partition("=") for word in shlex.split(text, comments=True))
    return {name: value for name, separator, value in pairs if separator}


def read(path: Path) -> dict[str, str]:
    """The values in the file; none when it is not there or is unreadable as assignments."""
    try:
        return parse(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write the file with mode 0600, under its name only when it is complete. Raises CannotStart."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(render(values))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise CannotStart(f"{path} cannot be written: {error.strerror}.") from error


def set_aside(path: Path, previous: Path) -> dict[str, str]:
    """Take the file away, so that its being there means ready again, and return the values of the last ready start."""
    if path.exists():
        path.replace(previous)
    return read(previous)
