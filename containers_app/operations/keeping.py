"""Pin, hold and release backups: one conditional change each, with its ledger entry, or neither of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.errors import BackupDeleted, BackupHeld, Busy, InvalidRequest, PermissionDenied
from containers_app.models import Backup
from containers_app.models.backups import BackupState, held_at
from containers_app.operations.notes import check_notes
from containers_app.operations.registering import Author
from containers_app.workflows.set_record import subject_of, timestamp

PIN, HOLD, SCOPE = "containers_app.pin_backup", "containers_app.hold_backup", "keep"


def pin(backup: Backup, by: Author) -> Backup:
    """Keep it until the pin is taken out. Raises PermissionDenied, BackupDeleted, Busy or AuditUnavailable."""
    _permit(backup, by, PIN, "backup.pinned")
    return backup if backup.pinned else _change(backup, by, "backup.pinned", Q(pinned=False), pinned=True)


def unpin(backup: Backup, by: Author) -> Backup:
    """Take the pin out. Raises as `pin`."""
    _permit(backup, by, PIN, "backup.unpinned")
    return _change(backup, by, "backup.unpinned", Q(pinned=True), pinned=False) if backup.pinned else backup


def hold(backup: Backup, by: Author, *, until: datetime | None = None) -> Backup:
    """Put a legal hold on it, for the author's reason, until a moment or until it is released.

    Raises as `pin`, InvalidRequest without a reason or for a moment that is over, and BackupHeld when it is held.
    """
    _permit(backup, by, HOLD, "backup.held")
    if not by.reason:
        raise InvalidRequest("'reason' is required: it says why the backup must not be deleted", field="reason")
    if until is not None and until <= timezone.now():
        raise InvalidRequest("'until' must be in the future", field="until")
    if backup.is_held:
        raise BackupHeld(f"{backup.file_name} is held by {backup.hold_owner} already: release that hold first")
    values = {"hold_reason": by.reason, "hold_owner": by.asker.label, "hold_until": until}
    return _change(backup, by, "backup.held", ~held_at(timezone.now()), **values)


def release(backup: Backup, by: Author) -> Backup:
    """Take the hold off, be it over or not. Raises as `pin`."""
    _permit(backup, by, HOLD, "backup.released")
    if not backup.hold_reason:
        return backup
    same = Q(hold_reason=backup.hold_reason, hold_owner=backup.hold_owner, hold_until=backup.hold_until)
    return _change(backup, by, "backup.released", same, hold_reason="", hold_owner="", hold_until=None)


def _permit(backup: Backup, by: Author, permission: str, verb: str) -> None:
    if not by.asker.may(permission, SCOPE):
        raise PermissionDenied(f"you may not do this: it needs the permission '{permission}' (key scope '{SCOPE}')")
    check_notes(verb, reason=by.reason, ticket=by.ticket)
    if backup.state == BackupState.DELETED:
        raise BackupDeleted(f"{backup.file_name} was deleted")


def _change(backup: Backup, by: Author, action: str, expected: Q, **values: Any) -> Backup:
    before = _kept(backup)
    with transaction.atomic():
        rows = Backup.objects.filter(expected, pk=backup.pk).exclude(state=BackupState.DELETED)
        if not rows.update(**values):
            raise Busy(f"{backup.file_name} was changed by somebody else meanwhile: look at it again")
        changed = Backup.objects.select_related("host", "operation", "container").get(pk=backup.pk)
        ledger.event(
            action=action,
            subject=subject_of(backup),
            details={"before": before, "after": _kept(changed)},
            **by.told(),
        )
    return changed


def _kept(backup: Backup) -> dict[str, Any]:
    """What the ledger has of it; why it is held is the entry's reason."""
    until = timestamp(backup.hold_until) if backup.hold_until else None
    return {"pinned": backup.pinned, "held": backup.is_held, "hold_owner": backup.hold_owner, "hold_until": until}
