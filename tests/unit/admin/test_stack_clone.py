"""The clone of a stack in the console: planned first, confirmed as it was planned, by nobody who may not."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from containers_app.admin import plans
from containers_app.audit import ledger
from containers_app.models import Container, Operation
from tests import recipes
from tests.unit.admin.cloning import HASH, Worker, collision, planned, refused_as, stack_plan

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups", "shop")]
ADDRESS = "/admin/stacks/local/shop/clone/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


@pytest.fixture
def shop() -> list[Container]:
    web = recipes.container(name="shop-web-1", stack="shop", service="web")
    return [web, recipes.container(engine_id="b" * 64, name="shop-db-1", stack="shop", service="db")]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    made = Worker()
    monkeypatch.setattr("containers_app.admin.planned.submit", made.submit)
    monkeypatch.setattr(plans, "PLAN_SECONDS", 0.01)
    monkeypatch.setattr(plans, "BEGIN_SECONDS", 0.01)
    return made


def send(client: Client, address: str = ADDRESS, **values: str) -> Any:
    return client.post(address, {"new_project": "shop-2", "content": "none", "consistency": "live", **values})


def text_of(answer: Any) -> str:
    page = answer.content.decode().partition('id="content-main"')[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def hidden(answer: Any, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', answer.content.decode())
    return html.unescape(found[1]) if found else ""


def test_the_whole_plan_is_shown_before_anything_is_made(operator: Client, worker: Worker) -> None:
    worker.ends = [planned(**stack_plan())]
    answer = send(operator, content="volumes", consistency="pause", start="on", wait_healthy_seconds="30")
    (operation,) = Operation.objects.all()
    assert (operation.kind, operation.params["dry_run"], operation.host.name) == ("stackClone", True, "local")
    assert (operation.params["project"], operation.params["new_project"]) == ("shop", "shop-2")
    assert operation.params["wait_healthy_seconds"] == 30
    words = text_of(answer)
    for shown in ("shop-web-1 → shop-2-web-1", "HostConfig.Memory", "shop-2_front", "bridge", "web-2_pages"):
        assert shown in words
    assert "Its name" not in words
    assert "The new project: shop-2" in words
    assert "They are started in the order of their dependencies." in words
    assert hidden(answer, "plan_hash") == HASH
    assert ledger.entries().filter(phase="intent").count() == 1
    page = operator.get(reverse("admin:containers_app_operation_change", args=[operation.pk]))
    assert "shop-web-1 → shop-2-web-1" in text_of(page)


def test_a_confirmation_is_bound_to_the_plan(operator: Client, worker: Worker) -> None:
    worker.ends = [{"plan": {}}]
    done = send(operator, confirmed="1", plan_hash=HASH, keep_on_failure="on", reason="a test")
    (operation,) = Operation.objects.all()
    assert done["Location"] == reverse("admin:containers_app_operation_change", args=[operation.pk])
    kept = {name: operation.params[name] for name in ("plan_hash", "dry_run", "keep_on_failure")}
    assert kept == {"plan_hash": HASH, "dry_run": False, "keep_on_failure": True}
    assert (operation.reason, operation.deadline_at) == ("a test", None)


def test_a_plan_that_changed_is_shown_again(operator: Client, worker: Worker) -> None:
    worker.ends = [refused_as("PLAN_CHANGED", "another plan"), planned(hash="cd" * 32)]
    answer = send(operator, confirmed="1", plan_hash=HASH)
    assert "Something has changed since you saw the plan" in text_of(answer)
    assert hidden(answer, "plan_hash") == "cd" * 32


def test_a_late_plan_is_looked_for_again(operator: Client, worker: Worker) -> None:
    late = send(operator)
    assert "The plan is not there yet." in text_of(late)
    Operation.objects.update(**planned())
    assert hidden(send(operator, again="1", planned=hidden(late, "planned")), "plan_hash") == HASH
    assert Operation.objects.count() == 1


def test_the_plan_of_the_same_project_on_another_host_is_not_this_one(operator: Client, worker: Worker) -> None:
    far = recipes.container(engine_id="c" * 64, name="shop-web-1", stack="shop", host=recipes.host("site-b"))
    owner = f"user:{User.objects.get(username='olga').pk}"
    params = {"project": "shop", "dry_run": True}
    other = recipes.operation(kind="stackClone", params=params, host=far.host, principal=owner, **planned())
    answer = send(operator, again="1", planned=str(other.pk))
    assert hidden(answer, "plan_hash") == ""
    assert Operation.objects.exclude(pk=other.pk).get().host.name == "local"


def test_a_proposal_for_one_member_is_no_button_that_does_nothing(operator: Client, worker: Worker) -> None:
    power = collision("privilege", blocks="confirm", resolution={"confirmPrivileged": True})
    worker.ends = [planned(collisions=[collision("name", resolution={"name": "web-2"}, blocks="create"), power])]
    shown = send(operator)
    page = shown.content.decode()
    assert re.findall(r'name="use" value="(\d)"', page) == ["1"]
    form = send(operator, use="1", planned=hidden(shown, "planned")).content.decode()
    assert re.search(r'name="confirm_privileged"[^>]* checked', form)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("new_project", ""),
        ("new_project", "Shop"),
        ("content", "some"),
        ("consistency", "maybe"),
        ("wait_healthy_seconds", "5"),
        ("wait_healthy_seconds", "3601"),
    ],
)
def test_a_mistake_is_told_at_its_field(operator: Client, worker: Worker, field: str, text: str) -> None:
    page = send(operator, **{field: text}).content.decode()
    row = page.partition(f'name="{field}"')[2].partition("form-row")[0]
    assert "errorlist" in row
    assert not Operation.objects.exists()


def test_a_label_that_compose_would_not_take_is_not_cloned(operator: Client, worker: Worker) -> None:
    recipes.container(engine_id="d" * 64, name="odd", stack="My shop")
    answer = send(operator, reverse("admin:stack_clone", args=["local", "My shop"]))
    assert "'project' must be" in text_of(answer)
    assert not Operation.objects.exists()


def test_hostile_words_of_a_plan_stay_words(operator: Client, worker: Worker) -> None:
    worker.ends = [planned(**stack_plan(recipes.HOSTILE))]
    page = send(operator).content.decode()
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_the_page_of_a_stack_leads_to_the_form_for_who_may(operator: Client) -> None:
    address = reverse("admin:stack", args=["local", "shop"])
    assert f'href="{ADDRESS}"' in operator.get(address).content.decode()
    assert ADDRESS not in signed_in(recipes.auditor()).get(address).content.decode()
    assert "shop-db-1" in text_of(operator.get(ADDRESS))


def test_what_has_no_members_is_not_cloned(operator: Client, worker: Worker) -> None:
    nowhere = reverse("admin:stack_clone", args=["local", "nowhere"])
    assert operator.get(nowhere).status_code == 404
    assert send(operator, nowhere).status_code == 404


STEPS: list[dict[str, str]] = [{}, {"confirmed": "1", "plan_hash": HASH}, {"again": "1"}, {"use": "0"}, {"back": "1"}]


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
@pytest.mark.parametrize("step", STEPS)
def test_a_stranger_clones_no_stack(who: Any, step: dict[str, str]) -> None:
    client = signed_in(who())
    assert client.get(ADDRESS).status_code == 403
    assert send(client, **step).status_code == 403
    assert not Operation.objects.exists()


def test_who_goes_back_finds_the_form_as_it_was(operator: Client, worker: Worker) -> None:
    assert 'value="shop-2"' in send(operator, back="1").content.decode()
    assert not Operation.objects.exists()
