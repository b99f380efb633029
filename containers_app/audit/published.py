"""What the signer published, for those who read: checkpoints, proofs, and how the ledger stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from containers_app.audit import losses, shards
from containers_app.audit.appending import HALTED, answering
from containers_app.audit.inspection import heads_now
from containers_app.audit.models import Anchoring, Entry, Head, SignedCheckpoint
from containers_app.audit.notes import NoteRefused, open_note, signer_of, tlog_proof
from containers_app.audit.proofs import consistency_proof, inclusion_proof, root_of
from containers_app.audit.router import ALIAS
from containers_app.audit.statements import standing_and_heads
from containers_app.audit.tree import StoredNodes, TreeDamaged
from containers_app.conf import load
from containers_app.errors import InvalidRequest, NotFound

OUTSIDE: Final = ("syslog", "email", "webhook", "witness", "s3")
_MOST_WITNESSES: Final = 8
_LOOKED_AT: Final = 64
# How late a checkpoint may be before it is called so.
_PATIENCE: Final = timedelta(seconds=60)
NOT_COVERED: Final = "No checkpoint covers this entry yet: ask again in a few seconds."
_NOT_SIGNED: Final = "No checkpoint is signed yet: is the signer running?"
State = Literal["empty", "signed", "unsigned", "late", "halted"]
# `none`: never, and not late either. `late`: see MYCO_ANCHOR_LATE_SECONDS.
OutsideState = Literal["none", "current", "late"]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A checkpoint: `root` in hex, `note` with the signatures of witnesses, `vkey` the key that signs its shard now."""

    shard: int
    origin: str
    size: int
    root: str
    note: str
    vkey: str
    signed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Anchored:
    """When a checkpoint of `size` entries of a shard reached another system."""

    at: datetime
    kind: str
    target: str
    shard: int
    size: int

    @property
    def age_seconds(self) -> float:
        """How long ago that was."""
        return (datetime.now(UTC) - self.at).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Growth:
    """That the tree with `second_root` begins with the one with `first_root`, as RFC 6962 proves it."""

    shard: int
    first_root: bytes
    second_root: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class Status:
    """How the ledger stands: the shard that is written to, its number of entries, its last checkpoint and anchor."""

    state: State
    shard: int | None
    size: int
    checkpoint: Published | None
    outside: Anchored | None
    outside_state: OutsideState
    why: str = ""


def status() -> Status:
    """Say how the ledger stands.

    `unsigned`: no checkpoint yet. `late`: entries wait longer than a minute for one, or the heartbeat stopped. Raises
    `AuditUnavailable`.
    """
    with answering():
        standing, heads = standing_and_heads()
        shard = shards.newest(heads)
        size = 0 if shard is None else heads[shard].size
        row = None if shard is None else _newest_within(shard, size)
        state: State = "halted" if standing == HALTED else _state(size, row)
        unfit = "" if shard is None else _unfit(heads[shard])
        outside = last_outside_anchor()
        return Status(
            state=state,
            shard=shard,
            size=size,
            checkpoint=None if row is None else _published(row, note=row.note),
            outside=outside,
            outside_state=outside_state(outside),
            why=_why(state) or unfit,
        )


def newest_checkpoint(shard: int) -> SignedCheckpoint | None:
    """The last checkpoint of a shard over entries that are there: after an accepted loss a larger one may remain.

    Raises django.db.Error.
    """
    size = Head.objects.using(ALIAS).filter(shard=shard).values_list("size", flat=True).first()
    return _newest_within(shard, size or 0)


def _newest_within(shard: int, size: int) -> SignedCheckpoint | None:
    """The widest of the last ones that hold: whoever may insert rows can copy an older one."""
    rows = SignedCheckpoint.objects.using(ALIAS).filter(shard=shard, size__lte=size)
    for row in sorted(rows.order_by("-id")[:_LOOKED_AT], key=lambda one: (one.size, one.pk), reverse=True):
        if _holds(row):
            return row
    return None


def _holds(row: SignedCheckpoint) -> bool:
    """Whether the columns are what the note says, and the key of the row signed it."""
    try:
        said = open_note(row.note, [row.vkey])
    except (NoteRefused, ValueError):
        return False
    return (said.origin, said.size, said.root.hex()) == (row.origin, row.size, row.root)


def _is_beyond(moment: datetime) -> bool:
    """Whether no clock can have written this: it must not keep anything current."""
    return moment > datetime.now(UTC) + _PATIENCE


def newest_checkpoints() -> list[SignedCheckpoint]:
    """The last checkpoint of each shard, in the order of the shards. Raises django.db.Error."""
    found = [_newest_within(head.shard, head.size) for head in heads_now().values()]
    return [one for one in found if one is not None]


def last_outside_anchor() -> Anchored | None:
    """The last checkpoint that reached another system, and when. Raises `AuditUnavailable`."""
    with answering():
        row = Anchoring.objects.using(ALIAS).filter(kind__in=OUTSIDE, is_done=True).order_by("-id").first()
    if row is None:
        return None
    return Anchored(at=row.at, kind=row.kind, target=row.target, shard=row.shard, size=row.size)


def outside_state(last: Anchored | None) -> OutsideState:
    """Whether it is too long ago that a checkpoint reached another system, or is said to be still to come.

    Before the first time it counts from the first checkpoint, where one is meant to. Raises `AuditUnavailable`.
    """
    conf = load()
    if last is not None:
        is_late = 0 < conf.anchor_late_seconds < last.age_seconds or _is_beyond(last.at)
        return "late" if is_late else "current"
    if not conf.has_outside_anchor:
        return "none"
    with answering():
        first = SignedCheckpoint.objects.using(ALIAS).order_by("id").values_list("signed_at", flat=True).first()
    waited = 0.0 if first is None else (datetime.now(UTC) - first).total_seconds()
    return "late" if 0 < conf.anchor_late_seconds < waited else "none"


def checkpoint(shard: int | None = None) -> Published:
    """The last checkpoint of a shard, or of the one that is written to. Raises NotFound, `AuditUnavailable`."""
    with answering():
        return _published(_checkpoint_of(shard))


def entry_proof(entry: Entry) -> str:
    """The `.tlog-proof` of an entry: its inclusion in the last checkpoint of its shard.

    Raises NotFound while no checkpoint covers it or where the stored tree is damaged, `AuditUnavailable`.
    """
    with answering():
        row = newest_checkpoint(entry.shard)
        if row is None:
            raise NotFound(_NOT_SIGNED)
        proof = way_to(row, entry)
        return tlog_proof(index=entry.leaf_index, proof=proof, note=_with_witnesses(row))


def way_to(row: SignedCheckpoint, entry: Entry) -> list[bytes]:
    """The hashes that lead from an entry to the root of a checkpoint of its shard.

    Raises NotFound where it does not cover the entry, or the stored tree is damaged; django.db.Error.
    """
    if entry.leaf_index >= row.size:
        raise NotFound(NOT_COVERED)
    try:
        return inclusion_proof(entry.leaf_index, row.size, node=StoredNodes(entry.shard))
    except TreeDamaged as damage:
        raise NotFound(f"There is no proof: {damage}.") from damage


def growth_proof(first: int, second: int, *, shard: int | None = None) -> Growth:
    """Show that the first `second` entries of a shard begin with the first `first` ones.

    Raises InvalidRequest for sizes that the shard does not have, NotFound for a damaged tree, `AuditUnavailable`.
    """
    with answering():
        head = _head_of(shard)
        if not 1 <= first <= second <= head.size:
            message = f"'from' and 'to' must be sizes from 1 to {head.size}, the smaller one first"
            raise InvalidRequest(message, field="from" if not 1 <= first <= head.size else "to")
        node = StoredNodes(head.shard)
        try:
            roots = root_of(first, node=node), root_of(second, node=node)
            hashes = tuple(consistency_proof(first, second, node=node))
        except TreeDamaged as damage:
            raise NotFound(f"There is no proof: {damage}.") from damage
    return Growth(shard=head.shard, first_root=roots[0], second_root=roots[1], hashes=hashes)


def _head_of(shard: int | None) -> Head:
    heads = heads_now()
    wanted = shards.newest(heads) if shard is None else shard
    if wanted not in heads:
        raise NotFound("The ledger has no entry yet." if shard is None else "The ledger has no such shard.")
    return heads[wanted]


def _checkpoint_of(shard: int | None) -> SignedCheckpoint:
    row = newest_checkpoint(_head_of(shard).shard)
    if row is None:
        raise NotFound(_NOT_SIGNED)
    return row


def _published(row: SignedCheckpoint, *, note: str = "") -> Published:
    """With the signatures of witnesses, which take a query, unless the note is given."""
    return Published(
        shard=row.shard,
        origin=row.origin,
        size=row.size,
        root=row.root,
        note=note or _with_witnesses(row),
        vkey=row.vkey,
        signed_at=row.signed_at,
    )


def _with_witnesses(row: SignedCheckpoint) -> str:
    """The note with the newest signature of each witness; each heartbeat brings another one, over the same text."""
    same = {"shard": row.shard, "size": row.size, "root": row.root}
    seen = Anchoring.objects.using(ALIAS).filter(kind="witness", is_done=True, **same).order_by("-id")
    lines: dict[tuple[str, bytes], str] = {}
    for line in "".join(seen.values_list("receipt", flat=True)[:_MOST_WITNESSES]).splitlines()[:_MOST_WITNESSES]:
        witness = signer_of(line)
        if witness is not None:
            lines.setdefault(witness, f"{line}\n")
    return row.note + "".join(lines.values())


def _unfit(head: Head) -> str:
    if head.is_of_a_tree:
        return ""
    return f"the head of shard {head.shard} is no head of a tree: no entry is taken, so nothing is run"


def _why(state: State) -> str:
    if state == "late":
        return "the signer does not run, or it cannot use its folder or its key: its log says which"
    told = losses.losses_told() if state == "halted" else []
    return "; ".join(f"shard {loss.shard}: {loss.why}" for loss in told)


def _state(size: int, checkpoint: SignedCheckpoint | None) -> State:
    if size == 0:
        return "empty"
    if checkpoint is None:
        return "unsigned"
    now, heartbeat = datetime.now(UTC), timedelta(seconds=load().checkpoint_seconds)
    is_late = now - checkpoint.signed_at > heartbeat + _PATIENCE or _is_beyond(checkpoint.signed_at)
    if checkpoint.size < size and not is_late:
        # The entry says how long it waits: a row of a checkpoint can be dated by whoever wrote it.
        waiting = Entry.objects.using(ALIAS).filter(shard=checkpoint.shard, leaf_index=checkpoint.size)
        since = waiting.values_list("time", flat=True).first()
        is_late = since is not None and now - since > _PATIENCE
    return "late" if is_late else "signed"
