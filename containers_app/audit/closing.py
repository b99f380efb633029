"""How a shard ended, as the first entry of a later one says: what comes to it afterwards is not the ledger's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from containers_app.audit.merkle import leaf_hash
from containers_app.audit.models import Entry, Head
from containers_app.audit.proofs import inclusion_proof, is_included
from containers_app.audit.router import ALIAS
from containers_app.audit.shards import newest, rank
from containers_app.audit.tree import StoredNodes, TreeDamaged

OPENINGS: Final = ("audit.open_shard", "audit.accept_rollback")
NOT_TOLD: Final = "other shards follow this one, and none of them tells how it ended"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """That `shard` had `size` entries with `root` (hex; empty where its tree was damaged), says the shard `told_in`."""

    shard: int
    size: int
    root: str
    told_in: int

    def parting(self, size: int, root: str) -> str:
        """What a shard of so many entries and this root has to do with it; empty where that is what was told."""
        if size == self.size and self.root in ("", root):
            return ""
        if size == self.size:
            return f"shard {self.told_in} tells that this one ended with other entries"
        return f"shard {self.told_in} tells that this one ended with {self.size} entries, and there are {size}"


def endings_told() -> list[Ending]:
    """What the first entry of each shard tells, of entries that have their own hash. Raises django.db.Error."""
    openings = Entry.objects.using(ALIAS).filter(leaf_index=0, action__in=OPENINGS)
    return _endings(one for one in openings if leaf_hash(one.payload.encode()).hex() == one.leaf_hash)


def endings_proven(heads: Mapping[int, Head]) -> list[Ending]:
    """What the first entries tell that the trees of `heads` prove. Raises django.db.Error."""
    openings = Entry.objects.using(ALIAS).filter(leaf_index=0, shard__in=list(heads))
    return _endings(one for one in openings if is_proven(one, heads[one.shard]))


def why_not_closed(head: Head, heads: Mapping[int, Head], endings: Iterable[Ending]) -> str:
    """Why a shard is not as it was when another followed it; empty where it is, and for the newest one."""
    if head.shard == newest(heads):
        return ""
    told = [one for one in endings if one.shard == head.shard]
    try:
        root = head.tree().root().hex()
    except ValueError:
        return "the tree in the database is damaged"
    parting = (one.parting(head.size, root) for one in told)
    return next(filter(None, parting), "") if told else NOT_TOLD


def is_proven(opening: Entry, head: Head) -> bool:
    """Whether the tree of `head` has this payload as its first leaf. Raises django.db.Error."""
    try:
        root = head.tree().root()
        proof = inclusion_proof(0, head.size, node=StoredNodes(head.shard))
    except (TreeDamaged, ValueError):
        return False
    leaf = leaf_hash(opening.payload.encode())
    return is_included(leaf, index=0, size=head.size, root=root, proof=proof)


def _endings(openings: Iterable[Entry]) -> list[Ending]:
    found = (_ending(one) for one in openings)
    return [one for one in found if one is not None and rank(one.shard) < rank(one.told_in)]


def _ending(opening: Entry) -> Ending | None:
    try:
        read = json.loads(opening.payload)
        said = read["details"]["previous"] if read["action"] in OPENINGS else {}
        root = str(said.get("root", ""))
        return Ending(shard=int(said["shard"]), size=int(said["size"]), root=root, told_in=opening.shard)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
