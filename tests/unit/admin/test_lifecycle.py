"""Start, stop, restart and remove in the console: shown first, done when confirmed, off where they make no sense."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.models import Container, Operation
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ACTS = ("start", "stop", "restart", "remove")
every_act = pytest.mark.parametrize("act", ACTS)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


def address(act: str) -> str:
    return reverse(f"admin:containers_app_container_{act}")


def wish(row: Container, **values: str) -> dict[str, str]:
    return {"ids": str(row.pk), "reason": "a test", **values}


def page_of(client: Client, row: Container) -> str:
    return client.get(reverse("admin:containers_app_container_change", args=[row.pk])).content.decode()


@pytest.mark.parametrize(
    ("act", "values", "params"),
    [
        ("start", {"wait_healthy_seconds": "30"}, {"wait_healthy_seconds": 30}),
        ("start", {}, {"wait_healthy_seconds": 0}),
        ("stop", {"timeout_seconds": "0"}, {"timeout_seconds": 0, "confirm_protected": False}),
        ("restart", {}, {"timeout_seconds": None, "confirm_protected": False}),
        ("stop", {"confirm_protected": "on"}, {"timeout_seconds": None, "confirm_protected": True}),
        (
            "remove",
            {"confirm": "web", "force": "on"},
            {"confirm": "web", "force": True, "volumes": False, "confirm_protected": False},
        ),
    ],
)
def test_an_act_is_shown_first_and_done_when_confirmed(
    operator: Client, act: str, values: dict[str, str], params: dict[str, object]
) -> None:
    row = recipes.container()
    shown = operator.post(address(act), wish(row, **values))
    assert b"What will happen" in shown.content
    assert b"This cannot be taken back" in shown.content
    assert not Operation.objects.exists()
    done = operator.post(address(act), wish(row, **values, confirmed="1"))
    operation = Operation.objects.get()
    assert done["Location"] == reverse("admin:containers_app_operation_change", args=[operation.pk])
    unconfirmed = {} if act == "start" else {"confirm_protected": False}
    assert (operation.kind, operation.params) == (act, {"container": row.engine_id, **unconfirmed, **params})
    assert operation.reason == "a test"


@pytest.mark.parametrize(
    ("act", "values", "line"),
    [
        ("start", {"wait_healthy_seconds": "30"}, "Its healthcheck is waited for, 30 seconds at most."),
        ("stop", {"timeout_seconds": "0"}, "That time is 0 seconds."),
        ("remove", {"confirm": "web", "volumes": "on"}, "Its anonymous volumes are removed with it."),
    ],
)
def test_what_was_filled_in_is_said_before_it_happens(
    operator: Client, act: str, values: dict[str, str], line: str
) -> None:
    assert line in operator.post(address(act), wish(recipes.container(), **values)).content.decode()


def test_who_may_stop_and_not_see_containers_stops_none() -> None:
    person, row = recipes.stranger(), recipes.container()
    person.user_permissions.add(Permission.objects.get(codename="operate_container"))
    answer = signed_in(person).post(address("stop"), wish(row, confirmed="1"))
    assert answer.status_code == 200
    assert ">web<" not in answer.content.decode()
    assert not Operation.objects.exists()


@pytest.mark.parametrize("typed", ["", "Web", "web ", "other"])
def test_another_name_than_the_containers_removes_nothing(operator: Client, typed: str) -> None:
    row = recipes.container()
    answer = operator.post(address("remove"), wish(row, confirm=typed, confirmed="1"))
    assert answer.status_code == 200
    assert "Type exactly: web" in answer.content.decode()
    assert not Operation.objects.exists()


def test_containers_are_removed_one_by_one(operator: Client) -> None:
    rows = [recipes.container(engine_id=letter * 64, name=f"web-{letter}") for letter in "ab"]
    ids = ",".join(str(row.pk) for row in rows)
    answer = operator.post(address("remove"), {"ids": ids, "confirm": "web-a", "confirmed": "1"})
    assert b"one by one" in answer.content
    assert not Operation.objects.exists()


def test_several_containers_are_stopped_by_one_form(operator: Client) -> None:
    rows = [recipes.container(engine_id=letter * 64, name=f"web-{letter}") for letter in "ab"]
    operator.post(address("stop"), {"ids": ",".join(str(row.pk) for row in rows), "confirmed": "1"})
    assert sorted(Operation.objects.values_list("params__container", flat=True)) == ["a" * 64, "b" * 64]


@pytest.mark.parametrize(("act", "name"), [("start", "wait_healthy_seconds"), ("stop", "timeout_seconds")])
@pytest.mark.parametrize("value", ["-1", "3601", "1.5", "soon"])
def test_seconds_outside_of_an_hour_are_an_error_of_their_field(
    operator: Client, act: str, name: str, value: str
) -> None:
    answer = operator.post(address(act), wish(recipes.container(), **{name: value, "confirmed": "1"}))
    assert b"errorlist" in answer.content
    assert not Operation.objects.exists()


@every_act
@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
def test_a_stranger_changes_nothing(act: str, who: object) -> None:
    assert callable(who)
    client = signed_in(who())
    row = recipes.container()
    assert client.get(address(act)).status_code == 403
    assert client.post(address(act), wish(row, confirm="web", confirmed="1")).status_code == 403
    assert not Operation.objects.exists()


@every_act
def test_reading_a_form_changes_nothing(operator: Client, act: str) -> None:
    row = recipes.container()
    assert operator.get(address(act), wish(row, confirm="web", confirmed="1")).status_code == 200
    assert not Operation.objects.exists()


@every_act
def test_the_lists_menu_leads_to_the_form(operator: Client, act: str) -> None:
    row = recipes.container()
    chosen = {"action": f"{act}_selected", "_selected_action": str(row.pk)}
    answer = operator.post(reverse("admin:containers_app_container_changelist"), chosen)
    assert answer["Location"] == f"{address(act)}?ids={row.pk}"


@pytest.mark.parametrize(
    ("state", "off"),
    [
        ("running", {"Start: it runs"}),
        ("paused", {"Start: it runs"}),
        ("exited", {"Stop: it does not run", "Restart: it does not run"}),
        ("created", {"Stop: it does not run", "Restart: it does not run"}),
    ],
)
def test_a_button_that_makes_no_sense_is_off_and_says_why(operator: Client, state: str, off: set[str]) -> None:
    row = recipes.container(state=state)
    page = page_of(operator, row)
    disabled = re.findall(r'<button[^>]*aria-disabled="true"[^>]*>(.*?)</button>', page, re.DOTALL)
    assert {html.unescape(re.sub(r"<[^>]+>", "", button)).strip() for button in disabled} == off
    linked = {act for act in ACTS if f"{address(act)}?ids={row.pk}" in page}
    assert linked == set(ACTS) - {word.partition(":")[0].lower() for word in off}


@pytest.mark.parametrize(("kind", "begun"), [("stop", "what the Engine has begun, it ends"), ("backup", "taken back")])
def test_a_cancellation_promises_only_what_is_kept(operator: Client, kind: str, begun: str) -> None:
    running = recipes.running(kind=kind, params={"container": "web"})
    page = operator.get(reverse("admin:containers_app_operation_change", args=[running.pk])).content.decode()
    assert ("What the Engine has begun, it ends." in page) is (kind == "stop")
    cancel = reverse("admin:containers_app_operation_cancel", args=[running.pk])
    assert begun in operator.post(cancel, follow=True).content.decode()


def test_who_may_not_act_sees_no_button(operator: Client) -> None:
    row = recipes.container()
    assert address("stop") in page_of(operator, row)
    page = page_of(signed_in(recipes.auditor()), row)
    assert not [act for act in ACTS if address(act) in page]


def test_a_container_that_is_gone_has_no_buttons(operator: Client) -> None:
    row = recipes.container(removed_at=timezone.now())
    page = page_of(operator, row)
    assert not [act for act in ACTS if address(act) in page]
