"""The first administrator and the demonstration's keys: made once, recorded, shown, and kept nowhere else readable."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.models import ApiKey
from containers_app.models.access import ADMINISTRATORS, AUDITORS, OPERATORS, Scope

ADMINISTRATOR, OPERATOR, AUDITOR = "admin", "demo-operator", "demo-auditor"
OPERATOR_SCOPES = [
    *(Scope.READ, Scope.CLONE, Scope.BACKUP, Scope.OPERATE, Scope.REMOVE, Scope.CANCEL, Scope.HOSTS),
    *(Scope.RESTORE, Scope.VERIFY, Scope.DOWNLOAD, Scope.KEEP, Scope.DELETE),
]
AUDITOR_SCOPES = [Scope.READ, Scope.LEDGER]
_KEY_NAME = "demonstration"
_KEY_DAYS = 365
_PASSWORD_BYTES = 15
_LAUNCHER = ledger.Actor(type="system", id="launcher")
_TERMINAL = ledger.Source(channel="cli")


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """The account of the first start. `password` is empty when it is not known here; `is_new`: made just now."""

    name: str
    password: str = field(repr=False)
    is_new: bool = False


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The texts of the demonstration's keys."""

    operator: str = field(repr=False)
    auditor: str = field(repr=False)


def first_administrator(known: Mapping[str, str]) -> Administrator:
    """Make the first account, with a random password, when there is none; `known` are the values of an earlier start.

    Raises AuditUnavailable; then nothing was made.
    """
    with transaction.atomic():
        if not User.objects.exists():
            return _new_administrator()
    user = User.objects.filter(username=ADMINISTRATOR).first()
    password = known.get("MYCO_ADMIN_PASSWORD", "")
    good = user is not None and bool(password) and user.check_password(password)
    return Administrator(name=ADMINISTRATOR if user else "", password=password if good else "")


def demonstration_keys(known: Mapping[str, str]) -> Keys:
    """Keys of two users who cannot sign in; those of an earlier start while they are good, else new ones.

    Raises AuditUnavailable; then no key was made.
    """
    return Keys(
        operator=_key(_service_user(OPERATOR, OPERATORS), known.get("MYCO_API_KEY", ""), OPERATOR_SCOPES),
        auditor=_key(_service_user(AUDITOR, AUDITORS), known.get("MYCO_AUDITOR_KEY", ""), AUDITOR_SCOPES),
    )


def _new_administrator() -> Administrator:
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user = User.objects.create_superuser(ADMINISTRATOR, password=password)
    user.groups.add(Group.objects.get(name=ADMINISTRATORS))
    _record("access.user_created", ledger.Subject(type="user", id=str(user.pk), name=ADMINISTRATOR))
    return Administrator(name=ADMINISTRATOR, password=password, is_new=True)


def _service_user(name: str, group: str) -> User:
    with transaction.atomic():
        user, is_new = User.objects.get_or_create(username=name)
        if is_new:
            user.set_unusable_password()
            user.save()
            user.groups.add(Group.objects.get(name=group))
            _record("access.user_created", ledger.Subject(type="user", id=str(user.pk), name=name))
    return user


def _key(user: User, known: str, scopes: list[Scope]) -> str:
    row = ApiKey.objects.matching(known)
    if row is not None and row.is_alive and row.user_id == user.pk and set(scopes) <= set(row.scopes):
        return known
    with transaction.atomic():
        for old in ApiKey.objects.filter(user=user, name=_KEY_NAME, revoked_at=None):
            ApiKey.objects.filter(pk=old.pk).update(revoked_at=timezone.now())
            _record("access.key_revoked", ledger.Subject(type="key", id=str(old.pk), name=old.prefix))
        issued = ApiKey.objects.issue(
            user=user, name=_KEY_NAME, scopes=[scope.value for scope in scopes], expires_in_days=_KEY_DAYS
        )
        _record("access.key_issued", ledger.Subject(type="key", id=str(issued.row.pk), name=issued.row.prefix))
    return issued.text


def _record(action: str, subject: ledger.Subject) -> None:
    ledger.event(action=action, actor=_LAUNCHER, source=_TERMINAL, subject=subject)
