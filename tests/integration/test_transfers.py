"""Volumes, layers and images from one real Engine to another."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.layers import LayerTree
from containers_app.engine.transfer import move_image, stream_tree
from containers_app.engine.trees import VolumeTree, tree_proof
from containers_app.errors import EngineError, EngineUnavailable, ImageNotFound
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine, started_engine
from tests.trees import make_tree, snapshot

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
LARGE_BYTES = 300 * 2**20


@pytest.fixture(scope="module")
def other_engine(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    with started_engine() as other:
        yield other


@pytest.fixture
def here(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as gateway:
        yield gateway


@pytest.fixture
def there(other_engine: PrivateEngine) -> Iterator[EngineGateway]:
    with open_gateway(Endpoint.parse(other_engine.url), EngineLimits(), RECEIPT) as gateway:
        yield gateway
        for container in gateway.containers():
            gateway.remove(container.id)
        for volume in gateway.volumes():
            gateway.remove_volume(volume)


def folder_of(engine: PrivateEngine, volume: str) -> Path:
    return engine.directory / "data" / "volumes" / volume / "_data"


def large(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        for number in range(LARGE_BYTES // 2**20):
            file.write(number.to_bytes(2, "big") * 2**19)


def test_a_streamed_volume_is_the_same_in_everything(
    engine: PrivateEngine, other_engine: PrivateEngine, here: EngineGateway, there: EngineGateway
) -> None:
    here.create_volume("source")
    there.create_volume("target")
    make_tree(folder_of(engine, "source"))
    told: list[int] = []
    streamed = stream_tree(
        here, there, source=VolumeTree(name="source"), target=VolumeTree(name="target"), on_progress=told.append
    )
    assert streamed.changed is False
    assert told[-1] == streamed.stream_bytes
    assert snapshot(folder_of(other_engine, "target")) == snapshot(folder_of(engine, "source"))
    proofs = tree_proof(here, VolumeTree(name="source")), tree_proof(there, VolumeTree(name="target"))
    assert proofs[0].same_as(proofs[1])
    assert here.labelled("operation-1") == there.labelled("operation-1") == ()


def test_a_large_volume_needs_no_memory(
    engine: PrivateEngine, other_engine: PrivateEngine, here: EngineGateway, there: EngineGateway
) -> None:
    here.create_volume("source")
    there.create_volume("target")
    large(folder_of(engine, "source"))
    before_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream_tree(here, there, source=VolumeTree(name="source"), target=VolumeTree(name="target"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kilobytes < 100_000
    assert (folder_of(other_engine, "target") / "large").stat().st_size == LARGE_BYTES


def test_a_layer_is_streamed_with_its_deletions(
    engine: PrivateEngine, other_engine: PrivateEngine, here: EngineGateway, there: EngineGateway
) -> None:
    source_client, target_client = engine.client(), other_engine.client()
    source = source_client.containers.run(
        SAMPLE_IMAGE, ["/bin/sh", "-c", "rm /bin/zcat; rm -rf /home; mkdir /home; echo a > /a"], detach=True
    )
    source.wait()
    target = target_client.containers.create(SAMPLE_IMAGE, ["/bin/idle"])
    trees = [LayerTree(container=str(found.id)) for found in (source, target)]
    stream_tree(here, there, source=trees[0], target=trees[1])
    proofs = [tree_proof(gateway, tree) for gateway, tree in zip((here, there), trees, strict=True)]
    assert proofs[0].same_as(proofs[1])
    target.start()
    shown = str(target.exec_run(["/bin/ls", "/bin/zcat", "/home/sample"]).output)
    assert shown.count("No such") == 2
    assert sorted(map(str, target.diff())) == sorted(map(str, source.diff()))
    source_client.close()
    target_client.close()


def test_a_full_disk_on_the_other_side_is_named(
    engine: PrivateEngine, here: EngineGateway, there: EngineGateway
) -> None:
    here.create_volume("source")
    there.create_volume("small", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    large(folder_of(engine, "source"))
    with pytest.raises(EngineError, match="is full"):
        stream_tree(here, there, source=VolumeTree(name="source"), target=VolumeTree(name="small"))
    assert here.labelled("operation-1") == there.labelled("operation-1") == ()


def test_a_source_that_cannot_be_read_fails_both_sides(here: EngineGateway, there: EngineGateway) -> None:
    here.create_volume("bad", options={"type": "none", "o": "bind", "device": "/proc/sys/net/ipv4/route"})
    there.create_volume("target")
    with pytest.raises(EngineError, match="flush"):
        stream_tree(here, there, source=VolumeTree(name="bad"), target=VolumeTree(name="target"))
    assert here.labelled("operation-1") == there.labelled("operation-1") == ()


@pytest.mark.parametrize("victim", ["source", "target"])
def test_an_engine_killed_in_the_middle_is_a_failure(
    engine: PrivateEngine, here: EngineGateway, disposable_engine: PrivateEngine, victim: str
) -> None:
    with open_gateway(Endpoint.parse(disposable_engine.url), EngineLimits(), RECEIPT) as mortal:
        source, target = (mortal, here) if victim == "source" else (here, mortal)
        source.create_volume("source")
        target.create_volume("target")
        large(folder_of(disposable_engine if victim == "source" else engine, "source"))
        cut: list[int] = []

        def on_progress(done_bytes: int) -> None:
            if done_bytes > LARGE_BYTES // 10 and not cut:
                cut.append(done_bytes)
                disposable_engine.power_cut()

        with pytest.raises(EngineUnavailable):
            stream_tree(
                source,
                target,
                source=VolumeTree(name="source"),
                target=VolumeTree(name="target"),
                on_progress=on_progress,
            )
    assert here.labelled("operation-1") == ()


def test_an_image_moves_once_keeps_its_id_and_gets_its_name(
    engine: PrivateEngine, other_engine: PrivateEngine, here: EngineGateway, there: EngineGateway
) -> None:
    engine.make_image("moving:1", "LABEL moved=yes")
    identifier = str(here.image("moving:1")["Id"])
    moved = move_image(here, there, image_id=identifier, reference="moving:1")
    assert (moved.image_id, moved.same_id, moved.loaded, moved.tagged) == (identifier, True, True, True)
    assert there.image("moving:1")["Id"] == identifier
    again = move_image(here, there, image_id=identifier, reference="moving:1")
    assert (again.loaded, again.tagged) == (False, False)
    there.remove_image(identifier)


def test_a_name_that_means_another_image_there_is_left_alone(
    engine: PrivateEngine, here: EngineGateway, there: EngineGateway
) -> None:
    engine.make_image("moving:2", "LABEL moved=again")
    identifier = str(here.image("moving:2")["Id"])
    other = str(there.image(SAMPLE_IMAGE)["Id"])
    moved = move_image(here, there, image_id=identifier, reference=SAMPLE_IMAGE)
    assert (moved.loaded, moved.tagged) == (True, False)
    assert there.image(SAMPLE_IMAGE)["Id"] == other
    there.remove_image(identifier)


def test_an_image_that_is_gone_is_reported(here: EngineGateway, there: EngineGateway) -> None:
    with pytest.raises(ImageNotFound):
        move_image(here, there, image_id="sha256:" + "1" * 64)


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 10_240], ids=["nothing", "text", "an empty tar"])
def test_what_is_no_image_is_refused_or_changes_nothing(there: EngineGateway, content: bytes) -> None:
    before = set(there.image_ids())
    with contextlib.suppress(EngineError):
        there.load_image(iter([content] if content else []))
    assert set(there.image_ids()) == before
