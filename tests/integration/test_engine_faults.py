"""A real Engine that hangs, dies or is slow: every call ends in time, with an error of ours."""

from __future__ import annotations

import resource
import threading
import time

import pytest

from containers_app.archives.tar_walker import TarWalker
from containers_app.engine.connection import EngineLimits, open_gateway, open_reader
from containers_app.engine.facts import clone_facts
from containers_app.engine.streams import ByteStream
from containers_app.errors import ArchiveTruncated, EngineUnavailable, MycoError, StreamBroken, StreamStalled, TimedOut
from containers_app.specs.container import build_clone
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.throwaway import wait_until

RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
LARGE_BYTES = 200 * 2**20
BLOCK_BYTES = 2**20


def large_container(engine: PrivateEngine) -> str:
    """A stopped container that holds more than the sockets between us and the Engine can."""
    command = ["/bin/dd", "if=/dev/zero", "of=/large", "bs=1M", f"count={LARGE_BYTES // 2**20}"]
    client = engine.client()
    container = client.containers.create(SAMPLE_IMAGE, command)
    container.start()
    assert container.wait()["StatusCode"] == 0
    client.close()
    return str(container.id)


def drain(stream: ByteStream) -> None:
    while stream.read(BLOCK_BYTES):
        pass


class Reading(threading.Thread):
    """Reads a stream to its end in a thread of its own, and keeps how that ended and when."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.size_bytes = 0
        self.error: MycoError | None = None
        self.ended = 0.0

    def run(self) -> None:
        try:
            while block := self.stream.read(BLOCK_BYTES):
                self.size_bytes += len(block)
        except MycoError as error:
            self.error = error
        self.ended = time.monotonic()


def test_a_hung_engine_is_unavailable_within_the_limits(disposable_engine: PrivateEngine) -> None:
    endpoint = Endpoint.parse(disposable_engine.url)
    limits = EngineLimits(connect_seconds=0.5, call_seconds=0.5)
    with open_reader(endpoint, limits) as reader, disposable_engine.frozen():
        begun = time.monotonic()
        with pytest.raises(EngineUnavailable, match="did not answer in time"):
            reader.containers()
        with pytest.raises(EngineUnavailable, match="did not answer in time"):
            open_reader(endpoint, limits).__enter__()
        assert time.monotonic() - begun < 3


def test_a_hung_engine_ends_the_operation_at_its_own_limit(disposable_engine: PrivateEngine) -> None:
    end = [time.monotonic() + 60]
    limits = EngineLimits(remaining_seconds=lambda: end[0] - time.monotonic())
    with open_reader(Endpoint.parse(disposable_engine.url), limits) as reader, disposable_engine.frozen():
        end[0] = time.monotonic() + 0.5
        with pytest.raises(TimedOut):
            reader.containers()
        assert time.monotonic() - end[0] < 2


def test_a_create_that_timed_out_is_found_by_its_label(disposable_engine: PrivateEngine) -> None:
    client = disposable_engine.client()
    source = str(client.api.create_container(SAMPLE_IMAGE)["Id"])
    client.close()
    limits = EngineLimits(call_seconds=1.0)
    with open_gateway(Endpoint.parse(disposable_engine.url), limits, RECEIPT) as gateway:
        inspect = gateway.inspect(source)
        labels = {OPERATION_LABEL: "operation-1"}
        plan = build_clone(inspect, clone_facts(gateway, inspect), name="late", labels=labels)
        with disposable_engine.frozen(), pytest.raises(EngineUnavailable):
            gateway.create(plan.create, plan.name)
        wait_until(lambda: len(gateway.labelled("operation-1")) == 1, what="the late create")
        gateway.remove(gateway.labelled("operation-1")[0])


def test_an_export_from_an_engine_that_is_killed_is_no_whole_archive(disposable_engine: PrivateEngine) -> None:
    container = large_container(disposable_engine)
    with open_gateway(Endpoint.parse(disposable_engine.url), EngineLimits(), RECEIPT) as gateway:
        with pytest.raises(EngineUnavailable, match="start the Engine"), gateway.export(container) as stream:
            walker = TarWalker()
            walker.feed(stream.read(BLOCK_BYTES))
            disposable_engine.power_cut()
            while block := stream.read(BLOCK_BYTES):
                walker.feed(block)
            walker.finish()
        with pytest.raises(EngineUnavailable):
            gateway.ping()


def test_a_cut_export_from_an_engine_that_answers_is_still_a_cut_one(disposable_engine: PrivateEngine) -> None:
    container = large_container(disposable_engine)
    with (
        open_gateway(Endpoint.parse(disposable_engine.url), EngineLimits(), RECEIPT) as gateway,
        pytest.raises(ArchiveTruncated),
        gateway.export(container) as stream,
    ):
        walker = TarWalker()
        walker.feed(stream.read(BLOCK_BYTES))
        walker.finish()


def test_an_export_from_an_engine_that_hangs_is_stalled(disposable_engine: PrivateEngine) -> None:
    container = large_container(disposable_engine)
    limits = EngineLimits(stall_seconds=1.0)
    with (
        open_gateway(Endpoint.parse(disposable_engine.url), limits, RECEIPT) as gateway,
        gateway.export(container) as stream,
    ):
        stream.read(BLOCK_BYTES)
        with disposable_engine.frozen():
            begun = time.monotonic()
            with pytest.raises(StreamStalled, match="sent nothing for 1 seconds"):
                drain(stream)
            assert time.monotonic() - begun < 4


def test_a_hung_export_is_aborted_from_another_thread_within_a_second(disposable_engine: PrivateEngine) -> None:
    container = large_container(disposable_engine)
    with (
        open_gateway(Endpoint.parse(disposable_engine.url), EngineLimits(), RECEIPT) as gateway,
        gateway.export(container) as stream,
    ):
        stream.read(BLOCK_BYTES)
        with disposable_engine.frozen():
            reading = Reading(stream)
            reading.start()
            read_before = -1
            while reading.size_bytes != read_before:
                read_before = reading.size_bytes
                reading.join(timeout=0.3)
            assert reading.is_alive()
            aborted = time.monotonic()
            stream.abort()
            reading.join(timeout=5)
    assert isinstance(reading.error, StreamBroken)
    assert reading.ended - aborted < 1


def test_a_large_export_needs_constant_memory(engine: PrivateEngine, engine_cleanup: None) -> None:
    container = large_container(engine)
    with (
        open_gateway(Endpoint.parse(engine.url), EngineLimits(), RECEIPT) as gateway,
        gateway.export(container) as all_of,
    ):
        all_of.read(BLOCK_BYTES)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reading = Reading(all_of)
        reading.run()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert reading.error is None
    assert reading.size_bytes > LARGE_BYTES
    assert grown_kib < 32 * 1024


def test_an_export_ends_at_the_operations_own_limit(engine: PrivateEngine, engine_cleanup: None) -> None:
    container = large_container(engine)
    left = [60.0]
    limits = EngineLimits(remaining_seconds=lambda: left[0])
    with open_gateway(Endpoint.parse(engine.url), limits, RECEIPT) as gateway, gateway.export(container) as stream:
        stream.read(BLOCK_BYTES)
        left[0] = 0.0
        with pytest.raises(TimedOut):
            stream.read(BLOCK_BYTES)
