"""What a container's backup set holds: decided from its inspect, then read while it is quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from containers_app.archives.checking import INTACT, Reading, check_parts, worst
from containers_app.archives.manifest import Part
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import Choice, Packed, packed_tree
from containers_app.engine.trees import FolderTree, Tree, VolumeTree
from containers_app.errors import EngineError, EngineUnavailable, InvalidRequest, PermissionDenied
from containers_app.models import BackupPart
from containers_app.models.backups import USABLE_STATES
from containers_app.specs.fields import printable
from containers_app.specs.privilege import host_devices
from containers_app.specs.saved import SavedConfiguration
from containers_app.workflows.content import options_of
from containers_app.workflows.context import Context
from containers_app.workflows.set_writer import SetWriter
from containers_app.workflows.undo import remove_labelled

CONTENTS = ("rootfs", "config", "volumes", "binds", "image")
BIND_PERMISSION = "containers_app.backup_bind"


@dataclass(frozen=True, kw_only=True)
class SavedTree:
    """A volume (by name) or a bind (by folder) to save; `destination` is where the container has it."""

    kind: str
    name: str
    destination: str
    tree: Tree

    @property
    def label(self) -> str:
        """What its file is called after: an anonymous volume's name tells people nothing."""
        return self.destination if self.kind == "bind" or len(self.name) == 64 else self.name


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The trees to save; `whole`: nothing that was asked for had to be left out."""

    trees: tuple[SavedTree, ...] = ()
    whole: bool = True
    choice: Choice = Choice()  # noqa: RUF009 - frozen


def check_contents(context: Context, contents: tuple[str, ...]) -> None:
    """Raise PermissionDenied for folders of the host without the permission for them."""
    if "binds" in contents and not context.facts.may(BIND_PERMISSION):
        raise PermissionDenied("you may not back up folders of a Docker host: leave 'binds' out of 'options.contents'")


def trees_to_save(
    context: Context, inspect: Mapping[str, Any], contents: tuple[str, ...], chosen: tuple[str, ...] | None
) -> Chosen:
    """The volumes and binds to save, each once, by their places. `chosen`: volumes by name or mount point; None: all.

    What is left out although it was asked for is a warning. Raises InvalidRequest for a volume that is not there.
    """
    mounts = [mount for mount in inspect.get("Mounts") or [] if mount.get("Destination")]
    found: dict[str, SavedTree] = {}
    if "volumes" in contents:
        for mount in _chosen_volumes(mounts, chosen):
            volume = VolumeTree(name=str(mount["Name"]))
            found.setdefault(volume.place, _saved("volume", volume.name, mount, volume))
    binds = [mount for mount in mounts if mount.get("Type") == "bind" and "binds" in contents]
    allowed = [mount for mount in binds if _is_allowed(context, mount)]
    for mount in allowed:
        folder = FolderTree(path=str(mount["Source"]))
        found.setdefault(folder.place, _saved("bind", folder.path, mount, folder))
    return Chosen(trees=tuple(found.values()), whole=allowed == binds)


def _saved(kind: str, name: str, mount: Mapping[str, Any], tree: Tree) -> SavedTree:
    return SavedTree(kind=kind, name=name, destination=str(mount["Destination"]), tree=tree)


def _chosen_volumes(mounts: list[Any], chosen: tuple[str, ...] | None) -> list[Any]:
    volumes = [mount for mount in mounts if mount.get("Type") == "volume"]
    known = {str(mount.get(key)) for mount in volumes for key in ("Name", "Destination")}
    for name in chosen or ():
        if name not in known:
            words = f"the container has no volume '{printable(name)}': name one by its name or its mount point"
            raise InvalidRequest(words, field="options.volumes")
    return [mount for mount in volumes if chosen is None or {mount["Name"], mount["Destination"]} & set(chosen)]


def with_host_volumes_judged(
    context: Context, chosen: Chosen, options_of_volume: Callable[[str], Mapping[str, str]], *, may_binds: bool
) -> Chosen:
    """A volume whose options name a folder or a device of the host is read only as a bind would be.

    `options_of_volume` gives a volume's driver options; `may_binds`: folders of the host were asked for, and allowed.
    """
    kept = []
    for saved in chosen.trees:
        devices = host_devices(options_of_volume(saved.name)) if saved.kind == "volume" else ()
        if all(may_binds and is_below(device, context.bind_roots) for device in devices):
            kept.append(saved)
        else:
            words = "is a folder or a device of the host, so it is not in this backup: see 'binds' and MYCO_BIND_ROOTS"
            context.warn("BIND_LEFT_OUT", f"The volume {saved.name} {words}.")
    return replace(chosen, trees=tuple(kept), whole=chosen.whole and len(kept) == len(chosen.trees))


def is_below(path: str, roots: Iterable[str]) -> bool:
    """Whether the path is one of the roots or below one: by its words, and where it is visible here, by where it leads.

    On another machine, links on the way cannot be seen.
    """
    allowed = tuple(roots)
    return _has_root(path, allowed) and ".." not in path.split("/") and _leads_below(path, allowed)


def _has_root(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)


def _leads_below(path: str, roots: Iterable[str]) -> bool:
    try:
        place = str(Path(path).resolve())
    except (OSError, RuntimeError, ValueError):  # such as links in a circle
        return False
    return _has_root(place, [str(Path(root).resolve()) for root in roots])


def _is_allowed(context: Context, mount: Mapping[str, Any]) -> bool:
    """Whether the folder is at or below one that may be read; the others are named in a warning."""
    path = str(mount.get("Source", ""))
    if is_below(path, context.bind_roots):
        return True
    words = "is outside the folders that may be read (MYCO_BIND_ROOTS), so it is not in this backup"
    context.warn("BIND_LEFT_OUT", f"The bind at {mount['Destination']} {words}.")
    return False


def save_trees(context: Context, gateway: EngineGateway, files: SetWriter, chosen: Chosen, *, still: bool) -> bool:
    """Write a part for each tree: to be called while the source is quiet. Whether all of them are complete.

    `still`: nothing in the container writes, so that the tar must have every entry that was there.
    """
    complete, trees = chosen.whole, chosen.trees
    for number, saved in enumerate(trees, start=1):
        # Its helper carries the label.
        undo = remove_labelled(context.facts.operation_id) if number == 1 else None
        context.stage(f"save {saved.kind} {number} of {len(trees)}", undo=undo)
        with packed_tree(gateway, saved.tree, options_of(context), choice=chosen.choice) as packed:
            part = files.add_tar(saved.kind, saved.name, packed, label=saved.label)
            complete &= _is_complete(context, saved, part, packed.finish(), still=still)
    return complete


def _is_complete(context: Context, saved: SavedTree, part: Part, packed: Packed, *, still: bool) -> bool:
    if packed.changed:
        words = "changed while it was read, so the backup is of no single moment: use 'pause' or 'stop'"
        context.warn("CONTENT_CHANGED", f"The {saved.kind} {saved.name} {words}.")
        return False
    if still and packed.entries is not None and packed.entries != part.members:
        words = f"had {packed.entries} entries, and the backup has {part.members}: back it up again"
        context.warn("CONTENT_INCOMPLETE", f"The {saved.kind} {saved.name} {words}.")
        return False
    return True


def save_image(
    context: Context, gateway: EngineGateway, files: SetWriter, image_id: str, *, written: Iterable[Part] = ()
) -> None:
    """The image as `docker save` writes it, once in a folder for all sets that are encoded alike.

    `written`: what this operation has written for other sets already.
    """
    prefix = files.shared_prefix("image", image_id)
    same = [part for part in written if part.name == image_id and part.path.startswith(prefix)]
    found = same[0] if same else _stored_image(context, files, prefix)
    if found is not None:
        files.parts.append(found)
        return
    context.stage("save the image")
    with gateway.save_image(image_id) as stream, context.interruptible(stream.abort):
        files.add_shared("image", image_id, stream)


def _stored_image(context: Context, files: SetWriter, prefix: str) -> Part | None:
    """The image that another set of the same folder has, if each of its bytes still is what was recorded."""
    folder = str(PurePosixPath(context.store.path_of(files.base)).parent)
    rows = BackupPart.objects.filter(kind="image", file_name__startswith=prefix, backup__state__in=USABLE_STATES)
    for row in rows.filter(backup__path__startswith=f"{folder}/").select_related("backup").order_by("-pk"):
        part = row.as_part()
        if str(PurePosixPath(row.backup.path).parent) == folder and _is_intact(context, files, part):
            return part
    return None


def _is_intact(context: Context, files: SetWriter, part: Part) -> bool:
    context.stage("read the image's file")
    return worst(check_parts(context.store, files.base, (part,), Reading(checkpoint=context.checkpoint))) == INTACT


def configuration_of(gateway: EngineGateway, inspect: Mapping[str, Any]) -> SavedConfiguration:
    """The container with its networks, volumes and image, as far as the Engine still has them."""
    networks = (inspect.get("NetworkSettings") or {}).get("Networks") or {}
    mounts = inspect.get("Mounts") or []
    volumes = [str(mount["Name"]) for mount in mounts if mount.get("Type") == "volume" and mount.get("Name")]
    return SavedConfiguration(
        container=inspect,
        networks={name: found for name in networks if (found := _asked(gateway.network, name)) is not None},
        volumes={name: found for name in volumes if (found := _asked(gateway.volume, name)) is not None},
        image=_asked(gateway.image, str(inspect["Image"])) or {},
    )


def _asked(ask: Callable[[str], Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The Engine's answer, or None where it has no such thing."""
    try:
        return ask(name)
    except EngineUnavailable:
        raise
    except EngineError:
        return None
