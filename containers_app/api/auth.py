"""Who asks: an API key in the Authorization header, or the console's session with CSRF. Never anything in a URL."""

from __future__ import annotations

import re
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from containers_app.audit import ledger
from containers_app.audit.ledger import Subject
from containers_app.audit.origin import source_of
from containers_app.errors import NotAuthenticated
from containers_app.models import ApiKey
from containers_app.operations.authority import Asker

_HEADER = re.compile(r"Bearer ([A-Za-z0-9_-]{20,200})", re.IGNORECASE)
_MINUTE = timedelta(minutes=1)


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer myco_<prefix>_<secret>`."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """The key's owner and the key. Raises NotAuthenticated for a header that is not a live key."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        found = _HEADER.fullmatch(header.strip())
        key = ApiKey.objects.matching(found[1]) if found else None
        if key is None or not key.is_alive:
            raise NotAuthenticated("the API key is wrong, expired or revoked: send 'Authorization: Bearer <key>'")
        if key.last_used_at is None:
            _first_use(request, key)
        elif key.last_used_at < timezone.now() - _MINUTE:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="mycodocker"'


def _first_use(request: Request, key: ApiKey) -> None:
    """Of several first requests at once, one is told. Raises AuditUnavailable; then the key is as unused as before."""
    with transaction.atomic():
        if ApiKey.objects.filter(pk=key.pk, last_used_at=None).update(last_used_at=timezone.now()):
            ledger.event(
                action="auth.key_first_used",
                actor=Asker(user=key.user, api_key=key).as_actor(),
                source=source_of(request._request, channel="api"),
                subject=Subject(type="api_key", id=str(key.pk), name=key.prefix),
            )


class ConsoleSessionAuthentication(SessionAuthentication):
    """The console's session; unsafe methods need the CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        """On Django's own request: on the framework's, the search for a form's token would use up the body."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type] # the check is Django's middleware


def asker_of(request: Request) -> Asker:
    """The user, and the key that was used."""
    user = request.user if isinstance(request.user, User) else AnonymousUser()
    return Asker(user=user, api_key=request.auth if isinstance(request.auth, ApiKey) else None)
