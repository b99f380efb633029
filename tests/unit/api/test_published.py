"""The published endpoint with a broker that cannot be reached: after the commit, as in a deployment."""

from __future__ import annotations

import pytest
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import Operation, State
from tests.unit.api.asking import BACKUP, CLONE, act, act_later

pytestmark = pytest.mark.django_db(databases=["default", "audit"], transaction=True)


@pytest.mark.parametrize(("body", "words"), [(BACKUP, "Backup failed: "), (CLONE, "Clone failed: ")])
def test_without_a_broker_nothing_runs_and_the_answer_says_so(
    operator: Client, body: dict[str, str], words: str
) -> None:
    answer = act(operator, body)
    assert (answer.status_code, answer.json()["code"]) == (503, "QUEUE_UNAVAILABLE")
    assert answer.json()["error"].startswith(words)
    assert answer["Retry-After"]
    row = Operation.objects.get()
    assert (row.state, row.error_code) == (State.FAILED, "QUEUE_UNAVAILABLE")
    assert row.is_finished
    assert [entry.phase for entry in ledger.entries()] == ["outcome", "intent"]


def test_who_does_not_wait_is_answered_without_a_broker(operator: Client) -> None:
    assert act_later(operator, BACKUP).status_code == 202
    row = Operation.objects.get()
    assert (row.state, row.published_at) == (State.QUEUED, None)
