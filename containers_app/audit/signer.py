"""The signer: it compares the ledger with what it signed last, signs what grew, and stops the ledger when they part."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from containers_app.audit import losses, shards
from containers_app.audit.appending import answering, appending, writable
from containers_app.audit.flushing import flush
from containers_app.audit.ledger import event
from containers_app.audit.losses import Loss
from containers_app.audit.merkle import Frontier
from containers_app.audit.models import Entry, Head, SignedCheckpoint
from containers_app.audit.notes import Checkpoint, SigningKey, new_key, sign
from containers_app.audit.record import Actor, Source
from containers_app.audit.router import ALIAS
from containers_app.audit.signer_folder import Signed, SignerFolder, SignerUnfit

ROTATION = "audit.rotate_key"


class Signer:
    """Signs checkpoints of `<name>/audit/<shard>`; without growth one every `heartbeat_seconds`.

    Whoever makes one holds the folder. Each checkpoint is durable in the folder before it is published.
    """

    def __init__(self, folder: SignerFolder, *, name: str, heartbeat_seconds: float) -> None:
        self._folder = folder
        self._name = name
        self._heartbeat_seconds = heartbeat_seconds
        self._maybe_unpublished = set(folder.signed)

    def look(self) -> list[Loss]:
        """Compare, and either sign what is due or halt the ledger; return the losses that nobody accepted.

        Raises `AuditUnavailable`; SignerUnfit and OSError when the folder cannot be used.
        """
        with answering():
            heads = _heads()
            found = self._losses(heads)
            if not found:
                self._publish_what_was_not()
                for head in sorted(heads.values(), key=lambda one: shards.rank(one.shard)):
                    self._sign_if_due(head, is_last=head.shard == shards.newest(heads))
            is_halted = losses.is_halted()
        if bool(found) != is_halted:
            self._change_standing()
        return found

    def _change_standing(self) -> None:
        """Halt the ledger, or let it go on when a folder or a database was brought back that has everything."""
        with appending():
            # Somebody may have accepted the loss in between.
            found = self._losses(_heads())
            if found:
                losses.halt(found)
            elif losses.is_halted():
                losses.release()

    def _losses(self, heads: Mapping[int, Head]) -> list[Loss]:
        found = []
        for shard, signed in self._known(heads).items():
            if signed.is_given_up:
                continue
            has_key = self._folder.key(shard) is not None
            loss = losses.loss_of(shard, signed, head=heads.get(shard), has_key=has_key)
            if loss is not None and losses.is_accepted(loss):
                self._folder.remember(shard, Signed(note=signed.note, signed_at=signed.signed_at, is_given_up=True))
            elif loss is not None:
                found.append(loss)
        return found

    def _known(self, heads: Mapping[int, Head]) -> dict[int, Signed]:
        """What the folder knows, and what was published of shards that it does not know: somebody emptied it."""
        known = self._folder.signed
        for shard in heads.keys() - known.keys():
            published = _published(shard)
            if published is not None:
                known[shard] = Signed(note=published.note, signed_at=published.signed_at.timestamp())
        return known

    def _sign_if_due(self, head: Head, *, is_last: bool) -> None:
        signed = self._folder.signed.get(head.shard)
        if signed is None:
            self._sign(head, [self._first_key(head.shard), *self._key_before(head.shard)])
            return
        key = self._folder.key(head.shard)
        if signed.is_given_up or key is None:
            return
        following = self._following_key(head)
        is_old = is_last and time.time() - signed.signed_at >= self._heartbeat_seconds
        if following is not None or is_old or head.size > signed.checkpoint.size:
            self._sign(head, [key] if following is None else [key, following])

    def _sign(self, head: Head, keys: list[SigningKey]) -> None:
        root = Frontier.from_text(head.size, head.frontier).root()
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
        older = [one for one in self._folder.signed if shards.rank(one) < shards.rank(shard)]
        last = shards.newest(older)
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
            if key is not None and (last is None or (last.note, last.signed_at) != (signed.note, signed.moment)):
                _publish(shard, signed, key)
            self._maybe_unpublished.discard(shard)


def rotate_key(folder: SignerFolder, *, actor: Actor, source: Source, reason: str) -> str:
    """Let a new key follow, and return its public text; the signer's next checkpoint has the signatures of both.

    Raises SignerUnfit when this folder signs nothing yet, `Unrecordable`, `AuditUnavailable`.
    """
    with answering():
        shard = shards.newest(_heads())
    old = None if shard is None else folder.key(shard)
    if shard is None or old is None:
        raise SignerUnfit("The signer's folder here has no key of the shard that is written to: see MYCO_SIGNER_DIR.")
    key = new_key(old.name)
    folder.propose(shard, key)
    vkeys = {"previous_vkey": old.verifier.text(), "vkey": key.verifier.text()}
    event(action=ROTATION, actor=actor, source=source, reason=reason, details={"origin": old.name, **vkeys})
    return key.verifier.text()


def _heads() -> dict[int, Head]:
    return {head.shard: head for head in Head.objects.using(ALIAS).all()}


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
