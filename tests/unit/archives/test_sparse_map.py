from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.sparse_map import SparseMap
from tests.unit.archives.samples import BLOCK


def blocks(text: bytes) -> list[bytes]:
    padded = text.ljust(max(-(-len(text) // BLOCK), 1) * BLOCK, b"\0")
    return [padded[start : start + BLOCK] for start in range(0, len(padded), BLOCK)]


def read(text: bytes, *, size_bytes: int, data_bytes: int) -> list[tuple[int, int]]:
    sparse_map = SparseMap()
    assert [sparse_map.add(block) for block in blocks(text)][-1]
    stored_bytes = sparse_map.map_bytes + data_bytes
    return list(sparse_map.regions(size_bytes=size_bytes, stored_bytes=stored_bytes))


def text_of(regions: list[tuple[int, int]]) -> bytes:
    return b"%d\n" % len(regions) + b"".join(b"%d\n%d\n" % region for region in regions)


@given(steps=st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 10**6)), max_size=200))
def test_it_reads_back_the_regions_of_a_file(steps: list[tuple[int, int]]):
    regions, end = [], 0
    for hole, length in steps:
        regions.append((end + hole, length))
        end += hole + length
    data_bytes = sum(length for _, length in regions)
    assert read(text_of(regions), size_bytes=end, data_bytes=data_bytes) == regions


def test_it_is_complete_with_its_last_block_only():
    regions = [(step * 10**6, 100) for step in range(100)]
    sparse_map = SparseMap()
    answers = [sparse_map.add(block) for block in blocks(text_of(regions))]
    assert len(answers) > 2
    assert answers == [False] * (len(answers) - 1) + [True]
    assert sparse_map.map_bytes == len(answers) * BLOCK


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"1\n0\n11\n", "beyond its end"),
        (b"2\n0\n5\n4\n5\n", "overlapping"),
        (b"2\n5\n5\n0\n5\n", "overlapping"),
        (b"1\n0\n9\n", "does not fit"),
        (b"1\n-1\n10\n", "malformed"),
        (b"x\n", "malformed"),
        (b"1\n\n10\n", "malformed"),
        (b"1\n0\n99999999999999999999\n", "malformed"),
        (b"1\n0\n10\nmore", "followed by"),
    ],
)
def test_it_refuses_a_map_that_readers_would_stumble_over(text: bytes, words: str):
    with pytest.raises(ValueError, match=words):
        read(text, size_bytes=10, data_bytes=10)


@pytest.mark.parametrize("text", [b"1" * 2000, b"1000000000\n" + b"0\n" * 1000])
def test_it_refuses_a_map_over_its_limit(text: bytes):
    sparse_map = SparseMap(limit_bytes=2 * BLOCK)
    with pytest.raises(ValueError, match="more than 1024 bytes"):
        [sparse_map.add(block) for block in blocks(text)]
