"""What the published endpoint answers to a good request: at once, at the end, or why it could not be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from containers_app.api import answers, problems
from containers_app.audit import ledger
from containers_app.conf import load
from containers_app.models import Operation, State
from containers_app.operations.answers import PASSED_ON
from containers_app.operations.submit import Submitted
from containers_app.operations.waiting import place
from tests import recipes
from tests.unit.api.asking import BACKUP, CLONE, STOP, act, act_later

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
MakeClient = Callable[..., Client]
Silence = Callable[..., Any]
Broker = list[Operation]

CLONED = {
    "success": True,
    "message": "Container cloned successfully",
    "action": "clone",
    "sourceId": "web",
    "newId": "d" * 64,
    "newName": "web-clone",
}
BACKED_UP = {
    "success": True,
    "message": "Container backup created successfully",
    "action": "backup",
    "containerId": "web",
    "backupFile": "web.tar",
    "backupPath": "/backups/containers/web.tar",
    "sizeBytes": 1048576,
    "sizeMB": 1,
    "timestamp": "2026-02-12T03:20:00.000Z",
}
KEY = {"Idempotency_Key": "k-1"}


def ended(client: Client, body: dict[str, Any], **fields: Any) -> Any:
    """The answer to a request whose operation has ended like this: the same request, sent again with its key."""
    assert act_later(client, body, **KEY).status_code == 202
    Operation.objects.update(finished_at=timezone.now(), outcome_index=1, **fields)
    return act(client, body, **KEY)


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize(("body", "result"), [(CLONE, CLONED), (BACKUP, BACKED_UP)])
def test_a_success_has_the_published_fields(operator: Client, body: dict[str, Any], result: dict[str, Any]) -> None:
    response = ended(operator, body, state=State.SUCCEEDED, result=result)
    answer = response.json()
    assert response.status_code == 200
    assert {name: answer[name] for name in result} == result
    assert set(answer) == {*result, "warnings", "operationId"}
    assert answer["operationId"] == str(Operation.objects.get().pk)


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize(("body", "result"), [(CLONE, CLONED), (BACKUP, BACKED_UP)])
def test_the_fields_come_in_the_published_order_whatever_the_database_did_to_them(
    operator: Client, body: dict[str, Any], result: dict[str, Any]
) -> None:
    first = ended(operator, body, state=State.SUCCEEDED, result={**by_length(result), "added later": 1})
    replayed = act(operator, body, **KEY)
    assert list(first.json()) == list(replayed.json()) == [*result, "operationId", "warnings", "added later"]
    looked_up = operator.get(f"/api/operations/{first.json()['operationId']}").json()["result"]
    assert list(looked_up) == [*result, "added later"]


def by_length(body: dict[str, Any]) -> dict[str, Any]:
    """As PostgreSQL's jsonb gives it back."""
    return {name: body[name] for name in sorted(body, key=lambda name: (len(name), name))}


STOPPED = {"success": True, "message": "Container stopped successfully", "action": "stop", "containerId": "web"} | {
    "name": "web",
    "stateBefore": "running",
    "stateAfter": "exited",
    "exitCode": 0,
    "health": None,
}


@pytest.mark.usefixtures("patient_broker")
def test_the_lifecycle_answers_in_the_published_order_too(operator: Client) -> None:
    answer = ended(operator, STOP, state=State.SUCCEEDED, result=by_length(STOPPED))
    assert list(answer.json()) == [*STOPPED, "operationId", "warnings"]


@pytest.mark.usefixtures("patient_broker")
def test_a_clones_plan_and_proof_come_after_the_published_fields(operator: Client) -> None:
    answer = ended(operator, CLONE, state=State.SUCCEEDED, result=by_length(CLONED), plan={"hash": "a"}, proof={})
    assert list(answer.json()) == [*CLONED, "plan", "proof", "operationId", "warnings"]


@pytest.mark.usefixtures("patient_broker")
def test_a_whole_number_of_mebibytes_has_no_fraction(operator: Client) -> None:
    assert '"sizeMB":1,' in ended(operator, BACKUP, state=State.SUCCEEDED, result=BACKED_UP).content.decode()


@pytest.mark.usefixtures("patient_broker")
def test_a_partial_success_says_what_is_missing(operator: Client) -> None:
    warnings = [{"code": "NETWORK_LEFT_OUT", "message": "the network is gone"}]
    response = ended(operator, CLONE, state=State.PARTIAL, result=CLONED, warnings=warnings)
    assert (response.status_code, response.json()["warnings"]) == (200, warnings)


OTHER_CODES = {"INTERNAL", "CONTAINER_NOT_FOUND", "ENGINE_UNAVAILABLE", "IMAGE_NOT_FOUND", "TIMED_OUT", "CANCELLED"}
EVERY_CODE = sorted(OTHER_CODES | set(problems.STATUS) | PASSED_ON)


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize("code", EVERY_CODE)
@pytest.mark.parametrize(
    ("body", "failure", "words"),
    [(CLONE, "CLONE_FAILED", "Clone failed: why"), (BACKUP, "BACKUP_FAILED", "Backup failed: why")],
)
def test_a_failure_has_the_published_code_unless_clients_can_act_on_its_own(
    operator: Client, body: dict[str, Any], failure: str, words: str, code: str
) -> None:
    response = ended(operator, body, state=State.FAILED, error_code=code, error_message="why")
    expected = code if code in PASSED_ON else failure
    assert response.json() == {"error": words, "code": expected}
    assert response.status_code == (problems.STATUS[code] if code in PASSED_ON else 500)
    assert response.has_header("Retry-After") == (response.status_code in (429, 503))


def test_every_code_that_is_passed_on_has_a_status_of_its_own() -> None:
    assert {code: problems.status_of(code) for code in PASSED_ON if problems.status_of(code) == 500} == {}


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize("state", [State.ERRORED, State.CANCELLED, State.INTERRUPTED])
def test_every_other_end_is_the_published_error(operator: Client, state: State) -> None:
    response = ended(operator, BACKUP, state=state, error_code="INTERNAL", error_message="why", error_trace="File x.py")
    assert (response.status_code, response.json()) == (500, {"error": "Backup failed: why", "code": "BACKUP_FAILED"})


@pytest.mark.usefixtures("patient_broker")
def test_an_end_that_the_ledger_has_not_recorded_is_no_end_yet(operator: Client) -> None:
    act_later(operator, CLONE, **KEY)
    Operation.objects.update(state=State.SUCCEEDED, result=CLONED, finished_at=timezone.now(), outcome_index=None)
    response = act_later(operator, CLONE, **KEY)
    assert (response.status_code, response.json()["state"]) == (202, "running")
    assert response.json()["error"] is None


@pytest.mark.usefixtures("patient_broker")
def test_who_does_not_wait_gets_the_address_of_the_operation(operator: Client) -> None:
    response = act_later(operator, BACKUP)
    operation = Operation.objects.get()
    assert response.status_code == 202
    assert response["Location"] == f"/api/operations/{operation.pk}"
    assert response["Preference-Applied"] == "respond-async"
    assert operator.get(response["Location"]).json() == response.json()


@pytest.mark.usefixtures("patient_broker")
def test_who_does_not_wait_still_gets_the_result_of_what_has_ended(operator: Client) -> None:
    ended(operator, CLONE, state=State.SUCCEEDED, result=CLONED)
    response = act_later(operator, CLONE, **KEY)
    assert (response.status_code, response.json()["newId"]) == (200, CLONED["newId"])


@pytest.mark.usefixtures("patient_broker")
def test_a_wait_ends_after_its_time_with_the_address(operator: Client) -> None:
    begun = time.monotonic()
    response = act(operator, BACKUP, Prefer="respond-async, wait=1")
    assert time.monotonic() - begun >= 1
    assert (response.status_code, response["Preference-Applied"]) == (202, "respond-async, wait=1")
    assert Operation.objects.get().state == State.QUEUED


@pytest.mark.usefixtures("patient_broker")
def test_a_wait_ends_early_with_the_result(operator: Client) -> None:
    ended(operator, CLONE, state=State.SUCCEEDED, result=CLONED)
    response = act(operator, CLONE, Prefer="respond-async, wait=25", **KEY)
    assert (response.status_code, response.json()["newName"]) == (200, "web-clone")


@pytest.mark.usefixtures("patient_broker")
def test_only_a_request_that_waits_binds_the_time_limit(operator: Client, configured: Callable[..., None]) -> None:
    configured(clone_timeout_seconds=0.05)
    act_later(operator, CLONE)
    act(operator, CLONE)
    waited_for, not_waited_for = Operation.objects.order_by("-id")
    assert not_waited_for.deadline_at is None
    assert waited_for.deadline_at == waited_for.created_at + timedelta(seconds=0.05)


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize("prefer", ["", "respond-async, wait=5"])
def test_when_all_places_are_taken_a_request_to_wait_is_turned_away(operator: Client, prefer: str) -> None:
    with ExitStack() as taken:
        for _ in range(load().max_waiting_requests):
            taken.enter_context(place())
        response = act(operator, BACKUP, Prefer=prefer)
        assert (response.status_code, response.json()["code"]) == (503, "TOO_MANY_WAITING")
        assert int(response["Retry-After"]) > 0
        assert not Operation.objects.exists()
        assert not ledger.entries().exists()
        assert act_later(operator, BACKUP).status_code == 202
    assert act(operator, BACKUP, Prefer="respond-async, wait=1").status_code == 202


@pytest.mark.usefixtures("patient_broker")
def test_an_idempotency_key_makes_one_operation_with_one_intent(operator: Client) -> None:
    first, second = (act_later(operator, BACKUP, **KEY) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert Operation.objects.count() == 1
    assert ledger.entries().filter(phase="intent").count() == 1


@pytest.mark.usefixtures("patient_broker")
def test_the_order_of_the_fields_does_not_make_another_request(operator: Client) -> None:
    first = act_later(operator, b'{"action": "backup", "containerId": "web"}', **KEY)
    second = act_later(operator, b'{"containerId":"web","action":"backup"}', **KEY)
    assert first["Location"] == second["Location"]


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize("other", [{**BACKUP, "containerId": "db"}, CLONE, {**BACKUP, "reason": "why"}])
def test_an_idempotency_key_with_another_request_is_a_conflict(operator: Client, other: dict[str, Any]) -> None:
    act_later(operator, BACKUP, **KEY)
    response = act_later(operator, other, **KEY)
    assert (response.status_code, response.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert Operation.objects.count() == 1


@pytest.mark.usefixtures("patient_broker")
def test_an_idempotency_key_belongs_to_one_api_key(groups: None, with_key: MakeClient) -> None:
    olga = recipes.operator()
    answered = [act_later(with_key(who), BACKUP, **KEY) for who in (olga, olga, recipes.operator("otto"))]
    assert len({response["Location"] for response in answered}) == 3


@pytest.mark.usefixtures("patient_broker")
def test_an_operation_more_than_allowed_is_throttled(operator: Client, configured: Callable[..., None]) -> None:
    configured(max_active_operations=2)
    assert [act_later(operator, BACKUP).status_code for _ in range(3)] == [202, 202, 429]
    response = act_later(operator, BACKUP)
    assert response.json()["code"] == "THROTTLED"
    assert int(response["Retry-After"]) > 0
    assert Operation.objects.count() == 2
    Operation.objects.update(state=State.SUCCEEDED)
    assert act_later(operator, BACKUP).status_code == 202


@pytest.mark.usefixtures("patient_broker")
def test_what_the_ledger_cannot_record_is_not_run(operator: Client, database_down: Silence) -> None:
    with database_down("audit"):
        response = act_later(operator, BACKUP)
    assert (response.status_code, response.json()["code"]) == (503, "AUDIT_UNAVAILABLE")
    assert int(response["Retry-After"]) > 0
    assert not Operation.objects.exists()
    assert not ledger.entries().exists()


@pytest.mark.usefixtures("patient_broker")
def test_without_our_own_database_nothing_runs(operator: Client, database_down: Silence) -> None:
    with database_down("default"):
        response = act_later(operator, BACKUP)
    assert (response.status_code, response.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert set(response.json()) == {"error", "code"}
    assert int(response["Retry-After"]) > 0
    assert not ledger.entries().exists()


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize(
    ("body", "words", "code"),
    [(CLONE, "Clone failed: not finished", "CLONE_FAILED"), (BACKUP, "Backup failed: not finished", "BACKUP_FAILED")],
)
def test_what_nobody_takes_in_time_is_cancelled(
    operator: Client, configured: Callable[..., None], body: dict[str, Any], words: str, code: str
) -> None:
    configured(clone_timeout_seconds=0.2, backup_timeout_seconds=0.2)
    response = act(operator, body)
    assert (response.status_code, response.json()["code"]) == (500, code)
    assert response.json()["error"].startswith(words)
    operation = Operation.objects.get()
    assert (operation.state, operation.error_code) == (State.CANCELLED, "CANCELLED")
    assert list(ledger.entries().order_by("id").values_list("phase", flat=True)) == ["intent", "outcome"]


def test_what_does_not_stop_in_the_grace_time_is_answered_all_the_same(
    groups: None, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(backup_timeout_seconds=0.05)
    monkeypatch.setattr(answers, "_GRACE_SECONDS", 0.1)
    row = recipes.running()
    response = answers._now(Submitted(operation=row))
    assert response.data is not None
    assert (response.status_code, response.data["code"]) == (500, "BACKUP_FAILED")
    row.refresh_from_db()
    assert (row.state, row.cancel_requested_at is None) == (State.RUNNING, False)


@pytest.mark.usefixtures("patient_broker")
def test_the_request_is_recorded_before_a_worker_is_told(operator: Client) -> None:
    act_later(operator, {**BACKUP, "reason": "weekly", "ticket": "CHG-7"}, X_Request_ID="request-0815")
    (entry,), row = ledger.entries(), Operation.objects.get()
    payload = json.loads(entry.payload)
    assert (entry.phase, entry.operation_id, entry.leaf_index) == ("intent", str(row.pk), row.intent_index)
    assert entry.leaf_hash == row.intent_hash
    assert payload["params"]["container"] == "web"
    assert (row.reason, row.ticket, row.request_id, entry.ticket) == ("weekly", "CHG-7", "request-0815", "CHG-7")
