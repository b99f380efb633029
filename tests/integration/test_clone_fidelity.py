"""What a clone's plan warns about, names anew and keeps to itself, on every Engine; kinds are in test_corpus_*.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from containers_app.engine.facts import clone_facts
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import EngineError
from containers_app.specs.collisions import World, find_collisions
from containers_app.specs.container import build_clone
from containers_app.specs.fidelity import differences
from containers_app.specs.overrides import read_overrides
from tests.integration.laboratory import Laboratory, Refused, make_clone


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
    except Refused:
        pytest.skip("this Engine does not let two networks have one name")
    lab.client.api.kill(source_id)
    lab.join(second, lab.container(name="unrelated"))
    source = lab.inspect(source_id)

    clone_id, _ = make_clone(gateway, lab, source)
    lab.start(clone_id)

    joined = lab.inspect(clone_id)["NetworkSettings"]["Networks"]
    assert [endpoint["NetworkID"] for endpoint in joined.values()] == [network]
    assert differences(source, lab.inspect(clone_id)) == ()


def test_a_hardware_address_in_a_second_network_is_kept_of_a_running_source(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    if lab.api < (1, 44):
        pytest.skip("not applicable: this Engine takes one MAC for a container")
    mac, modes = "00:16:3e:00:00:07", [f"{lab.word}-{name}" for name in "ab"]
    for index, name in enumerate("ab", 1):
        lab.network(name, subnet=index)
    endpoints = {modes[0]: {}, modes[1]: {"MacAddress": mac}}
    networking = {"EndpointsConfig": endpoints}
    body = {"HostConfig": {"NetworkMode": modes[0]}, "NetworkingConfig": networking}
    source = lab.inspect(lab.container(body, start=True))

    clone_id, plan = make_clone(gateway, lab, source)

    world = World(holdings=gateway.holdings(), networks=gateway.networks())
    assert {"mac"} == {found.kind for found in find_collisions(plan, world)} - {"name"}
    lab.client.api.kill(source["Id"])
    lab.start(clone_id)
    assert lab.inspect(clone_id)["NetworkSettings"]["Networks"][modes[1]]["MacAddress"] == mac


def test_what_a_running_source_holds_is_found_and_the_proposal_starts(lab: Laboratory, gateway: EngineGateway) -> None:
    bindings = {"80/tcp": [{"HostPort": str(20000 + lab.octet)}]}
    source = lab.inspect(
        lab.container({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"PortBindings": bindings}}, start=True)
    )
    facts = clone_facts(gateway, source)
    plan = build_clone(source, facts, name=f"{lab.word}-clone", labels={})
    world = World(holdings=gateway.holdings(), networks=facts.networks)
    found = find_collisions(plan, world)
    assert {(collision.kind, collision.blocks) for collision in found} == {("port", "start")}
    assert str(20000 + lab.octet) in " ".join(collision.message for collision in found)

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
