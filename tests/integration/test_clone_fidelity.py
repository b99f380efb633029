"""Every kind of source container we know, cloned on a real Engine and compared field for field, stopped and started."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.facts import clone_facts
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import EngineError
from containers_app.specs.collisions import World, find_collisions
from containers_app.specs.container import ClonePlan, build_clone
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL, TOKEN_LABEL
from containers_app.specs.fidelity import differences
from containers_app.specs.overrides import read_overrides
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine

RECEIPT = Receipt(operation_id="fidelity", shard=0, leaf_index=0, leaf_hash="0" * 64)
SECONDS_TO_ANSWER = 30

Body = dict[str, Any]


class Laboratory:
    """Makes source containers by raw Engine JSON, so that no library's defaults hide what an Engine does."""

    def __init__(self, client: docker.DockerClient, engine: PrivateEngine, folder: Path) -> None:
        self.client = client
        self.engine = engine
        self.folder = folder
        self.word = "f" + uuid.uuid4().hex[:8]
        self.octet = 20 + uuid.uuid4().int % 200
        self.containers: list[str] = []
        self.networks: list[str] = []
        self.images: list[str] = []
        self.volumes: list[str] = []

    def post(self, path: str, body: Body | None = None, **parameters: str) -> Any:
        api = self.client.api
        url = f"{api.base_url}/v{api.api_version}{path}"
        answer = api.post(url, params=parameters, json=body, timeout=SECONDS_TO_ANSWER)
        assert answer.status_code < 400, answer.text
        return answer.json() if answer.content else None

    def container(self, body: Body | None = None, *, name: str = "source", start: bool = False) -> str:
        asked = {"Image": SAMPLE_IMAGE, **(body or {})}
        identifier = str(self.post("/containers/create", asked, name=f"{self.word}-{name}")["Id"])
        self.containers.append(identifier)
        if start:
            self.start(identifier)
        return identifier

    def start(self, identifier: str) -> None:
        self.post(f"/containers/{identifier}/start")

    def network(self, name: str, *, subnet: int) -> str:
        """A network, 10.<octet>.<subnet>.0/24; a name may be used twice where the Engine lets it."""
        pool = {"Config": [{"Subnet": f"10.{self.octet}.{subnet}.0/24"}]}
        identifier = str(self.post("/networks/create", {"Name": f"{self.word}-{name}", "IPAM": pool})["Id"])
        self.networks.append(identifier)
        return identifier

    def join(self, network: str, container: str, endpoint: Body | None = None) -> None:
        self.post(f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint or {}})

    def leave(self, network: str, container: str) -> None:
        self.post(f"/networks/{network}/disconnect", {"Container": container, "Force": True})

    def image(self, tag: str, *changes: str) -> str:
        name = f"mycodocker/{self.word}:{tag}"
        self.engine.make_image(name, *changes)
        self.images.append(name)
        return name

    def volume(self, name: str) -> str:
        self.volumes.append(f"{self.word}-{name}")
        self.client.volumes.create(self.volumes[-1])
        return self.volumes[-1]

    def host_folder(self, name: str) -> str:
        path = self.folder / name
        path.mkdir()
        return str(path)

    def inspect(self, identifier: str) -> Body:
        return dict(self.client.api.inspect_container(identifier))

    def sweep(self) -> None:
        for identifier in reversed(self.containers):
            self._forgiving(self.client.api.remove_container, identifier, v=True, force=True)
        for network in self.networks:
            self._forgiving(self.client.api.remove_network, network)
        for volume in self.volumes:
            self._forgiving(self.client.api.remove_volume, volume)
        for image in self.images:
            self._forgiving(self.client.api.remove_image, image, force=True)

    @staticmethod
    def _forgiving(call: Callable[..., Any], *arguments: str, **options: bool) -> None:
        try:
            call(*arguments, **options)
        except docker.errors.APIError as error:
            # Gone already, or going by itself.
            if error.status_code not in (404, 409):
                raise


@pytest.fixture
def lab(engine: PrivateEngine, tmp_path: Path) -> Iterator[Laboratory]:
    # The Engine's own API version, because older ones report a container in older words.
    with contextlib.closing(docker.DockerClient(engine.url, version="auto")) as client:
        laboratory = Laboratory(client, engine, tmp_path)
        yield laboratory
        laboratory.sweep()


@pytest.fixture
def gateway(engine_endpoint: Endpoint) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


def make_clone(gateway: EngineGateway, lab: Laboratory, source: Body) -> tuple[str, ClonePlan]:
    """What a workflow does with a plan, without its clean-up."""
    labels = {OPERATION_LABEL: "fidelity", TOKEN_LABEL: "1"}
    plan = build_clone(source, clone_facts(gateway, source), name=f"{lab.word}-clone", labels=labels)
    identifier = gateway.create(plan.create, plan.name)
    lab.containers.append(identifier)
    for network in plan.disconnect_after:
        gateway.disconnect(network, identifier)
    for join in plan.connect_after:
        gateway.connect(join.network_id, identifier, join.endpoint)
    return identifier, plan


def environment_with_every_kind_of_text(lab: Laboratory) -> str:
    return lab.container({"Env": ["LINES=one\ntwo\n", "EQUALS=a=b==c", "UMLAUT=Grüße 🐳", "EMPTY=", "PATH"]})


def plain(lab: Laboratory) -> str:
    return lab.container()


def running(lab: Laboratory) -> str:
    return lab.container(start=True)


def emptied_entrypoint(lab: Laboratory) -> str:
    image = lab.image("entry", 'ENTRYPOINT ["/bin/false"]', 'CMD ["unused"]')
    return lab.container({"Image": image, "Entrypoint": [""], "Cmd": ["/bin/idle"]})


def entrypoint_of_the_image(lab: Laboratory) -> str:
    image = lab.image("wrapped", 'ENTRYPOINT ["/bin/env"]', 'CMD ["/bin/idle"]', "USER sample", "WORKDIR /tmp")
    return lab.container({"Image": image})


def entrypoint_overridden_without_a_command(lab: Laboratory) -> str:
    image = lab.image("replaced", 'ENTRYPOINT ["/bin/false"]', 'CMD ["unused"]')
    return lab.container({"Image": image, "Entrypoint": ["/bin/idle"]})


def image_with_volumes_ports_and_labels(lab: Laboratory) -> str:
    image = lab.image("rich", "VOLUME /data", "EXPOSE 80 443/udp", "LABEL a=b", "ENV X=1")
    return lab.container({"Image": image, "Labels": {"c": "d"}, "Env": ["Y=2"]}, start=True)


def image_tag_moved(lab: Laboratory) -> str:
    image = lab.image("moving", "LABEL generation=1")
    source = lab.container({"Image": image}, start=True)
    lab.client.api.tag(lab.image("other", "LABEL generation=2"), image.partition(":")[0], "moving", force=True)
    return source


def image_tag_removed(lab: Laboratory) -> str:
    image = lab.image("vanishing", "LABEL generation=3")
    source = lab.container({"Image": image}, start=True)
    lab.client.api.remove_image(image, force=True)
    return source


def image_named_by_id(lab: Laboratory) -> str:
    return lab.container({"Image": lab.client.api.inspect_image(SAMPLE_IMAGE)["Id"]})


def two_networks_with_addresses_and_aliases(lab: Laboratory) -> str:
    first, second = lab.network("first", subnet=1), lab.network("second", subnet=2)
    endpoint = {"Aliases": ["web", "www"], "IPAMConfig": {"IPv4Address": f"10.{lab.octet}.1.77"}}
    networking = {"EndpointsConfig": {f"{lab.word}-first": endpoint}}
    source = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-first"}, "NetworkingConfig": networking})
    lab.start(source)
    lab.join(second, source, {"Aliases": ["db"], "IPAMConfig": {"IPv4Address": f"10.{lab.octet}.2.88"}})
    assert first
    return source


def three_networks_never_started(lab: Laboratory) -> str:
    lab.network("a", subnet=1)
    source = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-a"}})
    lab.join(lab.network("b", subnet=2), source, {"Aliases": ["beta"]})
    lab.join(lab.network("c", subnet=3), source, {"DriverOpts": {"com.example.option": "1"}})
    return source


def network_named_by_id(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": lab.network("byid", subnet=1)}}, start=True)


def network_named_by_an_id_prefix(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": lab.network("prefix", subnet=1)[:12]}}, start=True)


def network_removed_meanwhile(lab: Laboratory) -> str:
    source = lab.container(start=True)
    network = lab.network("doomed", subnet=1)
    lab.join(network, source)
    lab.leave(network, source)
    lab.client.api.remove_network(network)
    return source


def network_left_for_another(lab: Laboratory) -> str:
    source = lab.container(start=True)
    lab.join(lab.network("only", subnet=1), source, {"Aliases": ["only"]})
    lab.leave(lab.client.api.inspect_network("bridge")["Id"], source)
    return source


def no_networks_at_all(lab: Laboratory) -> str:
    source = lab.container(start=True)
    lab.leave(lab.client.api.inspect_network("bridge")["Id"], source)
    return source


def network_of_another_container(lab: Laboratory) -> str:
    image = lab.image("exposing", "EXPOSE 80")
    other = lab.container(name="other", start=True)
    return lab.container({"Image": image, "HostConfig": {"NetworkMode": f"container:{other}"}}, start=True)


def host_network(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": "host"}}, start=True)


def no_network(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"NetworkMode": "none"}}, start=True)


def links(lab: Laboratory) -> str:
    lab.container(name="target", start=True)
    return lab.container({"HostConfig": {"Links": [f"{lab.word}-target:db", f"{lab.word}-target:cache"]}}, start=True)


def links_in_a_network(lab: Laboratory) -> str:
    lab.network("linked", subnet=1)
    host = {"NetworkMode": f"{lab.word}-linked"}
    lab.container({"HostConfig": host}, name="target", start=True)
    endpoint = {f"{lab.word}-linked": {"Links": [f"{lab.word}-target:db"]}}
    return lab.container({"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoint}}, start=True)


def configured_mac(lab: Laboratory) -> str:
    mac = "02:aa:bb:cc:00:01"
    if tuple(int(part) for part in lab.client.api.api_version.split(".")) < (1, 44):
        return lab.container({"MacAddress": mac}, start=True)
    return lab.container({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": mac}}}}, start=True)


def temporary_file_systems(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Tmpfs": {"/run": "rw,size=1m,mode=755", "/scratch": ""}}}, start=True)


def named_and_anonymous_volumes(lab: Laboratory) -> str:
    binds = [f"{lab.volume('one')}:/one", f"{lab.volume('two')}:/two:ro"]
    return lab.container({"Volumes": {"/fresh": {}, "/fresher": {}}, "HostConfig": {"Binds": binds}}, start=True)


def anonymous_volume_kept_by_name(lab: Laboratory) -> str:
    lab.volumes.append("a1" * 32)
    return lab.container({"Volumes": {"/kept": {}}, "HostConfig": {"Binds": [f"{'a1' * 32}:/kept:rw"]}})


def host_folders(lab: Laboratory) -> str:
    one, two, three = (lab.host_folder(name) for name in ("one", "two", "three"))
    return lab.container({"HostConfig": {"Binds": [f"{one}:/one", f"{two}:/two:ro", f"{three}:/three:ro,rprivate"]}})


def mounts_of_every_type(lab: Laboratory) -> str:
    mounts = [
        {"Type": "volume", "Target": "/fresh"},
        {"Type": "volume", "Source": lab.volume("m"), "Target": "/named", "VolumeOptions": {"NoCopy": True}},
        {"Type": "bind", "Source": lab.host_folder("b"), "Target": "/b", "BindOptions": {"Propagation": "rprivate"}},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 65536, "Mode": 0o700}},
    ]
    return lab.container({"HostConfig": {"Mounts": mounts}}, start=True)


def volumes_from_a_live_container(lab: Laboratory) -> str:
    lab.container({"Volumes": {"/data": {}}, "HostConfig": {"Binds": [f"{lab.volume('v')}:/v"]}}, name="giver")
    return lab.container({"HostConfig": {"VolumesFrom": [f"{lab.word}-giver:ro"]}}, start=True)


def volumes_from_a_removed_container(lab: Laboratory) -> str:
    binds = [f"{lab.volume('v')}:/v", f"{lab.host_folder('given')}:/h:ro"]
    giver = lab.container({"Volumes": {"/data": {}}, "HostConfig": {"Binds": binds}}, name="giver")
    source = lab.container({"Volumes": {"/own": {}}, "HostConfig": {"VolumesFrom": [f"{lab.word}-giver"]}}, start=True)
    lab.client.api.remove_container(giver)
    return source


def volumes_from_a_container_made_anew(lab: Laboratory) -> str:
    giver = lab.container({"Volumes": {"/data": {}}}, name="giver")
    source = lab.container({"HostConfig": {"VolumesFrom": [f"{lab.word}-giver"]}}, start=True)
    lab.client.api.remove_container(giver)
    lab.container({"Volumes": {"/data": {}}}, name="giver")
    return source


def limits_and_kernel_parameters(lab: Laboratory) -> str:
    limits = [{"Name": "nofile", "Soft": 512, "Hard": 1024}, {"Name": "core", "Soft": 0, "Hard": 0}]
    return lab.container({"HostConfig": {"Ulimits": limits, "Sysctls": {"net.ipv4.ip_forward": "0"}}}, start=True)


def processor_and_memory_limits(lab: Laboratory) -> str:
    host = {
        "Memory": 64 * 2**20,
        "MemoryReservation": 32 * 2**20,
        "CpuShares": 512,
        "CpuPeriod": 100000,
        "CpuQuota": 50000,
        "PidsLimit": 50,
        "OomScoreAdj": 100,
        "ShmSize": 2**20,
    }
    return lab.container({"HostConfig": host}, start=True)


def healthcheck(lab: Laboratory) -> str:
    check = {"Test": ["CMD-SHELL", "true"], "Interval": 10**9, "Timeout": 2 * 10**9, "Retries": 7}
    return lab.container({"Healthcheck": check}, start=True)


def healthcheck_switched_off(lab: Laboratory) -> str:
    image = lab.image("checked", "HEALTHCHECK CMD true")
    return lab.container({"Image": image, "Healthcheck": {"Test": ["NONE"]}})


def logging(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}}, start=True)


def restart_policy(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}}, start=True)


def auto_remove(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"AutoRemove": True}}, start=True)


def ports(lab: Laboratory) -> str:
    base = 20000 + lab.octet * 20
    bindings = {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(base)}, {"HostPort": str(base + 1)}],
        "81/tcp": [{"HostPort": f"{base + 2}-{base + 6}"}],
        "82/udp": [{"HostPort": ""}],
        "83/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(base + 7)}],
        "84/tcp": [{"HostIp": "127.0.0.2", "HostPort": str(base + 7)}],
    }
    exposed: Body = {port: {} for port in bindings}
    return lab.container({"ExposedPorts": exposed, "HostConfig": {"PortBindings": bindings}}, start=True)


def all_ports_published(lab: Laboratory) -> str:
    return lab.container({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PublishAllPorts": True}}, start=True)


def host_power(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"Privileged": True, "PidMode": "host", "IpcMode": "host"}})


def host_name_of_the_host(lab: Laboratory) -> str:
    return lab.container({"HostConfig": {"UTSMode": "host"}}, start=True)


def namespaces_of_another_container(lab: Laboratory) -> str:
    other = lab.container({"HostConfig": {"IpcMode": "shareable"}}, name="other", start=True)
    modes = {"PidMode": f"container:{other}", "IpcMode": f"container:{other}"}
    return lab.container({"HostConfig": modes}, start=True)


def security(lab: Laboratory) -> str:
    host = {
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": ["/proc/sys"],
        "ReadonlyRootfs": True,
        "GroupAdd": ["1234"],
        "Init": False,
    }
    return lab.container({"HostConfig": host}, start=True)


def names_and_terminal(lab: Laboratory) -> str:
    body = {
        "Hostname": "box",
        "Domainname": "example.org",
        "User": "1000:1000",
        "WorkingDir": "/tmp",
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "StopSignal": "SIGINT",
        "StopTimeout": 3,
        "Shell": ["/bin/sh", "-c"],
        "HostConfig": {"ConsoleSize": [24, 80], "ExtraHosts": ["a:10.0.0.1"], "Dns": ["10.0.0.2"]},
    }
    return lab.container(body, start=True)


def devices(lab: Laboratory) -> str:
    device = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"}
    return lab.container({"HostConfig": {"Devices": [device], "DeviceCgroupRules": ["c 1:3 r"]}}, start=True)


def labels_of_an_earlier_operation(lab: Laboratory) -> str:
    return lab.container({"Labels": {OPERATION_LABEL: "earlier", TOKEN_LABEL: "9", "theirs": "kept"}})


CORPUS = (
    plain,
    running,
    environment_with_every_kind_of_text,
    emptied_entrypoint,
    entrypoint_of_the_image,
    entrypoint_overridden_without_a_command,
    image_with_volumes_ports_and_labels,
    image_tag_moved,
    image_tag_removed,
    image_named_by_id,
    two_networks_with_addresses_and_aliases,
    three_networks_never_started,
    network_named_by_id,
    network_named_by_an_id_prefix,
    network_removed_meanwhile,
    network_left_for_another,
    no_networks_at_all,
    network_of_another_container,
    host_network,
    no_network,
    links,
    links_in_a_network,
    configured_mac,
    temporary_file_systems,
    named_and_anonymous_volumes,
    anonymous_volume_kept_by_name,
    host_folders,
    mounts_of_every_type,
    volumes_from_a_live_container,
    volumes_from_a_removed_container,
    volumes_from_a_container_made_anew,
    limits_and_kernel_parameters,
    processor_and_memory_limits,
    healthcheck,
    healthcheck_switched_off,
    logging,
    restart_policy,
    auto_remove,
    ports,
    all_ports_published,
    host_power,
    host_name_of_the_host,
    namespaces_of_another_container,
    security,
    names_and_terminal,
    devices,
    labels_of_an_earlier_operation,
)


@pytest.mark.parametrize("kind", CORPUS, ids=lambda kind: kind.__name__)
def test_a_clone_equals_its_source_before_and_after_its_start(
    kind: Callable[[Laboratory], str], lab: Laboratory, gateway: EngineGateway
) -> None:
    source_id = kind(lab)
    source = lab.inspect(source_id)

    clone_id, plan = make_clone(gateway, lab, source)

    clone = lab.inspect(clone_id)
    assert differences(source, clone) == ()
    assert clone["Image"] == plan.image_id == source["Image"]
    assert not clone["State"]["Running"]
    assert clone["Config"]["Labels"][OPERATION_LABEL] == "fidelity"
    assert without_moment(lab.inspect(source_id)) == without_moment(source)

    if kind is host_power:
        return  # starting it takes more power than a test's Engine may have
    if source["State"]["Running"]:
        lab.client.api.kill(source_id)
    lab.start(clone_id)
    assert differences(source, lab.inspect(clone_id)) == ()


def without_moment(inspect: Body) -> Body:
    """An inspect without the health log, which grows by itself, and with its mounts and links in one order."""
    state = {key: value for key, value in inspect["State"].items() if key != "Health"}
    host = {**inspect["HostConfig"], "Links": sorted(inspect["HostConfig"]["Links"] or [])}
    return {
        **inspect,
        "State": state,
        "HostConfig": host,
        "Mounts": sorted(inspect["Mounts"], key=lambda mount: mount["Destination"]),
    }


def test_anonymous_volumes_of_the_clone_are_fresh(lab: Laboratory, gateway: EngineGateway) -> None:
    source = lab.inspect(lab.container({"Volumes": {"/data": {}}}))
    clone_id, _ = make_clone(gateway, lab, source)
    assert source["Mounts"][0]["Name"] != lab.inspect(clone_id)["Mounts"][0]["Name"]


def test_an_image_that_is_gone_is_named_by_its_id_or_reported(lab: Laboratory, gateway: EngineGateway) -> None:
    image = lab.image("gone", "LABEL generation=4")
    source = lab.inspect(lab.container({"Image": image}))
    facts = clone_facts(gateway, {**source, "Image": "sha256:" + "0" * 64})
    plan = build_clone({**source, "Image": "sha256:" + "0" * 64}, facts, name="x", labels={})
    assert "no longer on the Engine" in str(plan.missing_image)


def test_a_source_whose_first_network_is_gone_keeps_its_configuration_and_warns(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    network = lab.network("first", subnet=1)
    source_id = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-first"}}, start=True)
    lab.client.api.kill(source_id)
    lab.client.api.remove_network(network)
    source = lab.inspect(source_id)

    clone_id, plan = make_clone(gateway, lab, source)

    assert [warning.code for warning in plan.warnings] == ["NETWORK_GONE"]
    assert differences(source, lab.inspect(clone_id)) == ()


def test_of_two_networks_with_one_name_the_clone_joins_the_one_of_its_source(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    network = lab.network("twin", subnet=1)
    source_id = lab.container({"HostConfig": {"NetworkMode": f"{lab.word}-twin"}}, start=True)
    try:
        second = lab.network("twin", subnet=2)
    except AssertionError:
        pytest.skip("this Engine does not let two networks have one name")
    lab.client.api.kill(source_id)
    lab.join(second, lab.container(name="unrelated"))
    source = lab.inspect(source_id)

    clone_id, _ = make_clone(gateway, lab, source)
    lab.start(clone_id)

    joined = lab.inspect(clone_id)["NetworkSettings"]["Networks"]
    assert [endpoint["NetworkID"] for endpoint in joined.values()] == [network]
    assert differences(source, lab.inspect(clone_id)) == ()


def test_what_a_running_source_holds_is_found_and_the_proposal_starts(lab: Laboratory, gateway: EngineGateway) -> None:
    source = lab.inspect(ports(lab))
    facts = clone_facts(gateway, source)
    plan = build_clone(source, facts, name=f"{lab.word}-clone", labels={})
    world = World(holdings=gateway.holdings(), networks=facts.networks)
    found = find_collisions(plan, world)
    assert {(collision.kind, collision.blocks) for collision in found} == {("port", "start")}
    assert str(20000 + lab.octet * 20 + 7) in " ".join(collision.message for collision in found)

    assert found[0].resolution is not None
    overrides = read_overrides(found[0].resolution["overrides"])
    again = build_clone(source, facts, name=f"{lab.word}-clone", labels={}, overrides=overrides)
    assert find_collisions(again, world) == ()
    identifier = gateway.create(again.create, again.name)
    lab.containers.append(identifier)
    lab.start(identifier)


def test_neither_a_plan_nor_a_refusal_repeats_environment_values(lab: Laboratory, gateway: EngineGateway) -> None:
    source = lab.inspect(lab.container({"Env": ["TOKEN=hunter2-very-secret"]}))
    plan = build_clone(source, clone_facts(gateway, source), name=f"{lab.word}-clone", labels={})
    assert "hunter2" not in repr(plan)

    broken = replace(plan.create.settings, environment=("=hunter2-very-secret",))
    with pytest.raises(EngineError) as caught:
        gateway.create(replace(plan.create, settings=broken), plan.name)
    assert "hunter2" not in caught.value.message
    assert "[redacted]" in caught.value.message


def test_the_comparison_notices_every_kind_of_change(lab: Laboratory) -> None:
    source = lab.inspect(lab.container({"Env": ["A=1"], "HostConfig": {"Memory": 64 * 2**20}}))
    other = lab.inspect(lab.container({"Env": ["A=2"], "HostConfig": {"NetworkMode": "none"}}, name="other"))
    fields = {difference.field for difference in differences(source, other)}
    assert {"Config.Env.A", "HostConfig.Memory", "HostConfig.NetworkMode"} <= fields
    assert {"NetworkSettings.Networks.bridge", "NetworkSettings.Networks.none"} <= fields
