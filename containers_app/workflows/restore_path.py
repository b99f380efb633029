"""Files and folders of a backup, put into a container that is there by renames; all of it and proved, or nothing.

What is replaced is kept beside, and the journal that the helper writes before its first rename is how it is taken back,
whatever dies. It counts as done with the operation's own end, and only then what a return needs is cleared away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from containers_app.archives.extract import folder_archive
from containers_app.archives.tar_tree import TarTree, TreeFacts
from containers_app.archives.writer import CHUNK_BYTES
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.placing import PlacedEntry, look, place, stage, staged
from containers_app.errors import Collides, EngineError, InvalidRequest
from containers_app.workflows.content import options_of
from containers_app.workflows.context import Context
from containers_app.workflows.path_plan import PathPlan, Place
from containers_app.workflows.path_source import FoundPath
from containers_app.workflows.quiesce import state_of
from containers_app.workflows.restore_content import Meter, read_tree
from containers_app.workflows.set_reader import SetReader
from containers_app.workflows.undo import remove_labelled, settle_paths, unplace_paths

METHOD = "the staged tar entry by entry, then kind, owner, mode, time, size and SHA-256 of every entry in its place"
_ID_CHARACTERS = 8


@dataclass(frozen=True, kw_only=True)
class PlacedPaths:
    """What came of it. `kept`: where the container has what was replaced; `settling`: what remains to be done."""

    proofs: tuple[Mapping[str, Any], ...]
    kept: tuple[str, ...]
    settling: tuple[Mapping[str, Any], ...]


def find_target(gateway: EngineGateway, files: SetReader, wanted: str | None) -> Mapping[str, Any]:
    """The container that gets the files: the wanted one, else the backup's by its id, else by its name.

    Raises ContainerNotFound, Collides.
    """
    own = files.manifest.container
    known = {found.id for found in gateway.containers()}
    inspect = gateway.find(wanted or (own.id if own.id in known else own.name))
    state = state_of(inspect)
    if state in ("removing", "dead", "restarting"):
        raise Collides(f"the container is {state}: wait, or stop it, then try again")
    return inspect


def check_confirmed(plan: PathPlan, confirm: str | None) -> None:
    """Raise InvalidRequest unless the container's name was typed where something is replaced."""
    if plan.replaces and confirm != plan.container_name:
        words = f"must be the name of the container in which files are replaced: {plan.container_name}"
        raise InvalidRequest(f"'confirm' {words}", field="confirm")


def put_paths(context: Context, gateway: EngineGateway, files: SetReader, plan: PathPlan) -> PlacedPaths:
    """Stage all and compare it, put it in place and compare again; how to take it back is written before.

    Raises EngineError where something differs, BackupUnusable, and the errors of the Engine and the storage.
    """
    context.stage("check the backup")
    files.check(tuple({one.part.path: one.part for one in plan.found}.values()))
    identifier = context.facts.operation_id[-_ID_CHARACTERS:]
    context.stage("stage the files")
    for where in plan.places:
        context.remember_undo(unplace_paths(context, where.tree, identifier))
    # Taken back first: a helper that still works would go on meanwhile.
    context.remember_undo(remove_labelled(context.facts.operation_id))
    meter = Meter(context, tuple(one.part for one in plan.found))
    contents: dict[bytes, str] = {}
    for where in plan.places:
        for number, one in where.found:
            contents |= _stage(context, gateway, files, where, one, number=number, identifier=identifier, meter=meter)
    context.stage("put them in place")
    options = options_of(context)
    for where in plan.places:
        place(gateway, where.tree, where.entries, options, identifier=identifier)
    context.stage("check the content")
    proofs = tuple(_proof(context, gateway, where, contents) for where in plan.places)
    kept = tuple(_kept(where, identifier) for where in plan.places if where.looked and where.looked.overwritten)
    settling = tuple(settle_paths(context, where.tree, identifier) for where in plan.places)
    return PlacedPaths(proofs=proofs, kept=kept, settling=settling)


def _hashed(entry: PlacedEntry, contents: Mapping[bytes, str]) -> PlacedEntry:
    """With the digest of what was sent: the index has none of sparse files, nor where it was not asked for them."""
    if entry.kind != "file" or entry.sha256:
        return entry
    return replace(entry, sha256=contents[entry.staged])


def _kept(where: Place, identifier: str) -> str:
    base = f"/{where.base.decode('utf-8', 'replace')}" if where.base else ""
    return f"{base}/.before-{identifier}/old"


def _stage(
    context: Context,
    gateway: EngineGateway,
    files: SetReader,
    where: Place,
    one: FoundPath,
    *,
    number: int,
    identifier: str,
    meter: Meter,
) -> Mapping[bytes, str]:
    """Unpack one path beside, and compare what is there then with what was sent; the SHA-256 of each staged file."""
    options, tree = options_of(context), TarTree(contents=True)
    with files.opened(one.part) as source:
        metered = _Metered(source.read, meter)
        blocks = files.harmless(one.part, folder_archive(metered, one.entries, folder=one.inner))
        stage(gateway, where.tree, _watched(blocks, tree), options, identifier=identifier, number=number)
        # Only the end of a part tells that all of it, what was sent too, is what the manifest says.
        while metered.read(CHUNK_BYTES):
            pass
    sent = tree.finish()
    with staged(gateway, where.tree, options, identifier=identifier, number=number) as packed:
        found = read_tree(context, packed, TarTree())
        packed.finish()
    differing = _differing(sent, found)
    if differing:
        words = "are not as in the backup once they are unpacked, so nothing was changed"
        raise EngineError(f"{len(differing)} entries of {one.part.path} {words}")
    return {b"%d/%s" % (number, path): sha256.hex() for path, sha256 in sent.contents.items()}


def _differing(sent: TreeFacts, found: TreeFacts) -> list[bytes]:
    """Folders on the way, which the archive has not, are not compared."""
    return [path for path, digest in sent.digests.items() if found.digests.get(path) != digest]


@dataclass(frozen=True)
class _Metered:
    """A part of which some is read."""

    _read: Callable[[int], bytes]
    _meter: Meter

    def read(self, size_bytes: int, /) -> bytes:
        """As the part does."""
        block = self._read(min(size_bytes, CHUNK_BYTES))
        self._meter.add(block)
        return block


def _watched(blocks: Iterator[bytes], tree: TarTree) -> Iterator[bytes]:
    for block in blocks:
        tree.feed(block)
        yield block


def _proof(context: Context, gateway: EngineGateway, where: Place, contents: Mapping[bytes, str]) -> Mapping[str, Any]:
    """Look again at every entry. Raises EngineError where one is not as in the backup."""
    entries = tuple(_hashed(entry, contents) for entry in where.entries)
    looked = look(gateway, where.tree, entries, options_of(context))
    differing = looked.new + looked.overwritten + looked.blocked
    if differing:
        first = where.shown(next(iter(looked.verdicts)))
        words = "are not as in the backup, so all is put back: does the container write them? Stop it first"
        raise EngineError(f"{differing} entries, such as {first}, {words}")
    return {
        "kind": "paths",
        "name": where.tree.place,
        "target": where.tree.place,
        "equal": True,
        "method": METHOD,
        "entries": looked.unchanged,
    }
