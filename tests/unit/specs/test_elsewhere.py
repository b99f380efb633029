from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.collisions import Collision
from containers_app.specs.container import build_clone
from containers_app.specs.elsewhere import foreign_references, newer_fields
from containers_app.specs.engine import NetworkSummary
from containers_app.specs.overrides import read_overrides
from tests.unit.specs.inspects import BRIDGE, FRONT, Inspect, endpoint, facts, inspected

OTHER = "c" * 64


def references(source: Inspect, overrides: Inspect | None = None, **known: Any) -> list[Collision]:
    read = read_overrides(overrides or {})
    plan = build_clone(source, facts(**{"networks": (BRIDGE,), **known}), name="clone", labels={}, overrides=read)
    return list(foreign_references(source, plan))


def blocking(source: Inspect, overrides: Inspect | None = None, **known: Any) -> list[str]:
    return [collision.subject for collision in references(source, overrides, **known) if collision.blocks == "create"]


def test_a_plain_container_refers_to_nothing() -> None:
    assert references(inspected()) == []


@pytest.mark.parametrize("key", ["NetworkMode", "PidMode", "IpcMode"])
def test_a_namespace_of_another_container_is_not_there(key: str) -> None:
    assert blocking(inspected(host={key: f"container:{OTHER}"})) == [key]


def test_links_and_volumes_of_other_containers_are_not_there() -> None:
    given = {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True}
    source = inspected(host={"Links": ["/db:/source/db"], "VolumesFrom": ["giver"]}, Mounts=[given])
    assert blocking(source, volumes_from={"giver": (given,)}) == ["db:db", "giver"]
    assert blocking(source, volumes_from={"giver": None}) == ["db:db"]


def test_what_is_made_on_the_other_engine_before_is_there() -> None:
    given = {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True}
    host = {"PidMode": f"container:{OTHER}", "Links": ["/db:/source/db"], "VolumesFrom": ["giver:ro"]}
    source = inspected(host=host, Mounts=[given])
    plan = build_clone(source, facts(volumes_from={"giver": (given,)}), name="clone", labels={})
    assert len(list(foreign_references(source, plan))) == 3
    assert list(foreign_references(source, plan, made={OTHER, "db", "giver"})) == []
    assert [found.subject for found in foreign_references(source, plan, made={"db"})] == ["PidMode", "giver:ro"]


@pytest.mark.parametrize(
    "source",
    [
        inspected(host={"NetworkMode": "front"}, networks={"front": endpoint(FRONT)}),
        inspected(host={"NetworkMode": f"container:{OTHER}"}, networks={}),
    ],
)
@pytest.mark.parametrize("api", ["1.41", "1.45"])
def test_a_network_that_is_not_there_can_be_replaced_as_proposed(source: Inspect, api: str) -> None:
    (collision,) = references(source, api=api)
    assert (collision.kind, collision.blocks) == ("network", "create")
    assert collision.resolution is not None
    assert references(source, dict(collision.resolution["overrides"]), api=api) == []


def test_a_network_of_the_same_name_will_do() -> None:
    there = NetworkSummary(id="9" * 64, name="front", driver="bridge")
    source = inspected(host={"NetworkMode": "front"}, networks={"front": endpoint(FRONT)})
    assert references(source, networks=(there,)) == []


def test_paths_of_the_host_are_advice_for_those_that_the_clone_would_have() -> None:
    mount = {"Type": "bind", "Source": "/mounted", "Target": "/m"}
    source = inspected(host={"Binds": ["/srv:/srv", "data:/data", "/fresh"], "Mounts": [mount]})
    found = references(source)
    assert [(collision.subject, collision.blocks) for collision in found] == [("/mounted", None), ("/srv", None)]
    mounts = [{"type": "none", "target": "/srv"}, {"type": "bind", "source": "/other", "target": "/m"}]
    assert [collision.subject for collision in references(source, {"mounts": mounts})] == ["/other"]


NEW_FIELDS = {
    "Healthcheck": {"StartInterval": 5},
    "HostConfig": {
        "Annotations": {"a": "b"},
        "Mounts": [
            {"Type": "volume", "VolumeOptions": {"Subpath": "x"}},
            {"Type": "image", "ImageOptions": {"Subpath": "y"}},
        ],
    },
    "NetworkingConfig": {"EndpointsConfig": {"front": {}, "back": {"GwPriority": -1}}},
}


def names(body: Inspect, api: str) -> list[str]:
    return [path.rpartition(".")[2] for path, _ in newer_fields(body, api=api)]


def test_fields_that_an_older_engine_leaves_out_are_told_with_the_api_that_knows_them() -> None:
    assert names(NEW_FIELDS, "1.41") == ["Annotations", "StartInterval", "Subpath", "ImageOptions", "GwPriority"]
    assert names(NEW_FIELDS, "1.44") == ["Subpath", "ImageOptions", "GwPriority"]
    assert names(NEW_FIELDS, "1.48") == []
    assert dict(newer_fields(NEW_FIELDS, api="1.41"))["Healthcheck.StartInterval"] == "1.44"


def test_what_is_empty_is_not_missed() -> None:
    empty = {
        "Healthcheck": {"StartInterval": 0},
        "HostConfig": {"Annotations": {}, "Mounts": [{"VolumeOptions": {"Subpath": ""}}]},
        "NetworkingConfig": {"EndpointsConfig": {"front": {"GwPriority": 0}}},
    }
    assert names(empty, "1.41") == []
    assert names({}, "1.41") == []
