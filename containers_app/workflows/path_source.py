"""Paths of a container, found in its backup: the part that has them, and what the part's index says of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from containers_app.archives.extract import leads_nowhere
from containers_app.archives.index import Index
from containers_app.archives.index_builder import IndexBuilder
from containers_app.archives.index_schema import Entry
from containers_app.archives.manifest import Part
from containers_app.archives.stores.faults import storage_faults
from containers_app.errors import InvalidRequest, NotFound
from containers_app.specs.fields import printable
from containers_app.specs.raw_path import raw, shown
from containers_app.workflows.context import Context
from containers_app.workflows.restore_content import ENGINES_OWN
from containers_app.workflows.set_reader import SetReader

MOST_ENTRIES = 100_000


@dataclass(frozen=True, kw_only=True)
class FoundPath:
    """A path as the container saw it, without a slash in front, and what the backup has there.

    `inner`: the same in the part, which is mounted at `base`. `entries`: in the order of the archive. `above`: what the
    part has of the folders on the way, by their paths in the container.
    """

    path: bytes
    part: Part
    base: bytes
    inner: bytes
    entries: tuple[Entry, ...] = field(repr=False)
    above: Mapping[bytes, Entry] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """What the files take once they are restored."""
        return sum(entry.size_bytes for entry in self.entries)


def path_of(text: str, *, field_name: str) -> bytes:
    """An absolute path as answers write it, as bytes without a slash in front. Raises InvalidRequest."""
    path = raw(text, field=field_name)
    steps = [step for step in path.split(b"/") if step not in (b"", b".")]
    if not path.startswith(b"/") or b".." in steps:
        raise InvalidRequest(f"'{field_name}' must have absolute paths without '..'", field=field_name)
    return b"/".join(steps)


def find_paths(context: Context, files: SetReader, paths: tuple[str, ...]) -> tuple[FoundPath, ...]:
    """All of them; one below another one is part of that. Raises InvalidRequest that names what the backup has not.

    Raises what reading raises too.
    """
    wanted = sorted({path_of(path, field_name="paths") for path in paths})
    places = _places(files)
    with ExitStack() as stack:
        indexes: dict[str, Index] = {}
        found: list[FoundPath] = []
        for path in wanted:
            if any(path.startswith(one.path + b"/") and _place(places, path) == one.base for one in found):
                continue
            part, base = _part_at(places, path)
            if part.path not in indexes:
                indexes[part.path] = stack.enter_context(_opened_index(context, files, part))
            most = MOST_ENTRIES - sum(len(one.entries) for one in found)
            found.append(_found(indexes[part.path], part, base, path, most=most))
    return tuple(found)


def _places(files: SetReader) -> dict[bytes, Part | None]:
    """What the backup has at which place of the container; None where something was mounted that it has not."""
    known = {(part.kind, part.name): part for part in files.parts("volume", "bind")}
    places: dict[bytes, Part | None] = {b"": files.part("rootfs")}
    if files.part("config") is None:
        return places
    for mount in files.configuration().without_lacking().container.get("Mounts") or []:
        kind, name = mount.get("Type"), mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source")
        places[str(mount.get("Destination")).strip("/").encode()] = known.get((str(kind), str(name)))
    return places


def _place(places: Mapping[bytes, object], path: bytes) -> bytes:
    """The deepest place that the path is at or below."""
    return max((place for place in places if not place or path == place or path.startswith(place + b"/")), key=len)


def _part_at(places: Mapping[bytes, Part | None], path: bytes) -> tuple[Part, bytes]:
    base = _place(places, path)
    part = places[base]
    if not path or (not base and path in ENGINES_OWN - {b"etc"}):
        raise _refused(path, "cannot be restored by itself: name what is below it, or restore the container")
    if part is None:
        words = f"is on what was mounted at /{shown(base)}" if base else "is in the container's file system"
        raise _refused(path, f"{words}, which is not in this backup")
    return part, base


def _found(index: Index, part: Part, base: bytes, path: bytes, *, most: int) -> FoundPath:
    inner = path[len(base) :].strip(b"/")
    try:
        given = (entry for entry in index.entries_below(inner) if _is_given(entry, part, inner))
        entries = tuple(islice(given, most + 1))
    except NotFound as error:
        raise _refused(path, f"is not in this backup{_link_on_the_way(index, inner)}") from error
    if len(entries) > most:
        words = f"name more than {MOST_ENTRIES} files and folders: restore the volume, or the container as a new one"
        raise InvalidRequest(f"'paths' {words}", field="paths")
    steps = inner.split(b"/")
    above = {}
    for number in range(1, len(steps)):
        folder = b"/".join(steps[:number])
        above[b"/".join(filter(None, (base, folder)))] = index.entry(folder)
    return FoundPath(path=path, part=part, base=base, inner=inner, entries=entries, above=above)


def _is_given(entry: Entry, part: Part, inner: bytes) -> bool:
    """What an Engine makes in every container is left to it."""
    is_engines_own = part.kind == "rootfs" and entry.kind != "folder" and entry.path in ENGINES_OWN
    return not is_engines_own and not leads_nowhere(entry, inner)


def _link_on_the_way(index: Index, inner: bytes) -> str:
    steps = inner.split(b"/")
    for number in range(1, len(steps)):
        try:
            entry = index.entry(b"/".join(steps[:number]))
        except NotFound:
            return ""
        if entry.kind == "symlink":
            return f": {shown(entry.path)} is a link to {shown(entry.target)}, name the path below that"
    return ""


def _refused(path: bytes, words: str) -> InvalidRequest:
    return InvalidRequest(f"'paths': {printable('/' + shown(path))} {words}", field="paths")


def _opened_index(context: Context, files: SetReader, part: Part) -> Index:
    """The part's index as it was stored; one that was not, or that nobody could judge, is made out of the part."""
    stored = next((index for index in files.parts("index") if index.name == part.path), None)
    if files.is_adopted and part.encryption is not None:
        stored = None
    if stored is not None:
        files.check((stored,))

    def write(file: BinaryIO) -> None:
        if stored is None:
            _build(context, files, part, file)
            return
        with files.opened(stored) as source:
            file.writelines(source.blocks(lambda block: context.checkpoint()))

    with storage_faults("keeping the index in the data folder"):
        return Index.of(write, within=context.scratch_folder)


def _build(context: Context, files: SetReader, part: Part, file: BinaryIO) -> None:
    with IndexBuilder(within=context.scratch_folder) as builder:
        with files.opened(part) as source:
            for block in files.harmless(part, source.blocks(lambda block: context.checkpoint())):
                builder.feed(block)
        builder.finish()
        shutil.copyfileobj(builder.file, file)
