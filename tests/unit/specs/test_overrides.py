from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.errors import InvalidRequest
from containers_app.specs.overrides import Overrides, read_overrides

FULL: dict[str, Any] = {
    "image": "registry.example:5000/app:2@sha256:" + "0" * 64,
    "command": ["--token=hunter2"],
    "entrypoint": ["/hunter2"],
    "env": {"set": {"TOKEN": "hunter2"}, "drop": ["OLD"]},
    "labels": {"set": {"auth": "hunter2"}, "drop": ["gone"]},
    "ports": [{"container": 80, "host": 8080, "hostIp": "127.0.0.1", "protocol": "tcp"}, {"container": 80}],
    "networks": [{"name": "front", "aliases": ["web"], "ipv4Address": "10.0.0.9", "ipv6Address": "FD00::09"}],
    "mounts": [{"type": "bind", "source": "/srv", "target": "//data/./x/", "readOnly": True}],
    "resources": {"memoryBytes": 1 << 26, "memorySwapBytes": -1, "cpusetCpus": "0-1,3"},
    "restartPolicy": {"name": "on-failure", "maximumRetries": 3},
    "user": "1000:1000",
    "hostname": "box.example",
    "healthcheck": {"test": ["CMD-SHELL", "curl -u me:hunter2 localhost"], "intervalSeconds": 5, "retries": 2},
}


def mistake(raw: dict[str, Any]) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        read_overrides(raw)
    assert caught.value.field is not None
    assert caught.value.field in caught.value.message
    return caught.value.field.removeprefix("options.overrides.")


def test_every_override_is_read() -> None:
    read = read_overrides(FULL)
    assert (read.command, read.entrypoint) == (("--token=hunter2",), ("/hunter2",))
    assert (dict(read.environment.set), read.environment.drop) == ({"TOKEN": "hunter2"}, ("OLD",))
    assert read.ports is not None
    assert [(port.container, port.host, port.protocol) for port in read.ports] == [(80, 8080, "tcp"), (80, None, "tcp")]
    assert read.networks is not None
    assert (read.networks[0].ipv4, read.networks[0].ipv6) == ("10.0.0.9", "fd00::9")
    assert [(mount.target, mount.read_only) for mount in read.mounts] == [("/data/x", True)]
    assert read.resources == {"memory_bytes": 1 << 26, "memory_swap_bytes": -1, "processor_set": "0-1,3"}
    assert read.restart_policy == ("on-failure", 3)
    assert read.healthcheck is not None
    assert (read.healthcheck.interval, read.healthcheck.timeout) == (5_000_000_000, None)


def test_values_that_may_be_secret_are_neither_in_the_repr_nor_in_what_is_shown() -> None:
    read = read_overrides(FULL)
    for text in (repr(read), json.dumps(read.shown)):
        assert "hunter2" not in text
    assert read.shown["variables"] == {"set": ["TOKEN"], "drop": ["OLD"]}
    assert read.shown["labels"] == {"set": ["auth"], "drop": ["gone"]}
    assert read.shown["ports"] == FULL["ports"]


def test_null_and_empty_objects_ask_for_nothing() -> None:
    read = read_overrides({**dict.fromkeys(FULL), "env": {}, "healthcheck": {}})
    assert read == Overrides(raw=read.raw)
    assert read.touched == ()
    assert "[write-only]" not in str(read.shown)


def test_what_is_touched_is_what_was_asked_for() -> None:
    assert read_overrides({"user": "me"}).touched == ("Config.User",)
    assert {"HostConfig.PortBindings", "Config.ExposedPorts"} <= set(read_overrides({"ports": []}).touched)


def test_of_what_is_changed_by_name_no_other_is_touched() -> None:
    changes = {"set": {"NEW": "1"}, "drop": ["OLD"]}
    assert read_overrides({"env": changes}).touched == ("Config.Env.NEW", "Config.Env.OLD")
    assert read_overrides({"labels": changes}).touched == ("Config.Labels.NEW", "Config.Labels.OLD")
    mounts = read_overrides({"mounts": [{"type": "tmpfs", "target": "/x"}]}).touched
    assert [name for name in mounts if name.startswith("Mounts")] == ["Mounts./x"]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"Image": "x"}, "Image"),
        ({"privileged": True}, "privileged"),
        ({"image": ""}, "image"),
        ({"image": "a b"}, "image"),
        ({"image": "../x"}, "image"),
        ({"image": "x\n"}, "image"),
        ({"command": "ls"}, "command"),
        ({"command": ["ls", 1]}, "command[1]"),
        ({"env": ["A=1"]}, "env"),
        ({"env": {"A": "1"}}, "env.A"),
        ({"env": {"set": {"A": 1}}}, "env.set.A"),
        ({"env": {"set": {"": "1"}}}, "env.set"),
        ({"env": {"drop": ["A=1"]}}, "env.drop"),
        ({"env": {"set": {"A": "1"}, "drop": ["A"]}}, "env.drop"),
        ({"labels": {"set": {"org.mycodocker.operation": "x"}}}, "labels.set"),
        ({"labels": {"drop": ["org.mycodocker.token"]}}, "labels.drop"),
        ({"ports": {"80": 80}}, "ports"),
        ({"ports": [{}]}, "ports[0].container"),
        ({"ports": [{"container": 80}, {"container": 0}]}, "ports[1].container"),
        ({"ports": [{"container": 80, "host": 65536}]}, "ports[0].host"),
        ({"ports": [{"container": 80, "host": "80"}]}, "ports[0].host"),
        ({"ports": [{"container": 80, "protocol": "icmp"}]}, "ports[0].protocol"),
        ({"ports": [{"container": 80, "hostIp": "localhost"}]}, "ports[0].hostIp"),
        ({"ports": [{"container": 80, "hostIp": "fe80::1%eth0"}]}, "ports[0].hostIp"),
        ({"ports": [{"container": 80, "host": 1}, {"container": 81, "host": 1}]}, "ports[1].host"),
        (
            {
                "ports": [
                    {"container": 80, "host": 1, "hostIp": "0.0.0.0"},
                    {"container": 80, "host": 1, "hostIp": "127.0.0.1"},
                ]
            },
            "ports[1].host",
        ),
        ({"networks": ["front"]}, "networks[0]"),
        ({"networks": [{"name": "container:db"}]}, "networks[0].name"),
        ({"networks": [{"name": ""}]}, "networks[0].name"),
        ({"networks": [{"name": "front", "ipv4Address": "::1"}]}, "networks[0].ipv4Address"),
        ({"networks": [{"name": "front", "ipv6Address": "10.0.0.1"}]}, "networks[0].ipv6Address"),
        ({"networks": [{"name": "front", "macAddress": "02::"}]}, "networks[0].macAddress"),
        ({"networks": [{"name": "front"}, {"name": "front"}]}, "networks[1].name"),
        ({"networks": [{"name": "front"}, {"name": "host"}]}, "networks[1].name"),
        ({"networks": [{"name": "none"}, {"name": "front"}]}, "networks[0].name"),
        ({"mounts": [{"target": "data"}]}, "mounts[0].target"),
        ({"mounts": [{"target": "//"}]}, "mounts[0].target"),
        ({"mounts": [{"target": "/."}]}, "mounts[0].target"),
        ({"mounts": [{"target": "/a/../etc"}]}, "mounts[0].target"),
        ({"mounts": [{"target": "/a:/b"}]}, "mounts[0].target"),
        ({"mounts": [{"target": "/a"}, {"target": "/a/"}]}, "mounts[1].target"),
        ({"mounts": [{"type": "bind", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "bind", "source": "data", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "bind", "source": "/srv:/etc", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "bind", "source": "/srv/..", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "volume", "source": "/srv", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "tmpfs", "source": "x", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "none", "source": "xx", "target": "/a"}]}, "mounts[0].source"),
        ({"mounts": [{"type": "npipe", "target": "/a"}]}, "mounts[0].type"),
        ({"mounts": [{"target": "/a", "readOnly": "yes"}]}, "mounts[0].readOnly"),
        ({"resources": {"memory": 1}}, "resources.memory"),
        ({"resources": {"memoryBytes": -1}}, "resources.memoryBytes"),
        ({"resources": {"memoryBytes": 1.5}}, "resources.memoryBytes"),
        ({"resources": {"cpusetCpus": "0-"}}, "resources.cpusetCpus"),
        ({"resources": {"nanoCpus": 1, "cpuQuota": 5000}}, "resources.nanoCpus"),
        ({"resources": {"memoryBytes": 1 << 26, "memorySwapBytes": 1 << 25}}, "resources.memorySwapBytes"),
        ({"resources": {"memoryBytes": 0, "memorySwapBytes": 1 << 25}}, "resources.memorySwapBytes"),
        (
            {"resources": {"memoryBytes": 1 << 25, "memoryReservationBytes": 1 << 26}},
            "resources.memoryReservationBytes",
        ),
        ({"restartPolicy": {"name": "sometimes"}}, "restartPolicy.name"),
        ({"restartPolicy": {"name": "always", "maximumRetries": 3}}, "restartPolicy.maximumRetries"),
        ({"user": 1000}, "user"),
        ({"hostname": "-x"}, "hostname"),
        ({"hostname": "x" * 65}, "hostname"),
        ({"healthcheck": {"intervalSeconds": 5}}, "healthcheck.test"),
        ({"healthcheck": {"test": ["curl"]}}, "healthcheck.test"),
        ({"healthcheck": {"test": ["CMD"]}}, "healthcheck.test"),
        ({"healthcheck": {"test": ["NONE", "x"]}}, "healthcheck.test"),
        ({"healthcheck": {"test": ["CMD", "x"], "retries": -1}}, "healthcheck.retries"),
        ({"healthcheck": {"test": ["CMD", "x"], "timeoutSeconds": 86401}}, "healthcheck.timeoutSeconds"),
    ],
)
def test_every_mistake_names_its_field(raw: dict[str, Any], field: str) -> None:
    assert mistake(raw) == field


def test_no_error_repeats_a_value_that_may_be_secret() -> None:
    wrong: list[dict[str, Any]] = [
        {"env": {"set": {"A=hunter2": "x"}}},
        {"env": {"drop": ["A=hunter2"]}},
        {"env": {"set": {"A": ["hunter2"]}}},
        {"env": {"A=hunter2": "x"}},
        {"env": "A=hunter2"},
        {"command": "hunter2"},
        {"healthcheck": {"test": ["hunter2"]}},
        {"labels": {"set": {"org.mycodocker.x": "hunter2"}}},
    ]
    for raw in wrong:
        with pytest.raises(InvalidRequest) as caught:
            read_overrides(raw)
        assert "hunter2" not in repr((caught.value, caught.value.message, caught.value.field))


@pytest.mark.parametrize(
    "ports",
    [
        [{"container": 53, "host": 53}, {"container": 53, "host": 53, "protocol": "udp"}],
        [{"container": 80, "host": 80, "hostIp": "127.0.0.1"}, {"container": 80, "host": 80, "hostIp": "127.0.0.2"}],
        [{"container": 80, "host": 80, "hostIp": "0.0.0.0"}, {"container": 80, "host": 80, "hostIp": "::"}],
        [{"container": 80}, {"container": 80}],
    ],
)
def test_bindings_that_a_host_can_have_at_once_are_taken(ports: list[dict[str, Any]]) -> None:
    read = read_overrides({"ports": ports})
    assert read.ports is not None
    assert len(read.ports) == 2


LEAVES = st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=6)
LEAVES |= st.sampled_from(["/a", "10.0.0.9", "::1", "tcp", "bind", "volume", "NONE", "CMD", "host", "always", "0-1"])
PORT_KEYS = ("container", "host", "hostIp", "protocol")
OTHER_KEYS = (
    "set",
    "drop",
    "name",
    "aliases",
    "ipv4Address",
    "type",
    "source",
    "target",
    "readOnly",
    "test",
    "retries",
)
LIMITS = ("memoryBytes", "memorySwapBytes", "nanoCpus", "maximumRetries")
KEYS = st.sampled_from([*FULL, *PORT_KEYS, *OTHER_KEYS, *LIMITS]) | st.text(max_size=4)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(st.sampled_from(list(FULL)) | st.text(max_size=4), JSON, max_size=5))
def test_any_object_is_read_the_same_again_or_refused_by_a_field(raw: dict[str, Any]) -> None:
    read: Overrides | None = None
    refusal = InvalidRequest("none")
    try:
        read = read_overrides(raw)
    except InvalidRequest as refused:
        refusal = refused
    if read is None:
        assert str(refusal.field).startswith("options.overrides.")
        assert len(refusal.message) < 1000
        return
    assert read_overrides(read.raw) == read
    assert read_overrides(json.loads(json.dumps(read.raw))) == read
    json.dumps(read.shown)
    assert all("." in field or field in ("Image", "Mounts") for field in read.touched)
