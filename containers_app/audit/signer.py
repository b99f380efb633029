"""The signer: it compares the ledger with what it signed last, signs what grew, and stops the ledger when they part."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Final

from containers_app.audit import closing, losses, shards
from containers_app.audit.appending import answering, appending, writable
from containers_app.audit.flushing import flush
from containers_app.audit.inspection import heads_now
from containers_app.audit.losses import Loss
from containers_app.audit.models import Entry, Head, SignedCheckpoint, Subtree
from containers_app.audit.notes import Checkpoint, SigningKey, new_key, sign
from containers_app.audit.router import ALIAS
from containers_app.audit.signer_folder import Signed, SignerFolder, SignerUnfit
from containers_app.audit.tree import TILE, TreeDamaged, missing_subtrees

ROTATION: Final = "audit.rotate_key"
logger = logging.getLogger(__name__)


class Signer:
    """Signs checkpoints of `<name>/audit/<shard>`; without growth one every `heartbeat_seconds`.

    Whoever makes one holds the folder. Each checkpoint is durable in the folder before it is published. What the folder
    knows is compared; what the database says of checkpoints is not believed.
    """

    def __init__(self, folder: SignerFolder, *, name: str, heartbeat_seconds: float) -> None:
        self._folder = folder
        self._name = name
        self._heartbeat_seconds = heartbeat_seconds
        self._maybe_unpublished = set(folder.signed)
        self._tiles_seen: dict[int, int] = {}

    def look(self) -> list[Loss]:
        """Compare, and either sign what is due or halt the ledger; return the losses that nobody accepted.

        Raises `AuditUnavailable`; SignerUnfit when the folder cannot be used or is not the one that signed before, in
        which case nothing is halted; OSError.
        """
        with answering():
            heads = heads_now()
            found, accepted = compared(self._folder, heads)
            is_halted = losses.is_halted()
            if not found and not is_halted:
                self._sign_all(heads, accepted)
            changes = losses.losses_told() != found or is_halted != bool(found)
        if changes:
            self._change_standing()
        if not found:
            with answering():
                _check_can_sign(self._folder, heads)
        return found

    def _change_standing(self) -> None:
        """Halt the ledger, or let it go on when a database was brought back that has everything."""
        with appending():
            # Somebody may have accepted the loss in between.
            found, _ = compared(self._folder, heads_now())
            if found:
                losses.halt(found)
            elif losses.is_halted():
                self._check_knows(losses.losses_told())
                losses.release()

    def _check_knows(self, told: list[Loss]) -> None:
        """A folder that never knew of what is missed cannot say that it is there again."""
        for loss in told:
            signed = self._folder.signed.get(loss.shard)
            if (0 if signed is None else signed.checkpoint.size) < loss.size:
                raise SignerUnfit(
                    f"The ledger is halted: {loss.size} entries of shard {loss.shard} are missed, and the folder of the"
                    " signer knows less: let MYCO_SIGNER_DIR name the folder that knows them, or bring that back."
                )

    def _sign_all(self, heads: Mapping[int, Head], accepted: list[Loss]) -> None:
        """Sign the shards that continue; only then give up those whose loss the newest one has told, and was signed."""
        given_up = {loss.shard for loss in accepted}
        newest = shards.newest(self._folder.signed)
        if newest is not None:
            # Also what was published is looked at again: a row that somebody put after it must not stand for it.
            self._maybe_unpublished.add(newest)
        # What is lost is told by the new shard's first entry; published, it would be the newest of its shard.
        self._maybe_unpublished -= given_up
        self._publish_what_was_not()
        for head in sorted(heads.values(), key=lambda one: shards.rank(one.shard)):
            if head.shard not in given_up:
                self._store_missing_subtrees(head)
                self._sign_if_due(head, is_last=head.shard == shards.newest(heads))
        if shards.newest(heads) not in self._folder.signed:
            return
        for shard in given_up & self._folder.signed.keys():
            signed = self._folder.signed[shard]
            self._folder.remember(shard, Signed(note=signed.note, signed_at=signed.signed_at, is_given_up=True))

    def _sign_if_due(self, head: Head, *, is_last: bool) -> None:
        signed = self._folder.signed.get(head.shard)
        if signed is None:
            if _may_begin(self._folder, head.shard):
                self._sign(head, [self._first_key(head.shard), *self._key_before(head.shard)])
            return
        key = self._folder.key(head.shard)
        if signed.is_given_up or key is None:
            return
        following = self._following_key(head)
        is_old = is_last and time.time() - signed.signed_at >= self._heartbeat_seconds
        if following is not None or is_old or head.size > signed.checkpoint.size:
            self._sign(head, [key] if following is None else [key, following])

    def _store_missing_subtrees(self, head: Head) -> None:
        """Fill in what an older version, still running during an upgrade, does not store as it records."""
        tiles = head.size // TILE
        if self._tiles_seen.get(head.shard) == tiles:
            return
        try:
            if missing_subtrees(head.shard, head.size):
                with appending():
                    writable(Subtree).bulk_create(missing_subtrees(head.shard, head.size))
        except TreeDamaged as damage:
            logger.warning("subtrees that are missing cannot be computed: %s", damage)
        self._tiles_seen[head.shard] = tiles

    def _sign(self, head: Head, keys: list[SigningKey]) -> None:
        root = _root_of(head)
        # What was seen may not be on the disk yet: what is signed must outlive a power cut.
        flush()
        checkpoint = Checkpoint(f"{self._name}/audit/{head.shard}", head.size, root)
        before = self._folder.signed.get(head.shard)
        if before is not None:
            checkpoint = Checkpoint(before.checkpoint.origin, head.size, root)
        self._folder.remember(head.shard, Signed(note=sign(checkpoint, *keys), signed_at=time.time()))
        self._maybe_unpublished.add(head.shard)
        if before is not None and len(keys) > 1:
            self._folder.change_key(head.shard)
        self._publish_what_was_not()

    def _first_key(self, shard: int) -> SigningKey:
        """A key that a start before has made and signed nothing with, or a new one."""
        key = self._folder.key(shard)
        if key is None:
            key = new_key(f"{self._name}/audit/{shard}")
            self._folder.add_key(shard, key)
        return key

    def _key_before(self, shard: int) -> list[SigningKey]:
        """The key of the shard before: it vouches for the first checkpoint of this one."""
        last = shards.newest(self._folder.signed)
        key = None if last is None else self._folder.key(last)
        return [] if key is None else [key]

    def _following_key(self, head: Head) -> SigningKey | None:
        """The proposed key, once the ledger has the entry that names it."""
        key = self._folder.next_key(head.shard)
        if key is None:
            return None
        told = Entry.objects.using(ALIAS).filter(shard=head.shard, action=ROTATION, leaf_index__lt=head.size)
        last = told.order_by("-leaf_index").values_list("payload", flat=True).first()
        is_told = last is not None and json.loads(last)["details"].get("vkey") == key.verifier.text()
        return key if is_told else None

    def _publish_what_was_not(self) -> None:
        for shard in sorted(self._maybe_unpublished):
            signed, key = self._folder.signed[shard], self._folder.key(shard)
            last = _published(shard)
            # The note of a heartbeat is the one before, letter by letter: its time tells them apart.
            is_there = last is not None and (last.note, last.signed_at) == (signed.note, signed.moment)
            if not is_there and last is not None and last.signed_at > signed.moment:
                logger.error("shard %s: another one than this signer wrote a row of a checkpoint: %s", shard, last)
            if key is not None and not signed.is_given_up and not is_there:
                _publish(shard, signed, key)
            self._maybe_unpublished.discard(shard)


def compared(folder: SignerFolder, heads: Mapping[int, Head]) -> tuple[list[Loss], list[Loss]]:
    """What the database lost of what the folder knows, or added to a closed shard: not accepted, and accepted.

    Accepted is what the folder says was accepted, and a later shard, proven by its own tree, begins with. Raises
    django.db.Error, SignerUnfit.
    """
    unfit = {head.shard: loss for head in _unsigned(folder, heads) if (loss := losses.unfit_head(head)) is not None}
    aside = unfit.keys() | losses.unfit_shards(folder.accepted)
    if not folder.signed:  # who has signed nothing says of these that it cannot sign them
        aside |= {head.shard for head in heads.values() if not head.is_of_a_tree}
    # What is no shard at all closes none before it.
    fit = {shard: head for shard, head in heads.items() if shard not in aside}
    endings = closing.endings_proven(fit)
    found = [loss for loss in unfit.values() if not is_accepted(folder, loss, heads)]
    accepted = [loss for loss in unfit.values() if loss not in found]
    for shard in sorted({*folder.signed, *fit}, key=shards.rank):
        signed, head = folder.signed.get(shard), heads.get(shard)
        if signed is not None and signed.is_given_up:
            continue
        loss = None if signed is None else losses.loss_of(shard, signed, head=head)
        if loss is None and head is not None:
            why = closing.why_not_closed(head, fit, endings)
            loss = losses.added_to(head, signed, why=why) if why else None
        if loss is not None:
            (accepted if is_accepted(folder, loss, heads) else found).append(loss)
    return found, accepted


def _unsigned(folder: SignerFolder, heads: Mapping[int, Head]) -> list[Head]:
    """The heads after all that this folder signed; none for a folder that never signed, which may be the wrong one."""
    last = shards.newest(folder.signed)
    return [head for head in heads.values() if last is not None and shards.rank(head.shard) > shards.rank(last)]


def is_accepted(folder: SignerFolder, loss: Loss, heads: Mapping[int, Head]) -> bool:
    """Whether a person accepted this loss, here and in the ledger. Raises django.db.Error, SignerUnfit."""
    return (loss.shard, loss.size, loss.root) in folder.accepted and losses.is_told(loss, heads)


def lost_key(folder: SignerFolder, heads: Mapping[int, Head]) -> Loss | None:
    """A shard that goes on, of which the folder does not have what it is signed with. Raises django.db.Error."""
    newest = shards.newest(heads)
    signed = None if newest is None else folder.signed.get(newest)
    if newest is not None and signed is not None:
        has_key = signed.is_given_up or folder.key(newest) is not None
        return None if has_key else _without_key(newest, signed.note, heads)
    last = _stranger(folder)
    return None if last is None else _without_key(last.shard, last.note, heads)


def _without_key(shard: int, note: str, heads: Mapping[int, Head]) -> Loss:
    left = heads[shard].size if shard in heads else 0
    return losses.told_loss(shard, note, left=left, why=losses.KEY_LOST)


def _check_can_sign(folder: SignerFolder, heads: Mapping[int, Head]) -> None:
    loss = lost_key(folder, heads)
    if loss is not None and not is_accepted(folder, loss, heads):
        raise SignerUnfit(
            f"The signer's folder has no key for shard {loss.shard}, which was signed before: let MYCO_SIGNER_DIR name"
            " the folder that has it, or bring that back. If it is lost for good: 'manage.py ledger accept-rollback'."
        )


def _may_begin(folder: SignerFolder, shard: int) -> bool:
    """Whether this folder may sign a shard that it does not know: a later one than all, after one that it signed."""
    last = shards.newest(folder.signed)
    is_later = last is None or shards.rank(shard) > shards.rank(last)
    return is_later and _published(shard) is None and _stranger(folder) is None


def _stranger(folder: SignerFolder) -> SignedCheckpoint | None:
    """The checkpoint of the newest signed shard, when this folder neither signed it nor accepted that its key is lost.

    Then it is a wrong or an emptied folder.
    """
    published = SignedCheckpoint.objects.using(ALIAS).order_by().values_list("shard", flat=True).distinct()
    newest = shards.newest(published)
    if newest is None or newest in folder.signed or newest in {shard for shard, _, _ in folder.accepted}:
        return None
    return _published(newest)


def _root_of(head: Head) -> bytes:
    try:
        return head.tree().root()
    except ValueError as error:
        raise SignerUnfit(
            f"The head of shard {head.shard} is no head of a tree: nothing is signed after it."
        ) from error


def _published(shard: int) -> SignedCheckpoint | None:
    found: SignedCheckpoint | None = SignedCheckpoint.objects.using(ALIAS).filter(shard=shard).order_by("-id").first()
    return found


def _publish(shard: int, signed: Signed, key: SigningKey) -> None:
    checkpoint = signed.checkpoint
    row = SignedCheckpoint(
        shard=shard,
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        vkey=key.verifier.text(),
        note=signed.note,
        signed_at=signed.moment,
    )
    writable(SignedCheckpoint).bulk_create([row])
