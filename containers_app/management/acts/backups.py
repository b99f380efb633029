"""The backup that a command names."""

from __future__ import annotations

from uuid import UUID

from containers_app.errors import InvalidRequest
from containers_app.models import Backup
from containers_app.operations.authority import Asker
from containers_app.operations.visibility import find


def backup_of(asker: Asker, text: str, verb: str) -> Backup:
    """The backup of this id, to which the asker may do this. Raises InvalidRequest, and as `find`."""
    try:
        number = UUID(text)
    except ValueError:
        raise InvalidRequest("BACKUP must be the id of a backup, as `GET /api/backups` gives it") from None
    found: Backup = find(asker, "backup", verb, pk=number)
    return found
