"""Where paths of a backup go in a container that is there, and what that would change; nothing is done."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.archives.index_schema import Entry
from containers_app.crypto.sealing import keyed_digest
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.layers import RootTree, layer_obstacle
from containers_app.engine.placing import Looked, PlacedEntry, look
from containers_app.engine.trees import FolderTree, Tree, VolumeTree
from containers_app.errors import Collides, InvalidRequest, PermissionDenied
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.collisions import Collision, in_words
from containers_app.specs.privilege import host_devices
from containers_app.specs.raw_path import shown
from containers_app.workflows.content import options_of
from containers_app.workflows.context import Context
from containers_app.workflows.path_source import FoundPath
from containers_app.workflows.set_content import BIND_PERMISSION, is_below

SHOWN_CHANGES = 200
_MODE_OF_FOLDERS = 0o755
_MODE_OF_OTHERS = stat.S_ISUID | stat.S_ISGID
_FOLDER_KINDS = ("folder", "parent")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tree of the target that gets something. `base`: where the container has it, without a slash in front."""

    tree: Tree
    base: bytes
    found: tuple[tuple[int, FoundPath], ...]
    entries: tuple[PlacedEntry, ...] = field(repr=False)
    looked: Looked | None = None

    def shown(self, number: int) -> str:
        """The path of an entry as the container has it."""
        return "/" + shown(b"/".join(filter(None, (self.base, self.entries[number].path))))


@dataclass(frozen=True, kw_only=True)
class PathPlan:
    """What goes where, and what that changes; `replaces`: files that are there give way."""

    container_id: str
    container_name: str
    places: tuple[Place, ...]
    hash: str
    collisions: tuple[Collision, ...]
    warnings: tuple[PlanWarning, ...]

    @property
    def found(self) -> tuple[FoundPath, ...]:
        """What is read of the backup."""
        return tuple(one for place in self.places for _, one in place.found)

    def total(self, verdict: str) -> int:
        """How many entries have this verdict."""
        return sum(getattr(place.looked, verdict) for place in self.places)

    @property
    def replaces(self) -> bool:
        """Whether a file or folder that is there becomes another one."""
        return self.total("overwritten") > 0

    def document(self) -> dict[str, Any]:
        """As answers and rows have it; the list of changes is cut, the totals are not."""
        totals = {name: self.total(name) for name in ("new", "overwritten", "unchanged", "blocked")}
        parts = {one.part.path: one.part for one in self.found}
        return {
            "hash": self.hash,
            "container": {"id": self.container_id, "name": self.container_name},
            "collisions": [collision.document() for collision in self.collisions],
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
            "parts": [{"kind": part.kind, "name": part.name, "sizeBytes": part.size_bytes} for part in parts.values()],
            "paths": [self._path(place, one) for place in self.places for _, one in place.found],
            "entries": {**totals, "bytes": sum(one.size_bytes for one in self.found)},
            "changes": list(self._changes())[:SHOWN_CHANGES],
        }

    @staticmethod
    def _path(place: Place, one: FoundPath) -> dict[str, Any]:
        return {
            "path": "/" + shown(one.path),
            "part": one.part.path,
            "place": place.tree.place,
            "entries": len(one.entries),
            "bytes": one.size_bytes,
        }

    def _changes(self) -> Iterator[dict[str, str]]:
        for place in self.places:
            for number, verdict in (place.looked.verdicts if place.looked else {}).items():
                yield {"path": place.shown(number), "change": verdict}


def plan_paths(
    context: Context,
    gateway: EngineGateway,
    inspect: Mapping[str, Any],
    found: Sequence[FoundPath],
    *,
    target: bytes | None,
    bound: Mapping[str, Any],
) -> PathPlan:
    """Look at what is there by helpers, whose undo is recorded. Raises InvalidRequest, Collides, PermissionDenied.

    Raises the errors of the Engine too.
    """
    options = options_of(context)
    places = tuple(
        replace(place, looked=look(gateway, place.tree, place.entries, options))
        for place in _places(context, gateway, inspect, found, target)
    )
    material = {
        "bound": dict(bound),
        "container": str(inspect["Id"]),
        "parts": sorted({one.part.sha256 for one in found}),
        "places": [[place.tree.place, place.looked.sha256] for place in places if place.looked],
    }
    return PathPlan(
        container_id=str(inspect["Id"]),
        container_name=str(inspect["Name"]).removeprefix("/"),
        places=places,
        hash=keyed_digest(json.dumps(material, sort_keys=True).encode(), context.facts.plan_key),
        collisions=tuple(collision for place in places for collision in _collisions(place)),
        warnings=tuple(_warnings(inspect, found)),
    )


def _places(
    context: Context,
    gateway: EngineGateway,
    inspect: Mapping[str, Any],
    found: Sequence[FoundPath],
    target: bytes | None,
) -> Iterator[Place]:
    """One for each tree, in the order of the paths. Raises as `plan_paths`."""
    mounts = {str(mount.get("Destination")).strip("/").encode(): mount for mount in inspect.get("Mounts") or []}
    kept_in_memory = {path.strip("/").encode() for path in inspect["HostConfig"].get("Tmpfs") or {}}
    every = (b"", *mounts, *kept_in_memory)
    by_base: dict[bytes, list[tuple[int, FoundPath, bytes]]] = {}
    for number, one in enumerate(found):
        goes_to = one.path if target is None else b"/".join(filter(None, (target, one.path.rpartition(b"/")[2])))
        base = max((place for place in every if _is_at(goes_to, place)), key=len)
        by_base.setdefault(base, []).append((number, one, goes_to))
    for base, ones in by_base.items():
        if base in kept_in_memory:
            raise Collides(
                f"/{shown(base)} is kept in memory in this container, and gone when it stops: choose another 'target'"
            )
        tree = _tree(context, gateway, inspect, mounts.get(base))
        entries: dict[bytes, PlacedEntry] = {}
        for number, one, goes_to in ones:
            wanted = _entries(number, one, goes_to, base, is_moved=target is not None)
            _add(entries, (entry for entry in wanted if not _is_covered(entry, base, every)))
        ordered = tuple(entries[path] for path in sorted(entries, key=lambda path: path.split(b"/")))
        yield Place(tree=tree, base=base, found=tuple((number, one) for number, one, _ in ones), entries=ordered)


def _is_covered(entry: PlacedEntry, base: bytes, every: Iterable[bytes]) -> bool:
    """Whether something is mounted over it: a rename there would take the mount away from a container that runs."""
    path = b"/".join(filter(None, (base, entry.path)))
    return any(len(place) > len(base) and _is_at(path, place) for place in every)


def _is_at(path: bytes, place: bytes) -> bool:
    return not place or path == place or path.startswith(place + b"/")


def _tree(
    context: Context, gateway: EngineGateway, inspect: Mapping[str, Any], mount: Mapping[str, Any] | None
) -> Tree:
    """What can be written to. Raises Collides for what cannot, PermissionDenied for folders of the host."""
    name = str(inspect["Name"]).removeprefix("/")
    if mount is None:
        if inspect["HostConfig"].get("ReadonlyRootfs"):
            raise Collides(
                f"the file system of {name} is read-only: restore into one of its volumes, or a new container"
            )
        obstacle = layer_obstacle(gateway, inspect)
        if obstacle:
            words = "so single files cannot be put into it safely: restore into one of its volumes, or a new container"
            raise Collides(f"{obstacle}, {words}")
        return RootTree(container=str(inspect["Id"]))
    place = str(mount.get("Destination"))
    if not mount.get("RW"):
        raise Collides(f"{place} is mounted read-only in {name}: mount it writable, or choose another 'target'")
    if mount.get("Type") == "volume":
        volume = str(mount["Name"])
        for device in host_devices(gateway.volume(volume).get("Options") or {}):
            _check_folder(context, device, place)
        return VolumeTree(name=volume)
    if mount.get("Type") != "bind":
        raise Collides(f"{place} is neither a volume nor a folder in {name}: choose another 'target'")
    _check_folder(context, str(mount["Source"]), place)
    return FolderTree(path=str(mount["Source"]))


def _check_folder(context: Context, folder: str, place: str) -> None:
    if not context.facts.may(BIND_PERMISSION):
        words = (
            f"{place} is a folder of the Docker host: to write to it you need the permission '{BIND_PERMISSION}' too"
        )
        raise PermissionDenied(words)
    if not is_below(folder, context.bind_roots):
        raise Collides(f"{place} is a folder of the host outside of MYCO_BIND_ROOTS, so it is not written to")


def _add(entries: dict[bytes, PlacedEntry], more: Iterator[PlacedEntry]) -> None:
    """Folders on the way are made once; nothing else may come twice."""
    for entry in more:
        there = entries.get(entry.path)
        if there is not None and "parent" not in (there.kind, entry.kind):
            raise InvalidRequest(
                f"'paths' puts two things at {shown(entry.path)}: name one, or leave 'target' out", field="paths"
            )
        if there is None or there.kind == "parent":
            entries[entry.path] = entry


def _entries(number: int, one: FoundPath, goes_to: bytes, base: bytes, *, is_moved: bool) -> Iterator[PlacedEntry]:
    """The folders on the way, and what the backup has there."""
    inner = goes_to[len(base) :].strip(b"/")
    steps = inner.split(b"/")
    for count in range(1, len(steps)):
        path = b"/".join(steps[:count])
        above = None if is_moved else one.above.get(b"/".join(filter(None, (base, path))))
        yield _entry(number, above, path, kind="parent")
    for entry in one.entries:
        path = b"/".join(filter(None, (inner, entry.path[len(one.inner) :].strip(b"/"))))
        yield _entry(number, entry, path, kind=_kind(entry))


def _kind(entry: Entry) -> str:
    if entry.kind == "hardlink":
        return "file" if entry.data_offset is not None else "other"
    return entry.kind


def _entry(number: int, entry: Entry | None, path: bytes, *, kind: str) -> PlacedEntry:
    """Of a folder of which nothing is known: root's, and of now."""
    if entry is None or entry.mode is None:
        now = time.time_ns()
        return PlacedEntry(path=path, staged=b"", kind="parent", mode=_MODE_OF_FOLDERS, uid=0, gid=0, mtime_ns=now)
    has_digest = kind == "file" and entry.sha256 is not None and not entry.sparse
    return PlacedEntry(
        path=path,
        staged=b"%d/%s" % (number, entry.path),
        kind=kind,
        mode=entry.mode,
        uid=entry.uid or 0,
        gid=entry.gid or 0,
        mtime_ns=entry.mtime_ns or 0,
        size_bytes=entry.size_bytes,
        sha256=entry.sha256.hex() if has_digest and entry.sha256 else "",
        target=entry.target if kind == "symlink" else b"",
    )


def _collisions(place: Place) -> Iterator[Collision]:
    looked = place.looked
    if looked is None:
        return
    if looked.blocked:
        number = next(number for number, verdict in looked.verdicts.items() if verdict == "blocked")
        words = "something of another kind, or a link, stands there or on the way"
        where = f"{looked.blocked} entries cannot be put in their places, such as {place.shown(number)}"
        message = f"{where}: {words}. Move it away, or choose another 'target'."
        yield Collision(kind="path", subject=place.shown(number), message=message, blocks="create")
    if isinstance(place.tree, FolderTree):
        yield from _powers_over_host(place)
    needed = sum(one.size_bytes for _, one in place.found)
    if needed > looked.free_bytes:
        words = f"The files take {in_words(needed)}, and {in_words(looked.free_bytes)} are free there"
        yield Collision(kind="space", subject=place.tree.place, message=f"{words}: make room.", blocks="create")


def _powers_over_host(place: Place) -> Iterator[Collision]:
    """The first thing that a user of the host could use there to become another one."""
    for number, entry in enumerate(place.entries):
        is_device = entry.kind in ("character", "block")
        if is_device or (entry.kind == "file" and entry.mode & _MODE_OF_OTHERS):
            what = "is a device" if is_device else "runs as its owner or group (setuid, setgid)"
            words = f"{what}, and would stand in a folder of the Docker host: leave it out of 'paths'"
            message = f"{place.shown(number)} {words}, or choose another 'target'."
            yield Collision(kind="path", subject=place.shown(number), message=message, blocks="create")
            return


def _warnings(inspect: Mapping[str, Any], found: Sequence[FoundPath]) -> Iterator[PlanWarning]:
    for mount in inspect.get("Mounts") or []:
        place = str(mount.get("Destination")).strip("/").encode()
        for one in found:
            if place.startswith(one.path + b"/"):
                words = f"What is mounted at /{shown(place)} lies below /{shown(one.path)} and stays as it is"
                yield PlanWarning(code="MOUNT_BELOW", message=f"{words}: name it as well if you want it.")
