"""Every log-in, log-out and failed log-in is in the ledger, and none of them holds a name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from django.http import HttpRequest
from django.test import RequestFactory
from model_bakery import baker

from containers_app import VERSION
from containers_app.audit import denials, ledger
from containers_app.audit.denials import BURST
from containers_app.audit.models import Disclosure, Entry
from containers_app.errors import AuditUnavailable

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture
def user() -> User:
    user: User = baker.make(User, username="alice@example.org", is_superuser=False)
    user.set_password("correct horse")
    user.save()
    user.groups.add(Group.objects.create(name="auditors-of-the-test"))
    return user


@pytest.fixture
def request_of_browser() -> HttpRequest:
    request = RequestFactory().post("/login/", REMOTE_ADDR="192.0.2.7", HTTP_USER_AGENT="Firefox/140")
    request.META["myco.request_id"] = "req-1"
    request.session = SessionStore()
    return request


@pytest.fixture
def broken_ledger() -> Iterator[None]:
    with connections["audit"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_head RENAME TO gone")
        yield
        cursor.execute("ALTER TABLE gone RENAME TO audit_head")


def shown() -> dict[str, Any]:
    return ledger.disclosed(Entry.objects.latest("id"))


def test_a_log_in_is_recorded_with_who_and_from_where(user: User, request_of_browser: HttpRequest) -> None:
    auth.login(request_of_browser, user)
    entry = shown()
    assert (entry["action"], entry["category"], entry["outcome"]) == ("auth.login", "auth", "success")
    assert entry["actor"] == {
        "type": "user",
        "id": str(user.pk),
        "label": "alice@example.org",
        "roles": ["auditors-of-the-test"],
        "auth": "session",
    }
    assert entry["source"] == {
        "app": VERSION,
        "channel": "ui",
        "ip": "192.0.2.7",
        "user_agent": "Firefox/140",
        "request_id": "req-1",
    }
    assert entry["object"] == {"type": "user", "id": str(user.pk)}


def test_a_superuser_is_recorded_as_one(user: User, request_of_browser: HttpRequest) -> None:
    user.is_superuser = True
    user.save()
    auth.login(request_of_browser, user)
    assert shown()["actor"]["roles"] == ["auditors-of-the-test", "superuser"]


def test_a_log_out_is_recorded(user: User, request_of_browser: HttpRequest) -> None:
    request_of_browser.user = user
    auth.logout(request_of_browser)
    assert (shown()["action"], shown()["actor"]["id"]) == ("auth.logout", str(user.pk))


def test_a_log_out_of_nobody_is_not(request_of_browser: HttpRequest) -> None:
    auth.logout(request_of_browser)
    assert not Entry.objects.exists()


@pytest.mark.parametrize("name", ["alice@example.org", "nobody-of-that-name"])
def test_a_failed_log_in_holds_the_name_as_a_commitment_only(
    user: User, request_of_browser: HttpRequest, name: str
) -> None:
    assert auth.authenticate(request_of_browser, username=name, password="wrong horse") is None
    entry = Entry.objects.get()
    assert (entry.action, entry.outcome, entry.actor_type, entry.actor_id) == (
        "auth.login_failed",
        "failure",
        "anonymous",
        "",
    )
    assert name not in entry.payload
    assert shown()["actor"]["label"] == name
    assert shown()["error"] == {"code": "LOGIN_FAILED"}


def test_the_password_is_nowhere(user: User, request_of_browser: HttpRequest) -> None:
    auth.authenticate(request_of_browser, username="alice@example.org", password="wrong horse")
    rows = json.dumps([*Entry.objects.values(), *Disclosure.objects.values()], default=str)
    assert "wrong horse" not in rows


def test_a_failure_without_a_request_or_a_name_is_recorded() -> None:
    assert auth.authenticate(None, token="x") is None
    assert auth.authenticate(None, username="alice", password="x") is None
    assert shown()["source"] == {"app": VERSION, "channel": "ui"}


def test_guessing_passwords_writes_a_bounded_number_of_entries(request_of_browser: HttpRequest) -> None:
    guess = {"username": "alice", "password": "x"}
    for _ in range(BURST * 3):
        auth.user_login_failed.send(__name__, credentials=guess, request=request_of_browser)
    denials.control.settle_all()
    payloads = [json.loads(entry.payload) for entry in Entry.objects.all()]
    assert len(payloads) < BURST * 2
    assert sum(1 + payload.get("suppressed", 0) for payload in payloads) == BURST * 3


def test_a_log_in_that_cannot_be_recorded_is_refused(
    user: User, request_of_browser: HttpRequest, broken_ledger: None
) -> None:
    with pytest.raises(AuditUnavailable):
        auth.login(request_of_browser, user)


def test_a_failed_log_in_that_cannot_be_recorded_is_counted_for_later(
    request_of_browser: HttpRequest, broken_ledger: None
) -> None:
    assert auth.authenticate(request_of_browser, username="alice", password="wrong horse") is None
    assert denials.control.waiting == 1


def test_a_log_out_that_cannot_be_recorded_still_ends_the_session(
    user: User, request_of_browser: HttpRequest, broken_ledger: None, caplog: pytest.LogCaptureFixture
) -> None:
    request_of_browser.user = user
    request_of_browser.session["something"] = "of the session"
    with caplog.at_level(logging.ERROR):
        auth.logout(request_of_browser)
    assert "something" not in request_of_browser.session
    assert "A log-out is not in the ledger" in caplog.text
    assert "alice" not in caplog.text
