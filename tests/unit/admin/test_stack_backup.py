"""The backup of a stack in the console asks for what the API takes, and nothing is done before it is confirmed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from containers_app.models import Operation
from tests import recipes
from tests.unit.admin.test_restore import signed_in, text_of

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups", "shop")]
ADDRESS = "/admin/stacks/local/shop/back-up/"
PLAIN: dict[str, Any] = {"contents": ["rootfs", "config", "volumes"], "consistency": "pause", "compression": "zstd"}


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


@pytest.fixture
def shop() -> None:
    recipes.container(name="shop-web-1", stack="shop", service="web")
    recipes.container(engine_id="b" * 64, name="shop-db-1", stack="shop", service="db")


def test_the_page_of_a_stack_leads_to_the_form_for_who_may(operator: Client) -> None:
    page = reverse("admin:stack", args=["local", "shop"])
    assert f'href="{ADDRESS}"' in operator.get(page).content.decode()
    assert ADDRESS not in signed_in(recipes.auditor()).get(page).content.decode()
    form = operator.get(ADDRESS)
    assert "shop-db-1" in text_of(form)
    assert "volumes" not in form.context["form"].fields


def test_what_was_filled_in_is_shown_first_and_asked_for_when_confirmed(operator: Client) -> None:
    wish = {**PLAIN, "name": "nightly", "note": "before", "pin": "on", "reason": "a test"}
    shown = operator.post(ADDRESS, wish)
    assert "Every container gets a backup of its own" in text_of(shown)
    assert "shop-web-1" in text_of(shown)
    assert not Operation.objects.exists()
    done = operator.post(ADDRESS, {**wish, "confirmed": "1"})
    operation = Operation.objects.get()
    assert done["Location"] == reverse("admin:containers_app_operation_change", args=[operation.pk])
    assert (operation.kind, operation.host.name, operation.reason) == ("stackBackup", "local", "a test")
    expected = {"project": "shop", "name": "nightly", "consistency": "pause", "note": "before", "pin": True}
    assert {name: operation.params[name] for name in expected} == expected
    assert set(operation.params["contents"]) == {"rootfs", "config", "volumes"}


@pytest.mark.parametrize(
    ("change", "field"),
    [({"contents": []}, "contents"), ({"recipients": "nobody"}, "recipients"), ({"path": "/etc"}, "path")],
)
def test_a_mistake_is_told_at_its_field(operator: Client, change: dict[str, Any], field: str) -> None:
    answer = operator.post(ADDRESS, {**PLAIN, **change})
    assert answer.context["form"].errors[field]
    assert not Operation.objects.exists()


def test_who_goes_back_finds_the_form_as_it_was(operator: Client) -> None:
    assert 'value="nightly"' in operator.post(ADDRESS, {**PLAIN, "name": "nightly", "back": "1"}).content.decode()
    assert not Operation.objects.exists()


def test_what_has_no_members_is_not_backed_up(operator: Client) -> None:
    nowhere = reverse("admin:stack_back_up", args=["local", "nowhere"])
    assert operator.get(nowhere).status_code == 404
    assert operator.post(nowhere, {**PLAIN, "confirmed": "1"}).status_code == 404


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
@pytest.mark.parametrize("step", [{}, {"confirmed": "1"}])
def test_a_stranger_backs_no_stack_up(who: Any, step: dict[str, str]) -> None:
    client = signed_in(who())
    assert client.get(ADDRESS).status_code == 403
    assert client.post(ADDRESS, {**PLAIN, **step}).status_code == 403
    assert not Operation.objects.exists()
