from __future__ import annotations

import json
from typing import Any

import pytest

from containers_app.errors import ArchiveInvalid
from containers_app.specs.saved import SavedConfiguration

SECRET = "a very secret value"
INSPECT: dict[str, Any] = {
    "Id": "ab" * 32,
    "Name": "/web",
    "Config": {"Env": [f"TOKEN={SECRET}", "EMPTY=", "LINES=a=b\nc"], "Image": "nginx:1", "Labels": {"a/b~c": "d"}},
    "HostConfig": {
        "LogConfig": {"Type": "gelf", "Config": {"key": SECRET}},
        "StorageOpt": None,
        "Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": {"o": f"password={SECRET}"}}}}],
    },
    "Mounts": [],
}
NETWORKS = {"a/b": {"Name": "a/b", "IPAM": {"Config": [{"Subnet": "10.0.0.0/24"}], "Options": None}, "Options": {}}}
VOLUMES = {"data": {"Name": "data", "Options": {"o": f"addr=files,password={SECRET}"}}}
IMAGE = {"Id": "sha256:" + "cd" * 32, "Config": {"Env": ["PATH=/bin"]}}
SAVED = SavedConfiguration(container=INSPECT, networks=NETWORKS, volumes=VOLUMES, image=IMAGE)


def through_json(document: Any) -> Any:
    return json.loads(json.dumps(document))


def test_with_its_secrets_it_is_what_it_was():
    document, secrets = map(through_json, SAVED.documents())
    assert SavedConfiguration.of(document, secrets) == SAVED


def test_without_its_secrets_it_tells_names_and_no_value():
    document, _ = SAVED.documents()
    assert SECRET not in json.dumps(document)
    saved = SavedConfiguration.of(through_json(document))
    assert saved.container["Config"]["Env"] == ["TOKEN", "EMPTY", "LINES"]
    assert saved.container["HostConfig"]["LogConfig"] == {"Type": "gelf", "Config": {"key": None}}
    assert saved.volumes["data"]["Options"] == {"o": None}


def test_what_is_no_secret_stays_readable():
    document, secrets = SAVED.documents()
    assert document["container"]["Config"]["Labels"] == {"a/b~c": "d"}
    assert document["networks"]["a/b"]["IPAM"]["Config"] == [{"Subnet": "10.0.0.0/24"}]
    assert not any(pointer.startswith("/networks") for pointer in secrets["values"])


def test_neither_its_repr_nor_an_error_repeats_a_secret():
    document, secrets = map(through_json, SAVED.documents())
    assert SECRET not in repr(SAVED)
    del document["container"]["HostConfig"]["LogConfig"]
    with pytest.raises(ArchiveInvalid) as caught:
        SavedConfiguration.of(document, secrets)
    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {**SAVED.documents()[0], "more": 1},
        {**SAVED.documents()[0], "version": 2},
        {**SAVED.documents()[0], "format": "another"},
        {**SAVED.documents()[0], "container": []},
        {**SAVED.documents()[0], "networks": None},
    ],
)
def test_another_document_is_refused(document: Any):
    with pytest.raises(ArchiveInvalid):
        SavedConfiguration.of(document)


@pytest.mark.parametrize("pointer", ["/container/Config/Missing", "/container/Name/x", "/container/Mounts/7", "/x/y"])
def test_secrets_of_another_configuration_are_refused(pointer: str):
    document, secrets = map(through_json, SAVED.documents())
    with pytest.raises(ArchiveInvalid, match="do not belong"):
        SavedConfiguration.of(document, {**secrets, "values": {pointer: "x"}})


def test_what_is_lacking_without_its_secrets_is_told_by_name():
    document, secrets = map(through_json, SAVED.documents())
    assert SavedConfiguration.of(document).lacking == ("TOKEN", "EMPTY", "LINES", "key", "o")
    assert SavedConfiguration.of(document, secrets).lacking == ()
    assert SAVED.without_lacking() == SAVED


def test_without_what_is_lacking_a_container_can_be_made():
    document, _ = SAVED.documents()
    saved = SavedConfiguration.of(through_json(document)).without_lacking()
    assert saved.container["Config"]["Env"] == []
    assert saved.container["HostConfig"]["LogConfig"] == {"Type": "gelf", "Config": {}}
    assert saved.volumes["data"]["Options"] == {}
    assert saved.container["Config"]["Labels"] == {"a/b~c": "d"}
    assert saved.lacking == ()


def test_options_of_an_engine_s_own_networks_are_not_missed():
    raw = {"bridge": {"Options": {"mtu": None}}, "own": {"Options": {"parent": None}}}
    assert SavedConfiguration(container={}, networks=raw).lacking == ("parent",)


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": ["prod-db:/x"]},
        {"Binds": ["data:/data", "prod-db:/x:ro"]},
        {"Mounts": [{"Type": "volume", "Source": "prod-db", "Target": "/x"}]},
    ],
)
def test_a_volume_that_the_container_did_not_have_is_refused(host: dict[str, Any]):
    mounts = [{"Type": "volume", "Name": "data", "Destination": "/data"}]
    planted = SavedConfiguration(container={**INSPECT, "HostConfig": host, "Mounts": mounts}).documents()[0]
    with pytest.raises(ArchiveInvalid, match="did not have"):
        SavedConfiguration.of(through_json(planted))


def test_volumes_binds_and_fresh_mounts_of_its_own_are_fine():
    host = {"Binds": ["data:/data", "/srv:/srv:ro"], "Mounts": [{"Type": "volume", "Source": "", "Target": "/new"}]}
    mounts = [{"Type": "volume", "Name": "data", "Destination": "/data"}]
    own = SavedConfiguration(container={**INSPECT, "HostConfig": host, "Mounts": mounts}).documents()[0]
    assert SavedConfiguration.of(through_json(own)).container["HostConfig"] == host
