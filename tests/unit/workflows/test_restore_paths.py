"""Which part of a backup has a path, where in a container it goes, and what is refused before anything is looked at."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tarfile import BLKTYPE, CHRTYPE, DIRTYPE, SYMTYPE
from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.index import Index
from containers_app.archives.index_builder import IndexBuilder
from containers_app.archives.index_schema import Entry
from containers_app.archives.manifest import Part
from containers_app.engine.placing import Looked, PlacedEntry
from containers_app.engine.trees import FolderTree, VolumeTree
from containers_app.errors import BackupUnusable, Collides, InvalidRequest, PermissionDenied
from containers_app.workflows import path_plan, path_source, restore, restore_path
from containers_app.workflows.path_plan import PathPlan, plan_paths
from containers_app.workflows.path_source import FoundPath, find_paths, path_of
from containers_app.workflows.restore import RestoreParams
from containers_app.workflows.restore_path import put_paths
from tests.unit.archives.samples import Member, tar_of

ROOTFS = tar_of(
    [
        *(Member(name, typeflag=DIRTYPE) for name in ("etc", "etc/app", "data")),
        *(Member("etc/app/main", b"main"), Member("etc/app-d"), Member("etc/hosts")),
        Member("run", typeflag=SYMTYPE, target="var/run"),
    ]
)
VOLUME = tar_of([Member(".", typeflag=DIRTYPE), Member("./state", b"state")])


class Source(io.BytesIO):
    def blocks(self, watch: Any) -> Iterator[bytes]:
        yield self.getvalue()


class Files:
    """A backup of a container with the volume `data` at /data, and one at /lost that was left out."""

    def __init__(
        self,
        *,
        indexed: bool = True,
        encryption: str | None = None,
        is_adopted: bool = False,
        hashed: bool = True,
        source: type[Source] = Source,
    ) -> None:
        self.is_adopted, self.opened_kinds, self.hashed, self.source = is_adopted, list[str](), hashed, source
        self.tars = {"web.tar": ROOTFS, "web.tar.volume": VOLUME}
        rows = [("rootfs", "web", "web.tar"), ("volume", "data", "web.tar.volume"), ("config", "web", "config")]
        rows += [("index", name, f"{name}.index") for name in self.tars] if indexed else []
        figures: Any = {"size_bytes": 10, "stored_bytes": 10, "sha256": "0" * 64, "stored_sha256": "0" * 64}
        figures["encryption"] = encryption
        self.every = [Part(kind=kind, name=name, path=path, members=1, **figures) for kind, name, path in rows]
        mounts = [mount("data", "/data"), mount("lost", "/lost")]
        self.saved = SimpleNamespace(container={"Mounts": mounts})

    def parts(self, *kinds: str) -> tuple[Part, ...]:
        return tuple(part for part in self.every if part.kind in kinds)

    def part(self, kind: str) -> Part | None:
        return next(iter(self.parts(kind)), None)

    def configuration(self) -> Any:
        return SimpleNamespace(without_lacking=lambda: self.saved)

    def harmless(self, part: Part, blocks: Iterator[bytes]) -> Iterator[bytes]:
        return blocks

    def check(self, parts: Any) -> None:
        """All is well."""

    @contextmanager
    def opened(self, part: Part) -> Iterator[Source]:
        self.opened_kinds.append(part.kind)
        if part.kind != "index":
            yield self.source(self.tars[part.path])
            return
        with IndexBuilder(hashed=self.hashed) as builder:
            builder.feed(self.tars[part.name])
            builder.finish()
            yield Source(builder.file.read())


def mount(name: str, place: str, **more: Any) -> dict[str, Any]:
    return {"Type": "volume", "Name": name, "Destination": place, "RW": True, **more}


@pytest.fixture
def context(tmp_path: Path) -> Any:
    facts = SimpleNamespace(may=lambda permission: False, plan_key=b"key", operation_id="1" * 32)
    calls: Any = {"helper_image": None, "interruptible": None, "checkpoint": lambda: None}
    calls |= dict.fromkeys(("stage", "remember_undo", "progress"), lambda *_, **__: None)
    return SimpleNamespace(scratch_folder=tmp_path, facts=facts, bind_roots=("/srv",), **calls)


def found(context: Any, *paths: str, indexed: bool = True) -> tuple[FoundPath, ...]:
    files: Any = Files(indexed=indexed)
    return find_paths(context, files, paths)


def planned(
    context: Any, monkeypatch: pytest.MonkeyPatch, paths: Any, *mounts: Any, target: bytes | None = None, **host: Any
) -> PathPlan:
    totals: Any = {"new": 0, "overwritten": 0, "unchanged": 1, "blocked": 0, "free_bytes": 10**6, "verdicts": {}}
    monkeypatch.setattr(path_plan, "look", lambda *arguments: Looked(sha256="0" * 64, **totals))
    monkeypatch.setattr(path_plan, "layer_obstacle", lambda *arguments: None)
    gateway: Any = SimpleNamespace(
        volume=lambda name: {"Options": {"device": "/host", "o": "bind"} if name == "host" else {}}
    )
    inspect = {"Id": "a" * 64, "Name": "/web", "HostConfig": host, "Mounts": list(mounts)}
    return plan_paths(context, gateway, inspect, paths, target=target, bound={})


@pytest.mark.parametrize("indexed", [True, False], ids=["with an index", "without one"])
def test_a_path_is_found_in_the_part_that_has_it(context: Any, indexed: bool) -> None:
    main, state = found(context, "/data/state", "/etc/app/", indexed=indexed)[::-1]
    assert (main.part.kind, main.inner, [entry.path for entry in main.entries]) == (
        *("rootfs", b"etc/app"),
        [b"etc/app", b"etc/app/main"],
    )
    assert list(main.above) == [b"etc"]
    assert (state.part.kind, state.base, state.inner, state.size_bytes) == ("volume", b"data", b"state", 5)
    assert list(context.scratch_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("encryption", "is_adopted", "read"),
    [("age", True, "rootfs"), (None, True, "index"), ("age", False, "index")],
    ids=["one that nobody could judge", "one that was judged", "our own"],
)
def test_an_index_that_a_stranger_wrote_and_nobody_judged_is_not_believed(
    context: Any, encryption: str | None, is_adopted: bool, read: str
) -> None:
    files: Any = Files(encryption=encryption, is_adopted=is_adopted)
    (one,) = find_paths(context, files, ("/etc/app",))
    assert [entry.path for entry in one.entries] == [b"etc/app", b"etc/app/main"]
    assert files.opened_kinds == [read]


def test_a_path_below_another_one_is_part_of_that(context: Any) -> None:
    assert [one.path for one in found(context, "/etc/app/main", "/etc/app")] == [b"etc/app"]
    # Between the two in the order of their bytes.
    paths = [one.path for one in found(context, "/etc/app/main", "/etc/app-d", "/etc/app")]
    assert paths == [b"etc/app", b"etc/app-d"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/nothing", "/etc/nothing is not in this backup"),
        ("/run/pid", "run is a link to var/run"),
        ("/lost/file", "mounted at /lost, which is not in this backup"),
        ("/", "cannot be restored by itself"),
        ("/etc/hosts", "cannot be restored by itself"),
    ],
)
def test_what_the_backup_cannot_give_is_named(context: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        found(context, path)
    assert refused.value.field == "paths"


@pytest.mark.parametrize(("most", "paths"), [(2, ("/etc/app", "/data/state")), (1, ("/etc/app",))])
def test_no_more_entries_are_read_than_are_taken(
    context: Any, monkeypatch: pytest.MonkeyPatch, most: int, paths: tuple[str, ...]
) -> None:
    given, below = list[bytes](), Index.entries_below

    def counted(index: Index, path: bytes) -> Iterator[Entry]:
        for entry in below(index, path):
            given.append(entry.path)
            yield entry

    monkeypatch.setattr(Index, "entries_below", counted)
    monkeypatch.setattr(path_source, "MOST_ENTRIES", most)
    with pytest.raises(InvalidRequest, match=f"more than {most} files") as refused:
        found(context, *paths)
    assert (refused.value.field, len(given)) == ("paths", most + 1)
    monkeypatch.setattr(path_source, "MOST_ENTRIES", most + 1)
    assert found(context, *paths)


@pytest.mark.parametrize("path", ["etc", "/etc/../x", "/%0", "/a%00"])
def test_what_is_no_absolute_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        path_of(path, field_name="paths")


def test_each_path_goes_into_what_the_container_has_there(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(context, monkeypatch, found(context, "/etc/app", "/data"), mount("other", "/data"))
    assert [place.tree.place for place in plan.places] == ["volume other", f"root of {'a' * 64}"]
    assert [entry.path for entry in plan.places[0].entries] == [b"", b"state"]
    kinds = [(entry.path, entry.kind) for entry in plan.places[1].entries]
    assert kinds == [(b"etc", "parent"), (b"etc/app", "folder"), (b"etc/app/main", "file")]
    assert plan.document()["entries"] == {"new": 0, "overwritten": 0, "unchanged": 2, "blocked": 0, "bytes": 9}
    assert not plan.replaces


def test_another_folder_gets_them_under_their_names(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(context, monkeypatch, found(context, "/etc/app", "/data/state"), target=b"srv/back")
    (place,) = plan.places
    assert [entry.path for entry in place.entries] == [
        *(b"srv", b"srv/back", b"srv/back/app", b"srv/back/app/main", b"srv/back/state"),
    ]


def test_the_plan_is_another_one_when_what_is_there_is(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = found(context, "/data/state")
    plan = planned(context, monkeypatch, paths)
    assert plan.hash == planned(context, monkeypatch, paths).hash
    assert plan.hash != planned(context, monkeypatch, paths, mount("data", "/data")).hash


@pytest.mark.parametrize(
    ("mounted", "host", "error"),
    [
        (mount("data", "/data", RW=False), {}, Collides),
        (None, {"ReadonlyRootfs": True}, Collides),
        (None, {"Tmpfs": {"/data": ""}}, Collides),
        (mount("", "/data", Type="bind", Source="/srv/x"), {}, PermissionDenied),
        (mount("host", "/data"), {}, PermissionDenied),
        (mount("", "/data", Type="npipe"), {}, Collides),
    ],
    ids=["read-only mount", "read-only root", "memory", "a folder of the host", "a volume of the host's", "a pipe"],
)
def test_where_nothing_may_be_written_is_refused(
    context: Any, monkeypatch: pytest.MonkeyPatch, mounted: Any, host: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        planned(context, monkeypatch, found(context, "/data/state"), *([mounted] if mounted else []), **host)


def test_folders_of_the_host_need_the_permission_and_a_root(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context.facts.may = lambda permission: True
    inside = mount("", "/data", Type="bind", Source="/srv/x")
    plan = planned(context, monkeypatch, found(context, "/data/state"), inside)
    assert plan.places[0].tree == FolderTree(path="/srv/x")
    with pytest.raises(Collides, match="MYCO_BIND_ROOTS"):
        planned(context, monkeypatch, found(context, "/data/state"), {**inside, "Source": "/root"})


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (Member("./state", b"state", mode=0o4755), "runs as its owner or group"),
        (Member("./state", b"state", mode=0o2755), "runs as its owner or group"),
        (Member("./state", typeflag=BLKTYPE), "is a device"),
        (Member("./state", typeflag=CHRTYPE), "is a device"),
        (Member("./state", b"state", mode=0o1777), None),
        (Member("./state", typeflag=DIRTYPE, mode=0o2775), None),
    ],
    ids=["setuid", "setgid", "a block device", "a character device", "sticky", "a folder with setgid"],
)
def test_nothing_goes_into_a_folder_of_the_host_that_gives_power_over_it(
    context: Any, monkeypatch: pytest.MonkeyPatch, member: Member, words: str | None
) -> None:
    context.facts.may = lambda permission: True
    files: Any = Files()
    files.tars["web.tar.volume"] = tar_of([Member(".", typeflag=DIRTYPE), member])
    paths = find_paths(context, files, ("/data",))
    plan = planned(context, monkeypatch, paths, mount("", "/data", Type="bind", Source="/srv/x"))
    told = [(collision.subject, collision.blocks, collision.message) for collision in plan.collisions]
    assert [entry[:2] for entry in told] == ([("/data/state", "create")] if words else [])
    assert all(f"/data/state {words}" in message for *_, message in told)
    # A volume is the container's own.
    assert planned(context, monkeypatch, paths, mount("data", "/data")).collisions == ()


def test_what_is_mounted_below_is_told(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(context, monkeypatch, found(context, "/etc"), mount("more", "/etc/app"))
    assert [warning.code for warning in plan.warnings] == ["MOUNT_BELOW"]
    assert plan.places[0].tree != VolumeTree(name="more")
    # To put anything where something is mounted would take the mount away from a container that runs.
    assert [entry.path for entry in plan.places[0].entries] == [b"etc", b"etc/app-d"]


class Altered(Source):
    """Its last byte tells that it is not what was written."""

    def read(self, size_bytes: int | None = -1, /) -> bytes:
        block = super().read(size_bytes)
        if not block:
            raise BackupUnusable("altered")
        return block


class Tree:
    """Takes what is staged, and remembers the order of what is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tar, self.done = b"", list[str]()
        self.looked_for: tuple[PlacedEntry, ...] = ()
        for verb in ("stage", "staged", "place", "look"):
            monkeypatch.setattr(restore_path, verb, getattr(self, verb))

    def stage(self, gateway: Any, tree: Any, blocks: Iterator[bytes], *_: Any, **__: Any) -> None:
        self.done.append("stage")
        self.tar = b"".join(blocks)

    @contextmanager
    def staged(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(read=io.BytesIO(self.tar).read, finish=lambda: None)

    def place(self, *_: Any, **__: Any) -> None:
        self.done.append("place")

    def look(self, gateway: Any, tree: Any, entries: tuple[PlacedEntry, ...], options: Any) -> Looked:
        self.looked_for = entries
        totals: Any = {"new": 0, "overwritten": 0, "unchanged": len(entries), "blocked": 0, "verdicts": {}}
        return Looked(free_bytes=0, sha256="", **totals)


def test_every_file_is_proved_by_what_was_sent_where_the_index_has_no_digests(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: Any = Files(hashed=False)
    plan = planned(context, monkeypatch, find_paths(context, files, ("/etc/app",)))
    tree = Tree(monkeypatch)
    gateway: Any = None
    put_paths(context, gateway, files, plan)
    assert tree.done == ["stage", "place"]
    assert [entry.sha256 for entry in plan.places[0].entries] == ["", "", ""]
    assert [entry.sha256 for entry in tree.looked_for] == ["", "", hashlib.sha256(b"main").hexdigest()]


def test_nothing_is_put_in_place_before_all_of_the_part_was_what_the_manifest_says(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: Any = Files(source=Altered)
    plan = planned(context, monkeypatch, find_paths(context, files, ("/etc/app",)))
    tree = Tree(monkeypatch)
    gateway: Any = None
    with pytest.raises(BackupUnusable):
        put_paths(context, gateway, files, plan)
    assert tree.done == ["stage"]


def test_who_may_not_change_containers_opens_no_engine(context: Any) -> None:
    wish = RestoreParams(backup="1", mode="path", paths=("/etc/app",))
    files: Any = Files()
    with pytest.raises(PermissionDenied, match="remove_container"):
        restore._restored_paths(context, wish, files)
