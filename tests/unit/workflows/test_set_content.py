from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.manifest import Part
from containers_app.engine.transfer import Packed
from containers_app.errors import EngineError, EngineUnavailable, ImageNotFound, InvalidRequest, PermissionDenied
from containers_app.specs.privilege import host_devices
from containers_app.workflows import set_content as module

ANONYMOUS = "f" * 64
MOUNTS: list[dict[str, Any]] = [
    {"Type": "volume", "Name": "data", "Destination": "/data"},
    {"Type": "volume", "Name": "data", "Destination": "/again"},
    {"Type": "volume", "Name": ANONYMOUS, "Destination": "/cache"},
    {"Type": "bind", "Source": "/srv/site", "Destination": "/site"},
    {"Type": "bind", "Source": "/srvother", "Destination": "/other"},
    {"Type": "tmpfs", "Destination": "/tmp"},
]
EVERYTHING = ("volumes", "binds")


class Heard:
    """A context that keeps its warnings; `may` says yes or no to everything."""

    def __init__(self, *, bind_roots: tuple[str, ...] = ("/srv",), may: bool = True) -> None:
        self.bind_roots = bind_roots
        self.facts = SimpleNamespace(may=lambda permission: may)
        self.codes: list[str] = []

    def warn(self, code: str, message: str) -> None:
        self.codes.append(code)


def chosen(context: Any, contents: tuple[str, ...] = EVERYTHING, names: tuple[str, ...] | None = None) -> Any:
    return module.trees_to_save(context, {"Mounts": MOUNTS}, contents, names)


def test_each_volume_and_each_allowed_folder_is_saved_once():
    context = Heard()
    found = chosen(context)
    assert [(tree.kind, tree.name) for tree in found.trees] == [
        ("volume", "data"),
        ("volume", ANONYMOUS),
        ("bind", "/srv/site"),
    ]
    assert [tree.label for tree in found.trees] == ["data", "/cache", "/site"]
    assert (found.whole, context.codes) == (False, ["BIND_LEFT_OUT"])


@pytest.mark.parametrize(
    ("roots", "left_out"),
    [((), 2), (("/",), 0), (("/srv/site",), 1), (("/srv/site/below",), 2), (("/srv", "/srvother"), 0)],
)
def test_only_folders_at_or_below_an_allowed_root_are_read(roots: tuple[str, ...], left_out: int):
    context = Heard(bind_roots=roots)
    found = chosen(context, ("binds",))
    assert (len(context.codes), len(found.trees)) == (left_out, 2 - left_out)
    assert found.whole == (left_out == 0)


def test_a_folder_that_leads_up_again_is_below_nothing():
    context: Any = Heard(bind_roots=("/",))
    mount = {"Type": "bind", "Source": "/srv/../etc", "Destination": "/x"}
    assert module.trees_to_save(context, {"Mounts": [mount]}, ("binds",), None).trees == ()


@pytest.mark.parametrize(
    ("names", "saved"), [(("data",), ["data"]), (("/cache",), [ANONYMOUS]), (("/again",), ["data"]), ((), [])]
)
def test_volumes_are_chosen_by_name_or_place(names: tuple[str, ...], saved: list[str]):
    assert [tree.name for tree in chosen(Heard(), ("volumes",), names).trees] == saved


@pytest.mark.parametrize("name", ["another", "/site", "/srv/site", ""])
def test_a_volume_that_is_not_there_is_a_mistake(name: str):
    with pytest.raises(InvalidRequest) as refused:
        chosen(Heard(), ("volumes",), (name,))
    assert refused.value.field == "options.volumes"


def test_what_was_not_asked_for_is_not_saved():
    found = chosen(Heard(), ("rootfs", "config"))
    assert (found.trees, found.whole) == ((), True)


def test_folders_of_the_host_need_their_permission():
    strict: Any = Heard(may=False)
    module.check_contents(strict, ("rootfs", "volumes"))
    with pytest.raises(PermissionDenied, match="binds"):
        module.check_contents(strict, ("binds",))


def part(members: int) -> Part:
    return Part(
        kind="volume",
        name="data",
        path="x.tar",
        size_bytes=1,
        stored_bytes=1,
        sha256="0" * 64,
        stored_sha256="0" * 64,
        members=members,
    )


@pytest.mark.parametrize(
    ("packed", "still", "codes"),
    [
        (Packed(entries=3, changed=False), True, []),
        (Packed(entries=4, changed=False), True, ["CONTENT_INCOMPLETE"]),
        (Packed(entries=4, changed=False), False, []),
        (Packed(entries=None, changed=False), True, []),
        (Packed(entries=3, changed=True), True, ["CONTENT_CHANGED"]),
        (Packed(entries=4, changed=True), False, ["CONTENT_CHANGED"]),
    ],
)
def test_a_tar_without_every_entry_is_not_complete(packed: Packed, still: bool, codes: list[str]):
    context: Any = Heard()
    saved = chosen(Heard()).trees[0]
    assert module._is_complete(context, saved, part(3), packed, still=still) == (not codes)
    assert context.codes == codes


class Engine:
    """Knows one network, no volume, and no image."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def network(self, name: str) -> dict[str, Any]:
        return {"Name": name}

    def volume(self, name: str) -> dict[str, Any]:
        raise self._error

    def image(self, name: str) -> dict[str, Any]:
        raise ImageNotFound("gone")


INSPECT = {"Id": "a" * 64, "Image": "sha256:" + "b" * 64, "Mounts": MOUNTS, "NetworkSettings": {"Networks": {"n": {}}}}


def test_the_configuration_has_what_the_engine_still_knows():
    engine: Any = Engine(EngineError("no such volume"))
    found = module.configuration_of(engine, INSPECT)
    assert (dict(found.networks), dict(found.volumes), dict(found.image)) == ({"n": {"Name": "n"}}, {}, {})


def test_an_engine_that_is_away_is_no_engine_without_volumes():
    engine: Any = Engine(EngineUnavailable("away"))
    with pytest.raises(EngineUnavailable):
        module.configuration_of(engine, INSPECT)


HOST_VOLUMES: dict[str, dict[str, str]] = {
    "data": {"type": "none", "o": "bind", "device": "/srv/data"},
    ANONYMOUS: {},
}


@pytest.mark.parametrize(
    ("roots", "may_binds", "left_out"),
    [(("/srv",), True, []), (("/srv",), False, ["data"]), ((), True, ["data"]), (("/srv/other",), True, ["data"])],
)
def test_a_volume_that_is_a_folder_of_the_host_is_read_only_as_a_bind_would_be(
    roots: tuple[str, ...], may_binds: bool, left_out: list[str]
):
    context: Any = Heard(bind_roots=roots)
    before = chosen(Heard(), ("volumes",))
    after = module.with_host_volumes_judged(context, before, HOST_VOLUMES.__getitem__, may_binds=may_binds)
    assert {tree.name for tree in before.trees} - {tree.name for tree in after.trees} == set(left_out)
    assert (after.whole, len(context.codes)) == (not left_out, len(left_out))


@pytest.mark.parametrize(
    ("options", "devices"),
    [
        ({}, ()),
        ({"type": "tmpfs", "device": "tmpfs"}, ()),
        ({"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/export"}, ()),
        ({"type": "nfs", "o": "bind", "device": "/etc"}, ("/etc",)),
        ({"type": "ext4", "device": "/dev/sda1"}, ("/dev/sda1",)),
        ({"type": "overlay", "o": "lowerdir=/a:/b", "device": "overlay"}, ("lowerdir=/a:/b",)),
        ({"mountpoint": "/etc"}, ("/etc",)),
    ],
)
def test_what_of_the_host_a_volume_names_is_seen(options: dict[str, str], devices: tuple[str, ...]):
    assert host_devices(options) == devices
    assert not devices or not module.is_below(devices[0], ("/srv",))


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("own", True),
        ("own/../own", False),
        ("inside", True),
        ("outside", False),
        ("outside/etc", False),
        ("nothing", True),
        ("outside/nothing", False),
        ("loop", False),
    ],
)
def test_a_folder_counts_by_where_it_leads_too(tmp_path: Path, place: str, allowed: bool) -> None:
    (tmp_path / "real" / "own").mkdir(parents=True)
    root = tmp_path / "root"
    root.symlink_to("real")
    (root / "inside").symlink_to("own")
    (root / "outside").symlink_to("/")
    (root / "loop").symlink_to("loop")
    assert module.is_below(f"{root}/{place}", (str(root),)) is allowed
