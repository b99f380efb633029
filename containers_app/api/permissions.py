"""Closed until opened: a view without a declared permission answers nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from containers_app.api.auth import asker_of
from containers_app.errors import NotAuthenticated, PermissionDenied

if TYPE_CHECKING:  # the framework imports this module while it makes its views
    from rest_framework.views import APIView


class DenyAll(BasePermission):
    """The default."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Nobody."""
        return False


class Anybody(BasePermission):
    """For the liveness answer only."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Everybody."""
        return True


class Declared(BasePermission):
    """Reads the view's `access`: method -> (permission, key scope), or `VERB` where the submitted verb decides."""

    VERB: ClassVar[str] = "verb"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or NotAuthenticated or PermissionDenied that says what is missing."""
        if not request.user.is_authenticated:
            raise NotAuthenticated("send 'Authorization: Bearer <key>', or sign in to the console")
        access: dict[str, Any] = getattr(view, "access", {})
        needed = access.get("GET" if request.method in ("HEAD", "OPTIONS") else request.method or "")
        if needed is None and not hasattr(view, (request.method or "").lower()):
            raise MethodNotAllowed(request.method or "")
        if needed is None:
            raise PermissionDenied("nobody may do this")
        if needed != self.VERB and not asker_of(request).may(*needed):
            raise PermissionDenied(
                f"you may not do this: it needs the permission '{needed[0]}' (key scope '{needed[1]}')"
            )
        return True


class CanReadSystem(Declared):
    """Readiness and the API's description: for who may read the ledger."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Auditors and administrators."""
        if not request.user.is_authenticated:
            raise NotAuthenticated("send 'Authorization: Bearer <key>', or sign in to the console")
        if not asker_of(request).may("audit.view_entry", "ledger"):
            raise PermissionDenied(
                "you may not do this: it needs the permission 'audit.view_entry' (key scope 'ledger')"
            )
        return True
