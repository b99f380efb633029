from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from containers_app.errors import EngineError
from containers_app.specs.collisions import World, find_collisions
from containers_app.specs.container import CloneFacts, ClonePlan, build_clone
from containers_app.specs.engine import Holding, NetworkSummary
from tests.unit.specs.inspects import BACK, BRIDGE, FRONT, IMAGE_ID, SOURCE_ID, Inspect, endpoint, facts, inspected

LABELS = {"org.mycodocker.operation": "operation-1", "org.mycodocker.token": "1"}
MODERN = {"api": "1.45", "engine": "26.1.5"}
MAC = "02:aa:bb:cc:dd:ee"


def planned(source: Inspect, known: CloneFacts | None = None) -> ClonePlan:
    return build_clone(source, known or facts(), name="clone", labels=LABELS)


def body(source: Inspect, known: CloneFacts | None = None) -> Inspect:
    return planned(source, known).create.body()


def codes(source: Inspect, known: CloneFacts | None = None) -> list[str]:
    return [warning.code for warning in planned(source, known).warnings]


def endpoints(source: Inspect, known: CloneFacts | None = None) -> dict[str, Any]:
    return dict(body(source, known).get("NetworkingConfig", {}).get("EndpointsConfig", {}))


def test_nothing_that_is_not_listed_reaches_the_engine() -> None:
    source = inspected(config={"privileged": True, "Unknown": 1}, host={"binds": ["/:/h"], "Bind\u017f": ["/:/h"]})
    made = body(source)
    assert set(made) & {"privileged", "Unknown", "Id", "State", "Name"} == set()
    assert set(made["HostConfig"]) & {"binds", "Bind\u017f", "ContainerIDFile"} == set()


def test_an_image_reference_is_kept_while_it_means_the_sources_image() -> None:
    plan = planned(inspected())
    assert plan.create.settings.image == "image:1"
    assert plan.image_id == IMAGE_ID
    assert plan.warnings == ()


@pytest.mark.parametrize(("now", "words"), [("sha256:" + "2" * 64, "another image"), (None, "no longer exists")])
def test_a_reference_that_moved_is_replaced_by_the_id_and_told(now: str | None, words: str) -> None:
    plan = planned(inspected(), facts(reference_image_id=now))
    assert plan.create.settings.image == IMAGE_ID
    (warning,) = plan.warnings
    assert warning.code == "IMAGE_BY_ID"
    assert words in warning.message


def test_a_plan_says_clearly_that_the_image_is_gone() -> None:
    missing = planned(inspected(), facts(reference_image_id=None, image_exists=False)).missing_image
    assert missing is not None
    assert "image:1" in missing
    assert f"load or build the image with the id {IMAGE_ID}" in missing
    assert planned(inspected()).missing_image is None


def test_a_plan_can_name_the_image_by_its_id_afterwards() -> None:
    plan = planned(inspected())
    again = plan.by_image_id()
    assert again.create.settings.image == IMAGE_ID
    assert again.create.host == plan.create.host


def test_the_platform_is_kept_where_the_engine_tells_it_in_full() -> None:
    descriptor = {"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}
    assert planned(inspected(ImageManifestDescriptor=descriptor)).create.platform == "linux/arm64/v8"
    assert planned(inspected(Platform="linux")).create.platform is None


@pytest.mark.parametrize(
    ("config", "host", "sent"),
    [
        ({}, {}, None),
        ({"Hostname": "box"}, {}, "box"),
        ({"Hostname": "machine"}, {"UTSMode": "host"}, None),
        ({"Hostname": "theirs"}, {"NetworkMode": "container:" + "c" * 64}, None),
    ],
)
def test_a_hostname_is_sent_only_when_it_is_the_containers_own(
    config: Inspect, host: Inspect, sent: str | None
) -> None:
    assert body(inspected(config=config, host=host)).get("Hostname") == sent


def test_in_another_containers_network_nothing_of_the_network_is_sent() -> None:
    config = {"Domainname": "example.org", "ExposedPorts": {"80/tcp": {}}}
    made = body(inspected(config=config, host={"NetworkMode": "container:" + "c" * 64}, networks={}))
    assert not {"Domainname", "ExposedPorts", "NetworkingConfig", "MacAddress"} & set(made)
    assert made["HostConfig"]["NetworkMode"] == "container:" + "c" * 64


@pytest.mark.parametrize(("read", "sent"), [(None, [""]), ([], []), (["/bin/sh", "-c"], ["/bin/sh", "-c"])])
def test_an_emptied_entrypoint_stays_empty(read: list[str] | None, sent: list[str]) -> None:
    assert body(inspected(config={"Entrypoint": read}))["Entrypoint"] == sent


def test_our_labels_replace_those_of_an_earlier_operation() -> None:
    labels = {"org.mycodocker.operation": "earlier", "org.mycodocker.other": "x", "theirs": "kept"}
    assert body(inspected(config={"Labels": labels}))["Labels"] == {"theirs": "kept", **LABELS}


def test_environment_values_are_sent_but_never_shown() -> None:
    source = inspected(
        config={"Env": ["TOKEN=hunter2"], "Cmd": ["run", "--password=hunter2"], "Labels": {"secret": "hunter3"}},
        host={"LogConfig": {"Type": "splunk", "Config": {"splunk-token": "hunter4"}}},
    )
    plan = planned(source)
    assert "hunter" not in repr(plan)
    assert plan.create.body()["Env"] == ["TOKEN=hunter2"]
    assert {"TOKEN=hunter2", "--password=hunter2", "hunter3", "hunter4"} <= set(plan.create.secrets)


def test_links_are_sent_as_they_were_given() -> None:
    host = body(inspected(host={"Links": ["/db:/source/database", "/cache:/source/cache"]}))["HostConfig"]
    assert host["Links"] == ["db:database", "cache:cache"]


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ({"Privileged": True, "SecurityOpt": ["label=disable"]}, []),
        ({"PidMode": "host", "SecurityOpt": ["seccomp=unconfined", "label=disable"]}, ["seccomp=unconfined"]),
        ({"IpcMode": "host", "SecurityOpt": ["label=disable", "label=disable"]}, ["label=disable"]),
        ({"SecurityOpt": ["label=disable"]}, ["label=disable"]),
        (
            {"IpcMode": "container:x", "SecurityOpt": ["apparmor=a", "label=user:u", "label=level:s0"]},
            ["apparmor=a"],
        ),
        ({"PidMode": "container:x", "SecurityOpt": None}, None),
        ({"Privileged": True, "SecurityOpt": None}, None),
    ],
)
def test_labels_the_engine_appends_by_itself_are_not_sent_again(host: Inspect, sent: list[str] | None) -> None:
    assert body(inspected(host=host))["HostConfig"].get("SecurityOpt") == sent


def test_automatic_removal_and_the_restart_policy_are_kept() -> None:
    host = {"AutoRemove": True, "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}
    made = body(inspected(host=host))["HostConfig"]
    assert {key: made[key] for key in host} == host


def test_an_older_engine_gets_the_first_network_and_joins_the_others_after() -> None:
    networks = {"back": endpoint(BACK, Aliases=["db"]), "front": endpoint(FRONT, Aliases=["web", SOURCE_ID[:12]])}
    plan = planned(inspected(host={"NetworkMode": "front"}, networks=networks))
    assert {key: spec.body() for key, spec in plan.create.endpoints.items()} == {"front": {"Aliases": ["web"]}}
    (join,) = plan.connect_after
    assert (join.network_id, join.network_name, join.endpoint.body()) == (BACK.id, "back", {"Aliases": ["db"]})
    assert plan.disconnect_after == ()


def test_a_newer_engine_gets_all_networks_at_once() -> None:
    networks = {"back": endpoint(BACK, GwPriority=5), "front": endpoint(FRONT)}
    plan = planned(inspected(host={"NetworkMode": "front"}, networks=networks), facts(**MODERN))
    assert {key: spec.body() for key, spec in plan.create.endpoints.items()} == {"front": {}, "back": {"GwPriority": 5}}
    assert plan.connect_after == ()


@pytest.mark.parametrize("mode", ["default", "bridge", ""])
def test_the_default_network_goes_by_its_real_name(mode: str) -> None:
    assert endpoints(inspected(host={"NetworkMode": mode})) == {"bridge": {}}


@pytest.mark.parametrize("mode", [FRONT.id, FRONT.id[:12]])
def test_a_network_named_by_an_id_or_a_prefix_is_named_by_the_full_id(mode: str) -> None:
    made = body(inspected(host={"NetworkMode": mode}, networks={"front": endpoint(FRONT)}))
    assert made["HostConfig"]["NetworkMode"] == FRONT.id
    assert made["NetworkingConfig"]["EndpointsConfig"] == {FRONT.id: {}}


TWIN = NetworkSummary(id="e" * 64, name="front", driver="bridge")


def test_an_ambiguous_name_is_pinned_by_the_id_on_an_older_engine() -> None:
    source = inspected(host={"NetworkMode": "front"}, networks={"front": endpoint(FRONT)})
    made = body(source, facts(networks=(TWIN, FRONT)))
    assert made["HostConfig"]["NetworkMode"] == "front"
    assert made["NetworkingConfig"]["EndpointsConfig"] == {"front": {"NetworkID": FRONT.id}}


def test_an_ambiguous_name_is_replaced_by_the_id_on_a_newer_engine() -> None:
    source = inspected(host={"NetworkMode": "front"}, networks={"front": endpoint(FRONT)})
    made = body(source, facts(networks=(TWIN, FRONT), **MODERN))
    assert made["HostConfig"]["NetworkMode"] == FRONT.id
    assert made["NetworkingConfig"]["EndpointsConfig"] == {FRONT.id: {}}


@pytest.mark.parametrize("known", [facts(), facts(**MODERN)])
def test_a_source_without_networks_is_disconnected_after_the_create(known: CloneFacts) -> None:
    plan = planned(inspected(networks={}), known)
    assert plan.disconnect_after == (BRIDGE.id,)
    assert plan.create.endpoints == {}


def test_a_source_that_left_its_first_network_leaves_it_again_on_an_older_engine() -> None:
    source = inspected(networks={"front": endpoint(FRONT)})
    plan = planned(source)
    assert (plan.disconnect_after, [join.network_id for join in plan.connect_after]) == ((BRIDGE.id,), [FRONT.id])
    modern = planned(source, facts(**MODERN))
    assert (modern.disconnect_after, set(modern.create.endpoints)) == ((), {"front"})


@pytest.mark.parametrize("mode", ["none", "host"])
def test_a_source_without_a_network_of_its_own_is_sent_no_endpoint(mode: str) -> None:
    plan = planned(inspected(host={"NetworkMode": mode}, networks={mode: endpoint(BRIDGE)}))
    assert (plan.create.endpoints, plan.connect_after, plan.disconnect_after) == ({}, (), ())


@pytest.mark.parametrize("known", [facts(), facts(**MODERN)])
def test_a_source_whose_network_is_switched_off_has_no_network_to_leave(known: CloneFacts) -> None:
    plan = planned(inspected(config={"NetworkDisabled": True}, networks={}), known)
    assert (plan.create.endpoints, plan.connect_after, plan.disconnect_after) == ({}, (), ())
    assert plan.create.body()["NetworkDisabled"] is True


def test_a_network_that_is_gone_is_told_and_not_joined() -> None:
    gone = NetworkSummary(id="9" * 64, name="gone", driver="bridge")
    source = inspected(networks={"bridge": endpoint(BRIDGE), "gone": endpoint(gone)})
    assert codes(source) == ["NETWORK_GONE"]
    assert planned(source).connect_after == ()
    (message,) = (warning.message for warning in planned(source).warnings)
    assert planned(source).expected_differences == {"NetworkSettings.Networks.gone": message}


def test_a_network_made_anew_is_told_and_joined() -> None:
    old = NetworkSummary(id="9" * 64, name="front", driver="bridge")
    source = inspected(networks={"bridge": endpoint(BRIDGE), "front": endpoint(old)})
    assert codes(source) == ["NETWORK_REPLACED"]
    assert list(planned(source).expected_differences) == ["NetworkSettings.Networks.front.NetworkID"]
    assert [join.network_id for join in planned(source).connect_after] == [FRONT.id]


def test_a_configured_mac_stands_in_the_configuration_on_an_older_engine() -> None:
    source = inspected(config={"MacAddress": MAC}, networks={"bridge": endpoint(BRIDGE, MacAddress=MAC)})
    made = body(source)
    assert made["MacAddress"] == MAC
    assert made["NetworkingConfig"]["EndpointsConfig"] == {"bridge": {}}


def test_a_configured_mac_stands_in_the_endpoint_on_a_newer_engine() -> None:
    source = inspected(config={"MacAddress": MAC}, networks={"bridge": endpoint(BRIDGE, MacAddress=MAC)})
    made = body(source, facts(**MODERN))
    assert "MacAddress" not in made
    assert made["NetworkingConfig"]["EndpointsConfig"] == {"bridge": {"MacAddress": MAC}}


@pytest.mark.parametrize("engine", ["25.0.0", "25.0.1"])
def test_a_generated_mac_that_an_engine_reports_as_configured_is_not_copied(engine: str) -> None:
    mac = "02:42:ac:11:00:02"
    source = inspected(config={"MacAddress": mac}, networks={"bridge": endpoint(BRIDGE, MacAddress=mac)})
    assert endpoints(source, facts(api="1.44", engine=engine)) == {"bridge": {}}
    assert endpoints(source, facts(api="1.44", engine="25.0.2")) == {"bridge": {"MacAddress": mac}}


@pytest.mark.parametrize(
    ("mac", "running", "api", "sent"),
    [
        ("02:42:0a:00:00:09", True, "1.45", {}),
        (MAC, True, "1.45", {"MacAddress": MAC}),
        (MAC, False, "1.45", {"MacAddress": MAC}),
        (MAC, False, "1.51", {"MacAddress": MAC}),
        (MAC, True, "1.51", {}),
    ],
)
def test_a_further_networks_mac_is_copied_only_when_it_is_surely_configured(
    mac: str, running: bool, api: str, sent: Inspect
) -> None:
    networks = {"bridge": endpoint(BRIDGE), "front": endpoint(FRONT, MacAddress=mac, IPAddress="10.0.0.9")}
    source = inspected(networks=networks, State={"Running": running})
    assert endpoints(source, facts(api=api, engine="26"))["front"] == sent


@pytest.mark.parametrize("known", [facts(), facts(**MODERN)])
def test_what_a_running_source_holds_stands_in_the_way_of_its_clone(known: CloneFacts) -> None:
    networks = {
        "bridge": endpoint(BRIDGE),
        "front": endpoint(FRONT, IPAMConfig={"IPv4Address": "10.0.0.9"}),
    }
    ports = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostPort": "0"}, {"HostPort": ""}], "81/tcp": None}
    config, host = {"MacAddress": MAC}, {"PortBindings": ports}
    plan = planned(inspected(config=config, host=host, networks=networks), known)
    ports_held = (("0.0.0.0", 8080, "tcp"),)
    source = Holding(id=SOURCE_ID, name="source", running=True, ports=ports_held, addresses=("10.0.0.9",), macs=(MAC,))
    found = find_collisions(plan, World(holdings=(source,), networks=known.networks))
    subjects = {collision.kind: collision.subject for collision in found}
    assert subjects == {"port": "0.0.0.0:8080/tcp", "address": "10.0.0.9", "mac": MAC}
    assert plan.warnings == ()
    assert find_collisions(plan, World(holdings=(replace(source, running=False),), networks=known.networks)) == ()


GIVEN = (
    {"Type": "volume", "Name": "data", "Destination": "/data", "RW": False, "Mode": "z", "Propagation": ""},
    {"Type": "bind", "Source": "/srv/x", "Destination": "/x", "RW": True, "Mode": "", "Propagation": "rslave"},
)
OWN = {"Type": "volume", "Name": "own", "Destination": "/own", "RW": True, "Mode": "z", "Propagation": ""}


def taking(**host: Any) -> Inspect:
    configured = {"VolumesFrom": ["giver:ro"], "Binds": ["own:/own"], **host}
    return inspected(host=configured, Mounts=[*GIVEN, OWN])


def test_volumes_of_a_live_container_are_taken_again() -> None:
    source, known = taking(), facts(volumes_from={"giver": GIVEN})
    made = body(source, known)["HostConfig"]
    assert (made["VolumesFrom"], made["Binds"]) == (["giver:ro"], ["own:/own"])
    assert codes(source, known) == []


@pytest.mark.parametrize(
    "now",
    [None, ({**GIVEN[0], "Name": "another"}, GIVEN[1])],
    ids=["gone", "a namesake with other volumes"],
)
def test_volumes_of_a_container_that_is_gone_are_mounted_by_name(now: tuple[Inspect, ...] | None) -> None:
    source, known = taking(), facts(volumes_from={"giver": now})
    made = body(source, known)["HostConfig"]
    assert made["VolumesFrom"] == []
    assert made["Binds"] == ["own:/own", "data:/data:ro,z", "/srv/x:/x:rw,rslave"]
    assert codes(source, known) == ["VOLUMES_FROM_GONE"]


def test_of_several_givers_only_the_gone_ones_are_replaced() -> None:
    source = taking(VolumesFrom=["first", "second"])
    known = facts(volumes_from={"first": (GIVEN[0],), "second": None})
    made = body(source, known)["HostConfig"]
    assert made["VolumesFrom"] == ["first"]
    assert made["Binds"] == ["own:/own", "/srv/x:/x:rw,rslave"]


@pytest.mark.parametrize("broken", [{"Config": None}, {"HostConfig": None}, {"HostConfig": {"Binds": "/:/h"}}])
def test_an_inspect_that_is_not_understood_is_an_error_of_ours(broken: Inspect) -> None:
    with pytest.raises(EngineError):
        planned({**inspected(), **broken})


def test_planning_leaves_the_source_as_it_is() -> None:
    source = inspected(config={"Labels": {"a": "b"}}, host={"Mounts": [{"Type": "volume", "Target": "/x"}]})
    before = repr(source)
    planned(source)
    assert repr(source) == before
