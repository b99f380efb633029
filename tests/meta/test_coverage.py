"""Nothing changes without a verb of the ledger: every way in says beside itself which ones it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import load_command_class
from django.test import RequestFactory
from django.views.generic import View

from containers_app.api.views import ConsoleView
from containers_app.audit import verbs
from mycodocker.celery import app
from tests.meta.test_documentation import management_commands
from tests.meta.test_routes import ROUTES

UNSAFE = ("post", "put", "patch", "delete")
UNDECLARED = object()


def problems(way_in: str, declared: Any, *, may_be_empty: bool = True) -> Iterator[str]:
    """What is wrong with the verbs of one way in."""
    if declared is UNDECLARED:
        yield f"{way_in} does not say which verbs of the ledger it writes"
    elif not declared and not may_be_empty:
        yield f"{way_in} changes something and writes nothing"
    else:
        yield from (f"{way_in} writes {name}, which is not registered" for name in declared if name not in verbs.ALL)


def of_rest(routes: Mapping[str, Any]) -> Iterator[str]:
    """Every unsafe method of every view of the API."""
    for route, callback in routes.items():
        view = getattr(callback, "cls", None)
        for method in (method for method in UNSAFE if hasattr(view, method)):
            declared = getattr(view, "verbs", {}).get(method.upper(), UNDECLARED)
            yield from problems(f"{method.upper()} /{route}", declared, may_be_empty=False)


def of_console(routes: Mapping[str, Any]) -> Iterator[str]:
    """Every page of the console: its own by a mark, Django's by the class that has them."""
    for route, callback in routes.items():
        if not route.startswith("admin/"):
            continue
        view = getattr(callback, "view_class", None)
        if hasattr(callback, "model_admin"):
            yield from problems(f"/{route}", getattr(type(callback.model_admin), "verbs", UNDECLARED))
        elif view is not None:
            if any(hasattr(view, method) for method in UNSAFE):
                yield from problems(f"/{route}", verbs_of(view), may_be_empty=False)
        else:
            site = admin.site.verbs  # type: ignore[attr-defined] # our own site
            yield from problems(f"/{route}", getattr(callback, "verbs", site.get(callback.__name__, UNDECLARED)))


def verbs_of(way_in: Any) -> Any:
    """Those that it names, or the one of its kind of operation."""
    kind = getattr(way_in, "kind", None)
    return getattr(way_in, "verbs", UNDECLARED if kind is None else (kind.action,))


def of_actions() -> Iterator[str]:
    """What may be done to chosen rows of a list."""
    for model, model_admin in admin.site._registry.items():
        for name in model_admin.actions or ():
            action = getattr(model_admin, str(name))
            yield from problems(f"{name} of {model.__name__}", getattr(action, "verbs", UNDECLARED))


def of_tasks(tasks: Mapping[str, Any]) -> Iterator[str]:
    """Every task of the product's own."""
    for name, task in tasks.items():
        if not name.startswith("celery."):
            yield from problems(name, getattr(task.run, "verbs", UNDECLARED), may_be_empty=False)


def of_commands(commands: Mapping[str, Any]) -> Iterator[str]:
    """Every command of the product's own."""
    for name, command in commands.items():
        yield from problems(f"manage.py {name}", verbs_of(command))


def commands() -> dict[str, Any]:
    return {name: load_command_class("containers_app", name) for name in management_commands()}


def test_every_unsafe_route_of_the_api_writes_registered_verbs() -> None:
    assert list(of_rest(ROUTES)) == []


def test_every_page_of_the_console_says_what_it_writes() -> None:
    assert list(of_console(ROUTES)) == []


def test_every_act_on_chosen_rows_says_what_it_writes() -> None:
    assert list(of_actions()) == []


def test_every_task_writes_registered_verbs() -> None:
    app.loader.import_default_modules()
    own = [name for name in app.tasks if not name.startswith("celery.")]
    assert own
    assert list(of_tasks(app.tasks)) == []


def test_every_command_says_what_it_writes() -> None:
    assert list(of_commands(commands())) == []


@pytest.mark.parametrize("model_admin", admin.site._registry.values(), ids=lambda one: type(one).__name__)
def test_who_says_that_djangos_forms_write_nothing_has_none(model_admin: Any) -> None:
    request = RequestFactory().post("/")
    request.user = User(is_superuser=True, is_active=True, is_staff=True)
    may = [model_admin.has_add_permission(request), model_admin.has_change_permission(request)]
    assert any([*may, model_admin.has_delete_permission(request)]) == bool(model_admin.verbs)


class Planted(ConsoleView):
    """A new route whose author forgot the ledger."""

    def post(self) -> None:
        """Change something."""


class PlantedPage(View):
    """The same in the console."""

    def post(self) -> None:
        """Change something."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "does not say which verbs"),
        ({"verbs": {"GET": ("backup.browse",)}}, "does not say which verbs"),
        ({"verbs": {"POST": ()}}, "changes something and writes nothing"),
        ({"verbs": {"POST": ("container.paint",)}}, "container.paint, which is not registered"),
    ],
)
def test_a_planted_route_without_a_registered_verb_is_found(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: str
) -> None:
    for name, value in given.items():
        monkeypatch.setattr(Planted, name, value)
    (found,) = of_rest({**ROUTES, "api/planted": Planted.as_view()})
    assert found.startswith("POST /api/planted ")
    assert expected in found


def test_a_planted_page_task_and_command_are_found() -> None:
    pages = {"admin/planted/": PlantedPage.as_view(), "admin/function/": lambda request: None}
    assert len(list(of_console(pages))) == 2
    assert len(list(of_tasks({"planted": SimpleNamespace(run=lambda: None)}))) == 1
    assert len(list(of_commands({"planted": SimpleNamespace()}))) == 1


def test_a_mark_with_a_verb_that_is_not_registered_stops_the_start() -> None:
    with pytest.raises(KeyError):
        verbs.records("container.paint")
