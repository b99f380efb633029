"""How to take back what an operation made: steps are data, recorded before the effect and safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from containers_app.archives.stores.local import LocalStore, Location
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import MycoError

OpenGateway = Callable[[], AbstractContextManager[EngineGateway]]
Step = Mapping[str, Any]


def remove_labelled(operation_id: str) -> Step:
    """The step that removes every container which carries the operation's label."""
    return {"action": "remove_labelled", "operation": operation_id}


def remove_files(location: Location, *, operation_id: str, inode: int | None) -> Step:
    """The step that removes an operation's temporary files, and its final file if that has the same inode."""
    return {
        "action": "remove_files",
        "operation": operation_id,
        "root": location.root,
        "folders": list(location.folders),
        "name": location.name,
        "inode": inode,
    }


def replay(steps: Sequence[Step], *, open_gateway: OpenGateway, store: LocalStore) -> list[Step]:
    """Take the steps back, last first. Returns those that could not be done yet, in their order.

    A step that another version wrote, and this one does not understand, is kept like one that failed.
    """
    pending: list[Step] = []
    for step in reversed(steps):
        try:
            _ACTIONS[step["action"]](step, open_gateway, store)
        except (MycoError, LookupError, TypeError):
            pending.insert(0, step)
    return pending


def _remove_labelled(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    with open_gateway() as gateway:
        for container_id in gateway.labelled(step["operation"]):
            gateway.remove(container_id)


def _remove_files(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    location = Location(root=step["root"], folders=tuple(step["folders"]), name=step["name"])
    store.remove_leftovers(location, step["operation"], step["inode"])


_ACTIONS: Mapping[str, Callable[[Step, OpenGateway, LocalStore], None]] = {
    "remove_labelled": _remove_labelled,
    "remove_files": _remove_files,
}
