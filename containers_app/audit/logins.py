"""Writes log-ins, log-outs and failed log-ins to the ledger, whichever page or client they come through."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from containers_app.audit import denials, ledger
from containers_app.audit.appending import LedgerHalted
from containers_app.audit.denials import Denial
from containers_app.audit.origin import source_of
from containers_app.audit.record import Actor, Source, Subject
from containers_app.errors import AuditUnavailable

_LOG: Final = logging.getLogger(__name__)
# Who may read the whole ledger.
_READER: Final = "audit.view_entry"


def connect() -> None:
    """Connect the three receivers."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit logged in")
    user_logged_out.connect(_logged_out, dispatch_uid="audit logged out")
    user_login_failed.connect(_login_failed, dispatch_uid="audit login failed")


def _logged_in(request: HttpRequest | None, user: AbstractUser, **_named: Any) -> None:
    # Raises AuditUnavailable: the response is an error then, and an error response saves no session.
    try:
        ledger.event(action="auth.login", actor=_actor(user), source=_source(request), subject=_subject(user))
    except LedgerHalted:
        if not user.has_perm(_READER):
            raise
        _count_login(request, user)


def _count_login(request: HttpRequest | None, user: AbstractUser) -> None:
    """A halted ledger is mended by who reads it: they come in, and it is told when entries are taken again."""
    _later(
        Denial(
            action="auth.login",
            code="",
            actor=_actor(user),
            source=_source(request),
            subject=_subject(user),
            outcome="success",
        )
    )


def _logged_out(request: HttpRequest | None, user: AbstractUser | None, **_named: Any) -> None:
    if user is None:
        return
    try:
        ledger.event(action="auth.logout", actor=_actor(user), source=_source(request), subject=_subject(user))
    except AuditUnavailable as failure:
        # Django ends the session after this: to give up access must work when nothing else does.
        _LOG.error("A log-out is not in the ledger: %s", failure.message)


def _login_failed(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_named: Any) -> None:
    name = str(credentials.get("username", ""))
    _later(
        Denial(
            action="auth.login_failed",
            code="LOGIN_FAILED",
            actor=Actor(type="anonymous", label=name),
            source=_source(request),
            outcome="failure",
        )
    )


def _later(deed: Denial) -> None:
    """Record it now or, when the ledger takes nothing, count it for a later entry."""
    try:
        denials.record(deed)
    except AuditUnavailable as failure:
        _LOG.error("The ledger did not take %s, which is counted for a later entry: %s", deed.action, failure.message)


def _actor(user: AbstractUser) -> Actor:
    roles = tuple(user.groups.values_list("name", flat=True))
    return Actor(
        type="user",
        id=str(user.pk),
        label=user.get_username(),
        roles=(*roles, "superuser") if user.is_superuser else roles,
        auth="session",
    )


def _subject(user: AbstractUser) -> Subject:
    return Subject(type="user", id=str(user.pk))


def _source(request: HttpRequest | None) -> Source:
    if request is None:
        return Source(channel="ui")
    return source_of(request, channel="ui")
