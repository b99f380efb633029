from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.codecs import pipes as module

SECONDS = 20.0


class Broken(Exception):
    """What one end reports."""


def test_chunks_come_out_in_their_order_and_then_the_end():
    pipe = module.Pipe()
    chunks = [b"%d" % number for number in range(1000)]

    def fill() -> None:
        for chunk in chunks:
            pipe.put(chunk)
        pipe.close()

    with ThreadPoolExecutor() as pool:
        filled = pool.submit(fill)
        assert list(iter(pipe.get, b"")) == chunks
        filled.result(SECONDS)
    assert pipe.get() == b""


def test_a_full_pipe_waits_for_its_reader():
    pipe = module.Pipe()
    for number in range(module.LIMIT_CHUNKS):
        pipe.put(b"%d" % number)
    with ThreadPoolExecutor() as pool:
        one_more = pool.submit(pipe.put, b"more")
        assert not one_more.done()
        assert pipe.get() == b"0"
        one_more.result(SECONDS)


@pytest.mark.parametrize("waiting", ["to put", "to get"])
def test_a_failure_wakes_who_waits(waiting: str):
    pipe, begun = module.Pipe(), threading.Event()
    for _ in range(module.LIMIT_CHUNKS if waiting == "to put" else 0):
        pipe.put(b"x")

    def wait() -> None:
        begun.set()
        if waiting == "to put":
            pipe.put(b"more")
        else:
            pipe.get()

    with ThreadPoolExecutor() as pool:
        waiter = pool.submit(wait)
        assert begun.wait(SECONDS)
        pipe.fail(Broken())
        with pytest.raises(Broken):
            waiter.result(SECONDS)


def test_after_a_failure_nothing_is_given_out_and_the_first_one_counts():
    pipe, first = module.Pipe(), Broken("first")
    pipe.put(b"waiting")
    pipe.fail(first)
    pipe.fail(Broken("second"))
    pipe.close()
    for attempt in (pipe.get, lambda: pipe.put(b"more"), pipe.get):
        with pytest.raises(Broken) as caught:
            attempt()
        assert caught.value is first


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 30))
def test_a_reader_gives_the_bytes_of_its_chunks_by_size(chunks: list[bytes], size: int):
    reader = module.ChunkReader(iter(chunks))
    pieces = list(iter(lambda: reader.read(size), b""))
    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) <= size for piece in pieces)
    assert reader.read(size) == b""


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 30))
def test_reading_fully_comes_short_at_the_end_alone_and_can_be_taken_back(chunks: list[bytes], size: int):
    reader, whole = module.ChunkReader(iter(chunks)), b"".join(chunks)
    start = reader.read_fully(size)
    assert start == whole[:size]
    reader.unread(start)
    assert reader.read_fully(len(whole) + 1) == whole
