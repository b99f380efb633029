"""Verify the audit ledger: every entry, column, tree and checkpoint recomputed. No Engine is asked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from containers_app.audit.appending import answering
from containers_app.audit.verifying import Verification, Wanted, entries_in, verify
from containers_app.errors import LedgerTampered, LedgerUnverified
from containers_app.workflows.context import Context, Done

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LedgerVerifyParams:
    """As `audit.verifying.Wanted` has them; without a shard it is all of them."""

    shard: int | None = None
    quick: bool = False
    vkeys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "vkeys", tuple(self.vkeys))

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        return "ledger" if self.shard is None else f"shard {self.shard}"

    def wanted(self) -> Wanted:
        """The same; a worker starts no processes of its own."""
        return Wanted(shard=self.shard, quick=self.quick, vkeys=self.vkeys)


def verify_ledger(context: Context, params: LedgerVerifyParams) -> Done:
    """Recompute it; a ledger that verifies is a success.

    Raises LedgerTampered or LedgerUnverified with the finding, Cancelled between two pieces, AuditUnavailable.
    """
    wanted = params.wanted()
    context.stage("recompute every entry")
    found = verify(wanted, watch=_Progress(context, wanted))
    context.stage("judge what was found")
    result = _result(found)
    if found.verdict == "tampered":
        logger.error("the ledger is TAMPERED: %s", found.problems[0], extra={"operation": context.facts.operation_id})
        raise LedgerTampered(result["message"], finding=result)
    if found.verdict == "cannot verify":
        raise LedgerUnverified(result["message"], finding=result)
    return Done(result=result)


class _Progress:
    """Tells how far it is: bytes of payload, of which there are as many as the average entry so far says."""

    def __init__(self, context: Context, wanted: Wanted) -> None:
        self._context = context
        with answering():
            self._entries = entries_in(wanted.shards())
        self._done, self._bytes = 0, 0

    def __call__(self, entries: int, size_bytes: int) -> None:
        self._context.checkpoint()
        self._done += entries
        self._bytes += size_bytes
        if self._done:
            total = self._bytes * max(self._entries, self._done) // self._done
            self._context.progress(self._bytes, bytes_total=total)


def _result(found: Verification) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "success": verdict == "verified",
        "message": _message(found),
        "action": "ledgerVerify",
        **found.told(),
    }


def _message(found: Verification) -> str:
    """The verdict, in words."""
    if not found.checks:
        return "CANNOT VERIFY: the ledger has no such entries"
    if found.problems:
        more = f", and {len(found.problems) - 1} more" if len(found.problems) > 1 else ""
        return f"TAMPERED: {found.problems[0]}{more}; keep the database as it is, and call who is in charge of it"
    if found.unknown:
        return f"CANNOT VERIFY: {found.unknown} checkpoints are signed by none of your keys: give the earlier ones too"
    return f"VERIFIED: {found.size} entries are as they were recorded and signed"
