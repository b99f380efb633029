"""Holds and erasures through REST: who may, what is asked, and what the ledger has of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from containers_app.audit import ledger, removing
from containers_app.audit.models import Entry
from containers_app.audit.record import Actor, Source
from containers_app.errors import AuditUnavailable
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
ALICE = Actor(type="user", id="4711", label="alice@example.org")
HOLDS, ERASURES = "/api/ledger/holds", "/api/ledger/erasures"


@pytest.fixture
def administrator(with_key: Callable[..., Client]) -> Client:
    ledger.event(action="auth.login", actor=ALICE, source=Source(channel="ui", ip="192.0.2.7"))
    return with_key(recipes.administrator())


def post(client: Client, address: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post(address, json.dumps(body), content_type="application/json")
    return answer.status_code, answer.json()


def shown() -> dict[str, Any]:
    return ledger.disclosed(Entry.objects.order_by("id")[0])


def test_values_are_counted_and_then_erased(administrator: Client) -> None:
    counted = {"values": 2, "kinds": {"actor_label": 1, "source_ip": 1}}
    assert post(administrator, ERASURES, actor="4711", dryRun=True) == (200, {**counted, "erased": False})
    assert shown()["actor"]["label"] == "alice@example.org"
    assert post(administrator, ERASURES, actor="4711", reason="a request", confirm=True) == (
        200,
        {**counted, "erased": True},
    )
    assert (shown()["actor"]["label"], shown()["source"]["ip"]) == ("erased", "erased")
    intent, outcome = (json.loads(row.payload) for row in Entry.objects.filter(action="privacy.erase").order_by("id"))
    assert (intent["source"]["channel"], outcome["details"]["erased"]) == ("api", 2)
    assert ledger.self_check(Entry.objects.latest("id").shard).is_clean


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"actor": "4711", "reason": "x"}, "confirm"),
        ({"actor": "4711", "confirm": True}, "reason"),
        ({"reason": "x", "confirm": True}, "actor"),
        ({"actor": "4711", "label": "a", "reason": "x", "confirm": True}, "label"),
        ({"actor": 7, "dryRun": True}, "actor"),
        ({"actor": "4711", "dryRun": "yes"}, "dryRun"),
        ({"name": "x", "dryRun": True}, "name"),
        ({"label": "", "dryRun": True}, "label"),
    ],
)
def test_bad_input_names_the_field_and_erases_nothing(administrator: Client, body: dict[str, Any], field: str) -> None:
    status, answer = post(administrator, ERASURES, **body)
    assert (status, f"'{field}'" in json.dumps(answer) or field in json.dumps(answer)) == (400, True)
    assert shown()["actor"]["label"] == "alice@example.org"


def test_a_hold_is_placed_listed_and_released_and_stops_erasures(administrator: Client) -> None:
    status, hold = post(administrator, HOLDS, reason="a lawsuit", ticket="CASE-1")
    assert (status, hold["placed"]["by"].startswith("adam"), hold["released"]) == (201, True, None)
    status, answer = post(administrator, ERASURES, actor="4711", reason="x", confirm=True)
    assert (status, answer["code"]) == (409, "LEDGER_HELD")
    status, released = post(administrator, f"{HOLDS}/{hold['id']}/release", reason="settled")
    assert (status, released["released"]["reason"]) == (200, "settled")
    assert [one["id"] for one in administrator.get(HOLDS).json()["results"]] == [hold["id"]]
    assert post(administrator, f"{HOLDS}/{hold['id']}/release", reason="again")[0] == 400
    assert post(administrator, ERASURES, actor="4711", reason="x", confirm=True)[0] == 200


@pytest.mark.parametrize(("address", "body"), [(HOLDS, {"reason": "x"}), (ERASURES, {"actor": "4711", "dryRun": True})])
def test_a_key_without_the_scope_and_an_operator_are_refused_and_recorded(
    administrator: Client, with_key: Callable[..., Client], address: str, body: dict[str, Any]
) -> None:
    for client in (with_key(recipes.administrator("eve"), "ledger", "export"), with_key(recipes.operator())):
        assert post(client, address, **body)[0] == 403
    assert Entry.objects.filter(outcome="denied").count() == 2


def test_a_failure_in_the_middle_is_told_and_a_second_try_ends_it(
    administrator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(using: str) -> None:
        raise AuditUnavailable("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(removing, "check_not_held", failing)
        assert post(administrator, ERASURES, actor="4711", reason="x", confirm=True)[0] == 503
    assert Entry.objects.latest("id").outcome == "failure"
    assert shown()["actor"]["label"] == "alice@example.org"
    assert post(administrator, ERASURES, actor="4711", reason="x", confirm=True)[0] == 200
