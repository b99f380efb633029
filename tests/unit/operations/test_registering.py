"""A change of a host is judged, recorded and done, in this order; without a ledger nothing changes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.db.models import QuerySet

from containers_app.audit import ledger
from containers_app.errors import (
    AuditUnavailable,
    Busy,
    InvalidRequest,
    MycoError,
    NameTaken,
    PermissionDenied,
)
from containers_app.models import ApiKey, DockerHost, State
from containers_app.operations import registering
from containers_app.operations.authority import Asker
from containers_app.operations.registering import Author, add, change, remove
from containers_app.specs.host import HostValues
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
SITE = HostValues(name="site-b", url="tcp://10.0.0.7:2376", tls_directory="site-b", queue="site-b")
PLAIN = {"url": "tcp://10.0.0.7:2375", "tls_directory": "", "allow_plain": True}
BreakLedger = Callable[[], Callable[[], None]]


def author(user: User | None = None, *scopes: str) -> Author:
    user = user or User.objects.filter(username="adam").first() or recipes.administrator()
    key = ApiKey.objects.issue(user=user, name="k", scopes=list(scopes), expires_in_days=1).row if scopes else None
    source = ledger.Source(channel="api", request_id="req-12345678")
    return Author(asker=Asker(user=user, api_key=key), source=source, reason="a second site", ticket="CHG-7")


def entries() -> list[dict[str, Any]]:
    """The payloads about hosts, oldest first."""
    rows = ledger.entries().filter(action__startswith="config.host").order_by("id")
    return [json.loads(row.payload) for row in rows]


def told() -> list[tuple[str, str]]:
    return [(entry["action"], entry["outcome"]) for entry in entries()]


def test_a_host_is_added_and_the_ledger_says_what_it_is() -> None:
    host = add(SITE, author())
    assert (host.url, host.queue, host.enabled, host.reachable) == (SITE.url, "site-b", True, None)
    (entry,) = entries()
    assert (entry["action"], entry["outcome"], entry["category"]) == ("config.host_added", "success", "config")
    assert entry["object"] == {"type": "host", "name": "site-b", "host": "site-b"}
    assert entry["ticket"] == "CHG-7"
    assert entry["details"]["after"] == {
        "url": SITE.url,
        "tls_directory": "site-b",
        "queue": "site-b",
        "enabled": True,
        "allow_plain": False,
    }


def test_a_change_is_recorded_with_what_was_and_what_will_be() -> None:
    host = change(add(SITE, author()), PLAIN, author())
    assert (host.url, host.tls_directory, host.allow_plain, host.queue) == (*PLAIN.values(), "site-b")
    details = entries()[1]["details"]
    assert (details["before"]["url"], details["after"]["url"]) == (SITE.url, PLAIN["url"])
    assert details["after"]["allow_plain"] is True


def test_the_entry_is_there_before_the_row_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    host = add(SITE, author())
    seen: list[list[tuple[str, str]]] = []
    update = registering._update

    def watch(*arguments: Any) -> None:
        seen.append(told())
        update(*arguments)

    monkeypatch.setattr(registering, "_update", watch)
    change(host, {"enabled": False}, author())
    assert seen == [[("config.host_added", "success"), ("config.host_changed", "success")]]


@pytest.mark.parametrize("act", ["add", "change", "disable", "remove"])
def test_without_a_ledger_nothing_changes(act: str, break_ledger: BreakLedger) -> None:
    host, by = add(SITE, author()), author()
    if act == "disable":
        recipes.container(host=host)
    before = list(DockerHost.objects.order_by("pk").values())
    acts: dict[str, Callable[[], object]] = {
        "add": lambda: add(HostValues(name="site-c", url="unix:///run/c.sock"), by),
        "change": lambda: change(host, PLAIN, by),
        "disable": lambda: remove(host, by),
        "remove": lambda: remove(host, by),
    }
    restore = break_ledger()
    with pytest.raises(AuditUnavailable):
        acts[act]()
    restore()
    assert list(DockerHost.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("make", [recipes.stranger, recipes.operator, recipes.auditor])
def test_only_administrators_change_hosts(make: Callable[[], User]) -> None:
    host, by = add(SITE, author()), author(make())
    for act in (lambda: add(SITE, by), lambda: change(host, PLAIN, by), lambda: remove(host, by)):
        with pytest.raises(PermissionDenied, match="dockerhost"):
            act()
    assert told() == [("config.host_added", "success")]


def test_a_key_needs_the_scope() -> None:
    with pytest.raises(PermissionDenied, match="'hosts'"):
        add(SITE, author(None, "read", "clone"))
    assert add(SITE, author(None, "hosts")).pk


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "Site B"}, "name"),
        ({"name": "local"}, "name"),
        ({"queue": "a b"}, "queue"),
        ({"url": "ssh://host"}, "url"),
        ({"url": "tcp://169.254.169.254:80"}, "url"),
        ({"url": "tcp://10.0.0.7:2375", "tls_directory": ""}, "allowPlain"),
        ({"tls_directory": "../x"}, "tlsDirectory"),
    ],
)
def test_a_wrong_value_is_named_and_leaves_no_trace(values: dict[str, Any], field: str) -> None:
    with pytest.raises(MycoError) as caught:
        add(HostValues(**{"name": "site-b", "url": SITE.url, "tls_directory": "site-b", **values}), author())
    assert caught.value.field == field
    assert (told(), DockerHost.objects.count()) == ([], 0)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def answer(*_arguments: Any, **_options: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 2376)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_a_name_that_leads_to_a_metadata_service_is_refused_when_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "10.0.0.7", "169.254.169.254")
    with pytest.raises(InvalidRequest, match="link-local") as caught:
        add(HostValues(name="site-b", url="https://engine.example.org:2376"), author())
    assert caught.value.field == "url"
    assert not DockerHost.objects.exists()


def test_a_name_that_only_the_worker_knows_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch)
    assert add(HostValues(name="site-b", url="https://engine.internal:2376"), author()).pk


def test_a_name_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    add(SITE, author())
    with pytest.raises(NameTaken):
        add(SITE, author())
    assert told() == [("config.host_added", "success")]
    monkeypatch.setattr(QuerySet, "exists", lambda self: False)  # the other one came between the look and the insert
    with pytest.raises(NameTaken):
        add(SITE, author())
    assert told()[1:] == [("config.host_added", "success"), ("config.host_added", "failure")]


def test_a_change_of_what_was_changed_meanwhile_is_refused_and_said_so() -> None:
    stale = add(SITE, author())
    DockerHost.objects.update(queue="elsewhere")
    with pytest.raises(Busy, match="meanwhile"):
        change(stale, {"enabled": False}, author())
    assert DockerHost.objects.get().enabled
    assert told()[1:] == [("config.host_changed", "success"), ("config.host_changed", "failure")]


def test_a_database_that_fails_is_told_to_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    host = add(SITE, author())

    def fail(*_arguments: Any) -> NoReturn:
        raise OperationalError("gone")

    monkeypatch.setattr(registering, "_update", fail)
    with pytest.raises(OperationalError):
        change(host, PLAIN, author())
    assert entries()[-1]["error"]["code"] == "DATABASE_UNAVAILABLE"


def test_a_change_to_the_same_is_no_change() -> None:
    host = add(SITE, author())
    assert change(host, {"url": SITE.url}, author()) == host
    assert len(told()) == 1


@pytest.mark.parametrize("changes", [{"url": "unix:///x.sock"}, {"tls_directory": "x"}, {"allow_plain": True}])
def test_the_local_host_keeps_the_address_of_the_environment(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="DOCKER_API_URL"):
        change(recipes.host(), changes, author())


def test_the_local_host_may_be_disabled_and_given_another_queue_but_not_removed() -> None:
    local = change(recipes.host(), {"enabled": False, "queue": "here"}, author())
    assert (local.enabled, local.queue) == (False, "here")
    with pytest.raises(InvalidRequest):
        change(local, {"queue": "a b"}, author())
    with pytest.raises(InvalidRequest, match="disable it instead"):
        remove(local, author())


@pytest.mark.parametrize("unfinished", [{"state": State.QUEUED}, {"state": State.FAILED, "undo": [{"step": "x"}]}])
def test_the_address_stays_while_operations_depend_on_it(unfinished: dict[str, Any]) -> None:
    host = add(SITE, author())
    recipes.operation(host=host, **unfinished)
    with pytest.raises(Busy, match="not over"):
        change(host, PLAIN, author())
    assert not change(host, {"enabled": False}, author()).enabled


@pytest.mark.parametrize("unfinished", [{"state": State.QUEUED}, {"state": State.FAILED, "undo": [{"step": "x"}]}])
def test_a_clone_from_another_host_counts_for_the_host_it_goes_to(unfinished: dict[str, Any]) -> None:
    host = add(SITE, author())
    recipes.operation(host=recipes.host(), params={"host": host.name}, **unfinished)
    with pytest.raises(Busy, match="not over"):
        change(host, PLAIN, author())
    assert remove(host, author()) is False


def test_a_host_that_breaks_a_newer_rule_can_still_be_disabled_but_not_enabled() -> None:
    host = DockerHost.objects.create(name="old", url="tcp://169.254.1.1:80")
    assert not change(host, {"enabled": False}, author()).enabled
    with pytest.raises(InvalidRequest):
        change(host, {"enabled": True}, author())


def test_a_host_that_nothing_refers_to_is_removed() -> None:
    assert remove(add(SITE, author()), author()) is True
    assert not DockerHost.objects.exists()
    assert told()[1:] == [("config.host_removed", "success")]


@pytest.mark.parametrize("refer", [recipes.container, recipes.operation])
def test_a_host_that_something_refers_to_is_disabled(refer: Callable[..., Any]) -> None:
    host = add(SITE, author())
    refer(host=host)
    assert remove(host, author()) is False
    assert DockerHost.objects.get(name="site-b").enabled is False
    assert told()[1:] == [("config.host_changed", "success")]


def test_a_host_that_something_refers_to_since_a_moment_ago_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    host = add(SITE, author())
    recipes.container(host=host)
    monkeypatch.setattr(registering, "is_referenced", lambda host: False)
    with pytest.raises(Busy, match="since a moment ago"):
        remove(host, author())
    assert DockerHost.objects.get(name="site-b").enabled
