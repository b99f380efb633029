"""Closed until opened: a view without a declared permission answers nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from containers_app.api.auth import asker_of
from containers_app.errors import NotAuthenticated, PermissionDenied
from containers_app.operations.visibility import SYSTEM

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
    """Reads the view's `access`, which has for each method what it needs.

    That is a key scope after the permissions of which one is needed: `("containers_app.view_dockerhost", "read")`. A
    scope alone lets everybody in who has signed in: there the rows decide, see `operations.visibility`. `VERB`: the
    submitted verb decides. HEAD and OPTIONS need what GET needs.
    """

    VERB: ClassVar[str] = "verb"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or NotAuthenticated, MethodNotAllowed or PermissionDenied that says what is missing."""
        if not request.user.is_authenticated:
            raise NotAuthenticated("send 'Authorization: Bearer <key>', or sign in to the console")
        needed = self.needed(request, view)
        if needed != self.VERB:
            _check(request, *needed)
        return True

    def needed(self, request: Request, view: APIView) -> tuple[str, ...] | str:
        """What this request needs."""
        method = "GET" if request.method in ("HEAD", "OPTIONS") else request.method or ""
        access: dict[str, tuple[str, ...] | str] = getattr(view, "access", {})
        if not hasattr(view, method.lower()):
            raise MethodNotAllowed(method)
        if method not in access:
            raise PermissionDenied("nobody may do this")
        return access[method]


class CanReadSystem(Declared):
    """Readiness and the API's description: for who may read the whole ledger."""

    def needed(self, request: Request, view: APIView) -> tuple[str, ...]:
        """Auditors and administrators."""
        return SYSTEM, "ledger"


def _check(request: Request, *needed: str) -> None:
    *permissions, scope = needed
    asker = asker_of(request)
    if not asker.has_scope(scope) or (permissions and not any(asker.may(one, scope) for one in permissions)):
        permission = f"the permission '{permissions[0]}' and " if permissions else ""
        raise PermissionDenied(f"you may not do this: it needs {permission}the scope '{scope}' of a key")
