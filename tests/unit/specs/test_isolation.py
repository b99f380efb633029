"""What a drill boots reaches nothing, neither the host nor other containers nor the outside, and takes only so much."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.clone_networks import plan_networks
from containers_app.specs.isolation import (
    DEFAULT_MEMORY_BYTES,
    DEFAULT_NANO_PROCESSORS,
    DEFAULT_PROCESSES,
    Isolated,
    Limits,
    isolated,
)
from containers_app.specs.saved import SavedConfiguration
from containers_app.specs.saved_networks import lost_networks
from tests.unit.specs.inspects import FRONT, SOURCE_ID, endpoint, inspected

NETWORK = "drill-12345678"
FOLDER = {"Type": "bind", "Source": "/srv/data", "Destination": "/data", "RW": True, "Propagation": "rprivate"}
VOLUME = {"Type": "volume", "Name": "kept", "Destination": "/kept", "RW": True, "Driver": "nfs", "Mode": "z"}


def drilled(*, limits: Limits | None = None, folders: tuple[str, ...] = (), volumes: Any = None, **of: Any) -> Isolated:
    original = SavedConfiguration(container=inspected(**of), volumes=volumes or {})
    return isolated(original, network=NETWORK, limits=limits or Limits(), folders=frozenset(folders))


def host_of(found: Isolated) -> dict[str, Any]:
    return dict(found.saved.container["HostConfig"])


def test_it_is_in_one_internal_network_and_answers_there_to_all_its_names() -> None:
    own = {"Aliases": ["web", "api", SOURCE_ID[:12]], "IPAMConfig": {"IPv4Address": "10.0.0.9"}, "MacAddress": "02:1"}
    found = drilled(
        host={"NetworkMode": "front", "Links": ["/other:/web/other"]},
        networks={"front": endpoint(FRONT, **own), "back": {"Aliases": ["web", "back"]}},
        config={"MacAddress": "02:42:00:00:00:09"},
    )
    assert found.saved.container["NetworkSettings"]["Networks"] == {
        NETWORK: {"Aliases": ["source", "web", "api", "back"]}
    }
    assert found.saved.container["Config"]["MacAddress"] == ""
    assert (host_of(found)["NetworkMode"], host_of(found)["Links"]) == (NETWORK, None)
    (network,) = lost_networks(found.saved.container, found.saved.networks, ())
    assert (network.name, network.internal, network.driver) == (NETWORK, True, "bridge")
    assert network.options == {"com.docker.network.bridge.inhibit_ipv4": "true"}
    plan = plan_networks(found.saved.container, networks=(network.summary,), api=(1, 41), engine="20.10")
    assert list(plan.at_create) == [NETWORK]
    assert (plan.connect_after, plan.mac_address) == ((), None)


def test_one_without_a_network_gets_none() -> None:
    found = drilled(host={"NetworkMode": "none"}, networks={"none": {"NetworkID": "9" * 64}})
    assert host_of(found)["NetworkMode"] == "none"
    assert found.saved.networks == {}


def test_one_that_uses_another_s_network_gets_one_of_its_own() -> None:
    found = drilled(host={"NetworkMode": f"container:{'9' * 64}"}, networks={})
    assert (host_of(found)["NetworkMode"], found.powers) == (NETWORK, ())


def test_ports_restarts_labels_and_log_services_are_gone() -> None:
    found = drilled(
        config={"Labels": {"traefik.enable": "true", "com.docker.compose.project": "shop"}},
        host={
            "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
            "PublishAllPorts": True,
            "RestartPolicy": {"Name": "always"},
            "AutoRemove": True,
            "LogConfig": {"Type": "splunk", "Config": {"splunk-token": "secret"}},
            "VolumeDriver": "nfs",
            "Dns": ["1.1.1.1"],
        },
    )
    host = host_of(found)
    assert (host["PortBindings"], host["PublishAllPorts"], host["AutoRemove"]) == ({}, False, False)
    assert (host["RestartPolicy"]["Name"], host["LogConfig"]["Type"], host["VolumeDriver"]) == ("no", "local", "")
    assert host["Dns"] == ["127.0.0.1"]
    assert found.saved.container["Config"]["Labels"] == {}
    assert "secret" not in repr(found.differences)


LIMITS: list[tuple[dict[str, Any], Limits, tuple[int, int | None, int]]] = [
    ({}, Limits(), (DEFAULT_MEMORY_BYTES, DEFAULT_NANO_PROCESSORS, DEFAULT_PROCESSES)),
    ({"Memory": 7 << 20, "NanoCpus": 5, "PidsLimit": 9}, Limits(), (7 << 20, 5, 9)),
    ({"Memory": 7 << 20, "NanoCpus": 5}, Limits(memory_bytes=9 << 20, nano_processors=6), (9 << 20, 6, 512)),
    ({"PidsLimit": -1, "CpuQuota": 1000}, Limits(), (DEFAULT_MEMORY_BYTES, None, 512)),
    ({"CpuQuota": 1000}, Limits(nano_processors=6), (DEFAULT_MEMORY_BYTES, 6, 512)),
]


@pytest.mark.parametrize(("own", "asked", "expected"), LIMITS)
def test_there_is_always_a_limit(own: dict[str, Any], asked: Limits, expected: tuple[int, int | None, int]) -> None:
    host = host_of(drilled(host=own, limits=asked))
    assert (host["Memory"], host.get("NanoCpus"), host["PidsLimit"]) == expected
    assert host["MemorySwap"] == host["Memory"]
    if expected[1] is not None:
        assert (host["CpuQuota"], host["CpuPeriod"]) == (0, 0)


def test_what_is_reserved_is_never_more_than_the_limit() -> None:
    host = host_of(drilled(host={"MemoryReservation": 9 << 20}, limits=Limits(memory_bytes=7 << 20)))
    assert host["MemoryReservation"] == 7 << 20


def test_a_folder_of_the_host_that_the_backup_has_becomes_a_volume_of_the_same_place() -> None:
    found = drilled(
        host={"Binds": ["/srv/data:/data:ro", "kept:/kept"]},
        Mounts=[{**FOLDER, "RW": False}, VOLUME],
        folders=("/srv/data",),
    )
    name = found.stand_ins["/srv/data"]
    assert host_of(found)["Binds"] == ["kept:/kept", f"{name}:/data:ro"]
    assert [(mount["Type"], mount["Name"]) for mount in found.saved.container["Mounts"]] == [
        ("volume", name),
        ("volume", "kept"),
    ]
    assert (found.left_out, found.writable) == ((), ())


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": ["/srv/data:/data:rw"]},
        {"Mounts": [{"Type": "bind", "Source": "/srv/data", "Target": "/data/"}]},
        {"VolumesFrom": ["giver"]},
    ],
)
def test_any_other_folder_of_the_host_is_left_out_and_named(host: dict[str, Any]) -> None:
    found = drilled(host=host, Mounts=[FOLDER])
    assert (host_of(found)["Binds"], host_of(found).get("Mounts")) == (None, None)
    assert host_of(found)["VolumesFrom"] is None
    assert found.saved.container["Mounts"] == []
    assert (found.left_out, found.writable) == (("/data",), ("/data",))
    assert "Mounts./data" in found.reasons


def test_what_is_read_only_holds_no_data_of_the_container() -> None:
    found = drilled(Mounts=[{**FOLDER, "RW": False}])
    assert (found.left_out, found.writable) == (("/data",), ())


def test_volumes_are_plain_whatever_their_drivers_could_reach() -> None:
    reaching = {"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/etc"}}}
    mount = {"Type": "volume", "Target": "/fresh", "VolumeOptions": {**reaching, "NoCopy": True, "Labels": {"a": "b"}}}
    found = drilled(
        host={"Mounts": [mount], "Binds": ["kept:/kept", "/alone"]},
        Mounts=[VOLUME],
        volumes={"kept": {"Name": "kept", "Driver": "nfs", "Options": {"device": "host:/"}, "Labels": {"x": "y"}}},
    )
    assert host_of(found)["Mounts"] == [{"Type": "volume", "Target": "/fresh", "VolumeOptions": {"NoCopy": True}}]
    assert host_of(found)["Binds"] == ["kept:/kept", "/alone"]
    assert found.saved.volumes == {"kept": {"Name": "kept", "Driver": "local", "Options": None, "Labels": None}}
    assert found.saved.container["Mounts"][0]["Driver"] == "local"


def test_volumes_of_another_container_are_its_own_here() -> None:
    found = drilled(host={"VolumesFrom": ["giver:ro"]}, Mounts=[{**VOLUME, "RW": False}])
    assert host_of(found)["Binds"] == ["kept:/kept:ro,z"]


POWERS: list[dict[str, Any]] = [
    {"Privileged": True},
    {"CapAdd": ["SYS_ADMIN"]},
    {"Devices": [{"PathOnHost": "/dev/sda"}]},
    {"DeviceRequests": [{"Driver": "nvidia"}]},
    {"NetworkMode": "host"},
    {"PidMode": "host"},
    {"IpcMode": "host"},
    {"PidMode": f"container:{'9' * 64}"},
    {"SecurityOpt": ["seccomp=unconfined"]},
    {"CgroupParent": "/other"},
]


@pytest.mark.parametrize("host", POWERS, ids=lambda host: next(iter(host)))
def test_power_over_the_host_is_named_and_never_quietly_taken_away(host: dict[str, Any]) -> None:
    assert len(drilled(host=host).powers) == 1


def test_a_folder_of_the_host_is_no_power_because_it_is_not_mounted() -> None:
    socket = {**FOLDER, "Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}
    bind = ["/var/run/docker.sock:/var/run/docker.sock", "/:/host:rshared"]
    assert drilled(host={"Binds": bind}, Mounts=[socket, {**FOLDER, "Source": "/"}]).powers == ()


def test_every_difference_of_the_isolation_has_a_reason() -> None:
    found = drilled(
        config={"Labels": {"a": "b"}},
        host={"Binds": ["/srv/data:/data"], "PortBindings": {"80/tcp": [{"HostPort": "80"}]}},
        Mounts=[FOLDER],
    )
    assert all(difference.reason for difference in found.differences)
    named = {difference.field for difference in found.differences}
    assert {"HostConfig.PortBindings", "HostConfig.Memory", "Config.Labels.a", "Mounts./data"} <= named
