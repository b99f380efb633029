"""What comes out of a backup onto a real Engine: whole trees and images, or nothing that counts."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from containers_app.archives.tar_tree import TarTree, TreeFacts
from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.transfer import packed_tree, unpack_tree
from containers_app.engine.trees import VolumeTree
from containers_app.errors import EngineError, StorageError
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.trees import make_random_tree, make_tree, snapshot

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
BLOCK_BYTES = 64 * 1024


@pytest.fixture
def gateway(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


def folder_of(engine: PrivateEngine, volume: str) -> Path:
    return engine.directory / "data" / "volumes" / volume / "_data"


def packed(gateway: EngineGateway, volume: str) -> bytes:
    """A volume as backups have it."""
    taken = io.BytesIO()
    with packed_tree(gateway, VolumeTree(name=volume)) as source:
        while block := source.read(BLOCK_BYTES):
            taken.write(block)
        source.finish()
    return taken.getvalue()


def blocks(content: bytes, *, fails_after_bytes: int | None = None) -> Iterator[bytes]:
    for start in range(0, len(content), BLOCK_BYTES):
        if fails_after_bytes is not None and start >= fails_after_bytes:
            raise StorageError("the storage broke off")
        yield content[start : start + BLOCK_BYTES]


def described(content: bytes) -> TreeFacts:
    tree = TarTree()
    tree.feed(content)
    return tree.finish()


def unpack(gateway: EngineGateway, content: bytes, *, fails_after_bytes: int | None = None) -> None:
    unpack_tree(
        gateway,
        blocks(content, fails_after_bytes=fails_after_bytes),
        sha256=hashlib.sha256(content).hexdigest(),
        target=VolumeTree(name="data"),
    )


@pytest.fixture
def source(engine: PrivateEngine, gateway: EngineGateway) -> Path:
    """The folder of a volume named `source`; there is an empty one named `data` too."""
    gateway.create_volume("data")
    gateway.create_volume("source")
    return folder_of(engine, "source")


@pytest.mark.parametrize("seed", [None, 1, 2], ids=["everything", "random 1", "random 2"])
def test_an_unpacked_tree_is_the_same_in_everything(
    seed: int | None, engine: PrivateEngine, gateway: EngineGateway, source: Path
) -> None:
    make_tree(source) if seed is None else make_random_tree(source, seed)
    content = packed(gateway, "source")
    unpack(gateway, content)
    assert snapshot(folder_of(engine, "data")) == snapshot(source)
    assert described(content).differing(described(packed(gateway, "data"))) == ()


@pytest.mark.parametrize("change", ["content", "mode", "deleted", "added"])
def test_a_tree_that_is_not_the_one_of_the_tar_is_found_out(
    change: str, engine: PrivateEngine, gateway: EngineGateway, source: Path
) -> None:
    make_tree(source)
    content = packed(gateway, "source")
    unpack(gateway, content)
    file = folder_of(engine, "data") / "folder" / "plain"
    if change == "content":
        file.write_bytes(b"PLAIN")
    elif change == "mode":
        file.chmod(0o777)
    elif change == "deleted":
        file.unlink()
    else:
        file.with_name("added").touch()
    assert described(content).differing(described(packed(gateway, "data")))


def test_a_source_that_breaks_off_is_what_is_raised_and_the_helper_is_gone(gateway: EngineGateway) -> None:
    gateway.create_volume("data")
    content = b"x" * 10 * BLOCK_BYTES
    with pytest.raises(StorageError, match="broke off"):
        unpack(gateway, content, fails_after_bytes=1)
    assert gateway.labelled("operation-1") == ()


def test_what_arrives_and_is_not_what_was_expected_is_refused(gateway: EngineGateway, source: Path) -> None:
    make_tree(source)
    content = packed(gateway, "source")
    with pytest.raises(EngineError, match="is not what was sent"):
        unpack_tree(gateway, blocks(content), sha256="0" * 64, target=VolumeTree(name="data"))


def test_what_is_no_tar_is_refused_in_the_helper_s_words(gateway: EngineGateway) -> None:
    gateway.create_volume("data")
    with pytest.raises(EngineError, match="does not look like a tar archive"):
        unpack(gateway, b"x" * BLOCK_BYTES)


def file_system(size_bytes: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("etc/large")
        entry.size = size_bytes
        archive.addfile(entry, io.BytesIO(b"x" * size_bytes))
    return file.getvalue()


def test_an_imported_file_system_is_an_image_with_our_label(gateway: EngineGateway) -> None:
    image_id = gateway.import_image(blocks(file_system(1000)), labels={"own": 'with "quotes" and $dollars'})
    labels = gateway.image(image_id)["Config"]["Labels"]
    assert labels == {"own": 'with "quotes" and $dollars', OPERATION_LABEL: "operation-1"}
    assert gateway.labelled_images("operation-1") == (image_id,)
    gateway.remove_image(image_id)


def test_an_import_that_breaks_off_makes_no_image(gateway: EngineGateway) -> None:
    before = gateway.image_ids()
    content = file_system(20 * BLOCK_BYTES)
    with pytest.raises(StorageError, match="broke off"):
        gateway.import_image(blocks(content, fails_after_bytes=10 * BLOCK_BYTES), labels={})
    assert (gateway.image_ids(), gateway.labelled_images("operation-1")) == (before, ())


def test_a_container_gets_another_name_unless_it_is_taken(
    gateway: EngineGateway, docker_client: docker.DockerClient
) -> None:
    api = docker_client.api
    made = [str(api.create_container(SAMPLE_IMAGE, name=name)["Id"]) for name in ("one", "two")]
    gateway.rename(made[0], "three")
    assert gateway.inspect(made[0])["Name"] == "/three"
    with pytest.raises(EngineError, match="two"):
        gateway.rename(made[0], "two")
