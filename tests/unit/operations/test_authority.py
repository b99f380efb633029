"""Rights are read again at the moment of the work: whoever lost them in between runs nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.utils import timezone

from containers_app import migrations
from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import Hidden, PermissionDenied
from containers_app.models import ApiKey, Operation
from containers_app.models.access import ADMINISTRATORS, AUDITORS, OPERATORS
from containers_app.operations.authority import Asker, still_may
from containers_app.operations.cancel import cancel
from containers_app.operations.kinds import BACKUP
from containers_app.operations.visibility import find, visible_to
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]


def key_row(user: User, *scopes: str) -> ApiKey:
    return ApiKey.objects.issue(user=user, name="test", scopes=list(scopes), expires_in_days=1).row


def asked_by(user: User, **fields: Any) -> Operation:
    return recipes.operation(user=user, **fields)


def test_an_operator_still_may() -> None:
    olga = recipes.operator()
    assert still_may(asked_by(olga), BACKUP.permission)
    assert still_may(asked_by(olga, api_key=key_row(olga, "backup")), BACKUP.permission)


def test_whoever_left_the_group_may_no_longer() -> None:
    olga = recipes.operator()
    operation = asked_by(olga)
    olga.groups.clear()
    assert not still_may(operation, BACKUP.permission)


def test_a_deactivated_user_may_no_longer() -> None:
    olga = recipes.operator()
    operation = asked_by(olga)
    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert not still_may(operation, BACKUP.permission)


def test_nobody_may_for_a_user_who_is_gone() -> None:
    assert not still_may(recipes.operation(user=None), BACKUP.permission)


@pytest.mark.parametrize(
    "change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}, {"scopes": ["read"]}]
)
def test_a_key_that_was_taken_back_takes_its_operations_with_it(change: dict[str, Any]) -> None:
    olga = recipes.operator()
    key = key_row(olga, "backup")
    operation = asked_by(olga, api_key=key)
    ApiKey.objects.filter(pk=key.pk).update(**change)
    assert not still_may(operation, BACKUP.permission)


def test_the_ledger_is_told_of_the_key_by_its_prefix_only() -> None:
    olga = recipes.operator()
    key = key_row(olga, "backup")
    actor = Asker(user=olga, api_key=key).as_actor()
    assert (actor.type, actor.auth, actor.key_prefix, actor.roles) == ("key", "key", key.prefix, ("operators",))
    assert key.digest not in repr(Asker(user=olga, api_key=key))


def test_a_stranger_and_nobody_see_no_operation() -> None:
    recipes.operation()
    assert not visible_to(Asker(user=recipes.stranger()), "operation").exists()
    assert not visible_to(Asker(user=AnonymousUser()), "operation").exists()
    assert visible_to(Asker(user=recipes.auditor()), "operation").count() == 1
    with pytest.raises(Hidden):
        find(Asker(user=AnonymousUser()), "operation", pk=Operation.objects.get().pk)


@pytest.mark.parametrize("verb", ["read", "cancel"])
def test_a_user_keeps_what_he_asked_for_and_a_key_needs_the_scope(verb: str) -> None:
    charlie = recipes.stranger()
    own = asked_by(charlie)
    recipes.operation()
    assert list(visible_to(Asker(user=charlie), "operation", verb)) == [own]
    assert list(visible_to(Asker(user=charlie, api_key=key_row(charlie, verb)), "operation", verb)) == [own]
    assert not visible_to(Asker(user=charlie, api_key=key_row(charlie, "hosts")), "operation", verb).exists()
    User.objects.filter(pk=charlie.pk).update(is_active=False)
    charlie.refresh_from_db()
    assert not visible_to(Asker(user=charlie), "operation", verb).exists()


def test_an_operator_sees_his_own_ledger_entries_whichever_way_he_came() -> None:
    olga, other = recipes.operator(), recipes.operator("oscar")
    for actor in (Asker(user=olga).as_actor(), Asker(user=olga, api_key=key_row(olga, "read")).as_actor()):
        ledger.event(action="auth.login", actor=actor, source=Source(channel="ui"))
    ledger.event(action="auth.login", actor=Asker(user=other).as_actor(), source=Source(channel="ui"))
    namesake = ledger.Actor(type="service", id=str(olga.pk))
    ledger.event(action="auth.login", actor=namesake, source=Source(channel="ui"))
    assert {entry.actor_type for entry in visible_to(Asker(user=olga), "entry")} == {"user", "key"}
    assert visible_to(Asker(user=olga), "entry").count() == 2
    assert visible_to(Asker(user=recipes.auditor()), "entry").count() == 4


def test_whoever_may_not_cancel_changes_nothing() -> None:
    operation = recipes.operation()
    with pytest.raises(PermissionDenied):
        cancel(operation, asker=Asker(user=recipes.auditor()), source=Source(channel="api"))
    assert Operation.objects.get().state == "queued"
    assert not ledger.entries().exists()


def test_a_part_is_cancelled_with_its_whole_and_by_who_may_cancel_that() -> None:
    charlie = recipes.stranger()
    whole = recipes.running(user=charlie)
    part = recipes.running(user=charlie, parent=whole)
    with pytest.raises(PermissionDenied):
        cancel(part, asker=Asker(user=recipes.stranger("chloe")), source=Source(channel="api"))
    assert cancel(part, asker=Asker(user=charlie), source=Source(channel="api"))
    assert Operation.objects.exclude(cancel_requested_at=None).get() == whole
    assert ledger.entries().get().operation_id == str(whole.pk)


def test_a_wish_to_cancel_is_recorded_before_it_is_asked() -> None:
    operation = recipes.running()
    assert cancel(operation, asker=Asker(user=recipes.operator()), source=Source(channel="api"))
    assert ledger.entries().get().action == "operation.cancel"
    assert Operation.objects.get().cancel_reason == "cancelled by olga"


def test_groups_that_exist_already_get_the_permissions_of_the_lifecycle() -> None:
    new = Permission.objects.filter(codename__in=["operate_container", "remove_container"])
    for group in Group.objects.all():
        group.permissions.remove(*new)
    (name,) = (path.stem for path in Path(str(migrations.__file__)).parent.glob("*_lifecycle.py"))
    import_module(f"containers_app.migrations.{name}").give_permissions(apps, None)
    having = {name: set(new.filter(group__name=name)) for name in (OPERATORS, AUDITORS, ADMINISTRATORS)}
    assert having == {OPERATORS: set(new), AUDITORS: set(), ADMINISTRATORS: set(new)}
    assert new.count() == 2
