"""The page of coverage: shares, filters in the address, and names that stay text."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from containers_app.admin import coverage
from containers_app.models import Container
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
DATA = {"type": "volume", "name": "data", "source": "/v", "target": "/data", "readOnly": False}


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(recipes.auditor())
    return made


@pytest.fixture
def shop() -> Container:
    """One container that is partly protected, and two that never were."""
    web = recipes.container(name="web", stack="shop", mounts=[DATA])
    recipes.backup(container=web)
    recipes.container(engine_id="b" * 64, name="db", stack="shop")
    recipes.container(engine_id="c" * 64, name="far", host=recipes.host("site-b"))
    return web


def page(client: Client, query: str = "") -> str:
    answer = client.get(reverse("admin:coverage") + query)
    assert answer.status_code == 200
    return answer.content.decode()


def text_of(shown: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown.partition('id="content-main"')[2])).split())


def names(shown: str) -> list[str]:
    return re.findall(r'<th scope="row"><a class="strong"[^>]*><bdi>([^<]*)</bdi>', shown)


def test_the_totals_are_shares_and_each_container_tells_what_it_lacks(client: Client, shop: Container) -> None:
    shown = page(client)
    words = text_of(shown)
    assert "Partly backed up 33 % 1 container " in words
    assert "Never backed up 66 % 2 containers" in words
    assert "Backed up 0 % 0 containers" in words
    assert "Excluded 0 0 containers" in words
    assert "its configuration volume data" in words
    assert "not verified yet not encrypted" in words
    assert names(shown) == ["db", "web", "far"]
    assert "style=" not in shown


def test_filters_stay_in_the_address(client: Client, shop: Container) -> None:
    assert names(page(client, "?state=never")) == ["db", "far"]
    assert names(page(client, "?state=never&host=local")) == ["db"]
    assert names(page(client, "?stack=shop")) == ["db", "web"]
    shown = page(client, "?state=never&host=local")
    assert 'href="?host=local&amp;state=partly"' in shown or 'href="?state=partly&amp;host=local"' in shown
    assert 'href="?host=local"' in shown


def test_a_long_list_has_pages(client: Client, shop: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "PAGE", 2)
    first = page(client)
    assert names(first) == ["db", "web"]
    following = re.search(r'href="(\?after=\d+)">Next page', first)
    assert following is not None
    last = page(client, following[1])
    assert names(last) == ["far"]
    assert "First page" in last
    assert "Next page" not in last


@pytest.mark.parametrize("query", ["?state=good", "?after=x", "?after=777"])
def test_what_there_is_not_shows_nothing_and_says_why(client: Client, shop: Container, query: str) -> None:
    shown = page(client, query)
    assert names(shown) == []
    assert "nothing is shown" in shown


def test_the_side_bar_and_the_dashboard_lead_here(client: Client, shop: Container) -> None:
    index = client.get(reverse("admin:index")).content.decode()
    assert index.count(f'href="{reverse("admin:coverage")}"') == 3
    assert "0 %" in index


def test_a_dashboard_without_containers_has_no_share(client: Client) -> None:
    index = client.get(reverse("admin:index")).content.decode()
    assert index.count(f'href="{reverse("admin:coverage")}"') == 2


def test_hostile_names_stay_text(client: Client) -> None:
    mount = {**DATA, "name": recipes.HOSTILE, "target": recipes.HOSTILE}
    hostile = recipes.container(name=recipes.HOSTILE, stack=recipes.HOSTILE, mounts=[mount])
    recipes.backup(container=hostile)
    shown = page(client)
    assert "<img" not in shown
    assert "\u202e" not in shown


def test_more_containers_are_no_more_queries(
    client: Client, shop: Container, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        recipes.backup(container=recipes.container(engine_id=f"{number:064x}", name=f"n{number}", mounts=[DATA]))
    with django_assert_max_num_queries(16):
        page(client)


@pytest.mark.parametrize("permissions", [(), ("view_container",), ("view_backup",)])
def test_who_may_not_see_both_sees_no_page(shop: Container, permissions: tuple[str, ...]) -> None:
    user = recipes.stranger()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    other = Client()
    other.force_login(user)
    assert other.get(reverse("admin:coverage")).status_code == 403
    assert other.post(reverse("admin:coverage")).status_code == 405
