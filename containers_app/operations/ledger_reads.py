"""Who looks at the ledger is in the ledger: each list, entry, proof and checkpoint; floods of them are counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from containers_app.audit import denials
from containers_app.audit.appending import LedgerHalted
from containers_app.audit.ledger import Subject
from containers_app.operations.backup_contents import Reader
from containers_app.operations.ledger_filters import told_filters

logger = logging.getLogger(__name__)
LIST, ENTRY, PROOF = "audit.view", "audit.view_entry", "audit.view_proof"
CHECKPOINT, GROWTH = "audit.view_checkpoint", "audit.view_consistency"


def record_look(
    reader: Reader, verb: str, *, of: str = "", chosen: Mapping[str, Any] | None = None, is_refused: bool = False
) -> None:
    """Tell that one of these is about to be shown: `of` which place (`shard/index`), `chosen` by which filters.

    What is free text in them is told as a keyed hash; of filters that were refused only the names are told.
    Raises AuditUnavailable: then it must not be. A halted ledger can still be read, for that is how it is mended; the
    looks are counted until it takes entries again. One that is only counted is named all the same.
    """
    look = denials.Denial(
        action=verb,
        code="",
        actor=reader.asker.identity,
        roles=reader.asker.roles,
        source=reader.source,
        subject=Subject(type="ledger", id=of),
        outcome="success",
        details=_told(chosen, is_refused=is_refused) if chosen else {},
    )
    look = replace(look, brief={"id": of} if of else look.details)
    try:
        denials.record(look, is_retried=True)  # what is not shown was no look
    except LedgerHalted:
        denials.control.count(look)
        logger.warning("a look at the halted ledger is counted for a later entry")


def _told(chosen: Mapping[str, Any], *, is_refused: bool) -> dict[str, Any]:
    return {"refused_filters": sorted(chosen)} if is_refused else {"filters": told_filters(chosen)}
