"""The list of the ledger in the interface: filters that name their mistakes, pages that miss nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from containers_app.audit import ledger, searching
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
LIST = "/api/ledger/entries"


@pytest.fixture
def aude(with_key: Callable[..., Client]) -> Client:
    return with_key(recipes.auditor())


def record(count: int, **more: Any) -> None:
    for number in range(count):
        source = ledger.Source(channel="cli", request_id=f"r-{number}")
        subject = ledger.Subject(type="container", id=f"c-{number % 3}", name=f"web-{number % 3}", host="local")
        facts = {"actor": ledger.Actor(type="user", id="7"), "source": source, "subject": subject}
        ledger.event(**{"action": "backup.browse", **facts, **more})


def walked(client: Client, query: str) -> list[int]:
    seen, address = [], LIST + query
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, answer.content
        seen += [row["index"] for row in answer.json()["results"]]
        address = answer.json()["next"]
    return seen


def test_each_filter_chooses_its_entries(aude: Client) -> None:
    record(6)
    record(1, action="authz.denied", outcome="denied", ticket="C-1", operation_id="op-1")
    assert walked(aude, "?denied=true") == [6]
    # The seventh says who looked before.
    assert walked(aude, "?reads=true") == [7, 5, 4, 3, 2, 1, 0]
    assert walked(aude, "?object=web-1&channel=cli&limit=1") == [4, 1]
    assert walked(aude, "?object=c-2") == [5, 2]
    assert walked(aude, "?request=r-0&verb=backup.browse") == [0]
    assert walked(aude, "?ticket=C-1&operation=op-1&category=authz&host=local&actor=7&outcome=denied") == [6]
    assert walked(aude, "?period=today&actorType=user&phase=event&limit=2") == [6, 5, 4, 3, 2, 1, 0]
    assert walked(aude, "?since=2001-01-01&until=2001-12-31") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?verb=backup", "verb"),
        ("?outcome=fine", "outcome"),
        ("?category=x", "category"),
        ("?channel=x", "channel"),
        ("?since=yesterday", "since"),
        ("?since=2026-01-02&until=2026-01-01", "until"),
        ("?period=decade", "period"),
        ("?denied=1", "denied"),
        ("?mark=x", "mark"),
        ("?shard=26", "shard"),
        ("?limit=0", "limit"),
        ("?cursor=abc", "cursor"),
        ("?cursor=o999999999999999999-1", "cursor"),
        ("?ticket=a%0Ab", "ticket"),
        ("?nope=1", "nope"),
    ],
)
def test_a_wrong_filter_is_a_400_that_names_it(aude: Client, query: str, field: str) -> None:
    answer = aude.get(LIST + query)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])


def test_next_and_previous_lead_there_and_back(aude: Client) -> None:
    record(5)
    first = aude.get(f"{LIST}?limit=2").json()
    second = aude.get(first["next"]).json()
    assert first["previous"] is None
    assert aude.get(second["previous"]).json()["results"] == first["results"]


def test_a_rare_combination_is_found_although_a_page_looks_only_so_far(
    aude: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(1, action="authz.denied", outcome="denied")
    record(9)
    record(9, actor=ledger.Actor(type="user", id="8"), action="authz.denied", outcome="denied")
    monkeypatch.setattr(searching, "LISTED", 3)
    assert walked(aude, "?actor=7&outcome=denied&limit=1") == [0]


def test_marks_are_not_for_operators(with_key: Callable[..., Client]) -> None:
    answer = with_key(recipes.operator()).get(f"{LIST}?mark=flagged")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "mark")


def test_a_list_asks_few_times_and_counts_nothing(aude: Client) -> None:
    record(3)
    with CaptureQueriesContext(connections["default"]) as one, CaptureQueriesContext(connections["audit"]) as other:
        aude.get(f"{LIST}?actor=7&outcome=success")
    asked = [query["sql"] for queries in (one, other) for query in queries.captured_queries]
    assert len(asked) <= 12
    assert [sql for sql in asked if "COUNT(" in sql.upper()] == []
