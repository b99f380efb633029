"""Why a container must not be worked on by mistake: somebody labelled it so, or the product itself runs in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from containers_app.specs.engine import LABEL_PREFIX

PROTECTED_LABEL = LABEL_PREFIX + "protected"
# An Engine binds these three files of its own into each container, out of a folder that is named by the id.
_OWN_FILE = re.compile(r" \S*containers/([0-9a-f]{64})/\S*(hostname|hosts|resolv\.conf) /etc/\2 ")
_OWN_GROUP = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)


def own_container_id(*, mountinfo: str, control_groups: str) -> str:
    """The id of the container that a process is in, by its mountinfo and cgroup of /proc; empty outside of one."""
    found = _OWN_FILE.search(mountinfo)
    if found is None:
        found = _OWN_GROUP.search(control_groups)
    return found[1] if found else ""


def protection(inspect: Mapping[str, Any], *, own_id: str) -> str:
    """A sentence that says why the container is protected; empty when it is not."""
    labels = (inspect.get("Config") or {}).get("Labels") or {}
    if own_id and inspect.get("Id") == own_id:
        return "MycoDocker itself runs in it."
    if str(labels.get(PROTECTED_LABEL, "")).lower() == "true":
        return f"It carries the label {PROTECTED_LABEL}=true."
    return ""
