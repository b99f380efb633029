"""A container's writable layer: read and copied as the folder that it is, or committed to an image where it is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.engine.gateway import EngineGateway, EngineReader
from containers_app.engine.helper import HelperMount
from containers_app.engine.trees import HelperOptions, Progress, copy_tree, tree_size
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


@dataclass(frozen=True, kw_only=True)
class LayerCopy:
    """How a writable layer was copied.

    `layer`: it is in the target, whose image stays the source's. `commit`: the target is untouched, and `image_id` is
    an image with the source's files; the caller makes the clone from it, or removes it. `reason` says why.
    """

    method: str
    changed: bool = False
    image_id: str | None = None
    reason: str = ""


def layer_obstacle(reader: EngineReader, source: Mapping[str, Any]) -> str | None:
    """Why the writable layer of an inspected container cannot be copied as a folder, or None when it can be tried."""
    driver = source.get("Driver")
    if driver != "overlay2":
        return f"the storage driver is {driver}, not overlay2"
    if _upper(source, reader.data_root()) is None:
        return "the Engine names no folder of its own for the writable layer"
    return None


def copy_layer(
    gateway: EngineGateway,
    *,
    source: str,
    target: str,
    options: HelperOptions | None = None,
    on_progress: Progress = lambda done: None,
) -> LayerCopy:
    """Copy what a container has written into another one that was never started, of the same image, by full ids.

    The target's own layer is emptied first, so that what the source deleted of the image is deleted there. Raises
    EngineError, EngineUnavailable, TimedOut.
    """
    inspected = gateway.inspect(source)
    reason = layer_obstacle(gateway, inspected) or _mismatch(inspected, gateway.inspect(target))
    if reason is None and tree_size(gateway, LayerTree(container=source), options, on_progress=on_progress).elsewhere:
        reason = "its files are renamed or partly kept in another layer (redirect_dir or metacopy)"
    if reason is not None:
        return commit_layer(gateway, source=source, reason=reason)
    copied = copy_tree(
        gateway,
        source=LayerTree(container=source),
        target=LayerTree(container=target),
        options=options,
        on_progress=on_progress,
    )
    return LayerCopy(method="layer", changed=copied.changed)


def commit_layer(gateway: EngineGateway, *, source: str, reason: str = "") -> LayerCopy:
    """Commit a container without pausing it (quiescing is the caller's); the image has the operation's label."""
    return LayerCopy(method="commit", image_id=gateway.commit(source, pause=False), reason=reason)


def _mismatch(source: Mapping[str, Any], target: Mapping[str, Any]) -> str | None:
    if target.get("Image") != source.get("Image"):
        return "the target has another image"
    if target.get("Driver") != source.get("Driver"):
        return "the target has another storage driver"
    if target.get("State", {}).get("Status") != "created":
        raise EngineError("A writable layer is copied only into a container that was never started.")
    return None


def _upper(inspected: Mapping[str, Any], data_root: str) -> str | None:
    """The folder, only where it is exactly one of the Engine's own."""
    upper = ((inspected.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
    found = _UPPER.fullmatch(upper) if isinstance(upper, str) else None
    return found[0] if found and found["root"] == data_root and "/.." not in data_root else None
