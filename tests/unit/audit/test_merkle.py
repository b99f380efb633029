"""The tree is the one of RFC 6962: the published vectors, and the definition written out."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from containers_app.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash

# The leaves and roots of the Certificate Transparency reference implementation (merkletree tests).
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def tree(payloads: list[bytes]) -> Frontier:
    frontier = Frontier()
    for payload in payloads:
        frontier = frontier.append(leaf_hash(payload))
    return frontier


def root_by_definition(payloads: list[bytes]) -> bytes:
    """MTH(D[n]) of RFC 6962 section 2.1: split at the largest power of two below n."""
    if not payloads:
        return hashlib.sha256().digest()
    if len(payloads) == 1:
        return leaf_hash(payloads[0])
    middle = 1 << (len(payloads) - 1).bit_length() - 1
    return node_hash(root_by_definition(payloads[:middle]), root_by_definition(payloads[middle:]))


def test_the_root_of_no_leaves_is_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_it_has_the_roots_of_certificate_transparency(size: int) -> None:
    assert tree([bytes.fromhex(leaf) for leaf in CT_LEAVES[:size]]).root().hex() == CT_ROOTS[size - 1]


@given(some.lists(some.binary(max_size=8), max_size=70))
def test_the_frontier_gives_the_root_of_the_definition(payloads: list[bytes]) -> None:
    frontier = tree(payloads)
    assert frontier.size == len(payloads)
    assert frontier.root() == root_by_definition(payloads)


@given(some.integers(0, 300))
def test_the_frontier_reads_back_from_its_text(size: int) -> None:
    frontier = tree([str(number).encode() for number in range(size)])
    assert Frontier.from_text(size, frontier.to_text()) == frontier


def test_a_leaf_is_no_node() -> None:
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "00" * 32), (1, ""), (3, "00" * 32), (1, "00" * 31), (1, "zz" * 32), (-1, "00" * 32)]
)
def test_a_text_that_is_no_frontier_of_that_size_is_refused(size: int, text: str) -> None:
    with pytest.raises(ValueError, match=r"frontier|hexadecimal"):
        Frontier.from_text(size, text)
