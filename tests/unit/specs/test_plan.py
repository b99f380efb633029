from __future__ import annotations

import json
from typing import Any

import pytest

from containers_app.specs.clone_volumes import VolumeFacts, plan_volumes, with_volumes
from containers_app.specs.collisions import Collision
from containers_app.specs.container import build_clone
from containers_app.specs.overrides import read_overrides
from containers_app.specs.plan import PlanDocument, plan_document, shown
from tests.unit.specs.inspects import BACK, FRONT, Inspect, endpoint, facts, inspected

KEY = b"k" * 32
ID = "a" * 64
VOLUMES = [
    {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True},
    {"Type": "volume", "Name": "database", "Destination": "/database", "RW": True},
    {"Type": "volume", "Name": ID, "Destination": "/anonymous", "RW": True},
]
MOUNT = {"Type": "volume", "Source": "database", "Target": "/database"}
SOURCE = inspected(
    config={"Volumes": {"/anonymous": {}}, "Env": ["A=new_data", "TOKEN=hunter2"]},
    host={"Binds": ["data:/data"], "Mounts": [MOUNT]},
    networks={"front": endpoint(FRONT), "back": endpoint(BACK)},
    Mounts=VOLUMES,
)
SOURCE["HostConfig"]["NetworkMode"] = "front"


def planned(
    source: Inspect = SOURCE,
    *,
    name: str = "source-clone-1700000000000",
    named: bool = False,
    moment: str = "1",
    overrides: Inspect | None = None,
    data: str = "none",
    known: dict[str, VolumeFacts] | None = None,
    taken: tuple[str, ...] = (),
    elsewhere: bool = False,
    collisions: tuple[Collision, ...] = (),
    key: bytes = KEY,
    bound: Inspect | None = None,
    **looked_up: Any,
) -> PlanDocument:
    """A plan as a workflow makes it."""
    volumes = plan_volumes(
        source, clone_name=name, data=data, choices={}, known=known or {}, taken=taken, elsewhere=elsewhere
    )
    wanted = with_volumes(source, volumes)
    labels = {"org.mycodocker.operation": moment, "org.mycodocker.token": moment}
    read = read_overrides(overrides or {})
    return plan_document(
        build_clone(wanted, facts(**looked_up), name=name, labels=labels, overrides=read),
        build_clone(source, facts(**looked_up), name=name, labels=labels),
        volumes=volumes,
        collisions=collisions,
        warnings=(),
        key=key,
        named=named,
        bound=bound,
    )


@pytest.mark.parametrize("data", ["none", "volumes"])
@pytest.mark.parametrize("length", [6, 150, 235])
def test_a_default_name_makes_no_other_plan_of_the_same_wish(data: str, length: int) -> None:
    names = [f"{'s' * length}-clone-170000000{moment}" for moment in ("0000", "1234")]
    first, second = (planned(name=name, moment=name[-4:], data=data) for name in names)
    assert first.hash == second.hash
    assert first.name != second.name
    assert len(first.hash) == 64


def test_a_name_that_is_asked_for_counts() -> None:
    hashes = {planned(name=name, named=True).hash for name in ("one", "two")} | {planned(name="one").hash}
    assert len(hashes) == 3


def test_the_hash_needs_the_key() -> None:
    assert planned().hash == planned().hash
    assert planned().hash != planned(key=b"o" * 32).hash


IN_THE_WAY = Collision(kind="port", subject="0.0.0.0:1/tcp", message="x", blocks="start")
LABELLED = VolumeFacts(name="data", labels={"a": "b"})
CHANGES: list[Inspect] = [
    {"source": {**SOURCE, "Id": "c" * 64}},
    {"source": {**SOURCE, "Image": "sha256:" + "3" * 64}},
    {"source": {**SOURCE, "Config": {**SOURCE["Config"], "Env": ["A=new_data", "TOKEN=other"]}}},
    {"source": {**SOURCE, "Config": {**SOURCE["Config"], "Labels": {"theirs": "1"}}}},
    {"source": {**SOURCE, "HostConfig": {**SOURCE["HostConfig"], "Memory": 5}}},
    {"source": {**SOURCE, "ImageManifestDescriptor": {"platform": {"os": "linux", "architecture": "arm64"}}}},
    {"overrides": {"env": {"set": {"A": "new_database"}}}},
    {"overrides": {"command": ["x"]}},
    {"overrides": {"networks": [{"name": "front", "aliases": ["x"]}]}},
    {"overrides": {"networks": [{"name": "back"}, {"name": "front"}]}},
    {"overrides": {"labels": {"set": {"a": "b"}}}},
    {"data": "volumes"},
    {"data": "volumes", "known": {"data": LABELLED}},
    {"data": "volumes", "known": {"data": VolumeFacts(name="data", driver="other")}},
    {"data": "volumes", "known": {"data": VolumeFacts(name="data", options={"type": "tmpfs"})}},
    {"elsewhere": True},
    {"elsewhere": True, "taken": ("data",)},
    {"collisions": (IN_THE_WAY,)},
    {"collisions": (Collision(kind="port", subject="0.0.0.0:2/tcp", message="x"),)},
    {"bound": {"data": "all"}},
    {"bound": {"data": "none"}},
    {"networks": (FRONT,)},
    {"api": "1.45"},
    {"image_to_move": True},
    {"reference_image_id": None},
]


def test_whatever_matters_makes_another_plan() -> None:
    hashes = [planned(**change).hash for change in [{}, *CHANGES]]
    doubled = [CHANGES[number - 1] for number, made in enumerate(hashes) if made in hashes[:number]]
    assert doubled == []


SECRETS: Inspect = {
    "config": {
        "Env": ["TOKEN=hunter2", "BARE"],
        "Cmd": ["--password=hunter2"],
        "Entrypoint": ["/run-hunter2"],
        "Labels": {"auth": "hunter2", "org.mycodocker.operation": "x"},
        "Healthcheck": {"Test": ["CMD-SHELL", "curl -u me:hunter2"], "Interval": 5},
        "OnBuild": ["RUN hunter2"],
    },
    "host": {
        "LogConfig": {"Type": "splunk", "Config": {"splunk-token": "hunter2"}},
        "Annotations": {"note": "hunter2"},
        "StorageOpt": {"key": "hunter2"},
        "DeviceRequests": [{"Driver": "nvidia", "Options": {"key": "hunter2"}}],
        "Mounts": [
            {
                "Type": "volume",
                "Target": "/v",
                "VolumeOptions": {
                    "Labels": {"a": "hunter2"},
                    "DriverConfig": {"Name": "local", "Options": {"o": "password=hunter2"}},
                },
            }
        ],
    },
}
SECRET_OVERRIDES: Inspect = {
    "env": {"set": {"TOKEN": "hunter3", "NEW": "hunter3"}},
    "labels": {"set": {"auth": "hunter3", "new": "hunter3"}},
    "command": ["hunter3"],
    "entrypoint": ["hunter3", "hunter3"],
    "healthcheck": {"test": ["CMD", "hunter3"]},
    "user": "me",
}


@pytest.mark.parametrize("overrides", [{}, SECRET_OVERRIDES, {"entrypoint": [], "healthcheck": {"test": ["NONE"]}}])
def test_nothing_secret_is_in_the_document_or_its_repr(overrides: Inspect) -> None:
    document = planned(inspected(**SECRETS), overrides=overrides)
    for text in (json.dumps(document.body()), repr(document)):
        assert "hunter" not in text
    assert "org.mycodocker" not in json.dumps(document.body())


def test_names_of_what_is_hidden_are_shown() -> None:
    document = planned(inspected(**SECRETS)).body()["create"]
    assert document["Env"] == ["TOKEN", "BARE"]
    assert document["Labels"] == {"auth": "[hidden]"}
    assert document["Cmd"] == document["Entrypoint"] == ["[1 hidden]"]
    assert document["Healthcheck"] == {"Test": ["CMD-SHELL", "[1 hidden]"], "Interval": 5}
    assert document["HostConfig"]["LogConfig"]["Config"] == {"splunk-token": "[hidden]"}


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (["NONE"], ["NONE"]),
        (["CMD", "a", "b"], ["CMD", "[2 hidden]"]),
        (["hunter2"], ["[1 hidden]"]),
        ([], []),
    ],
)
def test_of_a_health_test_only_its_kind_is_told(test: list[str], told: list[str]) -> None:
    assert shown({"Healthcheck": {"Test": test}})["Healthcheck"]["Test"] == told


def test_showing_leaves_the_request_as_it_is() -> None:
    body = build_clone(inspected(**SECRETS), facts(), name="x", labels={}).create.body()
    before = json.dumps(body)
    shown(body)
    assert json.dumps(body) == before


def test_every_change_is_in_the_diff_and_hidden_ones_are_said_to_have_changed() -> None:
    document = planned(inspected(**SECRETS), overrides=SECRET_OVERRIDES)
    told = {entry["field"]: (entry["source"], entry["clone"]) for entry in document.diff}
    assert told == {
        "Cmd": ("[hidden]", "[hidden]"),
        "Entrypoint": (["[1 hidden]"], ["[2 hidden]"]),
        "Env.NEW": (None, "[hidden]"),
        "Env.TOKEN": ("[hidden]", "[hidden]"),
        "Healthcheck.Interval": (5, None),
        "Healthcheck.Test": (["CMD-SHELL", "[1 hidden]"], ["CMD", "[1 hidden]"]),
        "Labels.auth": ("[hidden]", "[hidden]"),
        "Labels.new": (None, "[hidden]"),
        "User": (None, "me"),
    }


def test_without_a_wish_there_is_no_diff() -> None:
    assert planned(inspected(**SECRETS)).diff == ()


def test_a_volume_of_its_own_is_in_the_diff_and_in_the_plan() -> None:
    document = planned(name="new", named=True, data="volumes")
    assert {entry["field"] for entry in document.diff} == {"HostConfig.Binds", "HostConfig.Mounts"}
    shown_volumes = [(volume["source"], volume["target"]) for volume in document.body()["volumes"]]
    assert shown_volumes == [("data", "new_data"), ("database", "new_database"), (ID, None)]


def test_the_document_is_plain_json_with_fixed_keys() -> None:
    body = planned(collisions=(IN_THE_WAY,)).body()
    assert json.loads(json.dumps(body)) == body
    assert set(body) == {"hash", "name", "create", "diff", "collisions", "volumes", "content", "warnings"}
    assert body["collisions"] == [IN_THE_WAY.document()]
