"""The published endpoint without a worker: what is refused, what is recorded, what waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from containers_app.audit.ledger import entries
from containers_app.models import Operation, State
from tests import recipes

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)
ADDRESS = "/api/docker/containers"
MakeClient = Callable[..., Client]


@pytest.fixture
def client_of_operator(groups: None, with_key: MakeClient) -> Client:
    return with_key(recipes.operator())


def post(client: Client, body: Any, **headers: str) -> Any:
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.post(ADDRESS, text, content_type="application/json", headers=headers)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "restore", "containerId": "web"}, "action"),
        ({"action": "clone"}, "containerId"),
        ({"action": "clone", "containerId": 5}, "containerId"),
        ({"action": "clone", "containerId": " web"}, "containerId"),
        ({"action": "clone", "containerId": "../volumes/victim"}, "containerId"),
        ({"action": "clone", "containerId": "web", "Action": "backup"}, "Action"),
        ({"action": "clone", "containerId": "web", "options": {"Name": "x"}}, "options.Name"),
        ({"action": "clone", "containerId": "web", "options": {"name": "a" * 64}}, "options.name"),
        ({"action": "backup", "containerId": "web", "options": {"path": "../../etc/cron.d"}}, "options.path"),
        ({"action": "backup", "containerId": "web", "options": {"path": "/etc"}}, "options.path"),
        ({"action": "backup", "containerId": "web", "options": {"name": "-rf"}}, "options.name"),
        ({"action": "backup", "containerId": "web", "options": {"name": "x.manifest.json"}}, "options.name"),
    ],
)
def test_bad_input_names_its_field_and_starts_nothing(client_of_operator: Client, body: Any, field: str) -> None:
    answer = post(client_of_operator, body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_REQUEST"
    assert field in answer.json()["error"]
    assert not Operation.objects.exists()
    assert [entry.phase for entry in entries()] == ["event"]


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"[" * 100_000,
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":1,"a":2}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b"\xff",
    ],
)
def test_a_body_that_is_no_clean_json_object_is_refused(client_of_operator: Client, body: bytes) -> None:
    assert post(client_of_operator, body).status_code in (400, 413)
    assert not Operation.objects.exists()


def test_a_body_over_the_limit_is_refused(client_of_operator: Client) -> None:
    assert post(client_of_operator, {"action": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(client_of_operator: Client, content_type: str) -> None:
    answer = client_of_operator.post(ADDRESS, b"{}", content_type=content_type)
    assert answer.status_code == 415


def test_nobody_is_asked_to_authenticate(client: Client) -> None:
    answer = post(client, {"action": "clone", "containerId": "web"})
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_AUTHENTICATED")
    assert client.get(ADDRESS + "?token=x").status_code == 401


def test_a_stranger_is_refused_and_the_ledger_knows(groups: None, with_key: MakeClient) -> None:
    answer = post(with_key(recipes.stranger()), {"action": "clone", "containerId": "web"})
    assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
    assert [entry.outcome for entry in entries()] == ["denied"]


def test_an_auditor_reads_and_does_not_act(groups: None, with_key: MakeClient) -> None:
    client = with_key(recipes.auditor())
    assert post(client, {"action": "backup", "containerId": "web"}).status_code == 403
    assert client.get("/api/ledger/entries").status_code == 200


def test_a_key_narrows_what_its_owner_may(groups: None, with_key: MakeClient) -> None:
    answer = post(with_key(recipes.operator(), "read"), {"action": "clone", "containerId": "web"})
    assert answer.status_code == 403
    assert "scope" in answer.json()["error"]


def test_without_a_broker_nothing_runs_and_the_answer_says_so(client_of_operator: Client) -> None:
    answer = post(client_of_operator, {"action": "backup", "containerId": "web"})
    assert (answer.status_code, answer.json()["code"]) == (503, "QUEUE_UNAVAILABLE")
    assert answer["Retry-After"]
    assert Operation.objects.get().state == State.FAILED
    assert [entry.phase for entry in entries()] == ["outcome", "intent"]


def test_who_does_not_wait_gets_the_address_of_the_operation(client_of_operator: Client) -> None:
    answer = post(client_of_operator, {"action": "backup", "containerId": "web"}, Prefer="respond-async")
    operation = Operation.objects.get()
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/operations/{operation.pk}"
    assert client_of_operator.get(answer["Location"]).json()["state"] == "queued"


def test_an_idempotency_key_makes_one_operation(client_of_operator: Client) -> None:
    wish = {"action": "backup", "containerId": "web"}
    headers = {"Prefer": "respond-async", "Idempotency-Key": "k1"}
    first, second = (post(client_of_operator, wish, **headers) for _ in range(2))
    assert first["Location"] == second["Location"]
    other = post(client_of_operator, {**wish, "containerId": "db"}, **headers)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert post(client_of_operator, wish, **{"Idempotency-Key": "x" * 300}).status_code == 400


def test_the_time_limit_cancels_what_nobody_took(client_of_operator: Client, settings: Any, monkeypatch: Any) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "clone_timeout_seconds": 0.05}
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)
    answer = post(client_of_operator, {"action": "clone", "containerId": "web"})
    assert (answer.status_code, answer.json()["code"]) == (500, "CLONE_FAILED")
    assert answer.json()["error"].startswith("Clone failed: ")
    assert Operation.objects.get().state == State.CANCELLED


def test_the_list_shows_names_of_environment_and_no_value(client_of_operator: Client) -> None:
    recipes.container(environment_names=["PASSWORD"])
    (shown,) = client_of_operator.get(ADDRESS).json()["results"]
    assert shown["environment"] == ["PASSWORD"]
    assert shown["unprotected"] is True


@pytest.mark.parametrize("query", ["?nope=1", "?limit=0", "?limit=201", "?unprotected=maybe"])
def test_an_unknown_or_wrong_query_parameter_is_refused(client_of_operator: Client, query: str) -> None:
    assert client_of_operator.get(ADDRESS + query).status_code == 400
