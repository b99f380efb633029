from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.errors import InvalidRequest
from containers_app.specs.container import ClonePlan, build_clone
from containers_app.specs.host_settings import HostSettings
from containers_app.specs.overrides import read_overrides
from containers_app.specs.settings import ContainerSettings
from tests.unit.specs.inspects import BACK, FRONT, IMAGE_ID, Inspect, endpoint, facts, inspected

OTHER_ID = "sha256:" + "2" * 64
MEBIBYTE = 2**20


def planned(source: Inspect, overrides: Inspect, **known: Any) -> ClonePlan:
    return build_clone(source, facts(**known), name="clone", labels={}, overrides=read_overrides(overrides))


def body(source: Inspect, overrides: Inspect, **known: Any) -> Inspect:
    return planned(source, overrides, **known).create.body()


def host(source: Inspect, overrides: Inspect, **known: Any) -> Inspect:
    return dict(body(source, overrides, **known)["HostConfig"])


def test_changed_variables_keep_their_place_and_new_ones_come_last() -> None:
    source = inspected(config={"Env": ["A=1", "B=2", "C", "D=4"]})
    made = body(source, {"env": {"set": {"N": "x=y\nz", "B": "", "C": "3"}, "drop": ["A"]}})
    assert made["Env"] == ["B=", "C=3", "D=4", "N=x=y\nz"]


def test_a_dropped_variable_of_the_image_is_unset_by_its_bare_name() -> None:
    source = inspected(config={"Env": ["OWN=1", "PATH=/bin", "IMAGE=1"]})
    config = {"Env": ["PATH=/bin", "IMAGE=1"]}
    assert body(source, {"env": {"drop": ["OWN", "IMAGE"]}}, image_config=config)["Env"] == ["PATH=/bin", "IMAGE"]


def test_with_another_image_every_dropped_variable_is_unset_as_that_image_may_define_it() -> None:
    source = inspected(config={"Env": ["OWN=1"]})
    overrides = {"image": "other:1", "env": {"drop": ["OWN"]}}
    made = body(source, overrides, image_config={}, chosen_image_id=OTHER_ID)
    assert made["Env"] == ["OWN"]


def test_labels_are_set_and_dropped() -> None:
    source = inspected(config={"Labels": {"keep": "1", "change": "1", "drop": "1"}})
    made = body(source, {"labels": {"set": {"change": "2", "new": "3"}, "drop": ["drop", "absent"]}})
    assert made["Labels"] == {"keep": "1", "change": "2", "new": "3"}


def test_what_the_image_brings_back_is_told() -> None:
    source = inspected(config={"Labels": {"theirs": "1"}, "Volumes": {"/data/": {}}})
    overrides = {"labels": {"drop": ["theirs"]}, "mounts": [{"type": "none", "target": "/data"}]}
    plan = planned(source, overrides, image_config={"Labels": {"theirs": "1"}, "Volumes": {"/data/": {}}})
    assert [warning.code for warning in plan.warnings] == ["LABEL_OF_IMAGE", "MOUNT_RETURNS"]
    assert planned(source, overrides, image_config={}).warnings == ()


def test_a_mount_that_another_container_gives_comes_back_and_that_is_told() -> None:
    given = {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True}
    source = inspected(host={"VolumesFrom": ["giver"]}, Mounts=[given])
    overrides = {"mounts": [{"type": "none", "target": "/data"}]}
    alive = planned(source, overrides, volumes_from={"giver": (given,)})
    assert [warning.code for warning in alive.warnings] == ["MOUNT_RETURNS"]
    gone = planned(source, overrides, volumes_from={"giver": None})
    assert [warning.code for warning in gone.warnings] == ["VOLUMES_FROM_GONE"]
    assert gone.create.body()["HostConfig"]["Binds"] == []


@pytest.mark.parametrize(
    ("overrides", "entrypoint", "command"),
    [
        ({}, ["/entry"], ["run"]),
        ({"command": ["other"]}, ["/entry"], ["other"]),
        ({"command": []}, ["/entry"], []),
        ({"entrypoint": ["/other"]}, ["/other"], ["run"]),
        ({"entrypoint": []}, [""], ["run"]),
    ],
)
def test_command_and_entrypoint_are_changed_apart(
    overrides: Inspect, entrypoint: list[str], command: list[str]
) -> None:
    made = body(inspected(config={"Entrypoint": ["/entry"], "Cmd": ["run"]}), overrides)
    assert (made["Entrypoint"], made["Cmd"]) == (entrypoint, command)


def test_ports_replace_all_bindings_and_are_exposed() -> None:
    source = inspected(
        config={"ExposedPorts": {"9/udp": {}}},
        host={"PortBindings": {"80/tcp": [{"HostPort": "1"}]}, "PublishAllPorts": True},
    )
    ports = [
        {"container": 80, "host": 8080, "hostIp": "127.0.0.1"},
        {"container": 80},
        {"container": 53, "protocol": "udp"},
    ]
    made = body(source, {"ports": ports})
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "", "HostPort": ""}],
        "53/udp": [{"HostIp": "", "HostPort": ""}],
    }
    assert made["HostConfig"]["PublishAllPorts"] is False
    assert set(made["ExposedPorts"]) == {"9/udp", "80/tcp", "53/udp"}
    assert host(source, {"ports": []})["PortBindings"] == {}


@pytest.mark.parametrize(
    ("settings", "overrides", "field"),
    [
        ({"NetworkMode": "container:" + "c" * 64}, {"ports": [{"container": 80}]}, "ports"),
        ({"NetworkMode": "container:" + "c" * 64}, {"hostname": "box"}, "hostname"),
        ({"UTSMode": "host"}, {"hostname": "box"}, "hostname"),
    ],
)
def test_what_the_namespaces_rule_out_is_a_mistake_of_the_override(
    settings: Inspect, overrides: Inspect, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(inspected(host=settings, networks={}), overrides)
    assert caught.value.field == f"options.overrides.{field}"


def test_leaving_another_containers_network_frees_the_hostname_and_the_ports() -> None:
    source = inspected(host={"NetworkMode": "container:" + "c" * 64}, networks={})
    made = body(source, {"networks": [{"name": "front"}], "hostname": "box", "ports": [{"container": 80}]})
    assert (made["Hostname"], made["HostConfig"]["NetworkMode"]) == ("box", "front")


def test_links_do_not_go_with_the_hosts_network() -> None:
    source = inspected(host={"Links": ["/db:/source/db"]})
    assert "Links" not in host(source, {"networks": [{"name": "host"}]}, networks=(FRONT, HOST))
    assert host(source, {"networks": [{"name": "front"}]})["Links"] == ["db:db"]


HOST = FRONT.__class__(id="8" * 64, name="host", driver="host")
MOUNTED = inspected(
    config={"Volumes": {"/anonymous/": {}, "/other": {}}},
    host={
        "Binds": ["data:/data/:rw,z", "/srv:/srv"],
        "Mounts": [{"Type": "volume", "Source": "mounted", "Target": "/mounted/"}],
        "Tmpfs": {"/tmp/": "size=1m"},
    },
)


@pytest.mark.parametrize("kind", ["none", "tmpfs", "volume", "bind"])
@pytest.mark.parametrize("target", ["/data", "/mounted", "/tmp", "/anonymous", "/new"])
def test_a_mount_override_is_the_only_one_at_its_path_however_the_source_spelt_it(kind: str, target: str) -> None:
    source = {"bind": "/x", "volume": "named"}.get(kind)
    made = body(MOUNTED, {"mounts": [{"type": kind, "target": target, "source": source}]})
    settings = made["HostConfig"]
    places = [bind.split(":")[1].rstrip("/") for bind in settings["Binds"]]
    places += [mount["Target"].rstrip("/") for mount in settings["Mounts"]]
    places += [path.rstrip("/") for path in (*settings["Tmpfs"], *made["Volumes"])]
    assert places.count(target) == (0 if kind == "none" else 1)
    assert set(places) | {target} == {"/data", "/srv", "/mounted", "/tmp", "/anonymous", "/other", target}
    assert len(places) == len(set(places))


def test_a_fresh_volume_may_be_read_only() -> None:
    mounts = [{"target": "/a"}, {"target": "/b", "readOnly": True}]
    made = body(inspected(), {"mounts": mounts})
    assert made["Volumes"] == {"/a": {}}
    assert made["HostConfig"]["Mounts"] == [{"Type": "volume", "Target": "/b", "ReadOnly": True}]


def test_read_only_is_kept_for_every_kind() -> None:
    mounts = [
        {"type": "bind", "source": "/srv", "target": "/a", "readOnly": True},
        {"type": "volume", "source": "data", "target": "/b", "readOnly": True},
        {"type": "tmpfs", "target": "/c", "readOnly": True},
    ]
    made = host(inspected(), {"mounts": mounts})
    assert (made["Binds"], made["Tmpfs"]) == (["/srv:/a:ro", "data:/b:ro"], {"/c": "ro"})


@pytest.mark.parametrize(
    ("memory", "swap", "wanted", "expected"),
    [
        (64, 128, 256, None),  # the Engine's own default, twice the memory, stays the default
        (64, 64, 256, 256),  # no swap at all stays no swap
        (64, 64, 32, 32),
        (64, 96, 256, 288),
        (64, -1, 256, -1),
        (0, -1, 256, -1),
        (64, 200, 0, None),
        (0, 0, 64, 0),
    ],
)
def test_swap_follows_another_memory_limit(memory: int, swap: int, wanted: int, expected: int | None) -> None:
    limits = {"Memory": memory * MEBIBYTE, "MemorySwap": swap * MEBIBYTE if swap > 0 else swap}
    made = host(inspected(host=limits), {"resources": {"memoryBytes": wanted * MEBIBYTE}})
    assert made["Memory"] == wanted * MEBIBYTE
    sent = expected * MEBIBYTE if expected is not None and expected > 0 else expected
    assert made.get("MemorySwap") == sent


def test_a_reservation_is_not_left_above_the_limit() -> None:
    source = inspected(host={"Memory": 64 * MEBIBYTE, "MemoryReservation": 48 * MEBIBYTE})
    made = host(source, {"resources": {"memoryBytes": 32 * MEBIBYTE}})
    assert made["MemoryReservation"] == 32 * MEBIBYTE


@pytest.mark.parametrize(
    ("limits", "wanted", "left"),
    [
        ({"CpuQuota": 5000, "CpuPeriod": 10000}, {"nanoCpus": 10**9}, {"NanoCpus": 10**9}),
        ({"NanoCpus": 10**9}, {"cpuQuota": 5000}, {"CpuQuota": 5000}),
        ({"CpuQuota": 5000}, {"nanoCpus": 0}, {"CpuQuota": 5000, "NanoCpus": 0}),
        ({"NanoCpus": 10**9}, {"cpuShares": 5}, {"NanoCpus": 10**9, "CpuShares": 5}),
    ],
)
def test_one_way_to_limit_processors_ends_the_other_and_none_is_ended_by_chance(
    limits: Inspect, wanted: Inspect, left: Inspect
) -> None:
    made = host(inspected(host=limits), {"resources": wanted})
    assert {key: value for key, value in made.items() if "Cpu" in key} == left


def test_a_restart_policy_ends_automatic_removal() -> None:
    source = inspected(host={"AutoRemove": True})
    assert host(source, {"restartPolicy": {"name": "always"}})["AutoRemove"] is False
    kept = host(source, {"restartPolicy": {"name": "no"}})
    assert (kept["AutoRemove"], kept["RestartPolicy"]) == (True, {"Name": "no", "MaximumRetryCount": 0})


def test_a_healthcheck_is_replaced_as_a_whole() -> None:
    source = inspected(config={"Healthcheck": {"Test": ["CMD", "old"], "Interval": 5}})
    made = body(source, {"healthcheck": {"test": ["CMD", "new"], "retries": 2}})
    assert made["Healthcheck"] == {"Test": ["CMD", "new"], "Retries": 2}
    assert body(source, {"healthcheck": {"test": ["NONE"]}})["Healthcheck"] == {"Test": ["NONE"]}


def test_another_image_is_named_and_pinned_and_a_missing_one_is_told() -> None:
    plan = planned(inspected(), {"image": "other:1"}, image_config={}, chosen_image_id=OTHER_ID)
    assert (plan.create.settings.image, plan.image_id, plan.missing_image) == ("other:1", OTHER_ID, None)
    missing = planned(inspected(), {"image": "other:1"}, image_config={})
    assert "other:1 is not on the Engine" in str(missing.missing_image)


def test_where_the_sources_image_is_gone_its_defaults_are_kept_and_told() -> None:
    gone = {"image_exists": False, "reference_image_id": None, "chosen_image_id": OTHER_ID}
    plan = planned(inspected(), {"image": "other:1"}, **gone)
    assert [warning.code for warning in plan.warnings] == ["IMAGE_DEFAULTS_KEPT"]
    assert plan.create.settings.command == ("/bin/idle",)
    assert plan.create.settings.entrypoint == ("",)


SETTINGS = {field.metadata["key"] for field in ContainerSettings.__dataclass_fields__.values()}
HOST_SETTINGS = {field.metadata["key"] for field in HostSettings.__dataclass_fields__.values()}
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "image": st.just("other:1"),
        "command": st.lists(st.text(max_size=3), max_size=2),
        "entrypoint": st.lists(st.text(max_size=3), max_size=2),
        "env": st.fixed_dictionaries({"set": st.dictionaries(st.sampled_from("ABC"), st.text(max_size=3))}),
        "ports": st.lists(
            st.builds(lambda number: {"container": number, "host": number}, st.integers(1, 65535)), max_size=1
        ),
        "networks": st.sampled_from(
            [[], [{"name": "front"}], [{"name": "back"}, {"name": "front"}], [{"name": "none"}]]
        ),
        "mounts": st.sampled_from([[], [{"target": "/a"}], [{"type": "bind", "source": "/s", "target": "/a"}]]),
        "resources": st.sampled_from([{}, {"memoryBytes": 1 << 26}, {"nanoCpus": 5}]),
        "restartPolicy": st.sampled_from([{}, {"name": "always"}]),
        "user": st.text(max_size=3),
        "healthcheck": st.sampled_from([{}, {"test": ["NONE"]}]),
    },
)


@given(OVERRIDES, st.dictionaries(st.text(max_size=8), st.integers(), max_size=3))
def test_whatever_is_asked_for_nothing_off_the_list_reaches_an_engine(overrides: Inspect, unknown: Inspect) -> None:
    unknown = {key: value for key, value in unknown.items() if key not in SETTINGS | HOST_SETTINGS}
    source = inspected(config=unknown, host=unknown, networks={"back": endpoint(BACK)}, **{"Volumes": {"/x": {}}})
    made = body(source, overrides, image_config={}, chosen_image_id=OTHER_ID)
    assert set(made) <= SETTINGS | {"HostConfig", "NetworkingConfig"}
    assert set(made["HostConfig"]) <= HOST_SETTINGS


def test_without_overrides_the_request_is_the_sources() -> None:
    source = inspected(config={"Labels": {"a": "b"}}, host={"Memory": 5, "Binds": ["a:/b"]})
    plain = build_clone(source, facts(), name="clone", labels={})
    assert planned(source, {}) == plain
    assert plain.image_id == IMAGE_ID
