"""The stacks of the inventory: who sees them, what is told of each, and labels that are no names."""

from __future__ import annotations

import html
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.admin.stacks import stack_address
from containers_app.models import Container
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]


@pytest.fixture
def client() -> Client:
    made = Client()
    made.force_login(recipes.auditor())
    return made


@pytest.fixture
def shop() -> list[Container]:
    """Two members of `shop` on `local`, one of another `shop` on `site-b`, and one of no stack."""
    web = recipes.container(name="shop-web-1", stack="shop", service="web")
    worker = recipes.container(engine_id="b" * 64, name="shop-worker-1", stack="shop", service="worker", state="exited")
    recipes.container(engine_id="c" * 64, name="shop-web-1", stack="shop", service="web", host=recipes.host("site-b"))
    recipes.container(engine_id="d" * 64, name="alone")
    return [web, worker]


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.partition('id="content-main"')[2])).split())


def get(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_each_project_is_one_on_its_host(client: Client, shop: list[Container]) -> None:
    recipes.backup(container=shop[0])
    page = get(client, reverse("admin:stacks"))
    assert "2 on all hosts" in text_of(page)
    assert "shop local 2 1 exited 1 running" in text_of(page)
    assert "1 without a backup" in text_of(page)
    for host in ("local", "site-b"):
        assert reverse("admin:stack", args=[host, "shop"]) in page
    assert "alone" not in text_of(page)


def test_a_stack_has_its_members_of_that_host(client: Client, shop: list[Container]) -> None:
    page = get(client, reverse("admin:stack", args=["local", "shop"]))
    links = set(re.findall(r'href="/admin/containers_app/container/(\d+)/change/"', page))
    assert links == {str(row.pk) for row in shop}
    assert "worker" in text_of(page)


@pytest.mark.parametrize(("host", "project"), [("local", "none"), ("site-c", "shop"), ("local", "alone")])
def test_what_has_no_member_is_no_stack(client: Client, shop: list[Container], host: str, project: str) -> None:
    assert client.get(reverse("admin:stack", args=[host, project])).status_code == 404


def test_containers_that_are_gone_are_no_members(client: Client, shop: list[Container]) -> None:
    Container.objects.filter(host__name="local").update(removed_at=timezone.now())
    assert client.get(reverse("admin:stack", args=["local", "shop"])).status_code == 404
    assert "1 on all hosts" in text_of(get(client, reverse("admin:stacks")))


def test_the_side_bar_and_the_headings_lead_to_the_stacks(client: Client, shop: list[Container]) -> None:
    page = get(client, reverse("admin:containers_app_container_changelist"))
    assert f'href="{reverse("admin:stacks")}"' in page
    assert page.count(f'href="{reverse("admin:stack", args=["local", "shop"])}"') == 1
    own = get(client, reverse("admin:containers_app_container_change", args=[shop[0].pk]))
    assert reverse("admin:stack", args=["local", "shop"]) in own


@pytest.mark.parametrize("label", [recipes.HOSTILE, "a/b", "..", "\u202eshop", "line\nbreak"])
def test_a_label_that_is_no_part_of_an_address_is_shown_without_a_link(client: Client, label: str) -> None:
    recipes.container(stack=label)
    assert stack_address("local", label) == ""
    page = get(client, reverse("admin:stacks"))
    assert "admin/stacks/local" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert client.get(reverse("admin:containers_app_container_changelist")).status_code == 200


def test_a_label_with_blanks_and_signs_has_its_page(client: Client) -> None:
    recipes.container(stack="My shop? 100%")
    assert "My shop? 100%" in get(client, stack_address("local", "My shop? 100%"))


@pytest.mark.parametrize("verb", ["get", "post"])
def test_a_stranger_sees_no_stack(shop: list[Container], verb: str) -> None:
    stranger = Client()
    stranger.force_login(recipes.stranger())
    expected = 403 if verb == "get" else 405
    for address in (reverse("admin:stacks"), reverse("admin:stack", args=["local", "shop"])):
        assert getattr(stranger, verb)(address).status_code == expected
        assert getattr(Client(), verb)(address).status_code == 302


def test_no_stack_is_said_so(client: Client) -> None:
    assert "No container has the label of a compose project." in text_of(get(client, reverse("admin:stacks")))
