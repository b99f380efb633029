"""Who may hold the ledger, erase personal data from it, and prune it; all is done and recorded by the audit layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from containers_app.audit import erasure, holds, pruning
from containers_app.audit.erasure import BY, Found, Target
from containers_app.audit.holds import LegalHold
from containers_app.audit.pruned import BEGUN
from containers_app.audit.pruning import OldShard, Pruned
from containers_app.conf import load
from containers_app.errors import InvalidRequest, PermissionDenied
from containers_app.operations.authority import Asker
from containers_app.operations.notes import check_notes
from containers_app.operations.registering import Author
from containers_app.operations.visibility import SYSTEM
from containers_app.specs import fields

HOLD, ERASE, SCOPE = "containers_app.hold_ledger", "containers_app.erase_ledger", "retain"
_LONGEST_VALUE: Final = 1024


def read_target(body: Mapping[str, Any]) -> Target:
    """Whose data: exactly one of `actor`, `address` and `label`. Raises InvalidRequest that names the field."""
    given = [name for name in BY if body.get(name) is not None]
    if len(given) != 1:
        raise InvalidRequest(f"say whose data by exactly one of: {', '.join(BY)}", field=given[1] if given else BY[0])
    return Target(by=given[0], value=fields.required_text(body, given[0], longest=_LONGEST_VALUE))


def look(target: Target, asker: Asker) -> Found:
    """What an erasure would take away. Raises PermissionDenied, AuditUnavailable."""
    _permit(asker, ERASE)
    return erasure.find(target)


def erase(target: Target, by: Author) -> Found:
    """Take it away. Raises PermissionDenied, and what `erasure.erase` does."""
    _permit(by.asker, ERASE)
    return erasure.erase(target, **_noted(erasure.ACTION, by))


def place_hold(by: Author) -> LegalHold:
    """Let nothing be erased or pruned. Raises PermissionDenied, InvalidRequest without a reason, AuditUnavailable."""
    _permit(by.asker, HOLD)
    return holds.place(**_noted(holds.PLACED, by))


def release_hold(hold_id: str, by: Author) -> LegalHold:
    """Take one hold off. Raises PermissionDenied, NotFound, InvalidRequest, AuditUnavailable."""
    _permit(by.asker, HOLD)
    return holds.release(hold_id, **_noted(holds.RELEASED, by))


def all_holds(asker: Asker) -> list[LegalHold]:
    """All holds, for who reads the whole ledger or holds it. Raises PermissionDenied, AuditUnavailable."""
    if not asker.may(SYSTEM, "ledger"):
        _permit(asker, HOLD)
    return holds.holds()


def old_shards(asker: Asker) -> list[OldShard]:
    """What the policy lets go. Raises PermissionDenied, InvalidRequest without a policy, AuditUnavailable."""
    _permit(asker, ERASE)
    return pruning.old_shards(load().ledger_keep_years)


def prune(old: OldShard, by: Author, *, without_export: bool) -> Pruned:
    """Prune one of them. Raises PermissionDenied, and what `pruning.prune` does."""
    _permit(by.asker, ERASE)
    keep_years = load().ledger_keep_years
    return pruning.prune(old, pruning.By(**_noted(BEGUN, by)), keep_years=keep_years, without_export=without_export)


def _permit(asker: Asker, permission: str) -> None:
    if not asker.may(permission, SCOPE):
        raise PermissionDenied(f"you may not do this: it needs the permission '{permission}' (key scope '{SCOPE}')")


def _noted(verb: str, by: Author) -> dict[str, Any]:
    check_notes(verb, reason=by.reason, ticket=by.ticket)
    return by.told()
