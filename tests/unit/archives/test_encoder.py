from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import threading
import traceback
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.codecs import encoding_writer
from containers_app.errors import Cancelled, StorageFull
from containers_app.specs.encoding import Encoding
from tests.unit.archives.encoded import (
    AGE,
    BOTH,
    CONTENT,
    ENCODINGS,
    GZIP,
    IDENTITY,
    PASSPHRASE,
    SCRYPT,
    ZSTD,
    decode,
    each_encoding,
    encode,
    name_of,
)

MIB = 1024 * 1024
LONE_THREAD = 1


@pytest.fixture(autouse=True)
def no_thread_is_left(cheap_passphrases: None):
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@each_encoding
def test_what_it_stores_decodes_to_the_content(encoding: Encoding):
    stored, _ = encode(CONTENT, encoding)
    assert (stored == CONTENT) is encoding.plain
    assert decode(stored, encoding) == CONTENT


@each_encoding
def test_it_says_the_size_and_the_digest_of_what_it_stored(encoding: Encoding):
    stored, said = encode(CONTENT, encoding)
    assert (said.size_bytes, said.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())


@each_encoding
def test_nothing_at_all_is_a_part_too(encoding: Encoding):
    stored, said = encode(b"", encoding)
    assert said.size_bytes == len(stored)
    assert decode(stored, encoding) == b""


@given(st.lists(st.binary(max_size=200)), st.sampled_from([GZIP, ZSTD, AGE, BOTH]))
def test_how_the_chunks_are_cut_does_not_matter(chunks: list[bytes], encoding: Encoding):
    written: list[bytes] = []
    with encoding_writer(encoding, lambda chunk: written.append(bytes(chunk))) as sink:
        for chunk in chunks:
            sink.write(memoryview(bytearray(chunk)))
        sink.finish()
    assert decode(b"".join(written), encoding) == b"".join(chunks)


def test_a_chunk_may_be_changed_once_it_was_written():
    written: list[bytes] = []
    with encoding_writer(ZSTD, lambda chunk: written.append(bytes(chunk))) as sink:
        reused = bytearray(1000)
        for number in range(100):
            reused[:] = bytes([number]) * 1000
            sink.write(memoryview(reused))
        sink.finish()
    assert decode(b"".join(written), ZSTD) == b"".join(bytes([number]) * 1000 for number in range(100))


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 131072, 300_000])
@pytest.mark.parametrize("encoding", [AGE, SCRYPT], ids=["recipients", "passphrase"])
def test_sizes_around_the_chunks_of_age_come_back(encoding: Encoding, size: int):
    content = os.urandom(size)
    assert decode(encode(content, encoding)[0], encoding) == content


def test_another_library_reads_each_layer():
    assert gzip.decompress(encode(CONTENT, GZIP)[0]) == CONTENT
    assert pyrage.decrypt(encode(CONTENT, AGE)[0], [pyrage.x25519.Identity.from_str(IDENTITY)]) == CONTENT
    assert pyrage.passphrase.decrypt(encode(CONTENT, SCRYPT)[0], PASSPHRASE) == CONTENT


def test_a_higher_level_is_smaller_and_all_levels_decode():
    for codec, levels in (("gzip", (0, 3)), ("zstd", (1, 19))):
        low, high = (encode(CONTENT, Encoding(codec=codec, level=level))[0] for level in levels)
        assert len(high) < len(low) < len(CONTENT)
        assert decode(low, Encoding(codec=codec)) == decode(high, Encoding(codec=codec)) == CONTENT


def test_a_gzip_part_does_not_tell_when_it_was_made():
    stored, _ = encode(CONTENT, GZIP)
    assert stored[4:8] == bytes(4)
    assert zlib.decompress(stored, wbits=31) == CONTENT


@each_encoding
@pytest.mark.parametrize("good_writes", [0, 1])
def test_an_error_of_the_storage_is_raised_as_it_is(encoding: Encoding, good_writes: int):
    full, writes = StorageFull("The disk is full."), 0

    def store(_: bytes | memoryview) -> None:
        nonlocal writes
        writes += 1
        if writes > good_writes:
            raise full

    with pytest.raises(StorageFull) as caught:
        with encoding_writer(encoding, store) as sink:
            for _ in range(400):
                sink.write(os.urandom(100_000))
            sink.finish()
    assert caught.value is full
    assert writes == good_writes + 1, "nothing is written after a failure"


@each_encoding
def test_who_leaves_in_the_middle_is_not_kept_and_keeps_his_error(encoding: Encoding):
    with pytest.raises(Cancelled):
        with encoding_writer(encoding, lambda _: None) as sink:
            sink.write(CONTENT)
            raise Cancelled("Stopped.")


@pytest.mark.parametrize("encoding", [GZIP, ZSTD, AGE, SCRYPT, BOTH], ids=name_of)
def test_who_leaves_while_everything_is_full_is_not_kept(encoding: Encoding):
    storing, stuck = threading.Event(), threading.Event()

    def store(_: bytes | memoryview) -> None:
        stuck.set()
        assert storing.wait(20)

    with pytest.raises(Cancelled):
        with encoding_writer(encoding, store) as sink:
            for _ in range(3):
                sink.write(os.urandom(MIB))
            assert stuck.wait(20)
            storing.set()
            raise Cancelled("Stopped.")


def test_leaving_without_the_finish_does_not_complete_the_part():
    written: list[bytes] = []
    with encoding_writer(ZSTD, lambda chunk: written.append(bytes(chunk))) as sink:
        sink.write(CONTENT)
    assert b"".join(written) == b"" or not b"".join(written).endswith(encode(CONTENT, ZSTD)[0][-4:])


@each_encoding
def test_it_writes_in_the_callers_thread_only_what_is_plain(encoding: Encoding):
    threads: set[str] = set()
    with encoding_writer(encoding, lambda _: threads.add(threading.current_thread().name)) as sink:
        sink.write(CONTENT)
        sink.finish()
    assert (threading.current_thread().name in threads) is encoding.plain
    assert len(threads) == LONE_THREAD


@pytest.mark.parametrize("encoding", [Encoding(), GZIP, ZSTD, AGE, SCRYPT, BOTH], ids=lambda one: one.suffix)
def test_its_memory_does_not_grow_with_the_part(encoding: Encoding):
    chunk = os.urandom(MIB)
    tracemalloc.start()
    try:
        with encoding_writer(encoding, lambda _: None) as sink:
            for _ in range(60):
                sink.write(memoryview(bytearray(chunk)))
            sink.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


@pytest.mark.parametrize("encoding", [one for one in ENCODINGS if one.passphrase], ids=lambda one: one.suffix)
def test_a_passphrase_stands_in_no_error_and_no_repr(encoding: Encoding):
    def store(_: bytes | memoryview) -> None:
        raise StorageFull("The disk is full.")

    with pytest.raises(StorageFull) as caught:
        with encoding_writer(encoding, store) as sink:
            sink.write(CONTENT)
            sink.finish()
    assert PASSPHRASE not in "".join(traceback.format_exception(caught.value))
    assert PASSPHRASE not in repr(encoding) + repr(sink) + repr(vars(sink))


def test_a_machine_without_another_thread_fails_and_does_not_hang(monkeypatch: pytest.MonkeyPatch):
    submit, calls = ThreadPoolExecutor.submit, itertools.count()

    def second_fails(*arguments: Any) -> Any:
        if next(calls):
            raise RuntimeError("can't start new thread")
        return submit(*arguments)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", second_fails)
    with pytest.raises(RuntimeError, match="new thread"):
        encode(CONTENT, BOTH)
