from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.fidelity import differences, prove
from tests.unit.specs.inspects import BACK, BRIDGE, CLONE_ID, FRONT, IMAGE_ID, Inspect, endpoint, inspected


def cloned(**changes: Any) -> Inspect:
    """What a faithful clone of `inspected()` looks like, with changes."""
    config = {"Hostname": CLONE_ID[:12], "Labels": {"org.mycodocker.operation": "x"}, **changes.pop("config", {})}
    return inspected(config=config, Id=CLONE_ID, Name="/clone", Created="later", **changes)


def fields(source: Inspect, clone: Inspect) -> list[str]:
    return [difference.field for difference in differences(source, clone)]


def test_a_faithful_clone_has_no_differences() -> None:
    assert differences(inspected(), cloned()) == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"config": {"Env": ["A=2"]}}, "Config.Env.A"),
        ({"config": {"Env": []}}, "Config.Env.A"),
        ({"config": {"Env": ["A=1", "B=2"]}}, "Config.Env.B"),
        ({"config": {"Cmd": ["/bin/other"]}}, "Config.Cmd"),
        ({"config": {"Entrypoint": [""]}}, "Config.Entrypoint"),
        ({"config": {"Hostname": "box"}}, "Config.Hostname"),
        ({"config": {"Image": "image:2"}}, "Config.Image"),
        ({"config": {"Labels": {"theirs": "lost"}}}, "Config.Labels.theirs"),
        ({"config": {"Volumes": {"/data": {}}}}, "Config.Volumes"),
        ({"config": {"ExposedPorts": {"80/tcp": {}}}}, "Config.ExposedPorts"),
        ({"config": {"Something": "new"}}, "Config.Something"),
        ({"host": {"Binds": ["/a:/a"]}}, "HostConfig.Binds"),
        ({"host": {"Privileged": True}}, "HostConfig.Privileged"),
        ({"host": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}}, "HostConfig.RestartPolicy"),
        ({"host": {"Links": ["/db:/clone/db"]}}, "HostConfig.Links"),
        ({"host": {"NetworkMode": "host"}}, "HostConfig.NetworkMode"),
        ({"host": {"Runtime": "nvidia"}}, "HostConfig.Runtime"),
        ({"host": {"SomethingNew": 1}}, "HostConfig.SomethingNew"),
        ({"host": {"LogConfig": {"Type": "none"}}}, "HostConfig.LogConfig"),
        ({"host": {"LogConfig": {"Config": {"token": "x"}}}}, "HostConfig.LogConfig.Config.token"),
        ({"host": {"Mounts": [{"Type": "volume", "Target": "/x"}]}}, "HostConfig.Mounts"),
        ({"Image": "sha256:" + "2" * 64}, "Image"),
        ({"Mounts": [{"Type": "bind", "Source": "/a", "Destination": "/a", "RW": True}]}, "Mounts./a"),
        ({"networks": {}}, "NetworkSettings.Networks.bridge"),
        ({"networks": {"bridge": endpoint(BRIDGE), "front": endpoint(FRONT)}}, "NetworkSettings.Networks.front"),
        ({"networks": {"bridge": endpoint(BRIDGE, Aliases=["x"])}}, "NetworkSettings.Networks.bridge.Aliases"),
        (
            {"networks": {"bridge": endpoint(BRIDGE, MacAddress="02:aa:bb:cc:00:01")}},
            "NetworkSettings.Networks.bridge.MacAddress",
        ),
        ({"networks": {"bridge": endpoint(FRONT)}}, "NetworkSettings.Networks.bridge.NetworkID"),
        ({"ImageManifestDescriptor": {"digest": "sha256:" + "9" * 64}}, "ImageManifestDescriptor"),
        (
            {"networks": {"bridge": endpoint(BRIDGE, IPAMConfig={"IPv4Address": "10.0.0.9"})}},
            "NetworkSettings.Networks.bridge.IPAMConfig",
        ),
    ],
)
def test_every_change_of_the_configuration_is_noticed(change: Inspect, field: str) -> None:
    assert fields(inspected(), cloned(**change)) == [field]


@pytest.mark.parametrize(
    "change",
    [
        {"host": {"Binds": [], "Links": [], "ContainerIDFile": "/tmp/file"}},
        {"State": {"Running": True}, "ResolvConfPath": "/x", "RestartCount": 3},
        {"networks": {"bridge": endpoint(BRIDGE, IPAddress="172.17.0.9", MacAddress="02:42:ac:11:00:09")}},
        {"networks": {"bridge": endpoint(BRIDGE, Aliases=[CLONE_ID[:12]], IPAMConfig={}, DNSNames=["clone"])}},
        {"host": {"NetworkMode": "bridge"}},
        {"config": {"Image": IMAGE_ID}},
    ],
)
def test_what_belongs_to_the_instance_is_left_out(change: Inspect) -> None:
    assert differences(inspected(), cloned(**change)) == ()


def test_values_of_the_environment_are_never_shown() -> None:
    source = inspected(config={"Env": ["TOKEN=hunter2", "GONE=hunter2"]})
    found = differences(source, cloned(config={"Env": ["TOKEN=other"]}))
    assert [(one.field, one.source, one.clone) for one in found] == [
        ("Config.Env.GONE", "[hidden]", "[absent]"),
        ("Config.Env.TOKEN", "[hidden]", "[hidden]"),
    ]


def test_the_order_of_the_environment_is_configuration() -> None:
    source = inspected(config={"Env": ["A=1", "B=2"]})
    assert fields(source, cloned(config={"Env": ["B=2", "A=1"]})) == ["Config.Env"]


def test_a_long_value_is_cut() -> None:
    (found,) = differences(inspected(), cloned(host={"Binds": ["/x" * 5000]}))
    assert len(found.clone) == 200


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"Cmd": ["hunter2"]}},
        {"config": {"Entrypoint": ["hunter2"]}},
        {"config": {"Labels": {"auth": "hunter2"}}},
        {"config": {"Healthcheck": {"Test": ["CMD", "hunter2"]}}},
        {"host": {"LogConfig": {"Config": {"token": "hunter2"}}}},
        {"host": {"Mounts": [{"VolumeOptions": {"DriverConfig": {"Options": {"o": "password=hunter2"}}}}]}},
        {"host": {"Mounts": [{"VolumeOptions": {"Labels": {"auth": "hunter2"}}}]}},
    ],
)
def test_that_something_secret_changed_is_told_without_its_value(change: Inspect) -> None:
    for found in (*differences(inspected(), cloned(**change)), *differences(cloned(**change), inspected())):
        assert "hunter2" not in repr(found)
        assert found.source != found.clone or "[hidden]" in (found.source, found.clone)


def volume(name: str, path: str = "/data") -> Inspect:
    return {"Type": "volume", "Name": name, "Destination": path, "Driver": "local", "RW": True, "Propagation": ""}


def test_a_fresh_anonymous_volume_is_faithful_and_another_named_one_is_not() -> None:
    wanted: Inspect = {"Volumes": {"/data": {}}}
    source = inspected(config=wanted, Mounts=[volume("a" * 64)])
    assert differences(source, cloned(config=wanted, Mounts=[volume("b" * 64)])) == ()
    named = {"Binds": ["one:/data"]}
    source = inspected(host=named, Mounts=[volume("one")])
    assert fields(source, cloned(host=named, Mounts=[volume("two")])) == ["Mounts./data"]


def test_an_image_that_is_mounted_is_told_by_its_name_and_not_by_its_folder() -> None:
    def mounting(image: str, folder: str) -> Inspect:
        wanted = {"Mounts": [{"Type": "image", "Source": image, "Target": "/data"}]}
        return {"host": wanted, "Mounts": [{"Type": "image", "Destination": "/data", "Source": folder, "RW": False}]}

    source = inspected(**mounting("one", "/layers/a"))
    assert differences(source, cloned(**mounting("one", "/layers/b"))) == ()
    assert fields(source, cloned(**mounting("two", "/layers/b"))) == ["HostConfig.Mounts"]


def test_a_volume_kept_by_its_id_is_not_fresh() -> None:
    host = {"Binds": ["a" * 64 + ":/data"]}
    wanted: Inspect = {"Volumes": {"/data": {}}}
    source = inspected(config=wanted, host=host, Mounts=[volume("a" * 64)])
    assert fields(source, cloned(config=wanted, host=host, Mounts=[volume("b" * 64)])) == ["Mounts./data"]


def test_binds_that_stand_for_a_container_that_is_gone_are_faithful() -> None:
    source = inspected(host={"VolumesFrom": ["giver"]}, Mounts=[volume("data")])
    faithful = cloned(host={"VolumesFrom": [], "Binds": ["data:/data:rw"]}, Mounts=[volume("data")])
    assert differences(source, faithful) == ()
    lost = cloned(host={"VolumesFrom": []}, Mounts=[])
    assert fields(source, lost) == ["Mounts./data"]
    foreign = cloned(host={"VolumesFrom": [], "Binds": ["/etc:/etc"]}, Mounts=[volume("data")])
    assert set(fields(source, foreign)) == {"HostConfig.Binds", "HostConfig.VolumesFrom"}


@pytest.mark.parametrize("mode", [FRONT.id, FRONT.id[:12]])
def test_a_network_is_the_same_by_name_id_and_prefix(mode: str) -> None:
    source = inspected(host={"NetworkMode": mode}, networks={"front": endpoint(FRONT)})
    stopped = {FRONT.id: endpoint(FRONT, NetworkID="")}
    assert differences(source, cloned(host={"NetworkMode": FRONT.id}, networks=stopped)) == ()
    other = cloned(host={"NetworkMode": "back"}, networks={"back": endpoint(BACK)})
    assert "HostConfig.NetworkMode" in fields(source, other)


def test_links_are_compared_by_target_and_alias() -> None:
    source = inspected(host={"Links": ["/db:/source/one", "/db:/source/two"]})
    assert differences(source, cloned(host={"Links": ["/db:/clone/two", "/db:/clone/one"]})) == ()


def test_a_hostname_shared_with_another_container_is_not_compared() -> None:
    host = {"NetworkMode": "container:" + "c" * 64}
    source = inspected(config={"Hostname": "theirs"}, host=host, networks={})
    assert differences(source, cloned(config={"Hostname": ""}, host=host, networks={})) == ()


def test_a_runtime_that_the_engine_filled_in_is_not_compared() -> None:
    assert differences(inspected(host={"Runtime": ""}), cloned(host={"Runtime": "runc"})) == ()


def test_zero_values_that_only_one_version_of_the_engine_writes_are_explained() -> None:
    source = inspected(host={"KernelMemory": 0, "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}})
    clone = cloned(host={"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}})
    proof = prove(source, clone, other_engine=True)
    assert {found.field for found in proof.differences} == {"HostConfig.KernelMemory", "HostConfig.RestartPolicy"}
    assert proof.unexplained == ()
    assert len(prove(source, clone).unexplained) == 2


@pytest.mark.parametrize("host", [{"KernelMemory": 4096}, {"RestartPolicy": {"Name": "always"}}])
def test_a_value_that_another_version_lost_is_not_explained(host: Inspect) -> None:
    assert len(prove(inspected(host=host), cloned(), other_engine=True).unexplained) == 1
