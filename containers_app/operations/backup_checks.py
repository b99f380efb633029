"""What became of a backup's file behind our back: a cheap look at a few at a time, and a state that says so."""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta
from pathlib import PurePosixPath

from django.db import DatabaseError, transaction
from django.db.models import F, Q
from django.utils import timezone

from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.stores.local import LocalStore, Location
from containers_app.audit import ledger
from containers_app.conf import load
from containers_app.errors import MycoError
from containers_app.models import Backup
from containers_app.models.backups import BackupState
from containers_app.operations.hosts import store_of

logger = logging.getLogger(__name__)
BATCH = 100
CORRUPT_AGAIN = timedelta(hours=1)
_BLOCK_BYTES = 1024 * 1024
_CHECKER = ledger.Actor(type="system", label="reconciler")


def check_backups() -> int:
    """Look at the files that were not looked at for longest. Returns how many backups changed their state.

    Complete ones cost one look each. Of the others, one at most is read as a whole: what came back must have the same
    bytes. Where the storage does not answer, nothing changes.
    """
    look = _Look(store_of(load()))
    changed = sum(_check(look, row) for row in _oldest(Q(state=BackupState.COMPLETE)))
    again = Q(state=BackupState.MISSING) | Q(state=BackupState.CORRUPT, checked_at__lt=timezone.now() - CORRUPT_AGAIN)
    for row in _oldest(again):
        changed += _check(look, row)
        if look.has_read:
            break
    return changed


class _Look:
    """What the storage says of a backup's file now."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.has_read = False

    def state(self, row: Backup) -> BackupState:
        """The state that the row should have. Raises StorageError, and InvalidRequest for a root of other settings."""
        path = PurePosixPath(row.path)
        location = self._store.locate(str(path.parent), path.name)
        size_bytes = self._store.stored_size(location)
        if size_bytes is None:
            return BackupState.MISSING
        if size_bytes != row.size_bytes:
            return BackupState.CORRUPT
        if row.state == BackupState.COMPLETE or self._sha256(location) == row.sha256:
            return BackupState.COMPLETE
        return BackupState.CORRUPT

    def _sha256(self, location: Location) -> str:
        self.has_read = True
        with self._store.read(location) as file, storage_faults("reading the archive"):
            digest = hashlib.sha256()
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
            return digest.hexdigest()


def _oldest(condition: Q) -> list[Backup]:
    rows = Backup.objects.select_related("host").filter(condition)
    return list(rows.order_by(F("checked_at").asc(nulls_first=True), "pk")[:BATCH])


def _check(look: _Look, row: Backup) -> bool:
    """Whether the row's state was changed. A row that cannot be looked at does not stop the others."""
    try:
        found = look.state(row)
        if found != row.state:
            return _change(row, found)
        Backup.objects.filter(pk=row.pk, state=row.state).update(checked_at=timezone.now())
    except (MycoError, DatabaseError) as error:
        logger.warning("a backup could not be looked at: %s", type(error).__name__, extra={"backup": str(row.pk)})
    return False


def _change(row: Backup, found: BackupState) -> bool:
    """Write the state and its ledger event, or neither; False when somebody else wrote another state before."""
    with transaction.atomic():
        if not Backup.objects.filter(pk=row.pk, state=row.state).update(state=found, checked_at=timezone.now()):
            return False
        ledger.event(
            action=f"backup.found_{found}",
            actor=_CHECKER,
            source=ledger.Source(channel="scheduler"),
            subject=ledger.Subject(type="backup", id=str(row.pk), name=row.file_name, host=row.host.name),
            operation_id=str(row.operation_id),
            outcome="success" if found == BackupState.COMPLETE else "failure",
            details={"before": str(row.state), "sha256": row.sha256, "size_bytes": row.size_bytes},
        )
    return True
