"""How to take back what an operation made: steps are data, recorded before the effect and safe to repeat."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.conf import settings

from containers_app.archives.stores.local import LocalStore, Location
from containers_app.crypto.sealing import derived_key, seal, unseal
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.placing import settle, tree_at, unplace
from containers_app.engine.trees import HelperOptions, Tree
from containers_app.errors import ContainerNotFound, EngineError, MycoError
from containers_app.specs.hooks import Hooks, hooks_of, written_hooks
from containers_app.workflows.context import Context
from containers_app.workflows.set_removal import remove_set

logger = logging.getLogger(__name__)
# Others wait for the end of a replay: a lease, a sweep of the reconciler.
LONGEST_REPLAYED_HOOK_SECONDS = 60
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


def remove_image(operation_id: str, image_id: str, *, host: str) -> Step:
    """The step that removes an image that was brought to a host, unless somebody else uses it by now."""
    return {"action": "remove_image", "operation": operation_id, "image": image_id, "host": host}


def restore_state(container_id: str, state: str, *, started_at: str = "", until_epoch_seconds: float = 0.0) -> Step:
    """The step that brings a container back: to `unpaused`, or to `running`.

    An Engine goes on with a stop that nobody waits for any more: until that moment, one that still runs since
    `started_at` counts as being stopped.
    """
    step = {"action": "restore_state", "container": container_id, "state": state}
    return {**step, "startedAt": started_at, "until": until_epoch_seconds} if started_at else step


def restore_name(container_id: str, name: str) -> Step:
    """The step that gives a container its name back."""
    return {"action": "restore_name", "container": container_id, "name": name}


def unplace_paths(context: Context, tree: Tree, identifier: str) -> Step:
    """The step that takes files out of a tree again that were put there under this identifier."""
    return _placing("unplace_paths", context, tree, identifier)


def settle_paths(context: Context, tree: Tree, identifier: str) -> Step:
    """The step that clears away what a return would have needed: it goes on instead of back."""
    return _placing("settle_paths", context, tree, identifier)


def _placing(action: str, context: Context, tree: Tree, identifier: str) -> Step:
    return {
        "action": action,
        "operation": context.facts.operation_id,
        "tree": tree.place,
        "identifier": identifier,
        "helper": context.helper_image,
    }


def run_hook(container_id: str, hooks: Hooks, *, started_at: str) -> Step:
    """The step that ends what still runs of the hook before, and runs the hook after.

    It is done without that in a container that does not run any more, or has another `started_at` than this; empty
    stands for any. The commands may hold secrets: they are sealed, with a key of their own.
    """
    sealed = seal(written_hooks(hooks), _hook_key())
    return {"action": "run_hook", "container": container_id, "startedAt": started_at, "sealed": sealed}


def replay(steps: Sequence[Step], *, open_gateway: OpenGateway, store: LocalStore) -> list[Step]:
    """Take the steps back, last first. Returns those that could not be done yet, in their order.

    A step that another version wrote, and this one does not understand, is kept like one that failed. So is one for
    a container that could not be woken yet.
    """
    pending: list[Step] = []
    for step in reversed(steps):
        asleep = {_container_of(kept) for kept in pending} - {None}
        try:
            if _container_of(step) in asleep:
                raise EngineError("The container is not awake yet.")
            _ACTIONS[step["action"]](step, open_gateway, store)
        except (MycoError, LookupError, TypeError):
            pending.insert(0, step)
    return pending


def _container_of(step: Any) -> str | None:
    """The one that the step is about; None for a step about other things, or of another version."""
    return step.get("container") if isinstance(step, Mapping) else None


def wake(gateway: EngineGateway, step: Step) -> None:
    """Bring the container of a `restore_state` step back; one that is gone, or as it was, is fine.

    One that was paused and does not run any more was ended by somebody else, and stays so. Raises EngineError for one
    that may still be on its way down.
    """
    if step["state"] == "unpaused":
        _unpause(gateway, step["container"])
        return
    try:
        state = gateway.inspect(step["container"]).get("State") or {}
    except ContainerNotFound:
        return
    if state.get("Paused"):
        gateway.unpause(step["container"])
    elif step["state"] == "running" and not state.get("Running"):
        gateway.start(step["container"])
    elif state.get("StartedAt") == step.get("startedAt") and time.time() < step.get("until", 0.0):
        raise EngineError("The container is still being stopped: it is started again as soon as it has.")


def _unpause(gateway: EngineGateway, container: str) -> None:
    """Without a look at it first: where a process froze in its start, Docker 20.10 hangs as soon as it is inspected."""
    try:
        gateway.unpause(container)
    except ContainerNotFound:
        return
    except EngineError as error:
        if "is not paused" not in error.message:
            raise


def _remove_labelled(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    """Containers first: they hold the rest. One thing that cannot be removed yet does not keep the others."""
    operation_id = step["operation"]
    failures: list[MycoError] = []
    with open_gateway(step.get("host", "")) as gateway:
        kinds: tuple[tuple[Callable[[str], tuple[str, ...]], Callable[[str], None]], ...] = (
            (gateway.labelled, gateway.remove),
            (gateway.labelled_volumes, gateway.remove_volume),
            (gateway.labelled_networks, gateway.remove_network),
            (gateway.labelled_images, gateway.remove_image),
        )
        for find, remove in kinds:
            for found in find(operation_id):
                try:
                    remove(found)
                except MycoError as error:
                    failures.append(error)
    if failures:
        raise failures[0]


def _remove_image(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    with open_gateway(step["host"]) as gateway:
        if gateway.labelled(step["operation"]):
            raise EngineError("The image is still used by what the operation made.")
        gateway.remove_unused_image(step["image"])


def _remove_files(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    location = Location(root=step["root"], folders=tuple(step["folders"]), name=step["name"])
    store.remove_leftovers(location, step["operation"], step["inode"])


def _restore_state(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    with open_gateway("") as gateway:
        wake(gateway, step)


def _restore_name(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    with open_gateway("") as gateway:
        try:
            name = str(gateway.inspect(step["container"]).get("Name", "")).removeprefix("/")
        except ContainerNotFound:
            return
        if name != step["name"]:
            gateway.rename(step["container"], step["name"])


def _run_hook(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    """At least once: where the Engine goes away in the middle, it is run again. Its failure does not repeat it."""
    hooks = hooks_of(unseal(step["sealed"], _hook_key()), inside="")
    seconds = min(hooks.timeout_seconds, LONGEST_REPLAYED_HOOK_SECONDS)
    with open_gateway("") as gateway:
        try:
            state = gateway.inspect(step["container"]).get("State") or {}
        except ContainerNotFound:
            return
        if not state.get("Running") or step["startedAt"] not in ("", state.get("StartedAt")):
            return
        gateway.end_execs(step["container"])
        if hooks.after is not None:
            end = gateway.run_exec(step["container"], hooks.after.command, timeout_seconds=seconds, tick=lambda: None)
            logger.info("the hook after was run late: %s", "too slow" if end.exit_code is None else end.exit_code)


def _hook_key() -> bytes:
    return derived_key(settings.SECRET_KEY, "mycodocker hooks")


def _unplace_paths(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    left = _place(step, open_gateway, unplace)
    if left:
        words = "%d entries of %s were changed by others meanwhile and stay; what was there before is in .before-%s/old"
        logger.warning(words, left, step["tree"], step["identifier"])


def _settle_paths(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    _place(step, open_gateway, settle)


def _place(step: Step, open_gateway: OpenGateway, verb: Callable[..., int | None]) -> int | None:
    """What the verb says. A tree that is gone has nothing to take back."""
    kind, _, name = step["tree"].partition(" ")
    with open_gateway("") as gateway:
        if gateway.labelled(step["operation"]):
            raise EngineError("A helper of the operation is still at work.")
        if kind == "root" and name.removeprefix("of ") not in {found.id for found in gateway.containers()}:
            return None
        if kind == "volume" and name not in gateway.volumes():
            return None
        options = HelperOptions(image=step["helper"])
        return verb(gateway, tree_at(step["tree"]), options, identifier=step["identifier"])


def _remove_set(step: Step, open_gateway: OpenGateway, store: LocalStore) -> None:
    """The one step that goes on instead of back: what is recorded as deleted must not stay."""
    remove_set(step, store)


_ACTIONS: Mapping[str, Callable[[Step, OpenGateway, LocalStore], None]] = {
    "remove_labelled": _remove_labelled,
    "remove_files": _remove_files,
    "remove_image": _remove_image,
    "restore_state": _restore_state,
    "restore_name": _restore_name,
    "run_hook": _run_hook,
    "unplace_paths": _unplace_paths,
    "settle_paths": _settle_paths,
    "remove_set": _remove_set,
}
