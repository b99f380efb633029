"""`var/demo.env`: what scripts need to talk to the demonstration, as shell assignments, for its owner only."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


def read(path: Path) -> dict[str, str]:
    """The assignments of the file; empty when there is none."""
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def write(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file at once, mode 0600."""
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
