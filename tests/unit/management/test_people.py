"""The first administrator and the keys are made once, recorded, and used again only while they are good."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from containers_app.management.launch import people
from containers_app.management.launch.people import demonstration_keys, first_administrator
from containers_app.models import ApiKey
from containers_app.models.access import ADMINISTRATORS, AUDITORS, OPERATORS

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]


def known(keys: people.Keys) -> dict[str, str]:
    return {"MYCO_API_KEY": keys.operator, "MYCO_AUDITOR_KEY": keys.auditor}


def recorded() -> list[str]:
    return [entry.action for entry in ledger.Entry.objects.order_by("leaf_index")]


def test_the_first_start_makes_an_administrator_who_can_sign_in_and_manage_users() -> None:
    made = first_administrator({})
    user = User.objects.get(username=made.name)
    assert made.is_new
    assert len(made.password) >= 20
    assert user.check_password(made.password)
    assert (user.is_staff, user.is_superuser) == (True, True)
    assert [group.name for group in user.groups.all()] == [ADMINISTRATORS]
    assert recorded() == ["access.user_created"]


def test_the_password_is_in_no_repr() -> None:
    made = first_administrator({})
    assert made.password not in repr(made)


def test_a_later_start_makes_nothing_and_knows_the_password_only_from_the_file() -> None:
    made = first_administrator({})
    assert first_administrator({}).password == ""
    again = first_administrator({"MYCO_ADMIN_PASSWORD": made.password})
    assert (again.password, again.is_new) == (made.password, False)
    assert User.objects.count() == 1


def test_a_password_that_was_changed_is_not_written_any_more() -> None:
    made = first_administrator({})
    user = User.objects.get(username=made.name)
    user.set_password("something else entirely")
    user.save()
    assert first_administrator({"MYCO_ADMIN_PASSWORD": made.password}).password == ""


def test_where_people_are_already_nobody_is_added() -> None:
    User.objects.create_user("olga")
    assert first_administrator({}).name == ""
    assert User.objects.count() == 1


def test_what_cannot_be_recorded_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(**_: object) -> int:
        raise AuditUnavailable("the ledger does not answer")

    monkeypatch.setattr(ledger, "event", unavailable)
    with pytest.raises(AuditUnavailable):
        first_administrator({})
    with pytest.raises(AuditUnavailable):
        demonstration_keys({})
    assert User.objects.count() == 0
    assert ApiKey.objects.count() == 0


def test_the_keys_belong_to_two_users_who_cannot_sign_in() -> None:
    keys = demonstration_keys({})
    owners = {text: ApiKey.objects.matching(text) for text in (keys.operator, keys.auditor)}
    users = [row.user for row in owners.values() if row is not None]
    assert [user.has_usable_password() for user in users] == [False, False]
    assert [user.groups.get().name for user in users] == [OPERATORS, AUDITORS]
    assert not any(user.is_staff or user.is_superuser for user in users)


def test_the_operators_key_reads_no_ledger_and_the_auditors_key_acts_on_nothing() -> None:
    keys = demonstration_keys({})
    operator, auditor = ApiKey.objects.matching(keys.operator), ApiKey.objects.matching(keys.auditor)
    assert operator is not None
    assert auditor is not None
    assert "ledger" not in operator.scopes
    assert {"read", "clone", "backup", "cancel", "restore", "verify", "download", "keep", "delete"} <= set(
        operator.scopes
    )
    assert set(auditor.scopes) == {"read", "ledger"}


def test_good_keys_are_used_again() -> None:
    first = demonstration_keys({})
    assert demonstration_keys(known(first)) == first
    assert ApiKey.objects.count() == 2


def test_a_lost_key_is_replaced_and_revoked() -> None:
    first = demonstration_keys({})
    second = demonstration_keys({"MYCO_AUDITOR_KEY": first.auditor})
    old = ApiKey.objects.matching(first.operator)
    assert old is not None
    assert not old.is_alive
    assert second.auditor == first.auditor
    assert second.operator != first.operator
    assert "access.key_revoked" in recorded()


def test_a_revoked_key_is_not_used_again() -> None:
    first = demonstration_keys({})
    ApiKey.objects.update(revoked_at=timezone.now())
    second = demonstration_keys(known(first))
    assert {first.operator, first.auditor}.isdisjoint({second.operator, second.auditor})


def test_the_key_of_somebody_else_is_not_taken() -> None:
    first = demonstration_keys({})
    swapped = {"MYCO_API_KEY": first.auditor, "MYCO_AUDITOR_KEY": first.operator}
    assert demonstration_keys(swapped).operator != first.auditor


def test_no_key_is_in_a_repr_or_in_the_ledger() -> None:
    keys = demonstration_keys({})
    payloads = "".join(ledger.Entry.objects.values_list("payload", flat=True))
    for text in (keys.operator, keys.auditor):
        assert text not in repr(keys)
        assert text.split("_", 2)[2] not in payloads
