"""Scheduled verification: new sets within a day, all at least monthly, the oldest first, within the budget."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable, PermissionDenied
from containers_app.models import Backup, DockerHost, Operation
from containers_app.operations import runner
from containers_app.operations.authority import Asker, still_may
from containers_app.operations.kinds import BACKUP, VERIFY
from containers_app.operations.submit import submit
from containers_app.operations.verifications import VERIFIER, schedule_verifications
from tests import recipes
from tests.stored_sets import flip, stored_set

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root", "broker_takes_all"),
]
NOW = datetime.fromisoformat("2026-02-12T03:20:00+00:00")


@pytest.fixture
def broker_takes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)


@pytest.fixture(autouse=True)
def clock() -> Any:
    """Time stands still until a test moves it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def made(hours: float, *, verified_hours: float | None = None, **fields: Any) -> Backup:
    """A backup that was made, and perhaps verified, so many hours ago."""
    verified = None if verified_hours is None else NOW - timedelta(hours=verified_hours)
    return recipes.backup(created_at=NOW - timedelta(hours=hours), verified_at=verified, **fields)


def asked() -> list[str]:
    """The backups that were asked for, in their order."""
    rows = Operation.objects.filter(kind="verify").order_by("intent_index")
    return [str(row.params["backup"]) for row in rows]


def end_all(*, bytes_done: int = 0) -> None:
    Operation.objects.filter(kind="verify").update(state="succeeded", outcome_index=1, bytes_done=bytes_done)


@pytest.mark.parametrize(
    ("hours", "verified_hours", "due"),
    [
        (1, None, False),
        (11.9, None, False),
        (12.1, None, True),
        (24 * 90, None, True),
        (24 * 90, 24 * 24.9, False),
        (24 * 90, 24 * 25.1, True),
    ],
)
def test_a_set_is_due_within_a_day_and_again_within_a_month(
    hours: float, verified_hours: float | None, due: bool
) -> None:
    made(hours, verified_hours=verified_hours)
    assert schedule_verifications() == due


@pytest.mark.parametrize("state", ["corrupt", "missing", "deleted"])
def test_what_cannot_be_used_is_not_verified_by_itself(state: str) -> None:
    made(100, state=state)
    assert schedule_verifications() == 0


def test_the_oldest_comes_first_and_one_at_a_time() -> None:
    verified, new, old = made(9000, verified_hours=700), made(20), made(800)
    assert [schedule_verifications(), schedule_verifications()] == [1, 0]
    assert asked() == [str(old.pk)]
    for _ in range(3):
        end_all()
        schedule_verifications()
    assert asked() == [str(old.pk), str(verified.pk), str(new.pk)]


def test_a_host_whose_workers_do_not_come_keeps_only_its_own_sets() -> None:
    far = recipes.host("far")
    DockerHost.objects.filter(pk=far.pk).update(enabled=False)
    made(100, host=far), made(99, host=far)
    near = [made(98), made(97)]
    assert schedule_verifications() == 2
    Operation.objects.filter(host=near[0].host, kind="verify").update(state="succeeded")
    assert schedule_verifications() == 1
    assert asked()[1:] != asked()[:1]
    assert {str(row.pk) for row in near} <= set(asked())


def test_what_was_read_in_a_day_counts_against_the_budget_and_the_last_set_may_exceed_it(
    settings: Settings, clock: Any
) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "verify_bytes_per_day": 1000}
    for hours in (100, 99, 98):
        made(hours)
    assert schedule_verifications() == 1
    end_all(bytes_done=999)
    assert schedule_verifications() == 1
    end_all(bytes_done=5000)
    assert schedule_verifications() == 0
    clock.shift(timedelta(hours=25))
    assert schedule_verifications() == 1


def test_a_budget_of_nothing_verifies_nothing(settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "verify_bytes_per_day": 0}
    made(100)
    assert schedule_verifications() == 0


def test_a_set_that_cannot_be_read_is_tried_once_a_day_and_keeps_no_other_back(clock: Any) -> None:
    stubborn, other = made(100), made(99)
    schedule_verifications()
    Operation.objects.update(state="failed")
    assert schedule_verifications() == 1
    assert asked() == [str(stubborn.pk), str(other.pk)]
    Backup.objects.filter(pk=other.pk).update(verified_at=NOW)
    Operation.objects.update(state="failed")
    assert schedule_verifications() == 0
    clock.shift(timedelta(hours=24, seconds=1))
    assert schedule_verifications() == 1
    assert asked()[-1] == str(stubborn.pk)


def test_two_schedulers_at_one_moment_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made(100)
    from containers_app.operations import verifications

    def submit_after_the_other(wish: Any) -> Any:
        monkeypatch.setattr(verifications, "submit", submit)
        assert schedule_verifications() == 1
        return submit(wish)

    monkeypatch.setattr(verifications, "submit", submit_after_the_other)
    assert schedule_verifications() == 0
    assert len(asked()) == 1


def test_without_a_ledger_nothing_is_asked_for(break_ledger: Callable[[], Callable[[], None]]) -> None:
    made(100)
    mend = break_ledger()
    with pytest.raises(AuditUnavailable):
        schedule_verifications()
    mend()
    assert asked() == []


def test_the_work_is_done_by_the_product_itself_and_the_ledger_says_so(backup_root: Path) -> None:
    whole = stored_set(backup_root, created_at=NOW - timedelta(days=2))
    damaged = stored_set(backup_root, "db.tar", created_at=NOW - timedelta(days=1))
    flip(backup_root / "db.tar")
    for _ in range(2):
        schedule_verifications()
        runner.run(Operation.objects.filter(kind="verify").latest("intent_index").pk)
    whole.refresh_from_db()
    damaged.refresh_from_db()
    assert (whole.verified_at, damaged.verified_at) == (NOW, None)
    assert (whole.state, damaged.state) == ("complete", "corrupt")
    rows = ledger.entries().filter(action="backup.verify").order_by("id")
    assert list(rows.values_list("phase", "outcome", "actor_type")) == [
        ("intent", "", "system"),
        ("outcome", "success", "system"),
        ("intent", "", "system"),
        ("outcome", "failure", "system"),
    ]
    assert set(rows.filter(phase="intent").values_list("channel", flat=True)) == {"scheduler"}
    operation = Operation.objects.filter(kind="verify").earliest("intent_index")
    assert (operation.actor, operation.user, operation.principal) == ("verifier", None, "system:verifier")


def test_the_verifier_may_verify_and_nothing_else() -> None:
    assert VERIFIER.may(VERIFY.permission, VERIFY.scope)
    assert not VERIFIER.may(BACKUP.permission, BACKUP.scope)
    assert not Asker(user=AnonymousUser(), system="another").may(VERIFY.permission, VERIFY.scope)
    own = recipes.operation(kind="verify", principal="system:verifier", user=None)
    assert still_may(own, VERIFY.permission)
    assert not still_may(own, BACKUP.permission)
    left = recipes.operation(kind="verify", principal="user:1", user=None)
    assert not still_may(left, VERIFY.permission)


def test_a_wish_of_the_verifier_for_something_else_is_refused() -> None:
    from containers_app.audit.ledger import Source
    from containers_app.operations.submit import Request

    made(1)
    wish = Request(
        kind=BACKUP,
        params=BACKUP.params(container="web"),
        host=recipes.host(),
        asker=VERIFIER,
        source=Source(channel="scheduler"),
    )
    with pytest.raises(PermissionDenied):
        submit(wish)
    assert timezone.now() == NOW
