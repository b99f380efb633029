"""What became of a backup's files behind our back: a cheap look at a few at a time, and a state that says so."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import DatabaseError
from django.db.models import F, Q
from django.utils import timezone

from containers_app.archives.checking import Reading
from containers_app.archives.stores.local import LocalStore
from containers_app.audit import ledger
from containers_app.conf import load
from containers_app.errors import MycoError
from containers_app.models import Backup
from containers_app.models.backups import USABLE_STATES, BackupState
from containers_app.operations.hosts import store_of
from containers_app.workflows.set_record import change_state, check_set, location_of, state_of

logger = logging.getLogger(__name__)
BATCH = 100
CORRUPT_AGAIN = timedelta(hours=1)
_CHECKER = ledger.Actor(type="system", label="reconciler")


def check_backups() -> int:
    """Look at the files that were not looked at for longest. Returns how many backups changed their state.

    Usable ones cost one look a file. Of the others, one at most is read as a whole: what came back must have the same
    bytes. Where the storage does not answer, nothing changes.
    """
    look = _Look(store_of(load()))
    changed = sum(_check(look, row) for row in _oldest(Q(state__in=USABLE_STATES)))
    again = Q(state=BackupState.MISSING) | Q(state=BackupState.CORRUPT, checked_at__lt=timezone.now() - CORRUPT_AGAIN)
    for row in _oldest(again):
        changed += _check(look, row)
        if look.has_read:
            break
    return changed


class _Look:
    """What the storage says of a backup's files now."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.has_read = False

    def state(self, row: Backup) -> BackupState:
        """The state that the row should have. Raises StorageError, and InvalidRequest for a root of other settings."""
        location, parts = location_of(self._store, row), list(row.parts.all())
        sizes = [self._store.stored_size(location.beside(part.file_name)) for part in parts]
        if None in sizes or self._store.stored_size(location.beside(row.manifest_name)) is None:
            return BackupState.MISSING
        if sizes != [part.stored_bytes for part in parts]:
            return BackupState.CORRUPT
        if row.is_usable:
            # Its operation may have done more than this backup, and be partial for that.
            return BackupState(row.state)
        self.has_read = True
        return state_of(row, check_set(self._store, row, Reading()))


def _oldest(condition: Q) -> list[Backup]:
    rows = Backup.objects.select_related("host", "operation").prefetch_related("parts").filter(condition)
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
    source, operation_id = ledger.Source(channel="scheduler"), str(row.operation_id)
    return change_state(row, found, actor=_CHECKER, source=source, operation_id=operation_id)
