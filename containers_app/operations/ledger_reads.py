"""Who looks at the ledger is in the ledger: each list, entry, proof and checkpoint; floods of them are counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from containers_app.audit import denials
from containers_app.audit.appending import LedgerHalted
from containers_app.audit.ledger import Subject
from containers_app.operations.backup_contents import Reader

logger = logging.getLogger(__name__)
LIST, ENTRY, PROOF = "audit.view", "audit.view_entry", "audit.view_proof"
CHECKPOINT, GROWTH = "audit.view_checkpoint", "audit.view_consistency"


def record_look(reader: Reader, verb: str, *, of: str = "", chosen: Mapping[str, Any] | None = None) -> None:
    """Tell that one of these is about to be shown: `of` which place (`shard/index`), `chosen` by which filters.

    Raises AuditUnavailable: then it must not be. A halted ledger can still be read, for that is how it is mended; the
    looks are counted until it takes entries again.
    """
    look = denials.Denial(
        action=verb,
        code="",
        actor=reader.asker.identity,
        roles=reader.asker.roles,
        source=reader.source,
        subject=Subject(type="ledger", id=of),
        outcome="success",
        details={"filters": {name: str(value) for name, value in chosen.items()}} if chosen else {},
    )
    try:
        denials.record(look)
    except LedgerHalted:
        logger.warning("a look at the halted ledger is counted for a later entry")


def place_of(entry: Any) -> str:
    """How `of` names an entry."""
    return f"{entry.shard}/{entry.leaf_index}"
