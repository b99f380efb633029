"""What the database lost or changed of what was signed: found, told to all who append, and accepted by a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from containers_app.audit import shards
from containers_app.audit.appending import (
    HALTED,
    HeadUnfit,
    append,
    appending,
    how_it_ended,
    is_halted,
    open_shard,
    writable,
)
from containers_app.audit.merkle import Frontier
from containers_app.audit.models import Entry, Head, Standing
from containers_app.audit.notes import Checkpoint
from containers_app.audit.proofs import consistency_proof, is_consistent
from containers_app.audit.record import Actor, Fact, Source
from containers_app.audit.router import ALIAS
from containers_app.audit.signer_folder import Signed
from containers_app.audit.tree import StoredNodes, TreeDamaged
from containers_app.errors import InvalidRequest

__all__ = ["Loss", "accept", "halt", "is_accepted", "is_halted", "loss_of", "losses_told", "release"]

ACTION: Final = "audit.accept_rollback"
RELEASED: Final = "released"
SIGNER: Final = Actor(type="system", label="signer")
INSIDE: Final = Source(channel="engine")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A shard that does not fit its signed checkpoint, of `size` and `root` (hex); `left`: how many there are."""

    shard: int
    size: int
    root: str
    left: int
    why: str
    checkpoint: tuple[str, ...]


def loss_of(shard: int, signed: Signed, *, head: Head | None, has_key: bool) -> Loss | None:
    """Compare the stored tree of a shard with what was signed of it. Raises django.db.Error."""
    checkpoint = signed.checkpoint
    why = _why(checkpoint, head) or ("" if has_key else "the signer does not have its key any more")
    if not why:
        return None
    return Loss(
        shard=shard,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        left=head.size if head else 0,
        why=why,
        checkpoint=tuple(signed.note.splitlines()),
    )


def is_accepted(loss: Loss) -> bool:
    """Whether a later shard begins with an entry that accepts exactly this. Raises django.db.Error."""
    openings = Entry.objects.using(ALIAS).filter(action=ACTION, leaf_index=0).values_list("payload", flat=True)
    told = [one for payload in openings for one in _rollback_in(payload)]
    return any((one["shard"], one["size"], one["root"]) == (loss.shard, loss.size, loss.root) for one in told)


def halt(losses: list[Loss]) -> None:
    """Let nobody append any more, within `appending`; nothing is written when it is so already."""
    if not is_halted():
        _set_standing(HALTED, {"losses": [asdict(loss) for loss in losses]})


def release() -> None:
    """Let entries in again, within `appending`, because everything that was missed is there again; an entry says so."""
    told = losses_told()
    _set_standing(RELEASED, {})
    append(_fact("audit.end_halt", SIGNER, INSIDE, {"missed": [asdict(loss) for loss in told]}))


def losses_told() -> list[Loss]:
    """Why the ledger is halted; nothing when it is not. Raises django.db.Error."""
    last = Standing.objects.using(ALIAS).order_by("-id").first()
    if last is None or last.state != HALTED:
        return []
    return [Loss(**{**one, "checkpoint": tuple(one["checkpoint"])}) for one in json.loads(last.told)["losses"]]


def accept(*, actor: Actor, source: Source, reason: str) -> int:
    """Go on in a new shard, which begins with what was lost, and return its number.

    Raises InvalidRequest when the ledger is not halted, `Unrecordable`, `AuditUnavailable`.
    """
    with appending():
        losses = losses_told()
        if not losses:
            raise InvalidRequest("The ledger is not halted: there is nothing to accept.")
        heads = {head.shard: head for head in Head.objects.using(ALIAS).all()}
        last = shards.newest([*heads, *(loss.shard for loss in losses)])
        shard = shards.successor(last or 0, year=datetime.now(UTC).year)
        details = {**_previous(heads), "rollback": [asdict(loss) for loss in losses]}
        open_shard(shard, _fact(ACTION, actor, source, details, reason=reason))
        _set_standing(RELEASED, {"shard": shard})
    return shard


def _fact(action: str, actor: Actor, source: Source, details: Mapping[str, object], *, reason: str = "") -> Fact:
    return Fact(
        phase="event", action=action, outcome="success", actor=actor, source=source, details=details, reason=reason
    )


def _rollback_in(payload: str) -> list[dict[str, Any]]:
    try:
        return list(json.loads(payload)["details"]["rollback"])
    except (ValueError, KeyError, TypeError):
        return []  # altered: it accepts nothing


def _why(checkpoint: Checkpoint, head: Head | None) -> str:
    if head is None or head.size < checkpoint.size:
        return "the database has fewer entries than were signed"
    try:
        root = Frontier.from_text(head.size, head.frontier).root()
        proof = consistency_proof(checkpoint.size, head.size, node=StoredNodes(head.shard))
    except (TreeDamaged, ValueError):
        return "the tree in the database is damaged"
    fits = is_consistent(checkpoint.size, head.size, first_root=checkpoint.root, second_root=root, proof=proof)
    return "" if fits else "the entries in the database are not the ones that were signed"


def _previous(heads: Mapping[int, Head]) -> dict[str, Any]:
    last = shards.newest(heads)
    if last is None:
        return {}
    try:
        return {"previous": how_it_ended(heads[last])}
    except HeadUnfit:
        return {"previous": {"shard": last, "size": heads[last].size, "is_damaged": True}}


def _set_standing(state: str, told: Mapping[str, Any]) -> None:
    row = Standing(state=state, told=json.dumps(told), since=datetime.now(UTC))
    writable(Standing).bulk_create([row])
