"""The one question before work on a container that is protected: an administrator who confirms may do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.engine.trees import FolderTree, Tree, VolumeTree
from containers_app.errors import ContainerNotFound, ContainerProtected
from containers_app.specs.protection import own_container_id, protection
from containers_app.workflows.context import Context

# Administrators have it, and nobody else.
_ADMINISTRATORS_OWN = "containers_app.clone_privileged"


def check_protected(
    context: Context, inspect: Mapping[str, Any], *, confirmed: bool, what: str = "the container"
) -> None:
    """Raises ContainerProtected unless the container is free, or an administrator confirmed; then a warning says so."""
    reason = protection(inspect, own_id=_own_id())
    if not reason:
        return
    if not context.facts.may(_ADMINISTRATORS_OWN):
        raise ContainerProtected(f"{what} is protected ({reason}): ask an administrator")
    if not confirmed:
        raise ContainerProtected(f"{what} is protected ({reason}): confirm with 'confirmProtected': true")
    context.warn("PROTECTED", f"{what} is protected, and an administrator confirmed: {reason}")


def check_sharers(
    context: Context, gateway: EngineGateway, trees: Sequence[Tree], *, besides: str, confirmed: bool
) -> None:
    """The same question for every container, but for the one of this id, that uses one of these volumes or folders."""
    for summary in gateway.containers():
        listed = {"Id": summary.id, "Config": {"Labels": summary.labels}}
        if summary.id == besides or not protection(listed, own_id=_own_id()):
            continue
        mounts = _mounts(gateway, summary.id)
        for tree in trees:
            if any(_is_of(mount, tree) for mount in mounts):
                what = f"a container that uses the {tree.place} too"
                check_protected(context, listed, confirmed=confirmed, what=what)


def _mounts(gateway: EngineGateway, container_id: str) -> Sequence[Mapping[str, Any]]:
    """None where it is gone by now."""
    try:
        return gateway.inspect(container_id).get("Mounts") or []
    except ContainerNotFound:
        return []


def _is_of(mount: Mapping[str, Any], tree: Tree) -> bool:
    """Whether both have files in common."""
    if isinstance(tree, VolumeTree):
        return mount.get("Type") == "volume" and mount.get("Name") == tree.name
    if not isinstance(tree, FolderTree) or mount.get("Type") != "bind":
        return False
    source, folder = PurePosixPath(str(mount.get("Source"))), PurePosixPath(tree.path)
    return source.is_relative_to(folder) or folder.is_relative_to(source)


@cache
def _own_id() -> str:
    """A process does not move into another container."""
    return own_container_id(mountinfo=_read("mountinfo"), control_groups=_read("cgroup"))


def _read(name: str) -> str:
    try:
        return Path("/proc/self", name).read_text(errors="replace")
    except OSError:
        return ""
