"""While the ledger takes no entry, the console says so; while it is halted, who reads the ledger still comes in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from containers_app.audit import denials, ledger
from containers_app.audit.appending import HALTED_WORDS, appending
from containers_app.audit.losses import Loss, halt, release
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
LIST = "admin:audit_entry_changelist"


@pytest.fixture
def halted() -> None:
    ledger.event(action="auth.login", actor=ledger.Actor(type="user", id="7"), source=ledger.Source(channel="ui"))
    with appending():
        halt([Loss(shard=2026, size=5, root="00" * 32, left=1, why="lost", checkpoint=())])


@pytest.fixture
def gone() -> Iterator[None]:
    with connections["audit"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_head RENAME TO gone")
        yield
        cursor.execute("ALTER TABLE gone RENAME TO audit_head")


def sign_in(client: Client, user: User, password: str = "correct horse battery staple") -> Any:
    form = {"username": user.username, "password": password, "next": reverse(LIST)}
    return client.post(reverse("admin:login"), form)


@pytest.mark.parametrize("recipe", [recipes.auditor, recipes.administrator])
def test_who_reads_the_ledger_signs_in_while_it_is_halted(halted: None, recipe: Callable[[], User]) -> None:
    client, user = Client(), recipe()
    assert sign_in(client, user).status_code == 302
    assert client.get(reverse(LIST)).status_code == 200
    assert denials.control.waiting == 2


def test_the_sign_in_is_told_when_the_ledger_goes_on(halted: None) -> None:
    user = recipes.auditor()
    sign_in(Client(), user)
    with appending():
        release()
    denials.control.settle_all()
    told = json.loads(ledger.entries().filter(action="auth.login")[0].payload)
    assert (told["outcome"], told["actor"]["id"], told["object"]["id"]) == ("success", str(user.pk), str(user.pk))


@pytest.mark.parametrize("recipe", [recipes.operator, recipes.stranger])
def test_everybody_else_is_told_why_not(halted: None, recipe: Callable[[], User]) -> None:
    client = Client()
    answer = sign_in(client, recipe())
    assert answer.status_code == 503
    assert HALTED_WORDS.replace("'", "&#x27;") in answer.content.decode()
    assert "sessionid" not in client.cookies
    assert client.get(reverse(LIST)).status_code == 302


def test_a_wrong_password_is_a_wrong_password_while_it_is_halted(halted: None) -> None:
    client = Client()
    answer = sign_in(client, recipes.auditor(), "a guess")
    assert answer.status_code == 200
    assert "Please enter the correct username" in answer.content.decode()
    assert denials.control.waiting == 1


def test_nobody_signs_in_while_the_ledger_does_not_answer(gone: None) -> None:
    client = Client()
    answer = sign_in(client, recipes.auditor())
    assert answer.status_code == 503
    assert "does not answer" in answer.content.decode()
    assert "sessionid" not in client.cookies


def test_any_other_page_says_why_too(halted: None) -> None:
    client = Client()
    client.force_login(recipes.administrator())
    form = {
        "old_password": "correct horse battery staple",
        "new_password1": "a longer horse",
        "new_password2": "a longer horse",
    }
    assert client.post(reverse("admin:password_change"), form).status_code == 503
