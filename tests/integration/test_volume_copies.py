"""Volumes copied and proved by helper containers of a real Engine, and everything that can go wrong with one."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.helper import HelperMount, HelperTask, running_helper
from containers_app.engine.helper_image import HELPER_LABEL, ensure_helper_image
from containers_app.engine.trees import (
    HelperOptions,
    TreeSize,
    TreeTask,
    VolumeTree,
    copy_volume,
    run_tasks,
    tree_proof,
)
from containers_app.errors import EngineError, EngineUnavailable, ImageNotFound, StreamBroken, TimedOut
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.throwaway import wait_until
from tests.trees import allocated_bytes, make_random_tree, make_tree, snapshot

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
# Reading this many zeros takes far longer than any of these tests.
ENDLESS_BYTES = 2**42


@pytest.fixture
def gateway(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


def folder_of(engine: PrivateEngine, volume: str) -> Path:
    """Where an Engine of this machine keeps a volume."""
    return engine.directory / "data" / "volumes" / volume / "_data"


@pytest.fixture
def source(engine: PrivateEngine, gateway: EngineGateway) -> Path:
    gateway.create_volume("source")
    return folder_of(engine, "source")


@pytest.fixture
def target(engine: PrivateEngine, gateway: EngineGateway) -> Path:
    gateway.create_volume("target")
    return folder_of(engine, "target")


def size_of(gateway: EngineGateway) -> TreeSize:
    (end,) = run_tasks(gateway, [TreeTask(verb="measure", source=VolumeTree(name="source"))])
    return TreeSize.of(end)


def endless(folder: Path) -> None:
    """A volume that takes for ever to prove."""
    with (folder / "zeros").open("wb") as file:
        file.truncate(ENDLESS_BYTES)


@contextlib.contextmanager
def interrupted(engine: PrivateEngine, act: Callable[[str], object]) -> Iterator[Callable[[int], None]]:
    """An `on_progress` that lets `act` happen to the helper container, once."""
    done = threading.Event()
    with contextlib.closing(engine.client()) as client:

        def on_progress(done_bytes: int) -> None:
            if not done.is_set():
                done.set()
                (helper,) = client.containers.list(filters={"label": f"{OPERATION_LABEL}=operation-1"})
                act(str(helper.id))

        yield on_progress
    assert done.is_set()


def test_a_copied_volume_is_the_same_in_everything(gateway: EngineGateway, source: Path, target: Path) -> None:
    make_tree(source)
    assert copy_volume(gateway, source="source", target="target").changed is False
    assert snapshot(target) == snapshot(source)
    assert allocated_bytes(target / "sparse") < 100_000
    proofs = [tree_proof(gateway, VolumeTree(name=name)) for name in ("source", "target")]
    assert proofs[0].same_as(proofs[1])
    assert proofs[0].entries == len(snapshot(source))
    assert gateway.labelled("operation-1") == ()


@pytest.mark.parametrize("seed", [101, 102])
def test_any_tree_is_copied(gateway: EngineGateway, source: Path, target: Path, seed: int) -> None:
    make_random_tree(source, seed)
    copy_volume(gateway, source="source", target="target")
    assert snapshot(target) == snapshot(source)


def test_a_proof_tells_a_difference_and_the_size_of_the_content(
    gateway: EngineGateway, source: Path, target: Path
) -> None:
    (source / "file").write_bytes(b"12345")
    copy_volume(gateway, source="source", target="target")
    before = tree_proof(gateway, VolumeTree(name="source"))
    assert (before.entries, before.bytes, before.changed) == (2, 5, False)
    os.setxattr(target / "file", "user.new", b"")
    assert not tree_proof(gateway, VolumeTree(name="target")).same_as(before)
    os.sync()  # content is counted when it has its place on the disk
    assert size_of(gateway).bytes == 5


def test_without_trusted_attributes_the_helper_has_less_power_and_the_rest_is_copied(
    gateway: EngineGateway, source: Path, target: Path
) -> None:
    make_tree(source)
    copy_volume(gateway, source="source", target="target", options=HelperOptions(trusted=False))
    assert "trusted.t" not in os.listxattr(target / "file")
    assert os.getxattr(target / "file", "user.b") == os.getxattr(source / "file", "user.b")


def test_a_helper_has_no_network_no_more_power_than_it_needs_and_the_operations_label(gateway: EngineGateway) -> None:
    mount = HelperMount(kind="volume", source="source", target="/source", read_only=True)
    task = HelperTask(image_id=ensure_helper_image(gateway), arguments=("measure", "/source"), mounts=(mount,))
    with running_helper(gateway, task) as helper:
        (identifier,) = gateway.labelled("operation-1")
        inspected = gateway.inspect(identifier)
        assert list(helper.lines())[-1][0] == "measured"
        assert helper.finish() is False
    settings = inspected["HostConfig"]
    assert (settings["NetworkMode"], settings["ReadonlyRootfs"], settings["AutoRemove"]) == ("none", True, False)
    assert settings["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in settings["SecurityOpt"]
    assert settings["LogConfig"]["Type"] == "none"
    assert settings["Memory"] > 0 < settings["PidsLimit"]
    assert settings["Privileged"] is False
    assert inspected["Config"]["Labels"][OPERATION_LABEL] == "operation-1"
    assert inspected["Config"]["Labels"][HELPER_LABEL] == "measure"
    assert [(found["Destination"], found["RW"]) for found in inspected["Mounts"]] == [("/source", False)]


def test_the_image_is_loaded_once_and_a_name_of_the_callers_replaces_it(gateway: EngineGateway) -> None:
    loaded = ensure_helper_image(gateway)
    assert ensure_helper_image(gateway) == loaded
    assert gateway.image(loaded)["Config"]["Labels"][HELPER_LABEL]
    assert ensure_helper_image(gateway, SAMPLE_IMAGE) == gateway.image(SAMPLE_IMAGE)["Id"]
    with pytest.raises(ImageNotFound, match="MYCO_HELPER_IMAGE"):
        ensure_helper_image(gateway, "nobody/nothing:1")


def test_an_image_that_only_has_the_name_is_not_the_helper(gateway: EngineGateway) -> None:
    own = ensure_helper_image(gateway)
    name = gateway.image(own)["RepoTags"][0]
    gateway.tag_image(gateway.image(SAMPLE_IMAGE)["Id"], name)
    assert ensure_helper_image(gateway) == own
    assert name in gateway.image(own)["RepoTags"]


def test_a_volume_that_is_missing_is_reported_and_not_made(gateway: EngineGateway, target: Path) -> None:
    with pytest.raises(EngineError, match="404"):
        copy_volume(gateway, source="missing", target="target")
    assert set(gateway.volumes()) == {"target"}


def test_a_volume_that_is_not_empty_and_the_volume_itself_are_refused(
    gateway: EngineGateway, source: Path, target: Path
) -> None:
    (target / "there").touch()
    with pytest.raises(EngineError, match="not empty"):
        copy_volume(gateway, source="source", target="target")
    with pytest.raises(EngineError, match="into itself"):
        copy_volume(gateway, source="source", target="source")


def test_a_full_disk_is_named(gateway: EngineGateway, source: Path) -> None:
    (source / "large").write_bytes(bytes(range(256)) * 8192)
    gateway.create_volume("small", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    with pytest.raises(EngineError, match="is full"):
        copy_volume(gateway, source="source", target="small")
    assert gateway.labelled("operation-1") == ()


def test_a_file_that_cannot_be_read_is_named(gateway: EngineGateway, target: Path) -> None:
    # The kernel lets nobody read this one, root included.
    options = {"type": "none", "o": "bind", "device": "/proc/sys/net/ipv4/route"}
    gateway.create_volume("unreadable", options=options)
    with pytest.raises(EngineError, match="flush.*denied"):
        copy_volume(gateway, source="unreadable", target="target")
    with pytest.raises(EngineError, match="flush"):
        tree_proof(gateway, VolumeTree(name="unreadable"))


def test_a_helper_that_is_killed_is_a_failure(engine: PrivateEngine, gateway: EngineGateway, source: Path) -> None:
    endless(source)
    with contextlib.closing(engine.client()) as client, interrupted(engine, client.api.kill) as on_progress:
        with pytest.raises(EngineError, match="was killed"):
            tree_proof(gateway, VolumeTree(name="source"), on_progress=on_progress)
    assert gateway.labelled("operation-1") == ()


def test_a_helper_that_is_removed_is_a_failure(engine: PrivateEngine, gateway: EngineGateway, source: Path) -> None:
    endless(source)
    with contextlib.closing(engine.client()) as client:

        def remove(container: str) -> None:
            client.api.remove_container(container, force=True)

        with interrupted(engine, remove) as on_progress, pytest.raises(EngineError):
            tree_proof(gateway, VolumeTree(name="source"), on_progress=on_progress)
    assert gateway.labelled("operation-1") == ()


def test_an_abort_from_another_thread_ends_it_at_once(gateway: EngineGateway, source: Path) -> None:
    endless(source)
    aborts: list[Callable[[], None]] = []
    threads: list[threading.Thread] = []

    @contextlib.contextmanager
    def interruptible(abort: Callable[[], None]) -> Iterator[None]:
        aborts.append(abort)
        yield

    def on_progress(done_bytes: int) -> None:
        if not threads:
            threads.append(threading.Thread(target=aborts[0]))
            threads[0].start()

    begun = time.monotonic()
    with pytest.raises(StreamBroken, match="on request"):
        options = HelperOptions(interruptible=interruptible)
        tree_proof(gateway, VolumeTree(name="source"), options, on_progress=on_progress)
    threads[0].join()
    assert time.monotonic() - begun < 20
    assert gateway.labelled("operation-1") == ()


def test_an_error_of_ours_removes_the_helper_too(gateway: EngineGateway, source: Path) -> None:
    endless(source)

    def on_progress(done_bytes: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tree_proof(gateway, VolumeTree(name="source"), on_progress=on_progress)
    assert gateway.labelled("operation-1") == ()


def test_the_operations_time_limit_ends_it(engine_endpoint: Endpoint, source: Path) -> None:
    endless(source)
    end = [time.monotonic() + 60]
    limits = EngineLimits(remaining_seconds=lambda: end[0] - time.monotonic())

    def on_progress(done_bytes: int) -> None:
        end[0] = time.monotonic()

    with open_gateway(engine_endpoint, limits, RECEIPT) as limited:
        with pytest.raises(TimedOut):
            tree_proof(limited, VolumeTree(name="source"), on_progress=on_progress)
        end[0] = time.monotonic() + 60
        for left in limited.labelled("operation-1"):  # no time was left to remove it: that is the undo's
            limited.remove(left)


def test_a_killed_engine_leaves_what_the_undo_finds(disposable_engine: PrivateEngine) -> None:
    with open_gateway(Endpoint.parse(disposable_engine.url), EngineLimits(), RECEIPT) as gateway:
        gateway.create_volume("source")
        endless(folder_of(disposable_engine, "source"))
        cut: list[int] = []

        def on_progress(done_bytes: int) -> None:
            if not cut:
                cut.append(done_bytes)
                disposable_engine.power_cut()

        with pytest.raises(EngineUnavailable):
            tree_proof(gateway, VolumeTree(name="source"), on_progress=on_progress)
    disposable_engine.begin()
    with open_gateway(Endpoint.parse(disposable_engine.url), EngineLimits(), RECEIPT) as gateway:
        (left,) = gateway.labelled("operation-1")
        gateway.remove(left)
        assert gateway.labelled_volumes("operation-1") == ("source",)


def test_progress_is_told_while_it_copies(gateway: EngineGateway, source: Path, target: Path) -> None:
    block = os.urandom(2**20)
    for number in range(300):
        (source / str(number)).write_bytes(block)
    told: list[int] = []
    copy_volume(gateway, source="source", target="target", on_progress=told.append)
    assert told == sorted(told)
    assert all(0 <= done_bytes <= 310 * 2**20 for done_bytes in told)
    wait_until(lambda: len(list(target.iterdir())) == 300, what="the copy")


def test_a_docker_client_sees_no_trace_afterwards(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: Path
) -> None:
    size_of(gateway)
    assert docker_client.containers.list(all=True) == []
