"""What retention took away, as the ledger itself tells it: a payload that is gone without such an entry is damage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from containers_app.audit.merkle import leaf_hash
from containers_app.audit.models import Entry
from containers_app.audit.router import ALIAS
from containers_app.audit.shards import rank, year_of

BEGUN: Final = "audit.prune"
ENDED: Final = "audit.pruned"
_TEXTS: Final = (
    *("phase", "action", "category", "outcome", "actor_type", "actor_id", "object_type", "object_id", "object_name"),
    *("host", "operation_id", "request_id", "channel", "ticket"),
)
COLUMNS: Final = ("payload", "time", *_TEXTS)


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """An entry says that the payloads of `shard` below `end` go, whose leaf hashes have the root `root` (hex)."""

    shard: int
    end: int
    root: str
    place: str


def columns_of_pruned(shard: int) -> Mapping[str, Any]:
    """The columns of a pruned entry, beside its place and its hash: nothing of the payload, the year's first moment."""
    return {"payload": "", "time": datetime(year_of(shard), 1, 1, tzinfo=UTC), **dict.fromkeys(_TEXTS, "")}


def pruning_of(shard: int) -> Pruning | None:
    """What a later shard says of this one; only an entry that has its own hash counts. Raises django.db.Error."""
    told = Entry.objects.using(ALIAS).filter(action=BEGUN, object_type="shard", object_id=str(shard)).order_by("id")
    found = [one for entry in told if rank(entry.shard) > rank(shard) and (one := _read(entry, shard)) is not None]
    return max(found, key=lambda one: one.end, default=None)


def _read(entry: Entry, shard: int) -> Pruning | None:
    if leaf_hash(entry.payload.encode()).hex() != entry.leaf_hash:
        return None
    try:
        said = json.loads(entry.payload)["details"]
        place = entry.place
        return Pruning(shard=shard, end=int(said["end"]), root=str(said["root"]), place=place)
    except (ValueError, KeyError, TypeError):
        return None
