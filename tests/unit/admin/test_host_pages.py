"""Hosts in the console: registered and changed by administrators, each change told to the ledger, then tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from containers_app.models import DockerHost, Operation, State
from tests import recipes

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "broker_takes_all"),
]
SITE = {"name": "site-b", "url": "tcp://10.0.0.7:2376", "tls_directory": "site-b", "queue": "site-b", "enabled": "on"}
PLAIN = {"url": "tcp://10.0.0.7:2375", "tls_directory": "", "queue": "local", "enabled": "on", "allow_plain": "on"}
REGISTER = "/admin/containers_app/dockerhost/register/"


@pytest.fixture
def broker_takes_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)
    return iter(())


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def adam() -> Client:
    return signed_in(recipes.administrator())


def of(act: str, host: DockerHost) -> str:
    return reverse(f"admin:containers_app_dockerhost_{act}", args=[host.pk])


def actions() -> list[str]:
    """What the ledger has besides log-ins, oldest first."""
    return list(ledger.entries().exclude(action="auth.login").order_by("id").values_list("action", flat=True))


def test_a_host_is_registered_recorded_and_tested(adam: Client) -> None:
    assert b"Register a host" in adam.get(reverse("admin:containers_app_dockerhost_changelist")).content
    assert b"ca.pem" in adam.get(REGISTER).content
    answer = adam.post(REGISTER, {**SITE, "reason": "a second site"})
    host = DockerHost.objects.get()
    assert answer["Location"] == of("change", host)
    assert (host.name, host.url, host.queue, host.enabled) == ("site-b", SITE["url"], "site-b", True)
    assert Operation.objects.get().kind == "hostTest"
    assert actions() == ["config.host_added", "host.test"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "tcp://169.254.169.254:80"}, "link-local"),
        ({"url": "ssh://host"}, "not supported"),
        ({"tls_directory": ""}, "allowPlain"),
        ({"tls_directory": "../x"}, "MYCO_TLS_ROOT"),
        ({"name": "<script>alert(1)</script>"}, "begin with"),
        ({"name": "local"}, "choose another name"),
        ({"queue": "a b"}, "queue"),
    ],
)
def test_a_broken_rule_is_shown_at_its_field_and_nothing_is_made(
    adam: Client, changes: dict[str, str], words: str
) -> None:
    answer = adam.post(REGISTER, {**SITE, **changes})
    content = answer.content.decode()
    assert answer.status_code == 200
    assert words in content
    assert 'class="errorlist"' in content
    assert "<script>alert(1)" not in content
    assert (DockerHost.objects.count(), actions()) == (0, [])


def test_a_connection_without_tls_is_warned_about_wherever_it_is_seen(adam: Client) -> None:
    adam.post(REGISTER, {"name": "lab", **PLAIN})
    host = DockerHost.objects.get(name="lab")
    for page in (of("change", host), of("edit", host)):
        assert b"is root on that host" in adam.get(page).content


def test_a_host_is_changed_and_the_ledger_knows_both_sides(adam: Client) -> None:
    adam.post(REGISTER, SITE)
    host = DockerHost.objects.get()
    shown = adam.get(of("edit", host)).content.decode()
    assert 'value="tcp://10.0.0.7:2376"' in shown
    assert 'name="name"' not in shown
    Operation.objects.update(state=State.SUCCEEDED)
    assert adam.post(of("edit", host), PLAIN).status_code == 302
    host.refresh_from_db()
    assert (host.url, host.allow_plain) == (PLAIN["url"], True)
    payload = ledger.entries().get(action="config.host_changed").payload
    assert SITE["url"] in payload
    assert PLAIN["url"] in payload


def test_the_local_host_has_no_address_to_change(adam: Client) -> None:
    host = recipes.host()
    assert b'name="url"' not in adam.get(of("edit", host)).content
    assert adam.post(of("edit", host), {"queue": "local", "url": "unix:///x.sock"}).status_code == 302
    host.refresh_from_db()
    assert (host.enabled, host.url) == (False, "")


def test_the_verdict_of_the_test_is_on_the_page(adam: Client) -> None:
    host = recipes.host()
    made: dict[str, Any] = {"kind": "hostTest", "host": host, "outcome_index": 1, "params": {"host": "local"}}
    test = recipes.operation(**made, state=State.QUEUED)
    page = of("change", host)
    assert b"hx-trigger" in adam.get(page).content
    result = {"engineVersion": "20.10.24", "apiVersion": "1.41"}
    Operation.objects.filter(pk=test.pk).update(state=State.SUCCEEDED, result=result)
    assert b"Docker <bdi>20.10.24</bdi>" in adam.get(page).content
    failed = {"error_code": "ENGINE_UNAVAILABLE", "error_message": "<b>could not be verified by TLS"}
    Operation.objects.filter(pk=test.pk).update(state=State.FAILED, result=None, **failed)
    content = adam.get(page).content
    assert b"could not be verified by TLS" in content
    assert b"<b>could" not in content
    assert b"hx-trigger" not in content


def test_a_host_is_removed_or_disabled(adam: Client) -> None:
    spare, used = recipes.host("spare"), recipes.host("used")
    recipes.container(host=used)
    assert adam.post(of("remove", spare))["Location"] == reverse("admin:containers_app_dockerhost_changelist")
    assert adam.post(of("remove", used))["Location"] == of("change", used)
    assert not DockerHost.objects.filter(name="spare").exists()
    assert not DockerHost.objects.get(name="used").enabled
    assert b"Disabled" in adam.get(of("change", used)).content


@pytest.mark.parametrize("make", [recipes.stranger, recipes.operator, recipes.auditor])
def test_only_administrators_see_the_forms(make: Callable[[], User]) -> None:
    client, host = signed_in(make()), recipes.host("site-b")
    assert client.get(REGISTER).status_code == client.post(REGISTER, SITE).status_code == 403
    assert client.get(of("edit", host)).status_code == client.post(of("edit", host), PLAIN).status_code == 403
    for act in ("remove", "test"):
        assert client.post(of(act, host)).status_code == 403
    missing = of("edit", host).replace(str(host.pk), "999")
    assert client.get(missing).content == client.get(of("edit", host)).content
    assert (DockerHost.objects.get().url, Operation.objects.count()) == ("", 0)
    assert set(actions()) == {"authz.denied"}


@pytest.mark.parametrize("act", ["remove", "test"])
def test_a_link_changes_nothing(adam: Client, act: str) -> None:
    host = recipes.host("site-b")
    assert adam.get(of(act, host)).status_code == 405
    assert DockerHost.objects.get().enabled


def test_without_a_ledger_nothing_changes(adam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    host = recipes.host("site-b")

    def fail(*_arguments: object, **_options: object) -> None:
        raise AuditUnavailable("the ledger is away")

    monkeypatch.setattr(ledger, "append", fail)
    assert b"the ledger is away" in adam.post(REGISTER, {**SITE, "name": "site-c"}).content
    assert b"the ledger is away" in adam.post(of("edit", host), PLAIN).content
    assert adam.post(of("remove", host)).status_code == 302
    assert list(DockerHost.objects.values_list("name", "url", "enabled")) == [("site-b", "", True)]
