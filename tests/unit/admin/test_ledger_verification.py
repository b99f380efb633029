"""The button that verifies the ledger, its form, and what the ledger's page says of the last verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.audit.appending import LedgerHalted, appending
from containers_app.audit.ledger import Actor, Source
from containers_app.audit.losses import Loss, halt
from containers_app.models import Operation
from containers_app.operations import runner
from tests import recipes

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]
LIST, PAGE = "/admin/audit/entry/", "/admin/audit/entry/verify/"


def signed_in(user: User, **more: Any) -> Client:
    client = Client(**more)
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that takes every message."""
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)


@pytest.fixture
def aude() -> Client:
    ledger.event(action="auth.login", actor=Actor(type="user", id="7"), source=Source(channel="ui"), ticket="C-1")
    return signed_in(recipes.auditor())


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def asked(client: Client, **fields: str) -> Operation:
    """What a press of the button, or of the form's, begins."""
    answer = client.post(PAGE, fields)
    row = Operation.objects.latest("pk")
    assert answer["Location"] == reverse("admin:containers_app_operation_change", args=[row.pk])
    return row


def test_the_button_verifies_all_of_it_and_leads_to_the_operation_with_its_entries(aude: Client) -> None:
    assert f'action="{PAGE}"' in text(aude, LIST)
    row = asked(aude)
    assert row.params == {"shard": None, "quick": False, "vkeys": []}
    runner.run(row.pk)
    page = text(aude, reverse("admin:containers_app_operation_change", args=[row.pk]))
    assert ("VERIFIED: " in page, f"timeline/?operation={row.pk}" in page) == (True, True)
    told = ledger.entries().filter(action="audit.verify").order_by("id")
    assert list(told.values_list("phase", "outcome")) == [("intent", ""), ("outcome", "success")]
    html = text(aude, LIST)
    assert (">Verified<" in html, f"{told[1].pk}/change/" in html, "tampered with" in html) == (True, True, False)


def test_damage_is_red_on_the_page_and_told_to_whoever_watches(aude: Client) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET ticket = 'x' WHERE ticket = 'C-1'")
    row = asked(aude)
    runner.run(row.pk)
    page = text(aude, reverse("admin:containers_app_operation_change", args=[row.pk]))
    assert ("TAMPERED: shard" in page, "ticket is not what the payload says" in page) == (True, True)
    html = text(aude, LIST)
    assert ("The ledger was tampered with." in html, ">Tampered<" in html) == (True, True)
    ready = aude.get("/readyz").json()["ledger"]
    assert (ready["verification"], 0 <= ready["verificationAgeSeconds"] < 600) == ("tampered", True)


def test_the_form_chooses_a_shard_a_quick_look_and_keys(aude: Client) -> None:
    assert "Verifier keys" in text(aude, PAGE)
    shard = ledger.entries()[0].shard
    row = asked(aude, shard=str(shard), quick="on", reason="monthly", ticket="C-7")
    assert (row.params, row.reason, row.ticket) == (
        {"shard": shard, "quick": True, "vkeys": []},
        "monthly",
        "C-7",
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shard": "26"}, "must be a year of four digits"),
        ({"shard": "all"}, "Enter a whole number"),
        ({"vkeys": "nonsense"}, "must be a verifier key"),
    ],
)
def test_a_wrong_form_says_why_and_runs_nothing(aude: Client, fields: dict[str, str], words: str) -> None:
    answer = aude.post(PAGE, fields)
    assert (answer.status_code, words in answer.content.decode()) == (200, True)
    assert not Operation.objects.exists()


def test_a_reason_that_the_settings_require_is_asked_for(aude: Client, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "require_reason": frozenset({"audit.verify"})}
    assert "This field is required" in aude.post(PAGE).content.decode()
    assert not Operation.objects.exists()
    asked(aude, reason="monthly")


@pytest.mark.parametrize("make", [recipes.operator, recipes.stranger])
def test_nobody_else_verifies(make: Callable[[], User], aude: Client) -> None:
    other = signed_in(make())
    for answer in (other.get(PAGE), other.post(PAGE)):
        assert answer.status_code in (302, 403)
    assert not Operation.objects.exists()
    page = other.get(LIST)
    assert PAGE not in page.content.decode()


def test_a_press_without_the_pages_token_is_refused() -> None:
    client = signed_in(recipes.auditor(), enforce_csrf_checks=True)
    assert client.post(PAGE).status_code == 403
    assert not Operation.objects.exists()


def test_a_halted_ledger_takes_no_intent_and_the_page_says_how_it_is_verified(aude: Client) -> None:
    with appending():
        halt([Loss(shard=2026, size=5, root="00" * 32, left=1, why="lost", checkpoint=())])
    html = text(aude, LIST)
    assert ("manage.py ledger verify" in html, f'action="{PAGE}"' in html) == (True, False)
    assert "&#x27;manage.py ledger verify&#x27; verifies it" in aude.post(PAGE).content.decode()
    assert not Operation.objects.exists()


def test_a_ledger_that_fails_in_the_middle_runs_nothing(aude: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> NoReturn:
        raise LedgerHalted("The ledger is halted.")

    monkeypatch.setattr(ledger, "intent", refuse)
    assert "The ledger is halted;" in aude.post(PAGE).content.decode()
    assert not Operation.objects.exists()


def test_a_verification_of_a_part_says_that_it_is_one(aude: Client) -> None:
    runner.run(asked(aude, quick="on").pk)
    assert "not all of it, or quickly" in text(aude, LIST)
    (told,) = ledger.entries().filter(action="audit.verify", phase="outcome")
    assert json.loads(told.payload)["details"]["result"]["quick"] is True
