"""Volumes, networks, images and pausing: what the gateway makes carries the operation's label, what is gone is fine."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import ContainerNotFound, EngineError, InvalidRequest
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
OWN = {OPERATION_LABEL: "operation-1"}


@pytest.fixture
def gateway(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


def test_a_volume_has_its_driver_options_and_labels_and_ours(gateway: EngineGateway) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    assert gateway.create_volume("data", options=options, labels={"team": "blue"}) == "data"
    made = gateway.volume("data")
    assert (made["Driver"], made["Options"], made["Labels"]) == ("local", options, {"team": "blue", **OWN})
    unnamed = gateway.create_volume("")
    assert set(gateway.labelled_volumes("operation-1")) == {"data", unnamed}
    assert gateway.labelled_volumes("operation-2") == ()


def test_a_caller_cannot_replace_the_operations_label(gateway: EngineGateway) -> None:
    gateway.create_volume("data", labels={OPERATION_LABEL: "another"})
    assert gateway.volume("data")["Labels"] == OWN


def test_removing_what_is_gone_is_fine_and_what_is_used_is_not(
    gateway: EngineGateway, docker_client: docker.DockerClient
) -> None:
    gateway.create_volume("data")
    settings = docker_client.api.create_host_config(binds=["data:/data"])
    container = str(docker_client.api.create_container(SAMPLE_IMAGE, host_config=settings)["Id"])
    with pytest.raises(EngineError, match="in use"):
        gateway.remove_volume("data")
    gateway.remove(container)
    gateway.remove_volume("data")
    gateway.remove_volume("data")
    assert gateway.volumes() == {}


def test_a_driver_option_that_the_engine_repeats_is_not_in_the_error(gateway: EngineGateway) -> None:
    with pytest.raises(EngineError) as caught:
        gateway.create_volume("data", options={"size": "hunter2"})
    assert "[redacted]" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_network_has_its_settings_and_our_label(gateway: EngineGateway) -> None:
    addressing = {"Config": [{"Subnet": "10.99.0.0/24", "Gateway": "10.99.0.1"}]}
    identifier = gateway.create_network(
        "front",
        internal=True,
        attachable=True,
        addressing=addressing,
        options={"com.docker.network.bridge.enable_icc": "false"},
        labels={"team": "blue"},
    )
    made = gateway.network(identifier)
    assert (made["Name"], made["Driver"], made["Internal"], made["Attachable"]) == ("front", "bridge", True, True)
    assert made["IPAM"]["Config"] == addressing["Config"]
    assert made["Options"] == {"com.docker.network.bridge.enable_icc": "false"}
    assert made["Labels"] == {"team": "blue", **OWN}
    assert gateway.labelled_networks("operation-1") == (identifier,)
    with pytest.raises(EngineError, match="already exists"):
        gateway.create_network("front")
    gateway.remove_network(identifier)
    gateway.remove_network(identifier)
    assert gateway.labelled_networks("operation-1") == ()


def test_an_image_is_committed_tagged_and_removed(gateway: EngineGateway, docker_client: docker.DockerClient) -> None:
    container = str(docker_client.api.create_container(SAMPLE_IMAGE, labels={"team": "blue"})["Id"])
    identifier = gateway.commit(container, pause=False, labels={"part": "files"})
    assert gateway.labelled_images("operation-1") == (identifier,)
    labels = gateway.image(identifier)["Config"]["Labels"]
    assert {"part": "files", **OWN}.items() <= labels.items()
    for reference, name in (("kept", "kept:latest"), ("host:5000/kept", "host:5000/kept:latest"), ("kept:2", "kept:2")):
        gateway.tag_image(identifier, reference)
        assert gateway.image(name)["Id"] == identifier
    for name in ("kept:latest", "host:5000/kept:latest"):
        docker_client.api.remove_image(name)
    gateway.remove_image(identifier)
    gateway.remove_image(identifier)
    assert gateway.labelled_images("operation-1") == ()


def test_a_container_is_frozen_and_goes_on(gateway: EngineGateway, docker_client: docker.DockerClient) -> None:
    container = str(docker_client.api.create_container(SAMPLE_IMAGE, ["/bin/idle"])["Id"])
    with pytest.raises(EngineError, match="not running"):
        gateway.pause(container)
    docker_client.api.start(container)
    gateway.pause(container)
    assert gateway.inspect(container)["State"]["Paused"] is True
    gateway.unpause(container)
    assert gateway.inspect(container)["State"]["Paused"] is False
    with pytest.raises(ContainerNotFound):
        gateway.pause("0" * 64)


@pytest.mark.parametrize("hostile", ["../containers/x", "..", "", "a" * 12, "sha256:" + "a" * 63, "sha256:" + "A" * 64])
def test_only_full_ids_reach_the_address_of_a_change(gateway: EngineGateway, hostile: str) -> None:
    calls = (
        gateway.remove_network,
        gateway.remove_image,
        gateway.pause,
        gateway.unpause,
        gateway.start_helper,
        lambda word: gateway.commit(word, pause=False),
        lambda word: gateway.tag_image(word, "name:1"),
        lambda word: gateway.save_image(word).__enter__(),
    )
    for call in calls:
        with pytest.raises(InvalidRequest):
            call(hostile)
    with pytest.raises(InvalidRequest):
        gateway.remove_volume(hostile if "/" in hostile or hostile in ("", "..") else "a/b")
