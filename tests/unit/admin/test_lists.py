"""The lists of the console: stacks and their headings, ranges of time, pages of the ledger that are never counted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.admin import ledger_list
from containers_app.audit import ledger
from containers_app.models import ApiKey, Operation
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
CONTAINERS, LEDGER = "admin:containers_app_container_changelist", "admin:audit_entry_changelist"
OPERATIONS = "admin:containers_app_operation_changelist"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def administrator() -> Client:
    return signed_in(recipes.administrator())


def page(client: Client, name: str, **query: str) -> str:
    answer = client.get(reverse(name), query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def headings(html: str) -> list[str]:
    """The text of each heading row."""
    rows = re.findall(r'<tr class="group">(.*?)</tr>', html, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


@pytest.fixture
def stacks() -> None:
    for number, (name, stack) in enumerate((("web", "shop"), ("db", "shop"), ("lone", ""), ("cache", "blog"))):
        recipes.container(name=name, stack=stack, engine_id=str(number) * 64, environment_names=[])


@pytest.mark.usefixtures("stacks")
def test_containers_stand_under_their_stack_and_those_without_one_come_last(administrator: Client) -> None:
    html = page(administrator, CONTAINERS)
    assert headings(html) == [
        "blog 1 container 1 without a backup Open the stack",
        "shop 2 containers 2 without a backup Open the stack",
        "Standalone 1 container 1 without a backup",
    ]
    assert html.index(">cache<") < html.index(">db<") < html.index(">web<") < html.index(">lone<")


@pytest.mark.usefixtures("stacks")
def test_stacks_of_one_name_on_two_hosts_do_not_mix(administrator: Client) -> None:
    recipes.container(name="far", stack="shop", host=recipes.host("other"), engine_id="f" * 64)
    assert [head[:18] for head in headings(page(administrator, CONTAINERS, stack="shop"))] == [
        "shop 2 containers ",
        "shop 1 container 1",
    ]


@pytest.mark.usefixtures("stacks")
def test_the_filter_of_stacks_knows_those_without_one(administrator: Client) -> None:
    assert [head.split()[0] for head in headings(page(administrator, CONTAINERS, stack=""))] == ["Standalone"]
    assert [head.split()[0] for head in headings(page(administrator, CONTAINERS, stack="blog"))] == ["blog"]


@pytest.mark.usefixtures("stacks")
def test_the_polled_region_keeps_the_filters_and_has_no_links_for_who_may_not_act(administrator: Client) -> None:
    html = page(administrator, CONTAINERS, stack="shop", q="web")
    assert 'hx-get="/admin/containers_app/container/?stack=shop&amp;q=web"' in html
    assert "back-up/?ids=" in html
    assert "back-up/?ids=" not in page(signed_in(recipes.auditor()), CONTAINERS)


def at(moment: datetime, name: str) -> None:
    recipes.operation(created_at=moment, target_name=name)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"since": "today"}, {"now"}),
        ({"since": "7d"}, {"now", "days"}),
        ({"since": "30d"}, {"now", "days", "weeks"}),
        ({"since": "2020-02-01", "until": "2020-02-29"}, {"leap"}),
        ({"until": "2020-02-28"}, set()),
        ({"since": "2020-02-29", "until": ""}, {"now", "days", "weeks", "leap"}),
        ({"since": "yesterday"}, set()),
        ({"until": "9999-12-31"}, set()),
        ({"until": "7d"}, set()),
    ],
)
def test_a_range_of_time_chooses_its_rows(administrator: Client, query: dict[str, str], expected: set[str]) -> None:
    now = timezone.now()
    at(now, "now")
    at(now - timedelta(days=6), "days")
    at(now - timedelta(days=20), "weeks")
    at(datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC), "leap")
    html = page(administrator, OPERATIONS, **query)
    assert {name for name in ("now", "days", "weeks", "leap") if f"<bdi>{name}</bdi>" in html} == expected


def test_a_time_that_is_none_is_said_and_not_passed_over(administrator: Client) -> None:
    assert "must be a day like" in page(administrator, LEDGER, since="soon")


def test_the_presets_and_the_form_keep_the_other_filters(administrator: Client) -> None:
    html = page(administrator, LEDGER, phase="event", period="7d")
    assert '<a href="?phase=event&amp;period=7d" aria-current="true">7 days</a>' in html
    assert '<a href="?phase=event&amp;period=today">Today</a>' in html
    assert '<input type="hidden" name="period" value="7d">' in html


def record(count: int) -> None:
    for number in range(count):
        subject = ledger.Subject(type="user", id=str(number))
        source = ledger.Source(channel="cli")
        ledger.event(action="auth.login", actor=ledger.Actor(type="system"), source=source, subject=subject)


def entry_numbers(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'entry/\d+/change/">(\d+)</a>', html)]


def older(html: str) -> dict[str, str]:
    found = re.search(r'href="\?([^"]*)">Older', html)
    return dict(part.split("=") for part in found[1].replace("&amp;", "&").split("&")) if found else {}


def test_the_ledger_is_paged_by_place_and_a_new_entry_moves_nothing(
    administrator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_list, "PER_PAGE", 2)
    record(5)
    first = page(administrator, LEDGER, channel="cli")
    assert entry_numbers(first) == [5, 4]
    record(1)
    second = page(administrator, LEDGER, **older(first))
    assert entry_numbers(second) == [3, 2]
    assert older(second)["channel"] == "cli"
    last = page(administrator, LEDGER, **older(second))
    assert entry_numbers(last) == [1]
    assert older(last) == {}
    assert '<a class="btn btn-small" href="?channel=cli">Newest</a>' in last


@pytest.fixture
def key() -> Any:
    owner = recipes.operator("owner")
    return ApiKey.objects.issue(user=owner, name="nightly", scopes=["read"], expires_in_days=1).row


def test_revoking_is_explained_first_and_done_by_a_post_once(administrator: Client, key: ApiKey) -> None:
    address = reverse("admin:containers_app_apikey_revoke", args=[key.pk])
    html = administrator.get(address).content.decode()
    assert [word for word in ("nightly", key.prefix, "owner", "never", "What will happen") if word not in html] == []
    key.refresh_from_db()
    assert key.revoked_at is None
    for _ in range(2):
        administrator.post(address)
    assert ledger.entries().filter(action="access.key_revoked").count() == 1
    assert administrator.get(address).status_code == 302


def test_an_auditor_may_not_open_the_page_that_revokes(key: ApiKey) -> None:
    address = reverse("admin:containers_app_apikey_revoke", args=[key.pk])
    assert signed_in(recipes.auditor()).get(address).status_code == 403


def test_a_key_that_is_not_there_cannot_be_revoked(administrator: Client) -> None:
    assert administrator.get(reverse("admin:containers_app_apikey_revoke", args=[4711])).status_code == 404


def test_what_a_mount_is_called_is_escaped_once(administrator: Client) -> None:
    row = recipes.hostile_rows()["container"]
    html = administrator.get(reverse("admin:containers_app_container_change", args=[row.pk])).content
    assert b"&amp;quot;" not in html
    assert b"&quot;&gt;&lt;img src=x" in html


def test_an_operation_shows_its_hostile_facts_as_text(administrator: Client) -> None:
    rows = recipes.hostile_rows()
    assert Operation.objects.get().stage == recipes.HOSTILE[:64]
    html = administrator.get(reverse("admin:containers_app_operation_change", args=[rows["operation"].pk])).content
    assert b"<script>alert(1)" not in html
    assert "\u202e".encode() not in html
