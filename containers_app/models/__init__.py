"""What the product remembers: hosts, containers, operations, backups, keys. Django finds every model here."""

from containers_app.models.access import ApiKey
from containers_app.models.backups import Backup, BackupPart, BackupState, with_last_backup
from containers_app.models.containers import Container
from containers_app.models.hosts import DockerHost
from containers_app.models.ledger_views import LedgerView
from containers_app.models.links import DownloadLink
from containers_app.models.operations import Operation, State

__all__ = [
    "ApiKey",
    "Backup",
    "BackupPart",
    "BackupState",
    "Container",
    "DockerHost",
    "DownloadLink",
    "LedgerView",
    "Operation",
    "State",
    "with_last_backup",
]
