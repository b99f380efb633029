"""The clone's pages: a plan before the confirmation, a confirmation bound to it, secrets in none of the records."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from containers_app.admin import plans
from containers_app.audit import ledger
from containers_app.models import Container, Operation
from containers_app.operations import waiting
from containers_app.operations.secrets import unsealed
from tests import recipes
from tests.unit.admin.cloning import HASH, Worker, collision, planned, refused_as, send, source

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ADDRESS = "admin:containers_app_container_clone"
SECRET = "hunter2-is-no-password"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


@pytest.fixture
def administrator() -> Client:
    return signed_in(recipes.administrator())


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Operations end as the test says; nobody waits long for one that does not."""
    made = Worker()
    monkeypatch.setattr("containers_app.admin.clone_view.submit", made.submit)
    monkeypatch.setattr("containers_app.admin.acts.submit", made.submit)
    monkeypatch.setattr(plans, "PLAN_SECONDS", 0.01)
    monkeypatch.setattr(plans, "BEGIN_SECONDS", 0.01)
    return made


@pytest.fixture
def row() -> Container:
    return source()


def text_of(answer: Any) -> str:
    """What a person reads."""
    page = re.sub(r"<(svg|script|style).*?</\1>", "", answer.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def hidden(answer: Any, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', answer.content.decode())
    return html.unescape(found[1]) if found else ""


def button(answer: Any, name: str) -> str:
    """The first button of this name, as markup; empty where there is none."""
    found = re.search(rf'<button[^>]*name="{name}"[^>]*>', answer.content.decode())
    return found[0] if found else ""


def test_the_plan_is_an_operation_of_its_own_and_is_shown(operator: Client, worker: Worker, row: Container) -> None:
    worker.ends = [planned(warnings=[{"code": "VOLUME_SHARED", "message": "Two writers."}])]
    answer = send(operator, row, name="web-2", reason="a test", memory="512m")
    plan = Operation.objects.get()
    assert plan.params["dry_run"] is True
    assert (plan.kind, plan.reason, plan.channel) == ("clone", "a test", "ui")
    assert plan.deadline_at is not None
    words = text_of(answer)
    for shown in ("HostConfig.Memory", "536870912", "web-2_pages", "copied into a new one", "/pages", "Two writers."):
        assert shown in words
    assert hidden(answer, "plan_hash") == HASH
    assert "disabled" not in button(answer, "confirmed")
    assert list(ledger.entries().filter(phase="intent").values_list("operation_id", flat=True)) == [str(plan.pk)]


def test_the_confirmation_is_bound_to_the_plan_that_was_seen(operator: Client, worker: Worker, row: Container) -> None:
    worker.ends = [{"plan": {}}]
    answer = send(operator, row, name="web-2", confirmed="1", plan_hash=HASH, start="on", ticket="CHG-1")
    operation = Operation.objects.get()
    assert answer["Location"] == reverse("admin:containers_app_operation_change", args=[operation.pk])
    assert (operation.params["plan_hash"], operation.params["dry_run"]) == (HASH, False)
    assert (operation.params["start"], operation.ticket) == (True, "CHG-1")
    assert operation.deadline_at is None


def test_a_confirmation_without_a_plan_is_planned_first(operator: Client, worker: Worker, row: Container) -> None:
    worker.ends = [planned()]
    assert hidden(send(operator, row, confirmed="1"), "plan_hash") == HASH
    assert Operation.objects.get().params["dry_run"] is True


def test_a_hash_that_is_none_makes_nothing(operator: Client, worker: Worker, row: Container) -> None:
    assert "planHash" in text_of(send(operator, row, confirmed="1", plan_hash="x"))
    assert not Operation.objects.exists()


def test_a_plan_that_changed_is_shown_again_with_a_sentence(operator: Client, worker: Worker, row: Container) -> None:
    worker.ends = [refused_as("PLAN_CHANGED", "the plan is no longer"), planned(hash="cd" * 32)]
    answer = send(operator, row, confirmed="1", plan_hash=HASH)
    assert "Something has changed since you saw the plan, so nothing was made." in text_of(answer)
    assert hidden(answer, "plan_hash") == "cd" * 32
    assert sorted(Operation.objects.values_list("params__dry_run", flat=True)) == [False, True]


def test_a_plan_that_is_late_is_looked_for_again(operator: Client, worker: Worker, row: Container) -> None:
    late = send(operator, row)
    assert "The plan is not there yet." in text_of(late)
    assert button(late, "confirmed") == ""
    number = hidden(late, "planned")
    still = send(operator, row, again="1", planned=number)
    assert hidden(still, "planned") == number
    Operation.objects.update(**planned())
    there = send(operator, row, again="1", planned=number)
    assert hidden(there, "plan_hash") == HASH
    assert Operation.objects.count() == 1


def test_nobody_waits_when_every_place_is_taken(
    operator: Client, worker: Worker, row: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "PLAN_SECONDS", 60.0)
    monkeypatch.setattr(waiting, "_places", _Full)
    assert "The plan is not there yet." in text_of(send(operator, row))


class _Full:
    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking
        return False


@pytest.mark.parametrize("who", ["another", "of another container", "no plan", "no id"])
def test_only_ones_own_plan_of_this_container_is_shown(
    operator: Client, worker: Worker, row: Container, who: str
) -> None:
    owner = {"another": "user:0"}.get(who, f"user:{User.objects.get(username='olga').pk}")
    target = "b" * 64 if who == "of another container" else row.engine_id
    params = {"container": target, "dry_run": who != "no plan"}
    foreign = recipes.operation(kind="clone", params=params, principal=owner, **planned(name="not-yours"))
    answer = send(operator, row, again="1", planned="1" if who == "no id" else str(foreign.pk))
    assert "not-yours" not in text_of(answer)
    assert Operation.objects.exclude(pk=foreign.pk).count() == 1


def test_a_plan_that_failed_says_why_and_is_made_anew(operator: Client, worker: Worker, row: Container) -> None:
    worker.ends = [refused_as("PROTECTED", "the container is protected"), planned()]
    failed = send(operator, row)
    assert "Clone failed: the container is protected" in text_of(failed)
    assert button(failed, "confirmed") == ""
    assert hidden(send(operator, row, anew="1", planned=hidden(failed, "planned")), "plan_hash") == HASH


@pytest.mark.parametrize(
    ("blocks", "values", "why"),
    [
        ("create", {}, "The name is taken."),
        ("start", {}, ""),
        ("start", {"start": "on"}, "The name is taken."),
        (None, {"start": "on"}, ""),
        ("confirm", {}, "confirm that in the form"),
        ("confirm", {"confirm_privileged": "on"}, ""),
    ],
)
def test_what_blocks_disables_the_button_and_says_why(
    administrator: Client, worker: Worker, *, blocks: str | None, values: dict[str, str], why: str
) -> None:
    worker.ends = [planned(collisions=[collision(blocks=blocks)])]
    answer = send(administrator, source(), **values)
    assert "The name is taken." in text_of(answer)
    assert ("disabled" in button(answer, "confirmed")) is bool(why)
    assert ('id="why-not"' in answer.content.decode()) is bool(why)
    assert why in text_of(answer)


def test_who_may_not_confirm_power_is_told_whom_to_ask(operator: Client, worker: Worker, row: Container) -> None:
    worker.ends = [planned(collisions=[collision("privilege", blocks="confirm")])]
    answer = send(operator, row, confirm_privileged="on")
    assert "ask an administrator" in text_of(answer)
    assert "disabled" in button(answer, "confirmed")


def test_a_proposal_is_laid_over_the_form(operator: Client, worker: Worker, row: Container) -> None:
    moved = {"overrides": {"ports": [{"container": 80, "host": 8081, "hostIp": None, "protocol": "tcp"}]}}
    worker.ends = [planned(collisions=[collision(), collision("port", blocks="start", resolution=moved)])]
    shown = send(operator, row, name="web-2", env_set="A=1")
    assert button(shown, "use").count('value="1"') == 1
    form = send(operator, row, name="web-2", env_set="A=1", use="1", planned=hidden(shown, "planned"))
    page = form.content.decode()
    assert re.search(r"<textarea[^>]*name=\"ports\"[^>]*>\s*8081:80</textarea>", page)
    assert re.search(r"<textarea[^>]*name=\"env_set\"[^>]*>\s*A=1</textarea>", page)
    assert 'value="web-2"' in page
    assert Operation.objects.count() == 1


def test_one_may_go_back_and_finds_the_form_as_it_was(operator: Client, worker: Worker, row: Container) -> None:
    page = send(operator, row, back="1", memory="512m").content.decode()
    assert 'value="512m"' in page
    assert "<details" in page
    assert not Operation.objects.exists()


def test_several_containers_are_confirmed_by_what_is_the_same_for_all(operator: Client, worker: Worker) -> None:
    rows = [source(), source(engine_id="b" * 64, name="web-b")]
    shown = text_of(send(operator, *rows, memory="1g", start="on", content="volumes", consistency="pause"))
    for line in ("Changed: memory.", "It is started.", "each volume becomes a new one", "the source stands still"):
        assert line in shown
    assert not Operation.objects.exists()
    send(operator, *rows, memory="1g", start="on", content="volumes", consistency="pause", confirmed="1", name="x")
    params = Operation.objects.order_by("id").values_list("params", flat=True)
    assert [(each["container"], each["name"], each["data"]) for each in params] == [
        ("a" * 64, None, "volumes"),
        ("b" * 64, None, "volumes"),
    ]


def test_secrets_are_in_the_users_own_form_and_nowhere_else(
    administrator: Client, worker: Worker, row: Container
) -> None:
    secret = {"env_set": f"PASSWORD={SECRET}", "command": f"run\n--key={SECRET}", "labels_set": f"key={SECRET}"}
    worker.ends = [planned(), {"plan": {}}]
    shown = send(administrator, row, **secret)
    assert SECRET not in text_of(shown)
    assert shown.content.decode().count(SECRET) == 3  # its own hidden fields
    assert "no-store" in shown["Cache-Control"]
    send(administrator, row, **secret, confirmed="1", plan_hash=HASH)
    for operation in Operation.objects.all():
        assert unsealed(operation)["env"] == {"set": {"PASSWORD": SECRET}}
        assert SECRET not in json.dumps([operation.params, operation.sealed, str(operation)])
        page = administrator.get(reverse("admin:containers_app_operation_change", args=[operation.pk]))
        assert SECRET not in page.content.decode()
    assert SECRET not in json.dumps(list(ledger.entries().values()), default=str)
    assert SECRET not in administrator.get(reverse(ADDRESS), {"ids": row.pk}).content.decode()


def test_a_mistake_is_told_without_the_secret_beside_it(operator: Client, worker: Worker, row: Container) -> None:
    answer = send(operator, row, env_set=f"PASSWORD {SECRET}")
    assert "Line 1 must be NAME=VALUE." in text_of(answer)
    assert answer.content.decode().count(SECRET) == 1  # the field itself


def test_hostile_words_of_a_plan_stay_words(operator: Client, worker: Worker, row: Container) -> None:
    evil = recipes.HOSTILE
    fills = {"name": evil, "overrides": {"networks": [{"name": evil, "aliases": [evil]}]}}
    worker.ends = [
        planned(
            name=evil,
            diff=[{"field": evil, "source": evil, "clone": [evil]}],
            collisions=[collision(evil, message=evil, resolution=fills, blocks="create")],
            volumes=[{"source": evil, "target": evil, "treatment": evil, "mountPoints": [evil]}],
            warnings=[{"code": evil, "message": evil}],
        )
    ]
    page = send(operator, row).content.decode()
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
@pytest.mark.parametrize(
    "values", [{}, {"confirmed": "1", "plan_hash": HASH}, {"again": "1"}, {"use": "0"}, {"back": "1"}]
)
def test_a_stranger_plans_and_clones_nothing(row: Container, who: Any, values: dict[str, str]) -> None:
    client = signed_in(who())
    assert client.get(reverse(ADDRESS), {"ids": row.pk}).status_code == 403
    assert send(client, row, **values).status_code == 403
    assert not Operation.objects.exists()


def test_a_quota_that_is_full_is_told_in_the_form(
    operator: Client, worker: Worker, row: Container, settings: Any
) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "max_active_operations": 0}
    assert "unfinished operations" in text_of(send(operator, row))
    assert not Operation.objects.exists()
