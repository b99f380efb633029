"""The ledger's tables are in the ledger's database, and nothing else is."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connections, router

from containers_app.audit.models import Disclosure, Entry, Head
from containers_app.audit.router import AuditRouter

_NAMES = ("entry", "head", "disclosure", "subtree", "checkpoint", "standing", "anchoring", "permit", "review")
LEDGER = {f"audit_{name}" for name in _NAMES}


@pytest.mark.parametrize("model", [Entry, Head, Disclosure])
def test_the_ledger_is_read_and_written_on_its_own_database(model: type) -> None:
    assert router.db_for_read(model) == router.db_for_write(model) == "audit"


def test_everything_else_is_not() -> None:
    for model in apps.get_models():
        if model._meta.app_label != "audit":
            assert router.db_for_write(model) == "default"
            assert not router.allow_migrate_model("audit", model)


def test_no_relation_crosses_the_border() -> None:
    allow = AuditRouter().allow_relation
    assert allow(Entry(), Head()) is True
    assert allow(Entry(), Group()) is False
    assert allow(Group(), Entry()) is False
    assert allow(Group(), Group()) is None


def test_nothing_is_migrated_through_the_role_that_erases() -> None:
    assert AuditRouter().allow_migrate("audit_pruner", "audit") is False
    assert AuditRouter().allow_migrate("audit_pruner", "auth") is False


@pytest.mark.django_db(databases=["default", "audit"])
def test_each_database_has_its_own_tables_only() -> None:
    assert set(connections["audit"].introspection.table_names()) - {"django_migrations", "sqlite_sequence"} == LEDGER
    assert LEDGER.isdisjoint(connections["default"].introspection.table_names())
