"""The gateway against a real Engine: what it reads, what it changes, and what it refuses to ask."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway, open_reader
from containers_app.engine.facts import clone_facts
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.streams import EventStream
from containers_app.errors import (
    ContainerNotFound,
    ContainerRunning,
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    InvalidRequest,
    NameTaken,
    StreamBroken,
    TimedOut,
)
from containers_app.specs.container import ClonePlan, build_clone
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL, EngineEvent
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
UNKNOWN = "0" * 64
HOSTILE = ("../volumes/victim", "../images/x", ".", "..", "", "x/../../v1.41/info", "a" * 12, UNKNOWN.upper() + "/")


@pytest.fixture
def gateway(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


@pytest.fixture
def source(docker_client: docker.DockerClient) -> str:
    created = docker_client.api.create_container(SAMPLE_IMAGE, name="source", labels={"team": "blue"})
    return str(created["Id"])


def plan(gateway: EngineGateway, source: str, *, name: str = "clone", operation: str = "operation-1") -> ClonePlan:
    inspect = gateway.inspect(source)
    return build_clone(inspect, clone_facts(gateway, inspect), name=name, labels={OPERATION_LABEL: operation})


def test_it_tells_the_version_and_the_platform(gateway: EngineGateway) -> None:
    version = gateway.version()
    assert version.engine
    assert version.platform.startswith("linux/")
    assert gateway.api.startswith("1.")
    gateway.ping()


def test_it_lists_stopped_containers_too(gateway: EngineGateway, source: str) -> None:
    (summary,) = gateway.containers()
    assert (summary.id, summary.name, summary.state) == (source, "source", "created")
    assert summary.image == SAMPLE_IMAGE
    assert summary.image_id == gateway.image(SAMPLE_IMAGE)["Id"]
    assert summary.labels == {"team": "blue"}


def test_a_link_does_not_rename_a_container(gateway: EngineGateway, docker_client: docker.DockerClient) -> None:
    target = docker_client.containers.create(SAMPLE_IMAGE, name="target")
    docker_client.containers.create(SAMPLE_IMAGE, name="linking", links={"target": "aaa"})
    assert {summary.name for summary in gateway.containers() if summary.id == target.id} == {"target"}


@pytest.mark.parametrize("length", [12, 40, 64])
def test_it_resolves_ids_and_names_to_the_full_id(gateway: EngineGateway, source: str, length: int) -> None:
    assert gateway.resolve(source[:length]).id == source
    assert gateway.resolve("source").id == source


def test_it_inspects_by_full_id(gateway: EngineGateway, source: str) -> None:
    assert gateway.inspect(source)["Name"] == "/source"


def test_what_is_missing_is_reported_as_missing(gateway: EngineGateway) -> None:
    with pytest.raises(ContainerNotFound):
        gateway.inspect(UNKNOWN)
    with pytest.raises(ImageNotFound):
        gateway.image("nobody/nothing:1")
    with pytest.raises(EngineError, match="404"):
        gateway.network("nothing")
    with pytest.raises(EngineError, match="404"):
        gateway.volume("nothing")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_only_a_full_id_reaches_a_containers_address(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: str, hostile: str
) -> None:
    docker_client.volumes.create("victim")
    for call in (
        *(gateway.inspect, gateway.start, gateway.remove, lambda word: gateway.export(word).__enter__()),
        lambda word: gateway.stop(word, timeout_seconds=0),
        lambda word: gateway.restart(word, timeout_seconds=0),
    ):
        with pytest.raises(InvalidRequest):
            call(hostile)
    with pytest.raises(InvalidRequest):
        gateway.disconnect(hostile, source)
    with pytest.raises(InvalidRequest):
        gateway.disconnect(UNKNOWN, hostile)
    assert docker_client.volumes.get("victim").name == "victim"
    assert gateway.inspect(source)["Id"] == source


@pytest.mark.parametrize("hostile", ["../containers/json", "..", "", "a/b", "a\nb", "x" * 256])
def test_a_hostile_network_or_volume_name_is_not_asked_for(gateway: EngineGateway, hostile: str) -> None:
    for call in (gateway.network, gateway.volume):
        with pytest.raises(InvalidRequest):
            call(hostile)


@pytest.mark.parametrize("hostile", ["../containers/json", "a/../../info", "a//b", "", "a b", "-x", "a?x=1"])
def test_a_hostile_image_name_is_not_asked_for(gateway: EngineGateway, hostile: str) -> None:
    with pytest.raises(ImageNotFound):
        gateway.image(hostile)


def test_networks_and_volumes_are_read(gateway: EngineGateway, docker_client: docker.DockerClient) -> None:
    network = docker_client.networks.create("front")
    docker_client.volumes.create("data", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    assert gateway.network("front")["Id"] == gateway.network(str(network.id))["Id"] == network.id
    assert {summary.name for summary in gateway.networks()} >= {"bridge", "host", "none", "front"}
    assert gateway.volume("data")["Options"] == gateway.volumes()["data"]["Options"]


def test_a_gateway_opens_only_with_a_receipt(engine_endpoint: Endpoint) -> None:
    for wrong in (None, "receipt", {"operation_id": "x"}):
        with pytest.raises(TypeError), open_gateway(engine_endpoint, EngineLimits(), wrong):  # type: ignore[arg-type]
            pytest.fail("it opened")


def test_a_reader_changes_nothing(engine_endpoint: Endpoint) -> None:
    with open_reader(engine_endpoint, EngineLimits()) as reader:
        changing = {"create", "connect", "disconnect", "start", "stop", "restart", "remove", "export"}
        assert not changing & set(dir(reader))


def test_it_creates_finds_by_label_and_removes(gateway: EngineGateway, source: str) -> None:
    made = plan(gateway, source)
    identifier = gateway.create(made.create, made.name)
    assert gateway.labelled("operation-1") == (identifier,)
    assert gateway.labelled("operation-2") == ()
    gateway.remove(identifier)
    gateway.remove(identifier)
    assert gateway.labelled("operation-1") == ()


def test_removing_takes_anonymous_volumes_along_and_no_named_one(
    gateway: EngineGateway, docker_client: docker.DockerClient
) -> None:
    created = docker_client.api.create_container(
        SAMPLE_IMAGE, volumes=["/fresh"], host_config=docker_client.api.create_host_config(binds=["named:/named"])
    )
    docker_client.containers.get(created["Id"]).start()
    assert len(gateway.volumes()) == 2
    gateway.remove(str(created["Id"]))
    assert set(gateway.volumes()) == {"named"}


def test_it_starts_and_stops_and_says_when_there_was_nothing_to_do(gateway: EngineGateway, source: str) -> None:
    assert not gateway.stop(source, timeout_seconds=5)
    assert gateway.start(source)
    assert not gateway.start(source)
    assert gateway.restart(source, timeout_seconds=5)
    assert gateway.stop(source, timeout_seconds=5)
    assert gateway.inspect(source)["State"]["Status"] == "exited"


def test_what_runs_is_removed_by_force_only(gateway: EngineGateway, source: str) -> None:
    gateway.start(source)
    with pytest.raises(ContainerRunning):
        gateway.remove(source, force=False)
    gateway.remove(source)
    with pytest.raises(ContainerNotFound):
        gateway.start(source)


def test_a_start_without_its_network_is_refused_with_the_engines_words(
    gateway: EngineGateway, docker_client: docker.DockerClient
) -> None:
    network = docker_client.networks.create("gone")
    target = docker_client.containers.create(SAMPLE_IMAGE, network="gone")
    network.remove()
    with pytest.raises(EngineError, match="network") as caught:
        gateway.start(str(target.id))
    assert type(caught.value) is EngineError


def test_a_name_that_is_taken_is_a_conflict_of_the_request(gateway: EngineGateway, source: str) -> None:
    made = plan(gateway, source, name="source")
    with pytest.raises(NameTaken) as caught:
        gateway.create(made.create, made.name)
    assert caught.value.field == "options.name"
    assert gateway.labelled("operation-1") == ()


@pytest.mark.parametrize("name", ["", "x" * 300, "a/b", "-x"])
def test_a_name_outside_the_grammar_is_not_sent(gateway: EngineGateway, source: str, name: str) -> None:
    with pytest.raises(InvalidRequest):
        gateway.create(plan(gateway, source).create, name)


def test_an_image_that_is_gone_at_the_create_is_named(gateway: EngineGateway, source: str) -> None:
    made = replace(plan(gateway, source), image_id="sha256:" + "1" * 64).by_image_id()
    with pytest.raises(ImageNotFound):
        gateway.create(made.create, made.name)


def test_it_joins_and_leaves_a_network(gateway: EngineGateway, docker_client: docker.DockerClient, source: str) -> None:
    network = str(docker_client.networks.create("front").id)
    endpoint = next(iter(plan(gateway, source).create.endpoints.values()))
    gateway.connect(network, source, endpoint)
    assert set(gateway.inspect(source)["NetworkSettings"]["Networks"]) == {"bridge", "front"}
    gateway.disconnect(network, source)
    assert set(gateway.inspect(source)["NetworkSettings"]["Networks"]) == {"bridge"}


def test_an_export_is_the_complete_tar_of_the_container(gateway: EngineGateway, source: str) -> None:
    with gateway.export(source) as stream:
        archive = io.BytesIO()
        while block := stream.read(100_000):
            archive.write(block)
            assert len(block) == 100_000 or stream.read(1) == b""
        assert stream.read(1) == b""
    archive.seek(0)
    with tarfile.open(fileobj=archive) as read:
        assert "bin/busybox" in read.getnames()


def test_leaving_an_export_early_leaves_the_gateway_usable(gateway: EngineGateway, source: str) -> None:
    with gateway.export(source) as stream:
        assert len(stream.read(10)) == 10
    assert gateway.inspect(source)["Id"] == source


def test_an_export_of_what_is_gone_is_reported(gateway: EngineGateway) -> None:
    with pytest.raises(ContainerNotFound), gateway.export(UNKNOWN):
        pytest.fail("it opened")


def test_an_aborted_export_says_so_and_a_late_abort_is_harmless(gateway: EngineGateway, source: str) -> None:
    with gateway.export(source) as stream:
        stream.abort()
        with pytest.raises(StreamBroken, match="stopped on request"):
            stream.read(10_000_000)
        stream.abort()
    with gateway.export(source) as stream:
        while stream.read(1_000_000):
            pass
        stream.abort()


def test_events_come_as_they_happen_and_end_at_an_abort(
    gateway: EngineGateway, docker_client: docker.DockerClient
) -> None:
    seen: list[EngineEvent] = []
    with gateway.events(None) as events:
        created = docker_client.api.create_container(SAMPLE_IMAGE, name="seen", command=["/bin/idle"])
        docker_client.api.start(created)
        command = docker_client.api.exec_create(created, ["/bin/true", "--password=hunter2"])
        docker_client.api.exec_start(command["Id"])
        for event in events:
            seen.append(event)
            if event.action == "exec_start":
                break
        waiting = threading.Thread(target=drain, args=(events, seen))
        waiting.start()
        events.abort()
        waiting.join(timeout=5)
        assert not waiting.is_alive()
    assert {event.action for event in seen} >= {"create", "start", "exec_create", "exec_start"}
    told = {(event.type, event.container_id, event.name, event.image) for event in seen}
    networked = ("network", created["Id"], "bridge", "")
    assert told - {networked} == {("container", created["Id"], "seen", SAMPLE_IMAGE)}
    assert "hunter2" not in repr(seen)


def drain(events: EventStream, seen: list[EngineEvent]) -> None:
    seen.extend(events)


def test_events_can_be_followed_from_a_moment_in_the_past(
    gateway: EngineGateway, docker_client: docker.DockerClient
) -> None:
    first = docker_client.api.create_container(SAMPLE_IMAGE, name="first")
    with gateway.events(None) as events:
        docker_client.api.remove_container(first)
        destroyed = next(event for event in events if event.action == "destroy")
    with gateway.events(destroyed.at_epoch_seconds) as events:
        assert next(event for event in events).action == "destroy"


def test_nothing_is_asked_when_no_time_is_left(engine_endpoint: Endpoint) -> None:
    remaining = iter([5.0, 5.0])
    limits = EngineLimits(remaining_seconds=lambda: next(remaining, 0.0))
    with open_reader(engine_endpoint, limits) as reader, pytest.raises(TimedOut):
        reader.containers()


def test_a_missing_socket_says_what_to_do() -> None:
    with pytest.raises(EngineUnavailable, match="does not exist: start the Engine") as caught:
        open_reader(Endpoint.parse("unix:///tmp/no-such.sock"), EngineLimits()).__enter__()
    assert "DOCKER_API_URL" in caught.value.message


def test_the_configuration_of_the_docker_command_is_not_used(
    engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("config")
    (folder / "config.json").write_text(json.dumps({"HttpHeaders": {"X-Secret": "hunter2"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with open_reader(Endpoint.parse(engine.url), EngineLimits()) as reader:
        reader.ping()
