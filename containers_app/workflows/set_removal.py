"""Removes the files of a set that the record says is deleted: by the worker, or by the reconciler after it died."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containers_app.archives.stores.local import LocalStore, Location
from containers_app.errors import Busy
from containers_app.models import Backup, Operation, State
from containers_app.models.backups import BackupState
from containers_app.workflows.set_record import location_of, sharing


def removal_of(store: LocalStore, row: Backup) -> dict[str, Any]:
    """The step that removes the files that stand there now, and no file that gets one of their names later.

    The manifest comes first, since without it nothing counts as a set, and the file with the set's name last, since it
    keeps a new backup from that name. Raises StorageError, and InvalidRequest for a root of other settings.
    """
    location = location_of(store, row)
    own = [part.file_name for part in row.parts.all()]
    marks = [(name, store.mark(location.beside(name))) for name in (row.manifest_name, *reversed(own))]
    return {
        "action": "remove_set",
        "backup": str(row.pk),
        "root": location.root,
        "folders": list(location.folders),
        "files": [[name, mark] for name, mark in marks if mark],
    }


def remove_set(step: Mapping[str, Any], store: LocalStore) -> tuple[str, ...]:
    """Remove the files of a step; what is gone already is fine. Returns the names that other sets need, which stay.

    Does nothing for a set whose record says that it stays. Raises StorageError, and Busy while a backup runs that may
    count on a file of an image.
    """
    row = Backup.objects.prefetch_related("parts").filter(pk=step["backup"], state=BackupState.DELETED).first()
    if row is None:
        return ()
    folder = Location(root=step["root"], folders=tuple(step["folders"]), name=row.file_name)
    kept = []
    for name, mark in step["files"]:
        if name in _images(row):
            # Before the look at who shares it: whoever found it before the deletion is recorded by then.
            require_no_image_backup()
        if sharing(row, name):
            kept.append(name)
        else:
            store.remove_marked(folder.beside(name), mark)
    return tuple(kept)


def require_no_image_backup() -> None:
    """Raise Busy while a backup with an image runs: it may have looked for a file to share, and not be recorded yet."""
    running = Operation.objects.filter(kind="backup", state=State.RUNNING).values_list("params", flat=True)
    if any("image" in (params.get("contents") or ()) for params in running):
        raise Busy("a backup with an image runs, and may need this backup's image: wait for it")


def has_image(row: Backup) -> bool:
    """Whether one of its files may be needed by other sets."""
    return bool(_images(row))


def _images(row: Backup) -> set[str]:
    return {part.file_name for part in row.parts.all() if part.kind == "image"}
