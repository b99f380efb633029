"""The sets of one stack backup: found by what their manifests say, all of them or none."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.db.models import Q, QuerySet

from containers_app.archives.codecs import Keys
from containers_app.archives.manifest import StackIdentity
from containers_app.errors import BackupUnusable, InvalidRequest
from containers_app.models import Backup
from containers_app.models.backups import USABLE_STATES
from containers_app.workflows.context import Context
from containers_app.workflows.set_reader import SetReader, open_set

# Their records know no parent: it may be in a database that is lost.
_ADOPTED = Q(operation__kind="adopt")


@dataclass(frozen=True, kw_only=True)
class StackSets:
    """All sets of a stack backup, opened, and what they say of it."""

    identity: StackIdentity
    files: tuple[SetReader, ...]


def related(row: Backup) -> QuerySet[Backup]:
    """The records, this one's among them, that may be of the same stack backup; none for that of one container."""
    rows = Backup.objects.filter(host_id=row.host_id, stack=row.stack).exclude(stack="").order_by("pk")
    if row.operation.kind == "adopt":
        return rows.filter(_ADOPTED | Q(operation__parent__isnull=False))
    if row.operation.parent_id is None:
        return rows.none()
    return rows.filter(_ADOPTED | Q(operation__parent=row.operation.parent_id))


def open_stack(context: Context, backup_id: str, keys: Keys, *, field: str) -> StackSets:
    """The set of this id, and all others that were made with it.

    Raises InvalidRequest for a set of one container, naming `field`; BackupUnusable that names the container whose set
    is gone or altered; and what opening a set raises.
    """
    first = open_set(context, backup_id, keys)
    identity = first.manifest.stack
    if identity is None:
        words = "this backup is of one container, not of a stack"
        raise InvalidRequest(f"{words}: {_ADVICE[field]}", field=field)
    found = {first.manifest.container.name: first}
    for row in related(first.backup).filter(container_name__in=identity.members).exclude(pk=first.backup.pk):
        if row.state not in USABLE_STATES:
            continue
        files = _opened(context, row, keys)
        if not _is_sibling(files, identity):
            continue
        if row.container_name in found:
            words = f"two sets say that they are {row.container_name} of this stack's backup"
            raise BackupUnusable(f"{words}, and one of them was adopted: delete the one that is not")
        found[row.container_name] = files
        if row.operation.kind == "adopt" and first.backup.operation.kind != "adopt":
            words = "was adopted: that it belongs to the others is its own word"
            context.warn("ADOPTED_SET", f"The set of {row.container_name} {words}.")
    missing = sorted(set(identity.members) - set(found))
    if missing:
        words = "the stack's backup is not whole: the sets of these containers are missing, deleted or altered"
        raise BackupUnusable(f"{words}: {', '.join(missing)}. Verify them, or choose another backup of the stack")
    return StackSets(identity=identity, files=tuple(found.values()))


def _is_sibling(files: SetReader, identity: StackIdentity) -> bool:
    """Whether it says the same of the whole. Anybody can read an operation's id, so this proves nothing by itself."""
    own = files.manifest.stack
    return own is not None and replace(own, service=identity.service) == identity


_ADVICE = {"stack": "leave 'stack' out", "backupId": "restore it by POST /api/backups/{id}/restore"}


def _opened(context: Context, row: Backup, keys: Keys) -> SetReader:
    try:
        return open_set(context, str(row.pk), keys)
    except BackupUnusable as error:
        raise BackupUnusable(f"the set of {row.container_name}, which belongs to it: {error.message}") from error
