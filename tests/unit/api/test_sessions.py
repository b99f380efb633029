"""The console's session at the API: it reads, and it acts with the token that no other site knows."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Operation
from tests import recipes
from tests.unit.api.asking import ASYNC, BACKUP, PUBLISHED

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
TOKEN = "x" * 32


@pytest.fixture
def console() -> Client:
    """Olga's browser, with the cookie of the token."""
    console = Client(enforce_csrf_checks=True)
    console.force_login(recipes.operator())
    console.cookies["csrftoken"] = TOKEN
    return console


def send(console: Client, **headers: str) -> int:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = console.post(PUBLISHED, json.dumps(BACKUP), content_type="application/json", headers={**ASYNC, **names})
    if response.status_code == 403:
        assert response.json()["code"] == "PERMISSION_DENIED"
    return int(response.status_code)


def test_a_session_reads(console: Client) -> None:
    assert console.get(PUBLISHED).status_code == 200


def test_a_session_acts_with_the_token(console: Client) -> None:
    assert send(console, X_CSRFToken=TOKEN) == 202
    assert Operation.objects.get().actor == "olga"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_CSRFToken": ""},
        {"X_CSRFToken": "y" * 32},
        {"X_CSRFToken": TOKEN, "Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_session_without_the_token_does_not_act(console: Client, headers: dict[str, str]) -> None:
    assert send(console, **headers) == 403
    assert not Operation.objects.exists()
    (entry,) = ledger.entries().filter(action="authz.denied")
    assert entry.outcome == "denied"


def test_a_session_without_the_token_does_not_cancel(console: Client) -> None:
    operation = recipes.operation()
    assert console.post(f"/api/operations/{operation.pk}/cancel").status_code == 403
    operation.refresh_from_db()
    assert operation.state == "queued"


def test_a_key_needs_no_token() -> None:
    text = recipes.key_of(recipes.operator())
    assert send(Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {text}"})) == 202


def test_who_signed_out_is_nobody(console: Client) -> None:
    console.logout()
    assert console.get(PUBLISHED).status_code == 401


def test_who_was_deactivated_is_nobody(console: Client) -> None:
    User.objects.update(is_active=False)
    assert console.get(PUBLISHED).status_code == 401
    assert send(console, X_CSRFToken=TOKEN) == 401


def test_another_site_is_not_told_that_it_may_read() -> None:
    response = Client().options(PUBLISHED, headers={"Origin": "https://evil.example"})
    assert response.status_code == 401
    assert not response.has_header("Access-Control-Allow-Origin")
