"""What a person does to the signing, where the signer runs and as its account: accept a loss, change the key."""

from __future__ import annotations

from datetime import UTC, datetime

from containers_app.audit import losses, shards
from containers_app.audit.appending import answering, appending
from containers_app.audit.inspection import heads_now
from containers_app.audit.ledger import event
from containers_app.audit.losses import Loss
from containers_app.audit.notes import new_key
from containers_app.audit.record import Actor, Source
from containers_app.audit.signer import ROTATION, compared, is_accepted, lost_key
from containers_app.audit.signer_folder import SignerFolder, SignerUnfit
from containers_app.errors import InvalidRequest

_NEW_YEAR = (
    "A new year begins a new shard, which gets a key of its own: there is nothing to change before its first entry."
)


def what_is_lost(folder: SignerFolder) -> list[Loss]:
    """What can be accepted: what the folder misses in the database, what the ledger is halted for, or a lost key.

    Raises SignerUnfit, `AuditUnavailable`.
    """
    with answering():
        heads = heads_now()
        found, _ = compared(folder, heads)
        key = lost_key(folder, heads)
        keyless = [] if key is None or is_accepted(folder, key, heads) else [key]
        return found or losses.losses_told() or keyless


def accept_rollback(
    folder: SignerFolder, lost: list[Loss], *, actor: Actor, source: Source, reason: str, ticket: str = ""
) -> int:
    """Go on in a new shard without what is lost, which `what_is_lost` told, and return its number.

    The folder has the acceptance first: without it the signer believes no entry, for entries are rows, which whoever
    has the rights to can write. Without an entry it has no effect. Raises InvalidRequest when something else is lost
    now, or nothing; SignerUnfit, `Unrecordable`, `AuditUnavailable`.
    """
    with appending():
        if not lost or what_is_lost(folder) != lost:
            raise InvalidRequest("There is nothing to accept, or it has changed: look at it again.")
        folder.accept((loss.shard, loss.size, loss.root) for loss in lost)
        return losses.accept(lost, actor=actor, source=source, reason=reason, ticket=ticket)


def rotate_key(folder: SignerFolder, *, actor: Actor, source: Source, reason: str, ticket: str = "") -> str:
    """Let a new key follow, and return its public text; the signer's next checkpoint has the signatures of both.

    Raises SignerUnfit when this folder signs nothing yet, InvalidRequest when the next entry begins a shard,
    `Unrecordable`, `AuditUnavailable`.
    """
    with appending():
        shard = shards.newest(heads_now())
        old = None if shard is None or shard not in folder.signed else folder.key(shard)
        if shard is None or old is None:
            raise SignerUnfit(
                "The signer's folder here has no key of the shard that is written to: see MYCO_SIGNER_DIR."
            )
        if shards.year_of(shard) < datetime.now(UTC).year:
            raise InvalidRequest(_NEW_YEAR)
        key = new_key(old.name)
        folder.propose(shard, key)
        vkeys = {"previous_vkey": old.verifier.text(), "vkey": key.verifier.text()}
        event(
            action=ROTATION,
            actor=actor,
            source=source,
            reason=reason,
            ticket=ticket,
            details={"origin": old.name, **vkeys},
        )
        if shards.newest(heads_now()) != shard:  # midnight struck in between
            raise InvalidRequest(_NEW_YEAR)
    return key.verifier.text()
