"""The backups of a stack as somebody who wants all of them restored finds them."""

from __future__ import annotations

from containers_app.models import Backup
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import find, visible_to, why_not
from containers_app.workflows.set_reader import check_usable
from containers_app.workflows.stack_sets import related


def stack_backup(asker: Asker, backup_id: str) -> Backup:
    """The backup, where the asker may restore it and all that were made with it.

    Raises as `find` does, and BackupUnusable.
    """
    backup: Backup = find(asker, "backup", "restore", pk=backup_id)
    others = related(backup)
    if visible_to(asker, "backup", "restore").filter(pk__in=others).count() != others.count():
        raise why_not(asker, "backup", "restore")
    check_usable(backup)
    return backup
