"""How to take back what an operation made: steps are data, recorded before the effect and safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from containers_app.archives.stores.local import LocalStore, Location
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import ContainerNotFound, MycoError

# The host's name; empty for the host of the operation itself.
OpenGateway = Callable[[str], AbstractContextManager[EngineGateway]]
Step = Mapping[str, Any]


def remove_labelled(operation_id: str, *, host: str = "") -> Step:
    """The step that removes everything on a host that carries the operation's label."""
    return {"action": "remove_labelled", "operation": operation_id, "host": host}


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


def restore_state(container_id: str, state: str) -> Step:
    """The step that brings a container back to the state that it had: `running`."""
    return {"action": "restore_state", "container": container_id, "state": state}


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


def wake(gateway: EngineGateway, step: Step) -> None:
    """Bring the container of a `restore_state` step back; one that is gone, or as it was, is fine."""
    try:
        state = gateway.inspect(step["container"]).get("State") or {}
    except ContainerNotFound:
        return
    if state.get("Paused"):
        gateway.unpause(step["container"])
    elif not state.get("Running"):
        gateway.start(step["container"])


def _remove_labelled(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    """Containers first: they hold the rest."""
    operation_id = step["operation"]
    with open_gateway(step.get("host", "")) as gateway:
        for container_id in gateway.labelled(operation_id):
            gateway.remove(container_id)
        for volume in gateway.labelled_volumes(operation_id):
            gateway.remove_volume(volume)
        for network in gateway.labelled_networks(operation_id):
            gateway.remove_network(network)
        for image in gateway.labelled_images(operation_id):
            gateway.remove_image(image)


def _remove_files(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    location = Location(root=step["root"], folders=tuple(step["folders"]), name=step["name"])
    store.remove_leftovers(location, step["operation"], step["inode"])


def _restore_state(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    with open_gateway("") as gateway:
        wake(gateway, step)


_ACTIONS: Mapping[str, Callable[[Step, OpenGateway, LocalStore], None]] = {
    "remove_labelled": _remove_labelled,
    "remove_files": _remove_files,
    "restore_state": _restore_state,
}
