from __future__ import annotations

import hashlib
import itertools
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers_app.archives import writer as module
from containers_app.archives.stores.local import LocalStore
from containers_app.errors import (
    ArchiveInvalid,
    ArchiveTruncated,
    Cancelled,
    LeaseLost,
    MycoError,
    StorageError,
    StorageFull,
    StreamBroken,
    TimedOut,
)
from containers_app.specs.encoding import Encoding
from tests.unit.archives.encoded import AGE, BOTH, GZIP, ZSTD, decode, name_of
from tests.unit.archives.samples import (
    END_MARKER,
    OPERATION,
    Member,
    Stream,
    names_below,
    tar_of,
)

CONTENT = tar_of([Member("one", b"1" * 5000), Member("two"), Member("folder", typeflag=tarfile.DIRTYPE)])
DIGEST = hashlib.sha256(CONTENT).hexdigest()
MIB = 1024 * 1024


def ignore(_: int) -> None:
    """Nobody watches."""


def go_on() -> None:
    """Nobody stops."""


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def receive_into(store: LocalStore, stream: Stream) -> module.ReceivedArchive:
    """A whole backup: receive, seal, publish."""
    location = store.locate("team", "web.tar")
    with store.open_for_write(location, OPERATION) as writer:
        received = module.receive(stream, writer, on_progress=ignore, checkpoint=go_on)
        writer.seal(received.sha256, received.size_bytes)
        writer.publish()
    return received


@pytest.mark.parametrize("size", [1, 511, 512, 4096, MIB])
def test_it_stores_the_stream_byte_for_byte_and_says_what_it_was(root: Path, store: LocalStore, size: int):
    received = receive_into(store, Stream(pieces(CONTENT, size)))
    assert received == module.ReceivedArchive(
        size_bytes=len(CONTENT), sha256=DIGEST, stored_bytes=len(CONTENT), stored_sha256=DIGEST, members=3
    )
    assert (root / "team" / "web.tar").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (Stream([]), ArchiveTruncated),
        (Stream([CONTENT.removesuffix(END_MARKER)]), ArchiveTruncated),
        (Stream([CONTENT[:1536]]), ArchiveTruncated),
        (Stream([CONTENT, b'{"message":"unexpected EOF"}']), ArchiveInvalid),
        (Stream([END_MARKER]), ArchiveInvalid),
        (Stream([b"<html>" * 500]), ArchiveInvalid),
        (Stream([CONTENT[:3000]], StreamBroken("The stream broke off.")), StreamBroken),
    ],
)
def test_what_is_not_one_whole_tar_leaves_nothing(
    root: Path, store: LocalStore, stream: Stream, error: type[MycoError]
):
    with pytest.raises(error):
        receive_into(store, stream)
    assert names_below(root) == set()


@pytest.mark.parametrize("error", [Cancelled("Stopped."), TimedOut("Too long."), LeaseLost("Another worker has it.")])
def test_a_checkpoint_stops_it_at_the_next_chunk(root: Path, store: LocalStore, error: MycoError):
    calls = itertools.count(1)

    def checkpoint() -> None:
        if next(calls) == 3:
            raise error

    with (
        pytest.raises(type(error)),
        store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer,
    ):
        module.receive(Stream(pieces(CONTENT, 512)), writer, on_progress=ignore, checkpoint=checkpoint)
    assert next(calls) == 4
    assert names_below(root) == set()


def test_it_reports_progress_twice_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch, store: LocalStore):
    clock = itertools.count(step=0.2)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    reported: list[int] = []
    with store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
        chunks = list(pieces(CONTENT, 512))
        module.receive(Stream(chunks), writer, on_progress=reported.append, checkpoint=go_on)
    assert reported == sorted(reported)
    assert reported[-1] == len(CONTENT)
    assert 2 <= len(reported) < len(chunks) / 2


def test_a_short_stream_reports_once(store: LocalStore):
    reported: list[int] = []
    with store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
        module.receive(Stream([CONTENT]), writer, on_progress=reported.append, checkpoint=go_on)
    assert reported == [len(CONTENT)]


def test_its_memory_does_not_grow_with_the_archive(store: LocalStore):
    info = tarfile.TarInfo("large")
    info.size = 200 * MIB
    chunks = itertools.chain([info.tobuf()], (bytes(MIB) for _ in range(200)), [END_MARKER])
    tracemalloc.start()
    try:
        received = receive_into(store, Stream(chunks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received.size_bytes == 200 * MIB + 1536
    assert peak < 8 * MIB


def test_many_small_members_take_no_memory_either(store: LocalStore):
    one = tar_of([Member("some/small/file", b"x" * 100)], tarfile.USTAR_FORMAT).removesuffix(END_MARKER)
    chunks = itertools.chain((one * 1000 for _ in range(20)), [END_MARKER])
    tracemalloc.start()
    try:
        received = receive_into(store, Stream(chunks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received.members == 20_000
    assert peak < 8 * MIB


def test_an_error_of_the_storage_is_not_hidden_by_the_stream_s(
    monkeypatch: pytest.MonkeyPatch, root: Path, store: LocalStore
):
    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    stream = Stream([CONTENT], StreamBroken("Later."))
    with store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
        monkeypatch.setattr("os.write", broken)
        with pytest.raises(StorageError, match="while writing"):
            module.receive(stream, writer, on_progress=ignore, checkpoint=go_on)
    assert names_below(root) == set()


ENCODED = (GZIP, ZSTD, AGE, BOTH)


@pytest.mark.parametrize("encoding", ENCODED, ids=name_of)
def test_an_encoded_archive_is_sealed_by_what_is_stored_and_decodes_to_the_stream(
    root: Path, store: LocalStore, encoding: Encoding
):
    location = store.locate(None, f"web.tar{encoding.suffix}")
    with store.open_for_write(location, OPERATION) as writer:
        received = module.receive(
            Stream(pieces(CONTENT, 700)), writer, on_progress=ignore, checkpoint=go_on, encoding=encoding
        )
        writer.seal(received.stored_sha256, received.stored_bytes)
        writer.publish()
    stored = (root / f"web.tar{encoding.suffix}").read_bytes()
    assert (received.size_bytes, received.sha256, received.members) == (len(CONTENT), DIGEST, 3)
    assert (received.stored_bytes, received.stored_sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert received.stored_sha256 != received.sha256
    assert decode(stored, encoding) == CONTENT


@pytest.mark.parametrize("encoding", ENCODED, ids=name_of)
@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (lambda: Stream([CONTENT.removesuffix(END_MARKER)]), ArchiveTruncated),
        (lambda: Stream([CONTENT, b"more"]), ArchiveInvalid),
        (lambda: Stream([CONTENT[:3000]], StreamBroken("The stream broke off.")), StreamBroken),
    ],
)
def test_an_encoded_archive_that_is_not_whole_leaves_nothing(
    root: Path, store: LocalStore, encoding: Encoding, stream: Callable[[], Stream], error: type[MycoError]
):
    before = set(threading.enumerate())
    with pytest.raises(error), store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
        module.receive(stream(), writer, on_progress=ignore, checkpoint=go_on, encoding=encoding)
    assert names_below(root) == set()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("encoding", ENCODED, ids=name_of)
def test_a_full_disk_stops_an_encoded_archive(
    monkeypatch: pytest.MonkeyPatch, root: Path, store: LocalStore, encoding: Encoding
):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    before = set(threading.enumerate())
    with store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
        monkeypatch.setattr("os.write", full)
        with pytest.raises(StorageFull):
            module.receive(Stream([CONTENT]), writer, on_progress=ignore, checkpoint=go_on, encoding=encoding)
    assert names_below(root) == set()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("encoding", [Encoding(), *ENCODED], ids=name_of)
def test_progress_counts_plain_bytes_and_an_observer_sees_them_all(store: LocalStore, encoding: Encoding):
    observed, reported = bytearray(), list[int]()
    with store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
        module.receive(
            Stream(pieces(CONTENT, 1000)),
            writer,
            on_progress=reported.append,
            checkpoint=go_on,
            encoding=encoding,
            observe=observed.extend,
        )
    assert bytes(observed) == CONTENT
    assert reported[-1] == len(CONTENT)


def test_an_error_of_the_observer_stops_it_before_the_chunk_is_written(root: Path, store: LocalStore):
    def observe(_: bytes) -> None:
        raise ArchiveInvalid("A name in it is impossible.")

    with pytest.raises(ArchiveInvalid, match="impossible"):
        with store.open_for_write(store.locate(None, "web.tar"), OPERATION) as writer:
            module.receive(Stream([CONTENT]), writer, on_progress=ignore, checkpoint=go_on, observe=observe)
    assert names_below(root) == set()


@pytest.mark.parametrize("encoding", [Encoding(), BOTH], ids=name_of)
@pytest.mark.parametrize("content", [b'{"Id":"ab"}', b"", CONTENT[:1000]])
def test_what_is_no_tar_is_received_without_a_walk(store: LocalStore, content: bytes, encoding: Encoding):
    stream = Stream(filter(None, [content]))
    with store.open_for_write(store.locate(None, "web.json"), OPERATION) as writer:
        received = module.receive(stream, writer, on_progress=ignore, checkpoint=go_on, encoding=encoding, walk=False)
        writer.seal(received.stored_sha256, received.stored_bytes)
    assert (received.size_bytes, received.members) == (len(content), None)
    assert received.sha256 == hashlib.sha256(content).hexdigest()
