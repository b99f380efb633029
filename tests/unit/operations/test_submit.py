"""Nothing runs that was not allowed, recorded and stored; a repeated wish is answered with the first one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connections
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import (
    AuditUnavailable,
    DatabaseUnavailable,
    IdempotencyConflict,
    MycoError,
    PermissionDenied,
    Throttled,
)
from containers_app.models import ApiKey, Operation, State
from containers_app.operations import submit as module
from containers_app.operations.authority import Asker
from containers_app.operations.kinds import BACKUP, CLONE
from containers_app.operations.submit import Request, Submitted, submit
from containers_app.workflows.backup import BackupParams
from containers_app.workflows.clone import CloneParams
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Operation]:
    """The operations that a worker was told of; no broker is asked."""
    told: list[Operation] = []

    def publish(operation: Operation) -> bool:
        told.append(operation)
        return True

    monkeypatch.setattr(module, "publish", publish)
    return told


@pytest.fixture
def olga() -> User:
    return recipes.operator()


def with_key_of(user: User, *scopes: str) -> Asker:
    issued = ApiKey.objects.issue(user=user, name="test", scopes=list(scopes), expires_in_days=1)
    return Asker(user=user, api_key=issued.row)


def wish(asker: Asker, **fields: Any) -> Request:
    values: dict[str, Any] = {
        "kind": BACKUP,
        "params": BackupParams(container="web"),
        "host": recipes.host(),
        "asker": asker,
        "source": Source(channel="api", request_id="request-1"),
    }
    return Request(**{**values, **fields})


def phases() -> list[tuple[str, str]]:
    return list(ledger.entries().order_by("id").values_list("phase", "outcome"))


def test_a_wish_is_recorded_stored_and_told(
    olga: User, sent: list[Operation], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        submitted = submit(wish(Asker(user=olga), reason="upgrade", ticket="T-1"))
    row = Operation.objects.get()
    assert sent == [row] == [submitted.operation]
    assert (row.state, row.kind, row.params["container"]) == (State.QUEUED, "backup", "web")
    assert (row.actor, row.principal, row.reason, row.ticket) == ("olga", f"user:{olga.pk}", "upgrade", "T-1")
    assert row.deadline_at is None
    intent = ledger.entries().get()
    assert (intent.operation_id, intent.leaf_index) == (str(row.pk), row.intent_index)
    assert (intent.phase, intent.leaf_hash) == ("intent", row.intent_hash)


def test_only_a_wish_that_somebody_waits_for_has_a_limit(olga: User, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "backup_timeout_seconds": 300.0}
    row = submit(wish(Asker(user=olga), limited=True)).operation
    assert row.deadline_at is not None
    assert (row.deadline_at - row.created_at).total_seconds() == 300.0


@pytest.mark.parametrize("who", [recipes.stranger, recipes.auditor])
def test_whoever_may_not_act_is_refused_and_nothing_is_written(who: Callable[[], User]) -> None:
    with pytest.raises(PermissionDenied):
        submit(wish(Asker(user=who())))
    assert not Operation.objects.exists()
    assert phases() == []


def test_a_key_may_do_less_than_its_user(olga: User) -> None:
    with pytest.raises(PermissionDenied, match="scope 'backup'"):
        submit(wish(with_key_of(olga, "clone", "read")))
    asked = wish(with_key_of(olga, "clone"), kind=CLONE, params=CloneParams(container="web"))
    assert submit(asked).operation.kind == "clone"


def test_a_key_never_gives_more_than_its_user_has() -> None:
    with pytest.raises(PermissionDenied):
        submit(wish(with_key_of(recipes.stranger(), "backup")))


def test_the_quota_counts_what_is_unfinished_of_one_principal(olga: User, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "max_active_operations": 1}
    first = submit(wish(Asker(user=olga))).operation
    with pytest.raises(Throttled):
        submit(wish(Asker(user=olga)))
    assert not submit(wish(Asker(user=recipes.operator("omar")))).replayed
    Operation.objects.filter(pk=first.pk).update(state=State.FAILED)
    assert submit(wish(Asker(user=olga))).operation != first


def test_a_known_key_answers_with_the_first_operation(olga: User) -> None:
    asked = wish(Asker(user=olga), idempotency_key="k", request_digest="a" * 64)
    first, second = submit(asked), submit(asked)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.operation == second.operation
    assert [phase for phase, _ in phases()] == ["intent"]


def test_a_known_key_with_another_request_is_a_conflict(olga: User) -> None:
    submit(wish(Asker(user=olga), idempotency_key="k", request_digest="a" * 64))
    with pytest.raises(IdempotencyConflict):
        submit(wish(Asker(user=olga), idempotency_key="k", request_digest="b" * 64))


def test_keys_of_two_principals_are_apart(olga: User) -> None:
    first = submit(wish(Asker(user=olga), idempotency_key="k", request_digest="a" * 64))
    second = submit(wish(with_key_of(olga, "backup"), idempotency_key="k", request_digest="a" * 64))
    assert first.operation != second.operation


def test_a_replay_is_answered_although_the_quota_is_used_up(olga: User, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "max_active_operations": 1}
    asked = wish(Asker(user=olga), idempotency_key="k", request_digest="a" * 64)
    submit(asked)
    assert submit(asked).replayed


def test_without_the_ledger_nothing_is_stored(olga: User, break_ledger: Callable[[], Callable[[], None]]) -> None:
    break_ledger()
    with pytest.raises(AuditUnavailable):
        submit(wish(Asker(user=olga)))
    assert not Operation.objects.exists()


@pytest.mark.parametrize("failure", [OperationalError("away"), IntegrityError("odd")])
def test_an_intent_whose_row_cannot_be_stored_is_closed(
    olga: User, sent: list[Operation], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def refuse(**_: object) -> None:
        raise failure

    asked = wish(Asker(user=olga))
    monkeypatch.setattr(Operation.objects, "create", refuse)
    with pytest.raises(DatabaseUnavailable):
        submit(asked)
    assert phases() == [("intent", ""), ("outcome", "failure")]
    assert sent == []
    assert not Operation.objects.exists()


@pytest.mark.django_db(databases=["default", "audit"], transaction=True)
def test_of_two_requests_with_one_key_at_once_one_runs(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2, timeout=10)
    real = module._intent
    answers: list[Submitted] = []
    refused: list[MycoError] = []

    def intent_after_both_looked(*arguments: Any) -> Any:
        meeting.wait()
        return real(*arguments)

    def ask() -> None:
        try:
            answers.append(submit(asked))
        except MycoError as error:
            refused.append(error)
        finally:
            connections.close_all()

    asked = wish(Asker(user=olga), idempotency_key="k", request_digest="a" * 64)
    monkeypatch.setattr(module, "_intent", intent_after_both_looked)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert Operation.objects.count() == 1
    assert sorted(phases()) == [("intent", ""), ("intent", ""), ("outcome", "failure")]
