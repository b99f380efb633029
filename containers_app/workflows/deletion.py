"""Delete a backup: refused while something keeps it, recorded before its first file goes, finished whatever dies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q

from containers_app.errors import BackupHeld, BackupPinned, Busy, InvalidRequest, LastGoodBackup, MycoError
from containers_app.models import Backup, Operation, State
from containers_app.models.backups import BackupState
from containers_app.workflows.context import Context, Done
from containers_app.workflows.set_record import take_backup
from containers_app.workflows.set_removal import has_image, removal_of, remove_set, require_no_image_backup
from containers_app.workflows.stack_sets import related

_WORTH = {BackupState.COMPLETE: 2, BackupState.PARTIAL: 1}


@dataclass(frozen=True, kw_only=True)
class DeleteParams:
    """`backup`: its id. `name`: its file's name. `confirm`: the same, typed. `confirm_last`: also the last good one."""

    backup: str
    name: str
    confirm: str
    confirm_last: bool = False


def delete_backup(context: Context, params: DeleteParams) -> Done:
    """Remove the set's files, its manifest first; its record stays. What other sets need stays too.

    Where a backup with an image began meanwhile, the files go after it, and the record is over before.
    Raises InvalidRequest for another name, BackupPinned, BackupHeld, LastGoodBackup and Busy before anything is done.
    After a StorageError the record says deleted, and the reconciler removes what is left.
    """
    row = take_backup(context, params.backup)
    if params.confirm != row.file_name:
        raise InvalidRequest(f"'confirm' must be the backup's file name, exactly: {row.file_name}", field="confirm")
    context.stage("delete the backup")
    step = removal_of(context.store, row)
    before = row.state
    with transaction.atomic():
        _require_unused(context, row)
        _record(row, confirm_last=params.confirm_last)
        context.remember_undo(step)
    # From here on it is finished, by this worker or by the reconciler: nothing asks any more whether to stop.
    try:
        return Done(result=_result(row, before, remove_set(step, context.store)))
    except Busy as error:
        context.warn("FILES_GO_LATER", f"{error.message}. The backup is deleted, its files go as soon as that is over.")
    return Done(result=_result(row, before, ()), settling=(step,))


def _require_unused(context: Context, row: Backup) -> None:
    """Raise Busy while something else works with the backup, such as a restore, also of all of its stack."""
    others = [str(pk) for pk in related(row).values_list("pk", flat=True)]
    of_a_stack = Q(params__backup__in=others) & (Q(kind="stackRestore") | Q(params__stack=True))
    users = Operation.objects.filter(Q(params__backup=str(row.pk)) | of_a_stack, state=State.RUNNING)
    user = users.exclude(pk=context.facts.operation_id).order_by("pk").first()
    if user:
        raise Busy(f"the operation {user.pk} ({user.kind}) works with {row.file_name}: wait for it, or cancel it")


def _record(row: Backup, *, confirm_last: bool) -> None:
    """Mark it as deleted, judged by what is true now; the container's sets are locked, so that one good one stays."""
    sets = Backup.objects.filter(host_id=row.host_id, container_engine_id=row.container_engine_id)
    siblings = {one.pk: one for one in sets.select_for_update(of=("self",)).select_related("container", "host")}
    refusal = why_kept(siblings[row.pk], siblings.values(), confirm_last=confirm_last)
    if refusal:
        raise refusal
    if has_image(row):
        require_no_image_backup()
    if not Backup.objects.filter(pk=row.pk, state=row.state).update(state=BackupState.DELETED):
        raise Busy(f"the state of {row.file_name} was changed a moment ago: look at it again")


def why_kept(row: Backup, sets: Iterable[Backup], *, confirm_last: bool = False) -> MycoError | None:
    """What forbids to delete it now, given all sets of its container; None if nothing does."""
    if row.is_held:
        until = f"until {row.hold_until:%Y-%m-%d %H:%M} UTC" if row.hold_until else "until it is released"
        return BackupHeld(f"{row.file_name} is held by {row.hold_owner} {until}: {row.hold_reason}")
    if row.pinned:
        return BackupPinned(f"{row.file_name} is pinned: take the pin out first")
    worth = _worth(row)
    if not worth or any(_worth(other) >= worth for other in sets if other.pk != row.pk):
        return None
    words = f"{row.file_name} is the last backup of {row.container_name} that is as good"
    if not is_gone(row):
        return LastGoodBackup(f"{words}: make another one first")
    return None if confirm_last else LastGoodBackup(f"{words}, and the container is gone: send 'confirmLast': true")


def is_gone(row: Backup) -> bool:
    """Whether no other backup of its container can be made: it was removed or is not known, or its host is disabled."""
    return row.container is None or row.container.removed_at is not None or not row.host.enabled


def _worth(row: Backup) -> int:
    return _WORTH.get(BackupState(row.state), 0)


def _result(row: Backup, before: str, kept: tuple[str, ...]) -> dict[str, Any]:
    return {
        "success": True,
        "message": "The backup is deleted",
        "action": "deleteBackup",
        "backupFile": row.file_name,
        "backupPath": row.path,
        "backupId": str(row.pk),
        "stateBefore": before,
        "stateAfter": str(BackupState.DELETED),
        "keptFiles": list(kept),
    }
