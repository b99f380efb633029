"""A container's writable layer as a tree of files, where the storage driver keeps it as a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.engine.helper import HelperMount
from containers_app.errors import EngineError

_FOLDER = re.compile(r"(?P<root>/[A-Za-z0-9_./-]+)/overlay2/[0-9a-f]{64}/(?P<name>diff|merged)", re.ASCII)


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
        upper = _own_folder(reader.inspect(self.container), reader.data_root(), "UpperDir")
        if upper is None:
            raise EngineError("The Engine does not keep this container's writable layer as a folder of overlay2.")
        return HelperMount(kind="bind", source=upper, target=target, read_only=read_only)


@dataclass(frozen=True, kw_only=True)
class RootTree:
    """The file system of a container as it sees it, without its volumes; only `mounted` lets it be seen."""

    container: str
    options: tuple[str, ...] = ("overlay",)

    @property
    def place(self) -> str:
        """Unlike that of any other tree."""
        return f"root of {self.container}"

    def mount(self, reader: EngineReader, target: str, *, read_only: bool) -> HelperMount:
        """The folder on the Engine's host. Raises EngineError where the Engine tells none that we trust."""
        merged = _own_folder(reader.inspect(self.container), reader.data_root(), "MergedDir")
        if merged is None:
            raise EngineError("The Engine does not keep this container's file system as a folder of overlay2.")
        return HelperMount(kind="bind", source=merged, target=target, read_only=read_only)


@contextmanager
def mounted(gateway: EngineGateway, tree: object) -> Iterator[None]:
    """While inside, the Engine has a container's file system mounted, also of one that does not run: it exports it.

    Nothing is done for other trees. A small file system may be exported before a helper has begun: the helper looks.
    """
    if not isinstance(tree, RootTree):
        yield
        return
    with gateway.export(tree.container) as stream:
        stream.read_some(1)
        yield


def layer_obstacle(reader: EngineReader, source: Mapping[str, Any]) -> str | None:
    """Why the writable layer of an inspected container cannot be copied as a folder, or None when it can be tried."""
    driver = source.get("Driver")
    if driver != "overlay2":
        return f"the storage driver is {driver}, not overlay2"
    if _own_folder(source, reader.data_root(), "UpperDir") is None:
        return "the Engine names no folder of its own for the writable layer"
    return None


def _own_folder(inspected: Mapping[str, Any], data_root: str, key: str) -> str | None:
    """The folder that stands under this key, only where it is exactly one of the Engine's own."""
    folder = ((inspected.get("GraphDriver") or {}).get("Data") or {}).get(key)
    found = _FOLDER.fullmatch(folder) if isinstance(folder, str) else None
    if found is None or found["root"] != data_root or "/.." in data_root:
        return None
    return found[0] if found["name"] == {"UpperDir": "diff", "MergedDir": "merged"}[key] else None
