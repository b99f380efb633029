"""The database itself refuses what the ORM refuses; SQLite here, PostgreSQL among the integration tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import pytest
from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal
from django.db import IntegrityError, connections, transaction
from pytest_django import Settings

from containers_app.audit import guards, ledger
from containers_app.audit.appending import writable
from containers_app.audit.models import Disclosure, Entry, Standing, Subtree
from containers_app.audit.removing import delete_disclosures, removing
from containers_app.errors import AuditUnavailable
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
End = Callable[..., int]
Tamper = Callable[..., None]

pytestmark = [
    pytest.mark.django_db(databases=["audit"]),
    pytest.mark.skipif("connections['audit'].vendor != 'sqlite'", reason="statements of SQLite"),
]
NAMES = [guard.name for guard in guards.GUARDS["sqlite"]]


@pytest.fixture
def guarded(begin: Begin, end: End) -> None:
    guards.install()
    end(begin().operation_id)
    writable(Subtree).bulk_create([Subtree(shard=1999, level=8, number=0, root="00")])
    writable(Standing).bulk_create([Standing(state="open", told="{}", since=datetime.now(UTC))])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET payload = 'forged'",
        "UPDATE audit_entry SET actor_id = 'x' WHERE leaf_index = 0",
        "DELETE FROM audit_entry WHERE leaf_index = 1",
        "DELETE FROM audit_entry",
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry WHERE leaf_index = 0",
        "REPLACE INTO audit_entry SELECT * FROM audit_entry",
        "UPDATE OR REPLACE audit_entry SET leaf_index = 0 WHERE leaf_index = 1",
        "UPDATE audit_head SET size = size - 1",
        "UPDATE audit_head SET frontier = ''",
        "UPDATE audit_head SET shard = 1999, size = size + 1",
        "DELETE FROM audit_head",
        "REPLACE INTO audit_head SELECT shard, 0, '' FROM audit_head",
        "UPDATE audit_disclosure SET text = 'forged'",
        "REPLACE INTO audit_disclosure SELECT id, commitment, kind, 'forged' FROM audit_disclosure",
        "UPDATE audit_subtree SET root = 'forged'",
        "DELETE FROM audit_subtree",
        "REPLACE INTO audit_subtree SELECT * FROM audit_subtree",
        "REPLACE INTO audit_subtree SELECT 99, shard, level, number, 'forged' FROM audit_subtree",
        "UPDATE audit_standing SET state = 'released'",
        "DELETE FROM audit_standing",
        "REPLACE INTO audit_standing SELECT * FROM audit_standing",
    ],
)
@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
def test_the_database_refuses_changes(guarded: None, tamper: Tamper, statement: str, recursive_triggers: str) -> None:
    tamper(f"PRAGMA recursive_triggers = {recursive_triggers}")
    before = list(Entry.objects.values())
    with pytest.raises(IntegrityError, match=guards.MESSAGE), transaction.atomic(using="audit"):
        tamper(statement)
    tamper("PRAGMA recursive_triggers = ON")
    assert list(Entry.objects.values()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit_entry SELECT * FROM forged",
        "UPDATE audit_head SET size = size + 1 WHERE shard = {shard}",
        "INSERT INTO audit_head (shard, size, frontier) VALUES ({shard} - 1, 0, '')",
        "INSERT INTO audit_head (shard, size, frontier) VALUES ({shard} * 100, 0, '')",
    ],
)
def test_a_shard_that_another_has_followed_does_not_grow(guarded: None, tamper: Tamper, statement: str) -> None:
    shard = Entry.objects.first().shard  # type: ignore[union-attr]
    tamper("CREATE TEMPORARY TABLE forged AS SELECT * FROM audit_entry WHERE leaf_index = 1")
    tamper("UPDATE forged SET id = 9999, leaf_index = 9999, operation_id = 'another'")
    tamper("INSERT INTO audit_head (shard, size, frontier) VALUES (%s, 0, '')", str(shard * 100 + 1))
    with pytest.raises(IntegrityError, match=guards.MESSAGE), transaction.atomic(using="audit"):
        tamper(statement.format(shard=shard))


@pytest.mark.parametrize("phase", ["intent", "outcome"])
def test_a_replacement_through_the_operation_is_refused_too(guarded: None, tamper: Tamper, phase: str) -> None:
    tamper("CREATE TEMPORARY TABLE forged AS SELECT * FROM audit_entry WHERE phase = %s", phase)
    tamper("UPDATE forged SET id = 9999, leaf_index = 9999, payload = 'forged'")
    tamper("PRAGMA recursive_triggers = OFF")
    with pytest.raises(IntegrityError, match=guards.MESSAGE), transaction.atomic(using="audit"):
        tamper("REPLACE INTO audit_entry SELECT * FROM forged")
    tamper("PRAGMA recursive_triggers = ON")


def test_the_ledger_itself_goes_on_writing(guarded: None, begin: Begin, end: End) -> None:
    receipt = begin()
    end(receipt.operation_id)
    assert ledger.self_check(receipt.shard).is_clean


def test_a_stray_deletion_of_a_value_is_refused(guarded: None, tamper: Tamper) -> None:
    with pytest.raises(IntegrityError, match=guards.MESSAGE), transaction.atomic(using="audit"):
        tamper("DELETE FROM audit_disclosure WHERE kind = 'actor_label'")


def test_a_permitted_removal_is_not_refused_and_leaves_nothing_open(guarded: None) -> None:
    wanted = list(Disclosure.objects.filter(kind="actor_label").values_list("commitment", flat=True))
    with removing("erase") as using:
        assert delete_disclosures(wanted, using) == len(wanted)
    assert ledger.disclosed(Entry.objects.latest("id"))["actor"]["label"] == "erased"
    assert guards.missing_guards() == []


@pytest.mark.parametrize(
    ("act", "statement"),
    [
        ("erase", "UPDATE audit_entry SET payload = ''"),
        ("prune", "UPDATE audit_entry SET payload = 'forged'"),
        ("prune", "UPDATE audit_entry SET payload = '', leaf_hash = 'forged'"),
        ("prune", "UPDATE audit_entry SET payload = '', leaf_index = leaf_index + 9"),
        ("prune", "DELETE FROM audit_entry"),
        ("prune", "UPDATE audit_disclosure SET text = 'forged'"),
        ("prune", "DELETE FROM audit_head"),
    ],
)
def test_a_permit_opens_its_own_act_only(
    guarded: None, tamper: Tamper, act: Literal["erase", "prune"], statement: str
) -> None:
    with pytest.raises(AuditUnavailable) as refused, removing(act):
        tamper(statement)
    assert guards.MESSAGE in str(refused.value.__cause__)


def test_a_permit_that_somebody_left_is_told(guarded: None, tamper: Tamper) -> None:
    tamper("INSERT INTO audit_permit (act) VALUES ('erase')")
    assert guards.missing_guards() == ["audit_permit"]
    guards.install()
    assert guards.missing_guards() == []


def test_a_connection_that_lets_a_replacement_pass_is_told(guarded: None, tamper: Tamper) -> None:
    tamper("PRAGMA recursive_triggers = OFF")
    missing = guards.missing_guards()
    tamper("PRAGMA recursive_triggers = ON")
    assert missing == ["recursive_triggers"]


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_every_table_of_the_ledger_is_guarded_against_every_change(vendor: str) -> None:
    tables = {model._meta.db_table for model in apps.get_app_config("audit").get_models()} - {"audit_permit"}
    events = {table: {_event(guard) for guard in guards.GUARDS[vendor] if guard.table == table} for table in tables}
    needed = {"UPDATE", "DELETE", "INSERT" if vendor == "sqlite" else "TRUNCATE"}
    assert {table: found for table, found in events.items() if not needed <= found} == {}


def _event(guard: guards.Guard) -> str:
    return guard.statement.split(" BEFORE ")[1].split()[0]


def test_none_is_missing_once_they_are_installed() -> None:
    assert guards.missing_guards() == NAMES
    guards.install()
    assert guards.missing_guards() == []
    guards.install()
    assert guards.missing_guards() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_dropped_guard_is_missed(guarded: None, tamper: Tamper, name: str) -> None:
    tamper(f"DROP TRIGGER {name}")
    assert guards.missing_guards() == [name]


def test_a_guard_that_does_nothing_is_missed(guarded: None, tamper: Tamper) -> None:
    tamper("DROP TRIGGER audit_entry_no_update")
    tamper("CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry BEGIN SELECT 1; END")
    assert guards.missing_guards() == ["audit_entry_no_update"]


@pytest.mark.parametrize(("wanted", "missing"), [(True, []), (False, NAMES)])
def test_a_migration_installs_them_when_the_settings_say_so(
    settings: Settings, wanted: bool, missing: list[str]
) -> None:
    settings.AUDIT_GUARDS = wanted
    emit_post_migrate_signal(verbosity=0, interactive=False, db="audit")
    assert guards.missing_guards() == missing


def test_a_database_without_the_tables_is_left_alone(settings: Settings, tamper: Tamper) -> None:
    settings.AUDIT_GUARDS = True
    tamper("ALTER TABLE audit_head RENAME TO gone")
    emit_post_migrate_signal(verbosity=0, interactive=False, db="audit")
    assert guards.missing_guards() == NAMES


def test_a_table_that_is_rebuilt_gets_them_back(guarded: None, settings: Settings) -> None:
    settings.AUDIT_GUARDS = True
    connection = connections["audit"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE rebuilt AS SELECT * FROM audit_entry")
        cursor.execute("DROP TABLE audit_entry")
        cursor.execute("ALTER TABLE rebuilt RENAME TO audit_entry")
    assert len(guards.missing_guards()) == 4
    emit_post_migrate_signal(verbosity=0, interactive=False, db="audit")
    assert guards.missing_guards() == []
