"""The one question before work on a container that is protected: an administrator who confirms may do it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from containers_app.errors import ContainerProtected
from containers_app.specs.protection import own_container_id, protection
from containers_app.workflows.context import Context

# Administrators have it, and nobody else.
_ADMINISTRATORS_OWN = "containers_app.clone_privileged"


def check_protected(context: Context, inspect: Mapping[str, Any], *, confirmed: bool) -> None:
    """Raises ContainerProtected unless the container is free, or an administrator confirmed; then a warning says so."""
    reason = protection(inspect, own_id=_own_id())
    if not reason:
        return
    if not context.facts.may(_ADMINISTRATORS_OWN):
        raise ContainerProtected(f"the container is protected ({reason}): ask an administrator")
    if not confirmed:
        raise ContainerProtected(f"the container is protected ({reason}): confirm with 'confirmProtected': true")
    context.warn("PROTECTED", f"the container is protected, and an administrator confirmed: {reason}")


@cache
def _own_id() -> str:
    """A process does not move into another container."""
    return own_container_id(mountinfo=_read("mountinfo"), control_groups=_read("cgroup"))


def _read(name: str) -> str:
    try:
        return Path("/proc/self", name).read_text(errors="replace")
    except OSError:
        return ""
