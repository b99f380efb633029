"""Start, stop, restart and remove at the published endpoint: what each takes, and what each refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.conf import load
from containers_app.models import Operation, State
from tests import recipes
from tests.unit.api.asking import LIFECYCLE, REMOVE, RESTART, START, STOP, act, act_later, assert_refused

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
Body = dict[str, Any]
every_verb = pytest.mark.parametrize("body", LIFECYCLE, ids=lambda body: str(body["action"]))


def options(body: Body, **values: Any) -> Body:
    return {**body, "options": {**body.get("options", {}), **values}}


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize(
    ("body", "params"),
    [
        (START, {"container": "web", "wait_healthy_seconds": 0}),
        (options(START, waitHealthySeconds=3600), {"container": "web", "wait_healthy_seconds": 3600}),
        (options(START, waitHealthySeconds=None), {"container": "web", "wait_healthy_seconds": 0}),
        (STOP, {"container": "web", "timeout_seconds": None}),
        (options(STOP, timeoutSeconds=0), {"container": "web", "timeout_seconds": 0}),
        (options(RESTART, timeoutSeconds=3600), {"container": "web", "timeout_seconds": 3600}),
        (REMOVE, {"container": "web", "confirm": "web", "force": False, "volumes": False}),
        (
            options(REMOVE, force=True, volumes=True),
            {"container": "web", "confirm": "web", "force": True, "volumes": True},
        ),
        (
            options(STOP, confirmProtected=True),
            {"container": "web", "timeout_seconds": None, "confirm_protected": True},
        ),
    ],
)
def test_the_options_become_the_params_of_one_recorded_operation(operator: Client, body: Body, params: Body) -> None:
    assert act_later(operator, body).status_code == 202
    row, intent = Operation.objects.get(), ledger.entries().get()
    confirmed = {} if body["action"] == "start" else {"confirm_protected": False}
    assert (row.kind, row.params) == (body["action"], {**confirmed, **params})
    assert (intent.phase, intent.action) == ("intent", f"container.{body['action']}")


@pytest.mark.parametrize(
    ("body", "name"), [(START, "waitHealthySeconds"), (STOP, "timeoutSeconds"), (RESTART, "timeoutSeconds")]
)
@pytest.mark.parametrize("value", [-1, 3601, 1.5, "10", True, [10], 10**9])
def test_seconds_are_a_whole_number_within_an_hour(operator: Client, body: Body, name: str, value: object) -> None:
    words = f"'options.{name}' must be a whole number, 0 to 3600"
    assert_refused(act(operator, options(body, **{name: value})), 400, "INVALID_REQUEST", words=words)


@pytest.mark.parametrize("confirm", [None, "", 5, True, ["web"], "x" * 256])
def test_a_removal_without_the_typed_name_is_refused_at_once(operator: Client, confirm: object) -> None:
    assert_refused(act(operator, options(REMOVE, confirm=confirm)), 400, "INVALID_REQUEST", words="'options.confirm'")


@pytest.mark.parametrize("name", ["force", "volumes"])
def test_a_removals_choices_are_true_or_false(operator: Client, name: str) -> None:
    body = options(REMOVE, **{name: "yes"})
    assert_refused(act(operator, body), 400, "INVALID_REQUEST", words=f"'options.{name}' must be true or false")


@pytest.mark.parametrize(
    ("body", "foreign"),
    [
        (START, "timeoutSeconds"),
        (START, "name"),
        (STOP, "waitHealthySeconds"),
        (STOP, "force"),
        (RESTART, "signal"),
        (REMOVE, "path"),
        (REMOVE, "Force"),
    ],
)
def test_an_option_of_another_verb_is_unknown(operator: Client, body: Body, foreign: str) -> None:
    words = f"unknown field 'options.{foreign}'"
    assert_refused(act(operator, options(body, **{foreign: 1})), 400, "INVALID_REQUEST", words=words)


@pytest.mark.usefixtures("groups", "patient_broker")
@every_verb
@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
def test_a_stranger_changes_nothing(body: Body, who: Callable[[], Any], with_key: Callable[..., Client]) -> None:
    assert_refused(act(with_key(who()), body), 403, "PERMISSION_DENIED", words=f"you may not {body['action']}")


@pytest.mark.usefixtures("groups", "patient_broker")
def test_who_may_stop_may_not_for_that_remove(with_key: Callable[..., Client]) -> None:
    client = with_key(recipes.operator(), "operate", "read")
    assert act_later(client, STOP).status_code == 202
    refused = act_later(client, REMOVE)
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    assert "scope 'remove'" in refused.json()["error"]


@pytest.mark.usefixtures("patient_broker")
@pytest.mark.parametrize(
    ("body", "more_seconds"),
    [
        (START, 0),
        (options(START, waitHealthySeconds=600), 600),
        (STOP, 10),
        (options(RESTART, timeoutSeconds=600), 600),
        (REMOVE, 0),
    ],
)
def test_a_waiting_request_is_given_the_time_that_it_asked_for(
    operator: Client, monkeypatch: pytest.MonkeyPatch, body: Body, more_seconds: int
) -> None:
    waited: list[float] = []

    def ended_at_once(operation: Operation, *, seconds: float) -> Operation:
        waited.append(seconds)
        Operation.objects.filter(pk=operation.pk).update(
            state=State.SUCCEEDED, result={"success": True}, finished_at=timezone.now(), outcome_index=1
        )
        operation.refresh_from_db()
        return operation

    monkeypatch.setattr("containers_app.api.answers.wait_until_finished", ended_at_once)
    assert act(operator, body).status_code == 200
    expected = load().engine_call_seconds + 5 + more_seconds
    row = Operation.objects.get()
    assert waited == [expected]
    assert row.deadline_at is not None
    assert (row.deadline_at - row.created_at).total_seconds() == expected
