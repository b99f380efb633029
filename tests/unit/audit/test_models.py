"""The ledger's tables cannot be written through the ORM, by nobody, in no way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers
from django.db import models, transaction
from model_bakery import baker

from containers_app.audit import ledger
from containers_app.audit.appending import writable
from containers_app.audit.models import (
    Anchoring,
    Disclosure,
    Entry,
    Head,
    LedgerIsAppendOnly,
    Permit,
    Review,
    SignedCheckpoint,
    Standing,
    Subtree,
)
from containers_app.audit.record import Actor, Source
from containers_app.errors import PermissionDenied

pytestmark = pytest.mark.django_db(databases=["audit"])
MODELS: list[type[models.Model]] = [
    Entry,
    Head,
    Disclosure,
    Subtree,
    SignedCheckpoint,
    Standing,
    Anchoring,
    Permit,
    Review,
]


@pytest.fixture(autouse=True)
def one_row_each() -> None:
    ledger.event(action="auth.login", actor=Actor(type="user", id="7", label="alice"), source=Source(channel="ui"))
    now = datetime.now(UTC)
    rows: list[models.Model] = [
        Subtree(shard=2026, level=8, number=0, root="00"),
        SignedCheckpoint(shard=2026, origin="a.example/audit/2026", size=1, root="00", note="", signed_at=now),
        Standing(state="released", told="{}", since=now),
        Anchoring(at=now, kind="folder", target="/srv", shard=2026, size=1, root="00", is_done=True),
        Permit(act="erase"),
        Review(entry_id=1, entry_time=now, kind="flag", said_in=2026, said_at=0),
    ]
    for row in rows:
        writable(type(row)).bulk_create([row])


def manager(model: type[models.Model]) -> Any:
    return model._default_manager


ATTEMPTS: dict[str, Callable[[type[models.Model]], object]] = {
    "save": lambda model: manager(model).get().save(),
    "save new": lambda model: model().save(),
    "save_base": lambda model: models.Model.save_base(manager(model).get()),
    "save_base new": lambda model: models.Model.save_base(model(pk=99), raw=True),
    "delete": lambda model: manager(model).get().delete(),
    "create": lambda model: manager(model).create(),
    "bulk_create": lambda model: manager(model).bulk_create([model()]),
    "bulk_update": lambda model: manager(model).bulk_update([manager(model).get()], ["pk"]),
    "get_or_create": lambda model: manager(model).get_or_create(pk=99),
    "update_or_create": lambda model: manager(model).update_or_create(pk=99),
    "update": lambda model: manager(model).update(pk=99),
    "update some": lambda model: manager(model).filter(pk__gt=0).update(pk=99),
    "delete some": lambda model: manager(model).filter(pk__gt=0).delete(),
    "delete all": lambda model: manager(model).all().delete(),
    "raw delete": lambda model: manager(model).all()._raw_delete("audit"),
    "base manager": lambda model: model._base_manager.all().delete(),
    "baker": baker.make,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_every_way_to_write_is_refused(
    model: type[models.Model], attempt: Callable[[type[models.Model]], object]
) -> None:
    before = list(manager(model).values())
    with pytest.raises(LedgerIsAppendOnly), transaction.atomic(using="audit"):
        attempt(model)
    assert list(manager(model).values()) == before


@pytest.mark.parametrize("model", MODELS)
def test_a_fixture_cannot_be_loaded_over_it(model: type[models.Model]) -> None:
    text = serializers.serialize("json", manager(model).all())
    for loaded in serializers.deserialize("json", text):
        with pytest.raises(LedgerIsAppendOnly):
            loaded.save(using="audit")


def test_a_refusal_is_a_denied_permission() -> None:
    assert issubclass(LedgerIsAppendOnly, PermissionDenied)


@pytest.mark.parametrize("model", MODELS)
def test_the_only_permission_is_to_view(model: type[models.Model]) -> None:
    assert model._meta.default_permissions == ("view",)
    assert not model._meta.permissions


@pytest.mark.parametrize("model", MODELS)
def test_no_column_refers_to_another_table(model: type[models.Model]) -> None:
    assert not [field for field in model._meta.get_fields() if field.is_relation]


def test_every_model_of_the_app_is_guarded_so() -> None:
    assert set(apps.get_app_config("audit").get_models()) == set(MODELS)


def test_rows_have_readable_names() -> None:
    assert str(Entry.objects.get()).endswith("/0 auth.login event")
    assert str(Head.objects.get()).endswith(": 1 entries")
    assert str(Subtree.objects.get()) == "2026: subtree 0 of 2^8 entries"
    assert str(SignedCheckpoint.objects.get()) == "a.example/audit/2026 1"
    assert str(Standing.objects.get()).startswith("released since 20")
    assert str(Anchoring.objects.get()) == "folder /srv: 2026, 1 entries"
    assert str(Permit.objects.get()) == "erase"
    assert str(Disclosure.objects.get()).startswith("actor_label ")
