from __future__ import annotations

import threading

import pytest

from containers_app.archives.beside import MOST_CHUNKS, Beside


def test_the_work_gets_every_chunk_in_order_and_from_another_thread():
    seen: list[bytes] = []
    threads: set[int] = set()

    def work(chunk: bytes) -> None:
        seen.append(chunk)
        threads.add(threading.get_ident())

    with Beside(work) as beside:
        for number in range(100):
            beside.feed(b"%d" % number)
        beside.finish()
        assert seen == [b"%d" % number for number in range(100)]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_it_is_never_more_than_a_few_chunks_behind():
    begun: list[bytes] = []
    go_on = threading.Event()

    def work(chunk: bytes) -> None:
        begun.append(chunk)
        go_on.wait(10)

    with Beside(work) as beside:
        for _ in range(MOST_CHUNKS):
            beside.feed(b"one")
        feeding = threading.Thread(target=beside.feed, args=(b"two",))
        feeding.start()
        feeding.join(0.05)
        assert (feeding.is_alive(), begun) == (True, [b"one"])
        go_on.set()
        feeding.join(10)
        beside.finish()
    assert begun == [b"one"] * MOST_CHUNKS + [b"two"]


@pytest.mark.parametrize("asked", ["feed", "finish"])
def test_what_the_work_raises_comes_out_at_a_later_call(asked: str):
    def work(chunk: bytes) -> None:
        raise ValueError("no tar")

    with Beside(work) as beside:
        beside.feed(b"one")
        with pytest.raises(ValueError, match="no tar"):
            for _ in range(MOST_CHUNKS):
                beside.feed(b"two") if asked == "feed" else beside.finish()


def test_leaving_it_leaves_no_thread():
    before = threading.active_count()
    with Beside(len) as beside:
        beside.feed(b"one")
    assert threading.active_count() == before


def test_nothing_to_do_needs_no_thread():
    before = threading.active_count()
    with Beside(len) as beside:
        beside.finish()
        assert threading.active_count() == before
