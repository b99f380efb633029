"""Verification of the ledger through REST: for who reads all of it, with a finding where there is damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from containers_app.audit import ledger
from containers_app.audit.appending import appending
from containers_app.audit.losses import Loss, halt
from containers_app.models import Operation
from containers_app.operations import runner
from tests import recipes
from tests.unit.api.asking import ASYNC

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
VERIFY = "/api/ledger/verify"


@pytest.fixture
def aude(with_key: Callable[..., Client]) -> Client:
    actor, source = ledger.Actor(type="user", id="7"), ledger.Source(channel="ui")
    ledger.event(action="auth.login", actor=actor, source=source, ticket="C-1")
    return with_key(recipes.auditor())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, patient_broker: object) -> None:
    """A worker that does it before the answer."""

    def publish(operation: Operation) -> bool:
        runner.run(operation.pk)
        return True

    monkeypatch.setattr("containers_app.operations.submit.publish", publish)


def ask(client: Client, body: object = None, **headers: str) -> Any:
    data = "" if body is None else json.dumps(body)
    return client.post(VERIFY, data=data, content_type="application/json", headers=headers)


@pytest.mark.usefixtures("at_once")
def test_the_answer_has_the_verdict_and_the_tree_of_each_shard(aude: Client) -> None:
    body = ask(aude).json()
    (shard,) = body["shards"]
    assert (body["success"], body["verdict"], body["action"]) == (True, "verified", "ledgerVerify")
    assert (body["entries"], shard["size"], len(shard["root"]), body["problems"]) == (2, 2, 64, [])
    assert body["operationId"] == str(Operation.objects.get().pk)


@pytest.mark.usefixtures("at_once")
def test_damage_is_a_conflict_and_the_operation_has_the_finding(aude: Client) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET ticket = 'x' WHERE ticket = 'C-1'")
    answer = ask(aude, {"reason": "monthly"})
    assert (answer.status_code, answer.json()["code"]) == (409, "LEDGER_TAMPERED")
    assert answer.json()["error"].startswith("Verification failed: TAMPERED: shard ")
    (row,) = aude.get("/api/operations?kind=ledgerVerify").json()["results"]
    assert (row["state"], row["result"]["verdict"], len(row["result"]["problems"])) == ("failed", "tampered", 1)
    ready = aude.get("/readyz").json()["ledger"]
    assert ready["verification"] == "tampered"


@pytest.mark.usefixtures("at_once")
def test_a_shard_that_is_not_there_cannot_be_verified(aude: Client) -> None:
    answer = ask(aude, {"shard": 1999})
    assert (answer.status_code, answer.json()["code"]) == (409, "LEDGER_UNVERIFIED")
    assert "CANNOT VERIFY" in answer.json()["error"]


def test_it_goes_on_by_itself_for_who_does_not_wait(aude: Client) -> None:
    first, second = (ask(aude, {"quick": True, "ticket": "C-7"}, **ASYNC, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, first.json()["kind"], first.json()["id"]) == (202, "ledgerVerify", second.json()["id"])
    told = ledger.entries().get(action="audit.verify")
    assert (told.phase, told.ticket, told.channel) == ("intent", "C-7", "api")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"shard": "all"}, "shard"), ({"quick": 1}, "quick"), ({"vkeys": ["x"]}, "vkeys"), ({"full": True}, "full")],
)
def test_a_wrong_body_names_its_field_and_runs_nothing(aude: Client, body: dict[str, Any], field: str) -> None:
    answer = ask(aude, body)
    assert (answer.status_code, f"'{field}'" in answer.json()["error"]) == (400, True)
    assert not Operation.objects.exists()


def test_an_operator_is_refused_and_the_refusal_is_recorded(operator: Client) -> None:
    assert ask(operator, **ASYNC).status_code == 403
    assert ledger.entries()[0].action == "authz.denied"
    assert not Operation.objects.exists()


def test_a_key_needs_the_scope_of_the_ledger(client: Client) -> None:
    key = recipes.key_of(recipes.auditor(), "export", "read")
    answer = ask(client, **ASYNC, Authorization=f"Bearer {key}")
    assert (answer.status_code, "'ledger'" in answer.json()["error"]) == (403, True)


def test_a_halted_ledger_says_how_it_is_verified(aude: Client) -> None:
    with appending():
        halt([Loss(shard=2026, size=5, root="00" * 32, left=1, why="lost", checkpoint=())])
    answer = ask(aude)
    assert (answer.status_code, "manage.py ledger verify" in answer.json()["error"]) == (503, True)
    assert not Operation.objects.exists()
