"""Brings the newest checkpoints to places that whoever may rewrite the database cannot rewrite too."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from containers_app.audit.anchors import Anchor, AnchorFailed, anchors
from containers_app.audit.appending import answering, writable
from containers_app.audit.models import Anchoring, SignedCheckpoint
from containers_app.audit.published import newest_checkpoints
from containers_app.audit.router import ALIAS
from containers_app.conf import Conf

_LONGEST_ERROR: Final = 255
logger = logging.getLogger(__name__)


def anchor_newest(conf: Conf) -> list[Anchoring]:
    """Bring the last checkpoint of each shard to each anchor that does not have it, and record each attempt.

    One that fails holds up no other, and is tried again the next time. Raises `AuditUnavailable`.
    """
    attempts = []
    for anchor in anchors(conf):
        with answering():
            due = [row for row in newest_checkpoints() if not _has(anchor, row)]
        for row in due:
            attempts.append(_attempt(anchor, row))
    return attempts


def last_done(anchor: Anchor, shard: int) -> Anchoring | None:
    """The last time that a checkpoint of the shard reached the anchor. Raises django.db.Error."""
    done = Anchoring.objects.using(ALIAS).filter(kind=anchor.kind, target=anchor.target, shard=shard, is_done=True)
    found: Anchoring | None = done.order_by("-id").first()
    return found


def _has(anchor: Anchor, row: SignedCheckpoint) -> bool:
    last = last_done(anchor, row.shard)
    return last is not None and last.at >= row.signed_at


def _attempt(anchor: Anchor, row: SignedCheckpoint) -> Anchoring:
    receipt, error = "", ""
    try:
        with answering():
            last = last_done(anchor, row.shard)
        receipt = anchor.bring(row, 0 if last is None else last.size)
    except AnchorFailed as failure:
        error = failure.message[:_LONGEST_ERROR]
        logger.warning("the anchor %s at %s failed: %s", anchor.kind, anchor.target, error)
    attempt = Anchoring(
        at=datetime.now(UTC),
        kind=anchor.kind,
        target=anchor.target,
        shard=row.shard,
        size=row.size,
        root=row.root,
        is_done=not error,
        error=error,
        receipt=receipt,
    )
    with answering():
        writable(Anchoring).bulk_create([attempt])
    return attempt
