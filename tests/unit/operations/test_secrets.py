"""Write-only values of a request: readable by the worker that holds the row, and gone with every kind of end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import SealBroken
from containers_app.models import Operation, State
from containers_app.operations import transitions
from containers_app.operations.kinds import CLONE
from containers_app.operations.secrets import plan_key, request_digest, sealed, unsealed
from containers_app.operations.submit import Request, submit
from containers_app.operations.transitions import Ending
from containers_app.specs.overrides import read_overrides
from containers_app.workflows.clone import CloneParams
from tests import recipes
from tests.unit.operations.conftest import Make

SECRET = "hunter2-do-not-tell"
RAW = {
    "env": {"set": {"PASSWORD": SECRET}, "drop": ["OLD"]},
    "labels": {"set": {"token": SECRET}},
    "command": ["run", SECRET],
    "entrypoint": [SECRET],
    "healthcheck": {"test": ["CMD", SECRET], "retries": 1},
}

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups"),
]

# A name that a log takes for a secret's, and one that is not ASCII.
CHOICES = {"db_secrets": "copy", "/données": "empty"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Operation:
    """A clone with secrets, submitted by an operator."""
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)
    params = CloneParams(container="web", overrides=read_overrides(RAW), volumes=CHOICES)
    request = Request(
        kind=CLONE,
        params=params,
        host=recipes.host(),
        asker=recipes.asker(recipes.operator()),
        source=Source(channel="api"),
    )
    return submit(request).operation


def everything() -> str:
    return repr([list(Operation.objects.values()), ledger.disclosed_all(ledger.entries())])


def test_neither_the_row_nor_the_ledger_has_a_value_and_the_row_has_the_names(asked: Operation) -> None:
    assert SECRET not in everything()
    row = Operation.objects.get(pk=asked.pk)
    assert row.params["overrides"]["variables"] == {"set": ["PASSWORD"], "drop": ["OLD"]}
    assert SECRET not in json.dumps(row.params) + row.sealed
    (intent,) = ledger.disclosed_all(ledger.entries())
    recorded = intent["params"]["overrides"]
    assert [choice["volume"] for choice in intent["params"]["volumes"]] == list(CHOICES)
    assert (recorded["variables"]["set"], recorded["labels"]["set"]) == (["PASSWORD"], ["token"])


def test_the_worker_gets_the_params_as_they_were_asked_for(asked: Operation) -> None:
    row = Operation.objects.get(pk=asked.pk)
    params = CLONE.restore(row.params, unsealed(row))
    assert params == CloneParams(container="web", overrides=read_overrides(RAW), volumes=CHOICES)
    assert SECRET not in repr(params)


ENDS: dict[str, Callable[[Operation], Any]] = {
    "finish": lambda row: transitions.finish(row, Ending(state=State.SUCCEEDED, result={})),
    "failure": lambda row: transitions.finish(row, Ending(state=State.FAILED, error_code="X")),
    "interruption": lambda row: transitions.interrupt(row, Ending(state=State.INTERRUPTED)),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_of_a_running_operation_empties_the_seal(asked: Operation, end: str) -> None:
    claimed = transitions.claim(asked.pk, worker="w", lease_seconds=30)
    assert claimed is not None
    assert claimed.sealed
    if end == "interruption":
        Operation.objects.filter(pk=asked.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert ENDS[end](claimed)
    assert Operation.objects.get(pk=asked.pk).sealed == ""


def test_a_queued_operation_that_is_cancelled_has_no_seal_any_more(asked: Operation) -> None:
    assert transitions.request_cancel(asked, reason="enough")
    assert Operation.objects.get(pk=asked.pk).sealed == ""


def test_a_seal_of_another_key_or_that_was_changed_is_broken(queued: Make, settings: Any) -> None:
    row = queued(sealed=sealed({"env": {"A": SECRET}}))
    assert unsealed(row) == {"env": {"A": SECRET}}
    settings.SECRET_KEY = "another one, as long as it has to be for this"
    with pytest.raises(SealBroken, match="Ask again") as broken:
        unsealed(row)
    assert SECRET not in repr(broken.value)


def test_nothing_to_seal_is_an_empty_text(queued: Make) -> None:
    assert sealed({}) == ""
    assert unsealed(queued(sealed="")) == {}


def test_keys_and_digests_are_of_this_installation_alone(settings: Any) -> None:
    before = plan_key(), request_digest(b"body")
    assert len({*before, request_digest(b"other")}) == 3
    settings.SECRET_KEY = "another one, as long as it has to be for this"
    assert set(before).isdisjoint({plan_key(), request_digest(b"body")})
