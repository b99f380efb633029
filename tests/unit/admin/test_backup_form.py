"""The console's backup form asks for what the API takes, and tells a mistake at its field."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.models import Operation
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ADDRESS = "admin:containers_app_container_back_up"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def wish(**values: Any) -> dict[str, Any]:
    row = recipes.container(name="web", engine_id="a" * 64, last_seen_at=timezone.now())
    plain = {"ids": str(row.pk), "contents": ["rootfs"], "consistency": "live", "compression": "none"}
    return {**plain, **values}


@pytest.mark.parametrize(
    ("values", "params"),
    [
        ({}, {"contents": ["rootfs"], "volumes": None, "with_values": True, "pin": False}),
        ({"contents": ["config", "volumes"], "volumes": "data\n/srv\n\n"}, {"volumes": ["data", "/srv"]}),
        ({"contents": ["config"], "without_values": "on"}, {"with_values": False}),
        (
            {"consistency": "stop", "note": "before", "pin": "on"},
            {"consistency": "stop", "note": "before", "pin": True},
        ),
    ],
)
def test_what_was_filled_in_is_shown_first_and_asked_for_when_confirmed(values: Any, params: dict[str, Any]) -> None:
    client, filled = signed_in(recipes.operator()), wish(**values)
    shown = client.post(reverse(ADDRESS), filled).content.decode()
    assert "What will happen" in shown
    assert "Saved: " in shown
    assert not Operation.objects.filter(channel="ui").exists()
    client.post(reverse(ADDRESS), {**filled, "confirmed": "1"})
    asked = Operation.objects.get(channel="ui").params
    assert {name: asked[name] for name in params} == params


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"contents": []}, "Choose at least one."),
        ({"volumes": "data"}, "options.volumes"),
        ({"without_values": "on"}, "options.secrets"),
        ({"path": "/etc"}, "options.path"),
        ({"name": "../x"}, "options.name"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_asked_for(values: Any, words: str) -> None:
    client = signed_in(recipes.operator())
    answer = client.post(reverse(ADDRESS), wish(**values, confirmed="1")).content.decode()
    assert words in answer
    assert not Operation.objects.filter(channel="ui").exists()


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
def test_who_may_not_back_up_gets_no_form(who: Any) -> None:
    client = signed_in(who())
    assert client.get(reverse(ADDRESS)).status_code == 403
    assert client.post(reverse(ADDRESS), wish(confirmed="1")).status_code == 403


def test_the_whole_set_is_what_the_form_begins_with() -> None:
    page = signed_in(recipes.operator()).get(reverse(ADDRESS))
    assert page.context["form"]["contents"].value() == ("rootfs", "config", "volumes")
