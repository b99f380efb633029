"""What the database lost or changed of what was signed: found, told to all who append, and accepted by a person."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
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
from containers_app.audit.closing import is_proven
from containers_app.audit.inspection import heads_now
from containers_app.audit.merkle import Frontier
from containers_app.audit.models import Entry, Head, Standing
from containers_app.audit.notes import Checkpoint, parse_checkpoint, split_note
from containers_app.audit.proofs import consistency_proof, is_consistent, root_of
from containers_app.audit.record import Actor, Fact, Source
from containers_app.audit.router import ALIAS
from containers_app.audit.signer_folder import Signed
from containers_app.audit.tree import StoredNodes, TreeDamaged

__all__ = [
    "KEY_LOST",
    "Loss",
    "accept",
    "added_to",
    "halt",
    "is_halted",
    "is_told",
    "loss_of",
    "losses_told",
    "release",
    "told_loss",
    "unfit_head",
]

ACTION: Final = "audit.accept_rollback"
RELEASED: Final = "released"
KEY_LOST: Final = "the signer does not have its key any more"
HEAD_UNFIT: Final = "its head is not that of its entries, so it takes none"
SIGNER: Final = Actor(type="system", label="signer")
INSIDE: Final = Source(channel="engine")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A shard that does not fit its signed checkpoint, of `size` and `root` (hex); `left`: how many there are."""

    shard: int
    size: int
    root: str
    left: int
    why: str
    checkpoint: tuple[str, ...]


def loss_of(shard: int, signed: Signed, *, head: Head | None) -> Loss | None:
    """Compare the stored tree of a shard with what was signed of it. Raises django.db.Error."""
    why = _why(signed.checkpoint, head)
    return told_loss(shard, signed.note, left=head.size if head else 0, why=why) if why else None


def added_to(head: Head, signed: Signed | None, *, why: str) -> Loss:
    """What has to be said of a closed shard that is not as it was closed, whether it was signed or not."""
    if signed is not None:
        return told_loss(head.shard, signed.note, left=head.size, why=why)
    return Loss(shard=head.shard, size=0, root="", left=head.size, why=why, checkpoint=())


def told_loss(shard: int, note: str, *, left: int, why: str) -> Loss:
    """What has to be said of a shard whose last checkpoint is `note`."""
    checkpoint = parse_checkpoint(split_note(note)[0])
    return Loss(
        shard=shard,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        left=left,
        why=why,
        checkpoint=tuple(note.splitlines()),
    )


def is_told(loss: Loss, heads: Mapping[int, Head]) -> bool:
    """Whether a later shard of `heads` begins with an entry that accepts exactly this, and its tree proves that entry.

    Whoever may write rows can write such an entry too: it counts only where the signer's folder has the acceptance.
    Raises django.db.Error.
    """
    later = [shard for shard in heads if shards.rank(shard) > shards.rank(loss.shard)]
    openings = Entry.objects.using(ALIAS).filter(leaf_index=0, shard__in=later)
    return any(_accepts(one.payload, loss) and is_proven(one, heads[one.shard]) for one in openings)


def halt(losses: list[Loss]) -> None:
    """Let nobody append any more, within `appending`; nothing is written when it is so already."""
    if not is_halted() or losses_told() != losses:
        _set_standing(HALTED, {"losses": [asdict(loss) for loss in losses]})


def release() -> None:
    """Let entries in again, within `appending`, because everything that was missed is there again; an entry says so."""
    told = losses_told()
    _set_standing(RELEASED, {})
    append(_fact("audit.end_halt", SIGNER, INSIDE, {"missed": [asdict(loss) for loss in told]}))


def losses_told() -> list[Loss]:
    """Why the ledger is halted; nothing when it is not, or when that is not readable. Raises django.db.Error."""
    last = Standing.objects.using(ALIAS).order_by("-id").first()
    if last is None or last.state != HALTED:
        return []
    try:
        return [Loss(**{**one, "checkpoint": tuple(one["checkpoint"])}) for one in json.loads(last.told)["losses"]]
    except (ValueError, KeyError, TypeError):
        return []  # altered: the signer writes it anew


def accept(lost: Sequence[Loss], *, actor: Actor, source: Source, reason: str, ticket: str = "") -> int:
    """Go on in a new shard, which begins with what was lost, and return its number.

    The signer believes it only when its folder has the acceptance: see `signer.accept_rollback`. Raises
    `Unrecordable`, `AuditUnavailable`.
    """
    with appending():
        heads = heads_now()
        last = shards.newest([*heads, *(loss.shard for loss in lost)])
        shard = shards.successor(last or 0, year=datetime.now(UTC).year)
        unfit = {loss.shard for loss in lost if loss.why == HEAD_UNFIT}
        previous = _previous({number: head for number, head in heads.items() if number not in unfit})
        details = {**previous, "rollback": [asdict(loss) for loss in lost]}
        open_shard(shard, _fact(ACTION, actor, source, details, reason=reason, ticket=ticket))
        _set_standing(RELEASED, {"shard": shard})
    return shard


def _fact(
    action: str, actor: Actor, source: Source, details: Mapping[str, object], reason: str = "", *, ticket: str = ""
) -> Fact:
    return Fact(
        phase="event",
        action=action,
        outcome="success",
        actor=actor,
        source=source,
        details=details,
        reason=reason,
        ticket=ticket,
    )


def _accepts(payload: str, loss: Loss) -> bool:
    try:
        read = json.loads(payload)
        told = [(one["shard"], one["size"], one["root"]) for one in read["details"]["rollback"]]
    except (ValueError, KeyError, TypeError):
        return False  # another entry, or an altered one
    return read.get("action") == ACTION and (loss.shard, loss.size, loss.root) in told


def unfit_head(head: Head) -> Loss | None:
    """A shard of which nothing is signed yet and whose head is not that of its entries. Raises django.db.Error."""
    try:
        root = head.tree().root()
        if root_of(head.size, node=StoredNodes(head.shard, from_leaves=True)) == root:
            return None
    except (TreeDamaged, ValueError):
        pass
    nothing = Frontier().root().hex()
    return Loss(shard=head.shard, size=0, root=nothing, left=head.size, why=HEAD_UNFIT, checkpoint=())


def unfit_shards(accepted: Iterable[tuple[int, int, str]]) -> set[int]:
    """The shards among accepted losses (shard, size, root) that were no shards: see `unfit_head`."""
    nothing = Frontier().root().hex()
    return {shard for shard, size, root in accepted if (size, root) == (0, nothing)}


def _why(checkpoint: Checkpoint, head: Head | None) -> str:
    if head is None or head.size < checkpoint.size:
        return "the database has fewer entries than were signed"
    why = _parting(checkpoint, head, StoredNodes(head.shard))
    if why:
        # Stored subtrees are derived: a false one, which whoever may insert rows can write, is no loss.
        why = _parting(checkpoint, head, StoredNodes(head.shard, from_leaves=True))
        if not why:
            logger.error("shard %s: a stored subtree is false; its entries are those that were signed", head.shard)
    return why


def _parting(checkpoint: Checkpoint, head: Head, node: StoredNodes) -> str:
    try:
        root = head.tree().root()
        proof = consistency_proof(checkpoint.size, head.size, node=node)
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
