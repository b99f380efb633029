"""Who looks at the ledger is in it; many looks are counted together; without the ledger nothing is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from containers_app.audit import denials, ledger
from containers_app.audit.appending import appending
from containers_app.audit.ledger import Actor, Source
from containers_app.audit.losses import Loss, halt
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]


@pytest.fixture
def index() -> int:
    return ledger.event(action="auth.login", actor=Actor(type="user", id="7"), source=Source(channel="ui"))


def looks() -> list[dict[str, Any]]:
    rows = ledger.entries().filter(action__startswith="audit.view").order_by("id")
    return [json.loads(row.payload) for row in rows]


@pytest.mark.parametrize(
    ("address", "verb", "of"),
    [
        ("/api/ledger/entries?verb=auth.login", "audit.view", ""),
        ("/api/ledger/entries/{index}", "audit.view_entry", "{shard}/{index}"),
        ("/api/ledger/entries/{index}/reviews", "audit.view_entry", "{shard}/{index}"),
        ("/api/ledger/consistency?from=1&to=1", "audit.view_consistency", "{shard}/1-1"),
    ],
)
def test_a_look_through_the_api_is_told(
    with_key: Callable[..., Client], index: int, address: str, verb: str, of: str
) -> None:
    shard = ledger.entries().get().shard
    auditor = recipes.auditor()
    assert with_key(auditor).get(address.format(index=index)).status_code == 200
    (look,) = looks()
    assert (look["action"], look["outcome"], look["actor"]["id"]) == (verb, "success", str(auditor.pk))
    assert look["object"] == {"type": "ledger", **({"id": of.format(shard=shard, index=index)} if of else {})}
    assert look.get("details") == ({"filters": {"verb": "auth.login"}} if not of else None)


def test_a_look_in_the_console_is_told(index: int) -> None:
    client, row = Client(), ledger.entries().get()
    client.force_login(recipes.auditor())
    assert client.get(reverse("admin:audit_entry_changelist") + "?outcome=denied").status_code == 200
    assert client.get(reverse("admin:audit_entry_change", args=[row.pk])).status_code == 200
    assert [look["action"] for look in looks()] == ["audit.view", "audit.view_entry"]
    assert looks()[0]["details"] == {"filters": {"outcome": "denied"}}


FREE = ("q", "object", "actor", "host", "operation", "request", "ticket")
NAMES = "&".join(f"{name}=alice@patient.example" for name in FREE) + "&outcome=denied&shard=2026"


@pytest.mark.parametrize("through_console", [True, False])
def test_what_anybody_may_write_into_a_filter_is_told_as_a_keyed_hash(
    with_key: Callable[..., Client], through_console: bool
) -> None:
    if through_console:
        client, address = Client(), reverse("admin:audit_entry_changelist")
        client.force_login(recipes.auditor())
    else:
        client, address = with_key(recipes.auditor()), "/api/ledger/entries"
    assert client.get(f"{address}?{NAMES}").status_code == 200
    (look,) = looks()
    filters = look["details"]["filters"]
    assert {filters.pop("outcome"), filters.pop("shard")} == {"denied", "2026"}
    assert set(filters) == set(FREE)
    assert len({value for value in filters.values() if value.startswith("hmac:filters:")}) == 1
    assert not ledger.entries().filter(payload__contains="patient").exists()


@pytest.mark.parametrize("query", ["verb=alice@patient.example", "outcome=x&ticket=alice@x.example", "since=alice"])
def test_of_filters_that_are_refused_only_the_names_are_told(query: str) -> None:
    client = Client()
    client.force_login(recipes.auditor())
    assert client.get(f"{reverse('admin:audit_entry_changelist')}?{query}").status_code == 200
    names = sorted(part.partition("=")[0] for part in query.split("&"))
    assert looks()[0]["details"] == {"refused_filters": names}
    assert not ledger.entries().filter(payload__contains="alice").exists()


def test_who_may_not_look_is_told_as_refused(with_key: Callable[..., Client], index: int) -> None:
    assert with_key(recipes.person("nobody")).get("/api/ledger/entries").status_code == 403
    assert looks() == []
    assert ledger.entries().filter(action="authz.denied").count() == 1


def test_many_looks_of_one_reader_are_counted_together(with_key: Callable[..., Client], index: int) -> None:
    client = with_key(recipes.auditor())
    for _look in range(denials.BURST + 30):
        client.get("/api/ledger/entries")
    denials.control.settle_all()
    assert len(looks()) < denials.BURST + 10
    assert sum(1 + look.get("suppressed", 0) for look in looks()) == denials.BURST + 30


def test_the_one_look_that_matters_is_named_among_many_others(with_key: Callable[..., Client], index: int) -> None:
    client, shard = with_key(recipes.auditor()), ledger.entries().get().shard
    secret = ledger.event(action="auth.logout", actor=Actor(type="user", id="7"), source=Source(channel="ui"))
    for number in (*[index] * (denials.BURST + 10), secret, *[index] * 3):
        assert client.get(f"/api/ledger/entries/{number}").status_code == 200
    for name in (*["login"] * (denials.BURST + 3), "logout", "login"):
        assert client.get(f"/api/ledger/entries?verb=auth.{name}").status_code == 200
    denials.control.settle_all()
    also = [one for look in looks() for one in look.get("details", {}).get("also", [])]
    named = [look["object"].get("id") for look in looks()] + [one.get("id") for one in also]
    assert named.count(f"{shard}/{secret}") == 1
    filters = [look.get("details", {}).get("filters") for look in looks()] + [one.get("filters") for one in also]
    assert filters.count({"verb": "auth.logout"}) == 1


def test_a_look_that_was_refused_is_not_counted_afterwards(
    with_key: Callable[..., Client], index: int, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    client, mend = with_key(recipes.auditor()), break_ledger()
    for _try in range(3):
        assert client.get(f"/api/ledger/entries/{index}").status_code == 503
    mend()
    assert client.get(f"/api/ledger/entries/{index}").status_code == 200
    denials.control.settle_all()
    assert [look.get("suppressed", 0) for look in looks()] == [0]


def test_nothing_is_shown_that_cannot_be_recorded(
    with_key: Callable[..., Client], index: int, break_ledger: Callable[[], Callable[[], None]]
) -> None:
    client = with_key(recipes.auditor())
    mend = break_ledger()
    assert client.get("/api/ledger/entries").status_code == 503
    mend()
    assert client.get("/api/ledger/entries").status_code == 200


def test_a_halted_ledger_can_be_read_and_the_looks_are_told_afterwards(
    with_key: Callable[..., Client], index: int
) -> None:
    with appending():
        halt([Loss(shard=2026, size=5, root="00" * 32, left=1, why="lost", checkpoint=())])
    assert with_key(recipes.auditor()).get("/api/ledger/entries").status_code == 200
    assert looks() == []
    assert denials.control.waiting == 1
