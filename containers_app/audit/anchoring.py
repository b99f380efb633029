"""Brings the newest checkpoints to places that whoever may rewrite the database cannot rewrite too."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

from containers_app.audit.anchored import AnchorFailed, Brought
from containers_app.audit.anchors import Anchor, anchors
from containers_app.audit.appending import answering, writable
from containers_app.audit.models import Anchoring
from containers_app.audit.router import ALIAS
from containers_app.audit.signer_folder import Anchored, SignerFolder
from containers_app.conf import Conf
from containers_app.errors import AuditUnavailable

LONGEST_PAUSE_SECONDS: Final = 3600.0
_LONGEST_ERROR: Final = 255
_TOLERANCE_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


class Carrier:
    """Brings what the signer's folder says was signed, and knows by that folder what arrived.

    The database is only told of it: rows that somebody wrote hold no checkpoint back, and send none. Whoever makes one
    holds the folder.
    """

    def __init__(self, folder: SignerFolder, conf: Conf) -> None:
        self._folder = folder
        self._conf = conf
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._doubted = 0

    def carry(self) -> list[Anchoring]:
        """Bring the last checkpoint of each shard to each anchor that does not have it, and record each attempt.

        One that fails holds up no other, and is tried again after a pause that grows to an hour. Raises OSError when
        the folder takes nothing.
        """
        attempts = []
        is_doubted = self._has_false_row()
        for anchor in anchors(self._conf):
            for shard, signed in self._folder.signed.items():
                is_due = not signed.is_given_up and (is_doubted or self._is_behind(anchor, shard, signed.signed_at))
                if is_due and time.monotonic() >= self._not_before.get(anchor.name, 0.0):
                    attempts.append(self._attempt(anchor, Brought.of(shard, signed), signed.signed_at))
        return attempts

    def _has_false_row(self) -> bool:
        """Whether the newest row says of an arrival what the folder does not know; said once, and brought again once.

        Readers believe the newest row: after this it is a true one.
        """
        row = _newest_arrival()
        if row is None or row.pk == self._doubted or self._is_known(row):
            return False
        self._doubted = row.pk
        logger.error("another one than this signer wrote that a checkpoint reached %s %s", row.kind, row.target)
        return True

    def _is_known(self, row: Anchoring) -> bool:
        last = self._folder.anchored(f"{row.kind} {row.target}", row.shard)
        if last is None or row.size > last.size:
            return False
        return not last.at or row.at.timestamp() <= last.at + _TOLERANCE_SECONDS

    def _is_behind(self, anchor: Anchor, shard: int, signed_at: float) -> bool:
        last = self._folder.anchored(anchor.name, shard)
        return last is None or last.signed_at < signed_at

    def _attempt(self, anchor: Anchor, brought: Brought, signed_at: float) -> Anchoring:
        last = self._folder.anchored(anchor.name, brought.shard)
        receipt, error = _bring(anchor, brought, 0 if last is None else last.size)
        now = datetime.now(UTC)
        if not error:
            arrived = Anchored(size=brought.size, signed_at=signed_at, at=now.timestamp())
            self._folder.remember_anchored(anchor.name, brought.shard, arrived)
        self._count(anchor, is_failure=bool(error))
        attempt = Anchoring(
            at=now,
            kind=anchor.kind,
            target=anchor.target,
            shard=brought.shard,
            size=brought.size,
            root=brought.root,
            is_done=not error,
            error=error,
            receipt=receipt,
        )
        _record(attempt)
        return attempt

    def _count(self, anchor: Anchor, *, is_failure: bool) -> None:
        failures = self._failures[anchor.name] = self._failures.get(anchor.name, 0) + 1 if is_failure else 0
        pause = min(self._conf.anchor_seconds * 2.0 ** min(failures, 32) / 2, LONGEST_PAUSE_SECONDS)
        self._not_before[anchor.name] = time.monotonic() + pause if is_failure else 0.0


def _bring(anchor: Anchor, brought: Brought, old_size: int) -> tuple[str, str]:
    """What came back, and why it failed: one of them is empty, or both."""
    try:
        return anchor.bring(brought, old_size), ""
    except AnchorFailed as failure:
        error = failure.message[:_LONGEST_ERROR]
    logger.warning("the anchor %s at %s failed: %s", anchor.kind, anchor.target, error)
    return "", error


def _newest_arrival() -> Anchoring | None:
    try:
        with answering():
            rows = Anchoring.objects.using(ALIAS).filter(is_done=True)
            found: Anchoring | None = rows.order_by("-id").first()
            return found
    except AuditUnavailable:
        return None


def _record(attempt: Anchoring) -> None:
    try:
        with answering():
            writable(Anchoring).bulk_create([attempt])
    except AuditUnavailable:
        logger.warning("the ledger does not answer; an anchor's answer is not recorded")
