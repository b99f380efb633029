"""Saved views and reviews through REST: with the rules of the console, each change in the ledger or not made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from containers_app.models import LedgerView
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
VIEWS = "/api/ledger/views"
DENIED = {"name": "Denied", "filters": {"denied": "true", "period": "7d"}}


@pytest.fixture
def aude(with_key: Callable[..., Client]) -> Client:
    return with_key(recipes.auditor())


@pytest.fixture
def entry() -> str:
    """The address of an entry's reviews."""
    index = ledger.event(
        action="config.host_changed", actor=ledger.Actor(type="user", id="7"), source=ledger.Source(channel="ui")
    )
    return f"/api/ledger/entries/{index}/reviews"


def send(client: Client, method: str, address: str, body: object = None) -> tuple[int, Any]:
    data = "" if body is None else json.dumps(body)
    answer = client.generic(method, address, data=data, content_type="application/json")
    return answer.status_code, answer.json() if answer.content else None


def told(prefix: str) -> list[str]:
    return list(ledger.entries().filter(action__startswith=prefix).order_by("id").values_list("action", flat=True))


def rows() -> list[tuple[str, str, bool]]:
    return list(LedgerView.objects.order_by("id").values_list("name", "filters", "is_shared"))


def test_a_view_is_saved_listed_changed_and_deleted_and_the_ledger_has_each(aude: Client) -> None:
    status, made = send(aude, "POST", VIEWS, {**DENIED, "reason": "weekly", "ticket": "C-7"})
    assert (status, made["filters"], made["shared"], made["owner"], made["mayChange"]) == (
        201,
        DENIED["filters"],
        False,
        "aude",
        True,
    )
    assert send(aude, "GET", VIEWS)[1]["results"] == [made]
    address = f"{VIEWS}/{made['id']}"
    assert send(aude, "PATCH", address, {"shared": True})[1] == {**made, "shared": True}
    status, changed = send(aude, "PATCH", address, {"name": "Refused", "filters": {"outcome": "denied"}})
    assert (status, changed["name"], changed["filters"]) == (200, "Refused", {"outcome": "denied"})
    assert rows() == [("Refused", "outcome=denied", True)]
    assert send(aude, "DELETE", address) == (204, None)
    assert told("audit.view_") == ["audit.view_saved", *["audit.view_changed"] * 2, "audit.view_deleted"]
    assert ledger.entries().get(action="audit.view_saved").ticket == "C-7"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"filters": {}}, 400, "name"),
        ({"name": "x", "filters": {"who": "me"}}, 400, "filters.who"),
        ({"name": "x", "filters": {"outcome": "bad"}}, 400, "outcome"),
        ({"name": "x", "shared": "yes"}, 400, "shared"),
        ({"name": "x", "color": "red"}, 400, "color"),
        (DENIED, 409, "name"),
    ],
)
def test_a_wrong_view_names_its_field_and_is_not_saved(
    aude: Client, body: dict[str, Any], status: int, field: str
) -> None:
    send(aude, "POST", VIEWS, DENIED)
    answer = send(aude, "POST", VIEWS, body)
    assert (answer[0], answer[1]["errors"][0]["field"]) == (status, field)
    assert len(rows()) == 1


def test_a_view_is_its_owners_until_it_is_shared(aude: Client, with_key: Callable[..., Client]) -> None:
    address = f"{VIEWS}/{send(aude, 'POST', VIEWS, DENIED)[1]['id']}"
    other = with_key(recipes.auditor("anna"))
    assert send(other, "GET", VIEWS)[1]["results"] == []
    assert [send(other, method, address, {})[0] for method in ("PATCH", "DELETE")] == [404, 404]
    send(aude, "PATCH", address, {"shared": True})
    assert [one["name"] for one in send(other, "GET", VIEWS)[1]["results"]] == ["Denied"]


def test_who_may_not_share_changes_nothing_that_is_shared(aude: Client, client: Client) -> None:
    address = f"{VIEWS}/{send(aude, 'POST', VIEWS, {**DENIED, 'shared': True})[1]['id']}"
    reader = recipes.auditor("rita")
    reader.groups.clear()
    reader.user_permissions.add(may_read_all())
    headers = {"Authorization": f"Bearer {recipes.key_of(reader, 'ledger')}"}
    for method, where, body in (
        ("PATCH", address, {"name": "Mine"}),
        ("DELETE", address, {}),
        ("POST", VIEWS, {**DENIED, "name": "Ours", "shared": True}),
    ):
        answer = client.generic(method, where, json.dumps(body), "application/json", headers=headers)
        assert answer.status_code == 403, method
    assert rows() == [("Denied", "denied=true&period=7d", True)]


def may_read_all() -> Permission:
    return Permission.objects.get(codename="view_entry", content_type__app_label="audit")


def test_without_the_ledger_no_view_is_saved_changed_or_deleted(aude: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> NoReturn:
        raise AuditUnavailable("the ledger does not answer")

    address = f"{VIEWS}/{send(aude, 'POST', VIEWS, DENIED)[1]['id']}"
    monkeypatch.setattr(ledger, "event", refuse)
    assert send(aude, "POST", VIEWS, {**DENIED, "name": "More"})[0] == 503
    assert send(aude, "PATCH", address, {"name": "Other"})[0] == 503
    assert send(aude, "DELETE", address)[0] == 503
    assert rows() == [("Denied", "denied=true&period=7d", False)]


def test_an_entry_is_marked_and_the_marks_are_listed(aude: Client, entry: str) -> None:
    assert send(aude, "GET", entry)[1] == {"next": None, "previous": None, "results": []}
    status, flag = send(aude, "POST", entry, {"mark": "flag", "comment": "who was this?"})
    assert (status, flag["mark"], flag["comment"], flag["by"]) == (201, "flag", "who was this?", flag["by"])
    assert flag["by"].startswith("aude")
    send(aude, "POST", entry, {"mark": "reviewed"})
    listed = send(aude, "GET", entry)[1]["results"]
    assert ([one["mark"] for one in listed], listed[0]) == (["flag", "reviewed"], flag)
    assert [one["index"] for one in listed] == [
        row.leaf_index for row in ledger.entries().filter(action="audit.review").order_by("id")
    ]


def test_words_that_were_changed_are_told_so(aude: Client, entry: str) -> None:
    send(aude, "POST", entry, {"mark": "comment", "comment": "a name"})
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_disclosure SET text = '[]' WHERE text LIKE '%%a name%%'", [])
    assert send(aude, "GET", entry)[1]["results"][0]["comment"] == "altered"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "mark"),
        ({"mark": "praise"}, "mark"),
        ({"mark": "flag"}, "comment"),
        ({"mark": "reviewed", "comment": "a\nb"}, "comment"),
        ({"mark": "reviewed", "reason": "x"}, "reason"),
    ],
)
def test_a_wrong_mark_names_its_field_and_is_not_made(
    aude: Client, entry: str, body: dict[str, str], field: str
) -> None:
    status, answer = send(aude, "POST", entry, body)
    assert (status, answer["errors"][0]["field"], told("audit.review")) == (400, field, [])


def test_only_auditors_mark_and_only_who_reads_all_sees_marks(
    aude: Client, entry: str, operator: Client, with_key: Callable[..., Client]
) -> None:
    administrator = with_key(recipes.administrator())
    assert [send(one, "POST", entry, {"mark": "reviewed"})[0] for one in (operator, administrator)] == [403, 403]
    assert [send(one, "GET", entry)[0] for one in (operator, administrator)] == [403, 200]
    assert told("audit.review") == []


def test_an_entry_that_is_not_there_has_no_marks(aude: Client) -> None:
    for method, body in (("GET", None), ("POST", {"mark": "reviewed"})):
        assert send(aude, method, "/api/ledger/entries/99/reviews", body)[0] == 404
