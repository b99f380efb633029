"""The first administrator and the first keys: made once, shown once, kept in a file of their owner only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from django.contrib.auth.models import Group, User

from containers_app.models import ApiKey
from containers_app.models.access import ADMINISTRATORS, AUDITORS, Scope

ADMINISTRATOR, AUDITOR = "admin", "auditor"
_KEY_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What the terminal shows. `password` is empty when it was shown at an earlier start and is not known here."""

    user: str
    password: str = field(repr=False)
    api_key: str = field(repr=False)
    auditor_key: str = field(repr=False)


def ensure_people(known: dict[str, str]) -> Credentials:
    """Make what is missing; `known` are the values of an earlier start, used again while they are good."""
    password = known.get("MYCO_ADMIN_PASSWORD", "")
    if not User.objects.exists():
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser(ADMINISTRATOR, password=password)
    administrator = _member(ADMINISTRATOR, ADMINISTRATORS)
    auditor = _member(AUDITOR, AUDITORS)
    return Credentials(
        user=ADMINISTRATOR,
        password=password,
        api_key=_key(administrator, known.get("MYCO_API_KEY", ""), list(Scope.values)),
        auditor_key=_key(auditor, known.get("MYCO_AUDITOR_KEY", ""), [Scope.READ, Scope.LEDGER]),
    )


def _member(name: str, group: str) -> User:
    user, made = User.objects.get_or_create(username=name)
    if made:
        user.set_unusable_password()
        user.save()
    user.groups.add(Group.objects.get(name=group))
    return user


def _key(user: User, known: str, scopes: list[str]) -> str:
    row = ApiKey.objects.matching(known)
    if row is not None and row.is_alive and row.user_id == user.pk:
        return known
    return ApiKey.objects.issue(user=user, name="first start", scopes=scopes, expires_in_days=_KEY_DAYS).text
