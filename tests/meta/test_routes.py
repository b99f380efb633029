"""New routes are closed until classified: every address is in the permission matrix, or a page behind the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from containers_app.api.permissions import Anybody, CanReadSystem, Declared
from containers_app.api.views import ConsoleView
from containers_app.models.access import Scope
from tests.unit.api.matrix import MATRIX

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
ADMIN = "admin/"
SIGN_IN, SIGN_OUT = "admin/login/", "admin/logout/"
VALUES = {"int": "1", "uuid": "0190a000-0000-7000-8000-000000000001", "str": "x", "slug": "x", "path": "1"}
METHODS = {"get", "post", "put", "patch", "delete"}


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every route below the resolver with its view."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route, entry.callback
        else:
            yield from patterns(entry, route)


ROUTES = dict(patterns(get_resolver()))
ADMIN_ROUTES = sorted(route for route in ROUTES if route.startswith(ADMIN))
OUR_ROUTES = sorted(route for route in ROUTES if not route.startswith(ADMIN))


def address_of(route: str) -> str:
    """An address that the route takes."""
    filled = re.sub(
        r"<(?:(\w+):)?\w+>", lambda found: VALUES[found[1] or "str"], re.sub(r"\(\?P<\w+>.*?\)", "auth", route)
    )
    return "/" + filled.replace("^", "").replace("$", "")


def test_every_address_outside_the_console_is_in_the_permission_matrix() -> None:
    assert set(OUR_ROUTES) == {row.route for row in MATRIX}


@pytest.mark.parametrize("route", OUR_ROUTES)
def test_every_method_that_a_view_handles_is_in_the_permission_matrix(route: str) -> None:
    view = getattr(ROUTES[route], "cls", None)
    if view is None:
        assert route == "", "only the front page is no view of the API"
        return
    handled = {method.upper() for method in METHODS if hasattr(view, method)}
    assert handled == {row.method for row in MATRIX if row.route == route}


def views() -> list[type[APIView]]:
    found = {getattr(callback, "cls", None) for callback in ROUTES.values()}
    return sorted((view for view in found if view is not None), key=lambda view: view.__name__)


@pytest.mark.parametrize("view", views(), ids=lambda view: view.__name__)
def test_every_view_declares_who_may_ask(view: type[APIView]) -> None:
    assert list(view.permission_classes) in ([Declared], [CanReadSystem], [Anybody])
    if view.permission_classes[0] is Anybody:
        assert view.__name__ in ("LiveView", "DownloadView"), "only the health answer and signed links are for anybody"


@pytest.mark.parametrize("view", [view for view in views() if Declared in view.permission_classes])
def test_every_method_declares_its_permission_and_scope(view: type[ConsoleView]) -> None:
    assert issubclass(view, ConsoleView)
    assert set(view.access) == {method.upper() for method in METHODS if hasattr(view, method)}
    for needed in view.access.values():
        assert needed == Declared.VERB or needed[-1] in Scope.values
        assert needed == Declared.VERB or all("." in permission for permission in needed[:-1])


@pytest.mark.parametrize("route", [route for route in ADMIN_ROUTES if route != SIGN_IN])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_page_of_the_console_sends_nobody_to_the_sign_in(route: str, method: str, client: Client) -> None:
    response = client.generic(method, address_of(route))
    assert response.status_code == 302, address_of(route)
    # Who is nobody is signed out already, so that page sends to the front one, and that to the sign-in.
    assert response["Location"].startswith("/" + (ADMIN if route == SIGN_OUT else SIGN_IN))


def test_the_console_has_pages_to_check() -> None:
    assert SIGN_IN in ADMIN_ROUTES
    assert len(ADMIN_ROUTES) > 10
