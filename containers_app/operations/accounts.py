"""What the ledger is told about users: their rights before and after, and each password that is set; never a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from containers_app.audit import ledger
from containers_app.audit.ledger import Subject
from containers_app.operations.registering import Author

# What a right is told as; the names of other fields are told, and not what is in them.
RIGHTS = ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")
_PASSWORD = ("password", "usable_password")


def rights_of(user: User) -> dict[str, Any]:
    """Whether the user may sign in, and the groups and permissions, by their names."""
    return {
        "is_active": user.is_active,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "user_permissions": sorted(user.user_permissions.values_list("codename", flat=True)),
    }


def record_created(user: User, by: Author) -> None:
    """Tell of a new user, with what it may do. Raises AuditUnavailable."""
    _tell("access.user_created", user, by, after=rights_of(user))


def record_changed(user: User, by: Author, *, before: dict[str, Any], fields: Iterable[str]) -> None:
    """Tell what is different since `before`, one entry for each kind of change. Raises AuditUnavailable."""
    after, others = rights_of(user), sorted(set(fields) - {*RIGHTS, *_PASSWORD})
    if after.pop("is_active") != before["is_active"]:
        _tell("access.user_disabled" if before["is_active"] else "access.user_enabled", user, by)
    rights = {name: before[name] for name in after}
    if rights != after:
        _tell("access.roles_changed", user, by, before=rights, after=after)
    if others:
        _tell("access.user_changed", user, by, fields=others)


@contextmanager
def recording_password(user_id: str, by: Author) -> Iterator[None]:
    """Tell that this user's password is another one at the end; it stays as it was when that cannot be told."""
    rows = User.objects.filter(pk=int(user_id) if user_id.isdecimal() else 0)
    with transaction.atomic():
        before = rows.values_list("password", flat=True).first() or ""
        yield
        user = rows.exclude(password=before).first()
        if user is not None:
            record_password(user, by)


def record_password(user: User, by: Author) -> None:
    """Tell that a password is set, by its owner or by somebody else. Raises AuditUnavailable."""
    own = by.asker.user.pk == user.pk
    _tell("access.password_changed" if own else "access.password_reset", user, by, usable=user.has_usable_password())


def _tell(action: str, user: User, by: Author, **details: Any) -> None:
    ledger.event(
        action=action,
        subject=Subject(type="user", id=str(user.pk)),
        details=details,
        **by.told(),
    )
