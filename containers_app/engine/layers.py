"""A container's writable layer as a tree of files, where the storage driver keeps it as a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.engine.gateway import EngineReader
from containers_app.engine.helper import HelperMount
from containers_app.errors import EngineError

_UPPER = re.compile(r"(?P<root>/[A-Za-z0-9_./-]+)/overlay2/[0-9a-f]{64}/diff", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class LayerTree:
    """The writable layer of a container, by its full id, where the storage driver keeps it as a folder."""

    container: str
    options: tuple[str, ...] = ("layer",)

    @property
    def place(self) -> str:
        """Unlike that of any other tree."""
        return f"layer of {self.container}"

    def mount(self, reader: EngineReader, target: str, *, read_only: bool) -> HelperMount:
        """The folder on the Engine's host. Raises EngineError where the Engine tells none that we trust."""
        upper = _upper(reader.inspect(self.container), reader.data_root())
        if upper is None:
            raise EngineError("The Engine does not keep this container's writable layer as a folder of overlay2.")
        return HelperMount(kind="bind", source=upper, target=target, read_only=read_only)


def layer_obstacle(reader: EngineReader, source: Mapping[str, Any]) -> str | None:
    """Why the writable layer of an inspected container cannot be copied as a folder, or None when it can be tried."""
    driver = source.get("Driver")
    if driver != "overlay2":
        return f"the storage driver is {driver}, not overlay2"
    if _upper(source, reader.data_root()) is None:
        return "the Engine names no folder of its own for the writable layer"
    return None


def _upper(inspected: Mapping[str, Any], data_root: str) -> str | None:
    """The folder, only where it is exactly one of the Engine's own."""
    upper = ((inspected.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
    found = _UPPER.fullmatch(upper) if isinstance(upper, str) else None
    return found[0] if found and found["root"] == data_root and "/.." not in data_root else None
