"""The stored tree gives the proofs of the entries, in a few bounded queries at any size."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connections, transaction
from django.db.models import QuerySet

from containers_app.audit import ledger
from containers_app.audit.merkle import Frontier, leaf_hash, node_hash
from containers_app.audit.models import Entry, Head, Subtree
from containers_app.audit.proofs import consistency_proof, inclusion_proof, is_consistent, is_included, root_of
from containers_app.audit.record import Actor, Source
from containers_app.audit.tree import StoredNodes, TreeDamaged

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
SIZE = 600
SYSTEM = {"actor": Actor(type="system"), "source": Source(channel="engine")}


@pytest.fixture
def shard() -> int:
    """A shard of 600 entries, two full tiles and a part of the third."""
    with ledger.together():
        for _ in range(SIZE):
            ledger.event(action="system.start", **SYSTEM)  # type: ignore[arg-type]
    return int(Head.objects.get().shard)


def leaves() -> list[bytes]:
    return [leaf_hash(payload.encode()) for payload in Entry.objects.order_by("id").values_list("payload", flat=True)]


def roots() -> list[bytes]:
    """The root of each size, from the entries alone."""
    found = [Frontier()]
    for leaf in leaves():
        found.append(found[-1].append(leaf))
    return [frontier.root() for frontier in found]


def test_each_full_tile_has_its_root_stored_as_it_fills(shard: int) -> None:
    assert list(Subtree.objects.order_by("number").values_list("level", "number")) == [(8, 0), (8, 1)]
    node = StoredNodes(shard)
    assert node(9, 0) == node_hash(node(8, 0), node(8, 1))
    assert node(8, 1) == node_hash(node(7, 2), node(7, 3))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, SIZE])
def test_stored_proofs_hold_at_every_edge_of_a_tile(shard: int, size: int) -> None:
    node, expected, hashes = StoredNodes(shard), roots(), leaves()
    assert root_of(size, node=node) == expected[size]
    for index in {0, size // 2, size - 1}:
        proof = inclusion_proof(index, size, node=node)
        assert is_included(hashes[index], index=index, size=size, root=expected[size], proof=proof)
    proof = consistency_proof(size, SIZE, node=node)
    assert is_consistent(size, SIZE, first_root=expected[size], second_root=expected[SIZE], proof=proof)


def test_a_proof_takes_a_few_queries(shard: int, django_assert_max_num_queries: Callable[..., object]) -> None:
    with django_assert_max_num_queries(4, using="audit"):  # type: ignore[attr-defined]
        inclusion_proof(300, SIZE, node=StoredNodes(shard))


def test_a_hash_that_is_missing_or_damaged_is_told(shard: int) -> None:
    with pytest.raises(TreeDamaged, match="lacks hashes"):
        StoredNodes(shard)(8, 2)
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_subtree SET root = 'no hash' WHERE number = 1")
        cursor.execute("DELETE FROM audit_entry WHERE leaf_index = 300")
    with pytest.raises(TreeDamaged, match="no hash"):
        StoredNodes(shard)(8, 0)
    with pytest.raises(TreeDamaged, match="lacks hashes"):
        StoredNodes(shard)(6, 5)


def test_the_migration_stores_the_subtrees_of_entries_that_were_there(shard: int) -> None:
    stored = list(Subtree.objects.order_by("number").values("shard", "level", "number", "root"))
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_subtree")
    migration = import_module("containers_app.audit.migrations.0002_signer")
    # In a migration the models are history's, with plain managers.
    assert QuerySet(Subtree).count() == 0
    with transaction.atomic(using="audit"):
        migration._store(QuerySet(Subtree, using="audit"), shard, [one.hex() for one in leaves()])
    assert apps.get_model("audit", "Subtree") is Subtree
    assert list(Subtree.objects.order_by("number").values("shard", "level", "number", "root")) == stored
