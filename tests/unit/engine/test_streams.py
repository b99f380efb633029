from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.streams import ByteStream, FrameStream
from containers_app.errors import ContainerNotFound, EngineUnavailable, MycoError, StreamBroken, StreamStalled, TimedOut
from containers_app.specs.receipt import Receipt
from tests.unit.engine.scripted_engine import (
    Script,
    ScriptedEngine,
    chunk,
    chunked_head,
    json_answer,
    scripted,
    scripted_over_network,
)

CONTAINER = "a" * 64
RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
SHORT = EngineLimits(connect_seconds=2, call_seconds=0.5, stall_seconds=0.5)


@contextlib.contextmanager
def exporting(
    script: Script, limits: EngineLimits = SHORT, *, network: bool = False
) -> Iterator[tuple[ScriptedEngine, ByteStream]]:
    serving = scripted_over_network(script) if network else scripted(script)
    with (
        serving as (engine, endpoint),
        open_gateway(endpoint, limits, RECEIPT) as gateway,
        gateway.export(CONTAINER) as stream,
    ):
        yield engine, stream


def sending(*parts: bytes, close: bool = False) -> Script:
    def script(connection: socket.socket, line: str) -> None:
        for part in parts:
            connection.sendall(part)
        if close:
            connection.shutdown(socket.SHUT_RDWR)

    return script


END = b"0\r\n\r\n"


def drain(stream: ByteStream) -> None:
    while stream.read(10):
        pass


def test_a_read_is_filled_whatever_the_chunks_are() -> None:
    parts = [chunk(bytes([number]) * (number * 37 + 1)) for number in range(50)]
    sent = b"".join(bytes([number]) * (number * 37 + 1) for number in range(50))
    with exporting(sending(chunked_head(), *parts, END)) as (_, stream):
        received = []
        while block := stream.read(1000):
            received.append(block)
        assert b"".join(received) == sent
        assert {len(block) for block in received[:-1]} == {1000}
        assert stream.read(1000) == b""


def test_a_read_of_nothing_is_empty() -> None:
    with exporting(sending(chunked_head(), chunk(b"abc"), END)) as (_, stream):
        assert stream.read(0) == b""
        assert stream.read(2) == b"ab"
        assert stream.read(2) == b"c"


def test_a_body_that_says_it_is_compressed_is_passed_on_as_it_is() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"
    with exporting(sending(head, b"plain")) as (_, stream):
        assert stream.read(100) == b"plain"


@pytest.mark.parametrize(
    "parts",
    [
        (chunked_head(), b"100\r\nonly a part"),
        (chunked_head(), chunk(b"x" * 100)),
        (chunked_head(), chunk(b"x" * 100), b"zz\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 100),
    ],
    ids=["within a chunk", "between chunks", "garbage for a length", "before the announced length"],
)
@pytest.mark.parametrize("network", [False, True], ids=["unix", "tcp"])
def test_an_answer_that_breaks_off_is_broken(parts: tuple[bytes, ...], network: bool) -> None:
    with exporting(sending(*parts, close=True), network=network) as (_, stream), pytest.raises(StreamBroken):
        drain(stream)


def test_silence_after_the_first_bytes_is_a_stall() -> None:
    with exporting(sending(chunked_head(), chunk(b"x" * 10))) as (_, stream):
        assert stream.read(10) == b"x" * 10
        begun = time.monotonic()
        with pytest.raises(StreamStalled):
            stream.read(10)
        assert time.monotonic() - begun < 3


def test_silence_before_the_first_byte_is_limited_too() -> None:
    begun = time.monotonic()
    with pytest.raises(EngineUnavailable, match="did not answer in time"), exporting(sending()):
        pytest.fail("it opened")
    assert time.monotonic() - begun < 3


def test_a_slow_stream_is_not_stalled() -> None:
    def slowly(connection: socket.socket, line: str) -> None:
        connection.sendall(chunked_head())
        for _ in range(8):
            connection.sendall(chunk(b"x"))
            engine_released.wait(0.1)
        connection.sendall(END)

    engine_released = threading.Event()
    with exporting(slowly, EngineLimits(stall_seconds=0.6)) as (_, stream):
        assert stream.read(100) == b"x" * 8


def test_drops_cannot_outlast_the_operations_own_limit() -> None:
    def drip(connection: socket.socket, line: str) -> None:
        connection.sendall(chunked_head())
        with contextlib.suppress(OSError):
            while not released.wait(0.05):
                connection.sendall(chunk(b"x"))

    released = threading.Event()
    until = time.monotonic() + 0.7
    limits = EngineLimits(remaining_seconds=lambda: until - time.monotonic())
    with exporting(drip, limits) as (_, stream):
        with pytest.raises(TimedOut):
            stream.read(1_000_000)
        released.set()
    assert time.monotonic() - until < 2


@pytest.mark.parametrize("network", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("head", [chunked_head(), b"HTTP/1.0 200 OK\r\n\r\n"], ids=["chunked", "until the close"])
def test_an_abort_from_another_thread_ends_a_blocked_read_at_once(network: bool, head: bytes) -> None:
    with exporting(sending(head), EngineLimits(), network=network) as (_, stream):
        timer = threading.Timer(0.2, stream.abort)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(StreamBroken, match="stopped on request"):
            stream.read(10)
        assert time.monotonic() - begun < 1.2
        with pytest.raises(StreamBroken, match="stopped on request"):
            stream.read(10)
        timer.join()


def test_an_abort_before_the_first_read_holds() -> None:
    with exporting(sending(chunked_head(), chunk(b"x"), END)) as (_, stream):
        stream.abort()
        with pytest.raises(StreamBroken):
            stream.read(1)


def test_a_refused_export_is_an_error_of_ours() -> None:
    refused = json_answer('{"message": "No such container: x"}', "404 Not Found")
    with pytest.raises(ContainerNotFound), exporting(sending(refused)):
        pytest.fail("it opened")


def event(action: str, **changes: object) -> bytes:
    attributes = {"name": "web", "image": "image:1", "secret-label": "hunter2"}
    actor = {"ID": CONTAINER, "Attributes": attributes}
    raw = {"Type": "container", "Action": action, "Actor": actor, "time": 5, "timeNano": 5_250_000_000, **changes}
    return json.dumps(raw).encode() + b"\n"


@contextlib.contextmanager
def following(*parts: bytes, close: bool = False) -> Iterator[EngineGateway]:
    serving = scripted(sending(chunked_head(), *parts, close=close))
    with serving as (_, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        yield gateway


def test_events_are_typed_whatever_pieces_they_come_in() -> None:
    sent = event("start") + event("die", Type="plugin") + event("exec_create: sh -c hunter2") + event("stop")
    pieces = [chunk(sent[at : at + 7]) for at in range(0, len(sent), 7)]
    with following(*pieces) as gateway, gateway.events(None) as events:
        seen = [next(events) for _ in range(3)]
    assert [one.action for one in seen] == ["start", "exec_create", "stop"]
    assert {(one.container_id, one.name, one.image, one.at_epoch_seconds, one.detail) for one in seen} == {
        (CONTAINER, "web", "image:1", 5.25, "")
    }
    assert "hunter2" not in repr(seen)


def test_the_health_is_kept_with_its_event() -> None:
    with following(chunk(event("health_status: unhealthy"))) as gateway, gateway.events(None) as events:
        health = next(events)
    assert (health.action, health.detail) == ("health_status", "unhealthy")


def test_events_wait_beyond_every_limit() -> None:
    def late(connection: socket.socket, line: str) -> None:
        connection.sendall(chunked_head())
        threading.Event().wait(SHORT.call_seconds * 2)
        connection.sendall(chunk(event("start")))

    with (
        scripted(late) as (_, endpoint),
        open_gateway(endpoint, SHORT, RECEIPT) as gateway,
        gateway.events(None) as events,
    ):
        assert next(events).action == "start"


def test_events_of_an_engine_that_goes_away_are_broken_and_not_ended() -> None:
    for rest in (b"", END):
        with following(chunk(event("start")), rest, close=True) as gateway, gateway.events(None) as events:
            assert next(events).action == "start"
            with pytest.raises(StreamBroken):
                next(events)


@pytest.mark.parametrize("line", [b"not json\n", b"x" * 2_000_000])
def test_events_that_are_not_understood_are_broken(line: bytes) -> None:
    with following(chunk(line)) as gateway, gateway.events(None) as events, pytest.raises(MycoError):
        next(events)


def test_an_abort_ends_waiting_for_events() -> None:
    with following() as gateway, gateway.events(12.5) as events:
        timer = threading.Timer(0.2, events.abort)
        timer.start()
        assert list(events) == []
        timer.join()


RAW = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(channel: int, content: bytes) -> bytes:
    return bytes([channel, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@contextlib.contextmanager
def attached(*parts: bytes, close: bool = True) -> Iterator[FrameStream]:
    with (
        scripted(sending(RAW, *parts, close=close)) as (_, endpoint),
        open_gateway(endpoint, SHORT, RECEIPT) as gateway,
        gateway.helper_output(CONTAINER) as output,
    ):
        yield output


def test_frames_are_told_apart_by_channel_wherever_they_are_cut_in_transit() -> None:
    sent = frame(1, b"one") + frame(2, b"complaint") + frame(1, b"") + frame(1, b"two")
    for cut in range(len(sent)):
        with attached(sent[:cut], sent[cut:]) as output:
            assert list(output) == [(1, b"one"), (2, b"complaint"), (1, b""), (1, b"two")]


@pytest.mark.parametrize(
    "sent", [frame(1, b"one")[:5], frame(1, b"one")[:-1], b"\1\0\0\0\xff\xff\xff\xff" + b"x" * 100]
)
def test_a_frame_that_is_cut_or_absurd_breaks_the_output(sent: bytes) -> None:
    with attached(sent) as output, pytest.raises(StreamBroken, match="broke off"):
        list(output)


def test_a_helper_that_says_nothing_is_stalled_and_one_that_is_aborted_is_broken() -> None:
    with attached(frame(1, b"one"), close=False) as output:
        assert next(iter(output)) == (1, b"one")
        with pytest.raises(StreamStalled):
            next(iter(output))
    with attached(close=False) as output:
        output.abort()
        with pytest.raises(StreamBroken, match="on request"):
            next(iter(output))


def test_what_is_written_to_a_helper_is_framed() -> None:
    received = bytearray()
    complete = threading.Event()

    def script(connection: socket.socket, line: str) -> None:
        connection.sendall(UPGRADED)
        while len(received) < 14:
            received.extend(connection.recv(100))
        complete.set()

    with (
        scripted(script) as (_, endpoint),
        open_gateway(endpoint, SHORT, RECEIPT) as gateway,
        gateway.helper_input(CONTAINER) as written,
    ):
        written.send(b"first")
        written.send(b"")
        written.send(b"x")
        assert complete.wait(5)
    assert received == b"\0\0\0\5first\0\0\0\0\0\0\0\1x"[:14] + received[14:]


def test_a_helper_that_reads_nothing_stalls_the_writer_and_an_abort_wakes_it() -> None:
    over = threading.Event()

    def script(connection: socket.socket, line: str) -> None:
        connection.sendall(UPGRADED)
        over.wait(30)

    block = b"x" * 2**20
    with scripted(script) as (_, endpoint), open_gateway(endpoint, SHORT, RECEIPT) as gateway:
        with gateway.helper_input(CONTAINER) as written, pytest.raises(StreamStalled):
            for _ in range(100):
                written.send(block)
        with gateway.helper_input(CONTAINER) as written:
            written.abort()
            with pytest.raises(StreamBroken):
                written.send(block)
        over.set()


def test_an_attach_that_gives_no_connection_is_an_error() -> None:
    with (
        scripted(sending(json_answer("{}"))) as (_, endpoint),
        open_gateway(endpoint, SHORT, RECEIPT) as gateway,
    ):
        with pytest.raises(StreamBroken, match="does not let"):
            gateway.helper_input(CONTAINER).__enter__()
