"""Proofs agree with the definition written out, and with the published ones of Certificate Transparency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from containers_app.audit.merkle import EMPTY_ROOT, leaf_hash
from containers_app.audit.proofs import (
    Node,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    root_of,
)
from tests.unit.audit.test_merkle import CT_LEAVES, CT_ROOTS, root_by_definition

PAYLOADS = [bytes.fromhex(leaf) for leaf in CT_LEAVES]
# The proofs of the Certificate Transparency reference implementation (merkletree tests): leaf (from 1), size, path.
CT_PATHS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        2,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CT_CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def nodes(payloads: list[bytes]) -> Node:
    return lambda level, index: root_by_definition(payloads[index << level : index + 1 << level])


def path_by_definition(index: int, payloads: list[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962, section 2.1.1."""
    if len(payloads) == 1:
        return []
    middle = 1 << (len(payloads) - 1).bit_length() - 1
    if index < middle:
        return [*path_by_definition(index, payloads[:middle]), root_by_definition(payloads[middle:])]
    return [*path_by_definition(index - middle, payloads[middle:]), root_by_definition(payloads[:middle])]


def subproof_by_definition(first: int, payloads: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962, section 2.1.2."""
    if first == len(payloads):
        return [] if whole else [root_by_definition(payloads)]
    middle = 1 << (len(payloads) - 1).bit_length() - 1
    left, right = payloads[:middle], payloads[middle:]
    if first <= middle:
        return [*subproof_by_definition(first, left, whole=whole), root_by_definition(right)]
    return [*subproof_by_definition(first - middle, right, whole=False), root_by_definition(left)]


def numbered(size: int) -> list[bytes]:
    return [str(number).encode() for number in range(size)]


def sizes_within() -> some.SearchStrategy[tuple[int, int]]:
    return some.integers(1, 130).flatmap(lambda size: some.tuples(some.integers(1, size), some.just(size)))


@pytest.mark.parametrize(("leaf", "size", "path"), CT_PATHS)
def test_it_has_the_inclusion_proofs_of_certificate_transparency(leaf: int, size: int, path: list[str]) -> None:
    proof = inclusion_proof(leaf - 1, size, node=nodes(PAYLOADS))
    assert [one.hex() for one in proof] == path
    root = bytes.fromhex(CT_ROOTS[size - 1])
    assert is_included(leaf_hash(PAYLOADS[leaf - 1]), index=leaf - 1, size=size, root=root, proof=proof)


@pytest.mark.parametrize(("first", "second", "path"), CT_CONSISTENCIES)
def test_it_has_the_consistency_proofs_of_certificate_transparency(first: int, second: int, path: list[str]) -> None:
    proof = consistency_proof(first, second, node=nodes(PAYLOADS))
    assert [one.hex() for one in proof] == path
    roots = [bytes.fromhex(CT_ROOTS[size - 1]) for size in (first, second)]
    assert is_consistent(first, second, first_root=roots[0], second_root=roots[1], proof=proof)


@given(sizes_within())
def test_an_inclusion_proof_is_the_path_of_the_definition_and_holds(place: tuple[int, int]) -> None:
    index, size = place[0] - 1, place[1]
    payloads = numbered(size)
    proof = inclusion_proof(index, size, node=nodes(payloads))
    assert proof == path_by_definition(index, payloads)
    root = root_of(size, node=nodes(payloads))
    assert root == root_by_definition(payloads)
    assert is_included(leaf_hash(payloads[index]), index=index, size=size, root=root, proof=proof)


@given(sizes_within())
def test_a_consistency_proof_is_the_one_of_the_definition_and_holds(sizes: tuple[int, int]) -> None:
    first, second = sizes
    payloads = numbered(second)
    proof = consistency_proof(first, second, node=nodes(payloads))
    assert proof == subproof_by_definition(first, payloads, whole=True)
    older, newer = root_by_definition(payloads[:first]), root_by_definition(payloads)
    assert is_consistent(first, second, first_root=older, second_root=newer, proof=proof)


@given(sizes_within(), some.data())
def test_a_proof_that_is_changed_anywhere_does_not_hold(place: tuple[int, int], data: some.DataObject) -> None:
    index, size = place[0] - 1, place[1]
    payloads = numbered(size)
    root = root_by_definition(payloads)
    proof = inclusion_proof(index, size, node=nodes(payloads))
    leaf = leaf_hash(payloads[index])
    assert not is_included(leaf_hash(b"other"), index=index, size=size, root=root, proof=proof)
    assert not is_included(leaf, index=index, size=size, root=root, proof=[*proof, leaf])
    assert not is_included(leaf, index=index, size=size, root=leaf_hash(b""), proof=proof)
    if proof:
        broken = list(proof)
        broken[data.draw(some.integers(0, len(proof) - 1))] = leaf_hash(b"broken")
        assert not is_included(leaf, index=index, size=size, root=root, proof=broken)
        assert not is_included(leaf, index=index, size=size, root=root, proof=proof[:-1])


@given(sizes_within(), some.data())
def test_a_history_that_was_rewritten_is_not_consistent(sizes: tuple[int, int], data: some.DataObject) -> None:
    first, second = sizes
    payloads = numbered(second)
    older = root_by_definition(payloads[:first])
    payloads[data.draw(some.integers(0, first - 1))] = b"rewritten"
    newer = root_by_definition(payloads)
    proof = consistency_proof(first, second, node=nodes(payloads))
    assert not is_consistent(first, second, first_root=older, second_root=newer, proof=proof)
    assert not is_consistent(first, second, first_root=older, second_root=newer, proof=[*proof, older])


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    root = root_by_definition(PAYLOADS)
    assert consistency_proof(0, 8, node=nodes(PAYLOADS)) == []
    assert is_consistent(0, 8, first_root=EMPTY_ROOT, second_root=root, proof=[])
    assert is_consistent(0, 0, first_root=EMPTY_ROOT, second_root=EMPTY_ROOT, proof=[])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        inclusion_proof(index, size, node=nodes(PAYLOADS))
    assert not is_included(b"", index=index, size=size, root=b"", proof=[])


def test_a_tree_does_not_begin_with_a_larger_one() -> None:
    with pytest.raises(ValueError, match="does not begin"):
        consistency_proof(4, 3, node=nodes(PAYLOADS))
    assert not is_consistent(4, 3, first_root=EMPTY_ROOT, second_root=EMPTY_ROOT, proof=[])
