"""Pins and holds: one change, one ledger entry with what was and what is, and neither without the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import (
    AuditUnavailable,
    BackupDeleted,
    BackupHeld,
    Busy,
    InvalidRequest,
    PermissionDenied,
)
from containers_app.models import Backup
from containers_app.models.backups import held_at
from containers_app.operations.keeping import hold, pin, release, unpin
from containers_app.operations.registering import Author
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
Act = Callable[[Backup, Author], Backup]
ACTS: list[Act] = [pin, unpin, hold, release]


def by(user: User | None = None, **fields: Any) -> Author:
    who = user or User.objects.filter(username="adam").first() or recipes.administrator()
    return Author(asker=recipes.asker(who), source=Source(channel="api"), **{"reason": "a lawsuit", **fields})


def again(backup: Backup) -> Backup:
    return Backup.objects.select_related("host").get(pk=backup.pk)


def entries(backup: Backup) -> list[dict[str, Any]]:
    """What the ledger disclosed of each event of the backup, oldest first."""
    rows = ledger.entries().filter(object_id=str(backup.pk)).order_by("id")
    return [{"action": row.action, **ledger.disclosed(row)["details"]} for row in rows]


def later(**time: float) -> datetime:
    return timezone.now() + timedelta(**time)


def test_a_pin_goes_in_and_out_and_the_ledger_has_before_and_after() -> None:
    backup = recipes.backup()
    assert pin(backup, by()).pinned is True
    assert unpin(again(backup), by()).pinned is False
    told = entries(backup)
    assert [entry["action"] for entry in told] == ["backup.pinned", "backup.unpinned"]
    assert [(entry["before"]["pinned"], entry["after"]["pinned"]) for entry in told] == [(False, True), (True, False)]


def test_a_hold_has_a_reason_an_owner_and_an_end() -> None:
    backup, end = recipes.backup(), later(days=30)
    held = hold(backup, by(ticket="CHG-7"), until=end)
    assert (held.hold_reason, held.hold_owner, held.hold_until) == ("a lawsuit", "adam", end)
    assert (held.is_held, held.hold_expired) == (True, False)
    freed = release(again(backup), by(reason="it is over"))
    assert (freed.hold_reason, freed.hold_owner, freed.hold_until, freed.is_held) == ("", "", None, False)
    told = entries(backup)
    assert [entry["action"] for entry in told] == ["backup.held", "backup.released"]
    assert told[0]["after"] == told[1]["before"]
    assert told[0]["after"]["hold_until"].startswith(f"{end:%Y-%m-%dT%H:%M}")
    assert list(ledger.entries().order_by("id").values_list("ticket", flat=True)) == ["CHG-7", ""]


def test_a_hold_is_over_by_time_alone_and_is_then_shown_as_expired() -> None:
    backup = recipes.backup()
    hold(backup, by(), until=later(days=1))
    assert Backup.objects.filter(held_at(timezone.now())).count() == 1
    with time_machine.travel(later(days=2)):
        row = again(backup)
        assert (row.is_held, row.hold_expired) == (False, True)
        assert Backup.objects.filter(held_at(timezone.now())).count() == 0
        assert hold(row, by(reason="another lawsuit")).hold_reason == "another lawsuit"
        assert again(backup).is_held


def test_a_hold_without_an_end_does_not_expire() -> None:
    hold(recipes.backup(), by())
    with time_machine.travel(later(days=36500)):
        assert Backup.objects.get().is_held


def test_a_hold_is_not_replaced_by_another_one() -> None:
    backup = recipes.backup()
    hold(backup, by())
    with pytest.raises(BackupHeld, match="adam"):
        hold(again(backup), by(reason="for a minute"), until=later(minutes=1))
    assert again(backup).hold_reason == "a lawsuit"


@pytest.mark.parametrize(
    ("reason", "until", "field"), [("", None, "reason"), ("a lawsuit", timedelta(seconds=-1), "until")]
)
def test_a_hold_needs_a_reason_and_a_future(reason: str, until: timedelta | None, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hold(recipes.backup(), by(reason=reason), until=None if until is None else timezone.now() + until)
    assert caught.value.field == field


@pytest.mark.parametrize("act", [unpin, release])
def test_what_is_so_already_is_no_change(act: Act) -> None:
    backup = recipes.backup()
    assert act(backup, by()) == backup
    assert entries(backup) == []
    pinned = pin(backup, by())
    assert pin(pinned, by()) == pinned
    assert len(entries(backup)) == 1


@pytest.mark.parametrize("act", ACTS)
def test_a_deleted_backup_is_not_kept(act: Act) -> None:
    with pytest.raises(BackupDeleted):
        act(recipes.backup(state="deleted", pinned=True, hold_reason="x"), by())


PREPARED: dict[Act, dict[str, Any]] = {pin: {}, unpin: {"pinned": True}, hold: {}, release: {"hold_reason": "x"}}


@pytest.mark.parametrize("act", ACTS)
def test_without_a_ledger_nothing_changes(act: Act, break_ledger: Callable[[], Callable[[], None]]) -> None:
    backup = recipes.backup(**PREPARED[act])
    author = by()
    break_ledger()
    with pytest.raises(AuditUnavailable):
        act(backup, author)
    assert kept(again(backup)) == kept(backup)


def kept(backup: Backup) -> tuple[Any, ...]:
    return backup.pinned, backup.hold_reason, backup.hold_owner, backup.hold_until


@pytest.mark.parametrize(
    ("act", "meanwhile"),
    [
        (pin, {"pinned": True}),
        (unpin, {"pinned": False}),
        (hold, {"hold_reason": "another"}),
        (release, {"hold_reason": "another"}),
        (pin, {"state": "deleted"}),
    ],
)
def test_what_somebody_else_changed_meanwhile_is_not_written_over(act: Act, meanwhile: dict[str, Any]) -> None:
    stale = recipes.backup(**PREPARED[act])
    Backup.objects.update(**meanwhile)
    before = kept(again(stale))
    with pytest.raises(Busy):
        act(stale, by())
    assert (kept(again(stale)), entries(stale)) == (before, [])


RIGHTS: list[tuple[Act, list[str]]] = [
    (pin, ["olga", "adam"]),
    (unpin, ["olga", "adam"]),
    (hold, ["adam"]),
    (release, ["adam"]),
]


@pytest.mark.parametrize(("act", "allowed"), RIGHTS)
def test_operators_pin_administrators_hold_and_nobody_else_does(act: Act, allowed: list[str]) -> None:
    people = [recipes.stranger(), recipes.operator(), recipes.auditor(), recipes.administrator()]
    did = []
    for person in people:
        backup = recipes.backup(**PREPARED[act])
        with suppress(PermissionDenied):
            act(backup, by(person))
        if entries(backup):
            did.append(person.username)
    assert did == allowed
