"""Each change of a user is in the ledger, by what is different; without the ledger nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
OLD, NEW = "correct horse battery staple", "a longer horse with two batteries"


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(recipes.administrator())
    return client


@pytest.fixture
def told() -> Callable[[], list[tuple[str, dict[str, Any]]]]:
    """A function: what the ledger has of users since now, with the details."""
    last = ledger.entries().first()
    start = last.pk if last else 0

    def entries() -> list[tuple[str, dict[str, Any]]]:
        rows = ledger.entries().filter(pk__gt=start, action__startswith="access.").order_by("pk")
        return [(row.action, ledger.disclosed(row).get("details", {})) for row in rows]

    return entries


Told = Callable[[], list[tuple[str, dict[str, Any]]]]


def changed(client: Client, user: User, **values: Any) -> int:
    groups = list(user.groups.values_list("pk", flat=True))
    form = {"username": user.username, "is_active": "on", "is_staff": "on", "groups": groups, **values}
    sent = {name: value for name, value in form.items() if value is not None}
    return client.post(reverse("admin:auth_user_change", args=[user.pk]), sent).status_code


def test_changed_groups_are_told_before_and_after(client: Client, told: Told) -> None:
    user = recipes.operator()
    assert changed(client, user, groups=[Group.objects.get(name="auditors").pk]) == 302
    ((action, details),) = told()
    assert action == "access.roles_changed"
    assert (details["before"]["groups"], details["after"]["groups"]) == (["operators"], ["auditors"])


def test_a_user_who_is_locked_out_and_let_in_again_is_told(client: Client, told: Told) -> None:
    user = recipes.operator()
    changed(client, user, is_active=None)
    changed(client, user)
    assert [action for action, _ in told()] == ["access.user_disabled", "access.user_enabled"]


def test_of_personal_fields_the_names_are_told_and_no_value(client: Client, told: Told) -> None:
    changed(client, recipes.operator(), email="olga@example.org", first_name="Olga")
    assert told() == [("access.user_changed", {"fields": ["email", "first_name"]})]
    assert not ledger.entries().filter(payload__contains="example.org").exists()


def test_a_form_that_changes_nothing_is_told_as_nothing(client: Client, told: Told) -> None:
    assert changed(client, recipes.operator()) == 302
    assert told() == []


def test_a_new_user_is_told_with_what_it_may_do(client: Client, told: Told) -> None:
    form = {"username": "nina", "password1": NEW, "password2": NEW, "usable_password": "true"}
    assert client.post(reverse("admin:auth_user_add"), form).status_code == 302
    ((action, details),) = told()
    assert (action, details["after"]["groups"], details["after"]["is_staff"]) == ("access.user_created", [], False)


def test_a_password_that_is_set_by_another_is_a_reset(client: Client, told: Told) -> None:
    address = reverse("admin:auth_user_password_change", args=[recipes.operator().pk])
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert client.post(address, {**form, "password2": "another"}).status_code == 200
    assert told() == []
    assert client.post(address, form).status_code == 302
    assert told() == [("access.password_reset", {"usable": True})]


def test_ones_own_password_is_told_as_changed(client: Client, told: Told) -> None:
    form = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
    assert client.post(reverse("admin:password_change"), form).status_code == 302
    assert told() == [("access.password_changed", {"usable": True})]


def test_nothing_changes_when_the_ledger_is_away(client: Client, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    user = recipes.operator()
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "event", _away)
        for send in (
            lambda: changed(client, user, groups=[], email="olga@example.org"),
            lambda: (
                client.post(
                    reverse("admin:auth_user_password_change", args=[user.pk]),
                    {"password1": NEW, "password2": NEW, "usable_password": "true"},
                ).status_code
            ),
            lambda: (
                client.post(
                    reverse("admin:auth_user_add"),
                    {"username": "nina", "password1": NEW, "password2": NEW, "usable_password": "true"},
                ).status_code
            ),
        ):
            assert send() == 503
    user.refresh_from_db()
    assert (user.email, user.groups.count(), user.check_password(OLD)) == ("", 1, True)
    assert not User.objects.filter(username="nina").exists()


def test_who_may_not_changes_nobody(told: Told) -> None:
    client, user = Client(), recipes.operator()
    client.force_login(recipes.auditor())
    assert changed(client, user, is_active=None) == 403
    assert told() == []


def test_a_password_that_is_set_from_the_terminal_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    user = recipes.operator()
    monkeypatch.setattr("getpass.getpass", lambda **_words: NEW)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "event", _away)
        with pytest.raises(CommandError):
            call_command("changepassword", user.username)
    user.refresh_from_db()
    assert user.check_password(OLD)
    call_command("changepassword", user.username)
    assert told() == [("access.password_reset", {"usable": True})]


def test_a_superuser_from_the_terminal_is_told_or_not_made(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    options = {"username": "root", "email": "", "interactive": False}
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "event", _away)
        with pytest.raises(CommandError):
            call_command("createsuperuser", **options)
    assert not User.objects.filter(username="root").exists()
    call_command("createsuperuser", **options)
    ((action, details),) = told()
    assert (action, details["after"]["is_superuser"]) == ("access.user_created", True)


def _away(**_fact: Any) -> int:
    raise AuditUnavailable("the ledger is away")
