"""The one place that says which records an asker may see or act on: lists, pages and acts all begin with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from containers_app.audit.inspection import entries
from containers_app.errors import Hidden, NotFound, PermissionDenied
from containers_app.models import Backup, Container, DockerHost, Operation, with_last_backup
from containers_app.operations.authority import Asker

SYSTEM = "audit.view_entry"  # who reads the whole ledger may also see how the product is set up
LEDGER_READERS = (SYSTEM, "containers_app.view_operation")
_MISSING = "there is no such thing, or you may not see it"


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """`rows` are what the permission opens; without it, only those among them that are the asker's `own`."""

    rows: Callable[[], QuerySet[Any]]
    permission: str
    scope: str = "read"
    own: Callable[[Asker], Q] | None = None


def visible_to(asker: Asker, noun: str, verb: str = "read") -> QuerySet[Any]:
    """The records of this noun that the asker may read, or do `verb` to."""
    rule = _RULES[noun, verb]
    if asker.may(rule.permission, rule.scope):
        return rule.rows()
    if rule.own is None or not asker.user.is_authenticated or not asker.has_scope(rule.scope):
        return rule.rows().none()
    return rule.rows().filter(rule.own(asker))


def find(asker: Asker, noun: str, verb: str = "read", *where: Q, **equal: Any) -> Any:
    """The newest of the visible records that match.

    Raises PermissionDenied for who may read it and not do `verb`, Hidden for who may not see all, else NotFound.
    """
    found = visible_to(asker, noun, verb).filter(*where, **equal).order_by("-pk").first()
    if found is None:
        raise why_not(asker, noun, verb)
    return found


def sees_system(asker: Asker, scope: str = "read") -> bool:
    """Whether the asker may see how the product is set up: a host's versions and errors, not its name alone."""
    return asker.may(SYSTEM, scope)


def why_not(asker: Asker, noun: str, verb: str = "read") -> Exception:
    """The error for who finds none of the records, as `find` raises it."""
    rule = _RULES[noun, verb]
    if asker.may(rule.permission, rule.scope):
        return NotFound(_MISSING)
    if verb != "read" and asker.user.has_perm(_RULES[noun, "read"].permission):
        return PermissionDenied(
            f"you may not do this: it needs the permission '{rule.permission}' (key scope '{rule.scope}')"
        )
    return Hidden(_MISSING)


def _asked_for(asker: Asker) -> Q:
    return Q(user_id=asker.user.pk)


def _done_by(asker: Asker) -> Q:
    """Other types of actors have ids of their own."""
    return Q(actor_type__in=("user", "key"), actor_id=str(asker.user.pk))


def _operations() -> QuerySet[Operation]:
    return Operation.objects.select_related("host", "api_key").prefetch_related("children")


def _exports() -> QuerySet[Operation]:
    return _operations().filter(kind="ledgerExport")


def _backups() -> QuerySet[Backup]:
    return Backup.objects.select_related("host", "operation", "container").prefetch_related("parts")


_RULES: Mapping[tuple[str, str], _Rule] = {
    ("container", "read"): _Rule(
        rows=lambda: with_last_backup(Container.objects.select_related("host")),
        permission="containers_app.view_container",
    ),
    ("backup", "read"): _Rule(rows=_backups, permission="containers_app.view_backup"),
    ("backup", "download"): _Rule(rows=_backups, permission="containers_app.download_backup", scope="download"),
    ("backup", "restore"): _Rule(rows=_backups, permission="containers_app.restore_backup", scope="restore"),
    ("backup", "verify"): _Rule(rows=_backups, permission="containers_app.verify_backup", scope="verify"),
    ("backup", "pin"): _Rule(rows=_backups, permission="containers_app.pin_backup", scope="keep"),
    ("backup", "hold"): _Rule(rows=_backups, permission="containers_app.hold_backup", scope="keep"),
    ("backup", "delete"): _Rule(rows=_backups, permission="containers_app.remove_backup", scope="delete"),
    ("backup", "drill"): _Rule(rows=_backups, permission="containers_app.drill_backup", scope="restore"),
    ("operation", "read"): _Rule(rows=_operations, permission="containers_app.view_operation", own=_asked_for),
    ("operation", "cancel"): _Rule(
        rows=_operations, permission="containers_app.cancel_operation", scope="cancel", own=_asked_for
    ),
    ("ledgerExport", "read"): _Rule(rows=_exports, permission="containers_app.view_operation"),
    ("ledgerExport", "download"): _Rule(rows=_exports, permission="containers_app.export_ledger", scope="export"),
    ("host", "read"): _Rule(rows=DockerHost.objects.all, permission="containers_app.view_dockerhost"),
    ("host", "change"): _Rule(
        rows=DockerHost.objects.all, permission="containers_app.change_dockerhost", scope="hosts"
    ),
    ("host", "test"): _Rule(rows=DockerHost.objects.all, permission="containers_app.test_host", scope="hosts"),
    ("entry", "read"): _Rule(rows=entries, permission=SYSTEM, scope="ledger", own=_done_by),
}
