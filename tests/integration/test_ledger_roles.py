"""The roles of the ledger's PostgreSQL database: the product works as the writer, and each can do its own work only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.integration.ledger_process import LedgerProcess, LedgerProgram
from tests.machine import PROJECT

YEAR = 2020
FORBIDDEN = {
    "writer": [
        "UPDATE audit_entry SET payload = ''",
        "UPDATE audit_head SET shard = 1999",
        "UPDATE audit_standing SET state = 'released'",
        "DELETE FROM audit_entry",
        "DELETE FROM audit_disclosure",
        "DELETE FROM audit_checkpoint",
        "TRUNCATE audit_entry",
        "TRUNCATE audit_disclosure CASCADE",
        "INSERT INTO audit_permit (act) VALUES ('erase')",
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_entry_no_update ON audit_entry",
        "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN OLD; END$$",
        "CREATE TABLE mine (id int)",
        "SET session_replication_role = replica",
        "SET ROLE test_owner",
        "SET ROLE test_pruner",
    ],
    "reader": [
        "INSERT INTO audit_standing (state, told, since) VALUES ('halted', '{}', now())",
        "UPDATE audit_head SET size = size + 1",
        "DELETE FROM audit_disclosure",
        "SELECT nextval('audit_entry_id_seq')",
    ],
    "pruner": [
        "INSERT INTO audit_standing (state, told, since) VALUES ('released', '{}', now())",
        "UPDATE audit_entry SET leaf_hash = ''",
        "UPDATE audit_head SET size = size + 1",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_disclosure",
    ],
}


@dataclass
class Roles:
    """A ledger whose database has the roles, and processes that come as one of them."""

    url: str
    folder: Path
    programs: dict[str, LedgerProgram] = field(default_factory=dict)
    started: list[LedgerProcess] = field(default_factory=list)

    def url_of(self, role: str) -> str:
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.replace("postgres", f"test_{role}", 1)))

    def process(self, role: str = "", **more: str) -> LedgerProcess:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]),
            "MYCO_DATA_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
            "MYCO_AUDIT_GUARDS": "true",
            "MYCO_DATABASE_URL": "",
            "MYCO_AUDIT_DATABASE_URL": self.url_of(role) if role else self.url,
            **more,
        }
        known = f"{role} {more}"
        if known not in self.programs:
            self.programs[known] = LedgerProgram(environment)
        self.started.append(self.programs[known].begin())
        return self.started[-1]


@pytest.fixture(scope="module")
def roles(make_shared_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    found = Roles(make_shared_database(), tmp_path_factory.mktemp("roles"))
    try:
        first = found.process()
        first.ask("migrate")
        statements = first.ask("roles")
        with psycopg.connect(found.url, autocommit=True) as connection:
            for _ in range(2):  # safe to repeat
                for statement in statements:
                    connection.execute(statement.encode())
        yield found
    finally:
        for process in found.started:
            process.end()
        for program in found.programs.values():
            program.end()


@pytest.fixture(scope="module")
def writer(roles: Roles) -> LedgerProcess:
    """With an old shard, which one of today closed."""
    process = roles.process("writer")
    process.ask("age")
    return process


def test_the_product_works_whole_as_the_writer(roles: Roles, writer: LedgerProcess) -> None:
    writer.ask("append", count=10)
    assert writer.ask("sign", folder=str(roles.folder / "signer")) == 0
    writer.ask("append", count=2)
    assert writer.ask("sign", folder=str(roles.folder / "signer")) == 0
    assert writer.ask("checked", shard=YEAR)["problems"] == []
    assert writer.ask("missing_guards") == []
    writer.ask("deny", count=30)
    hold = writer.ask("hold", reason="a lawsuit")
    writer.ask("release", hold_id=hold)


@pytest.mark.parametrize(("role", "statement"), [(role, one) for role, some in FORBIDDEN.items() for one in some])
def test_a_role_cannot_do_what_is_not_its_work(roles: Roles, writer: LedgerProcess, role: str, statement: str) -> None:
    with psycopg.connect(roles.url_of(role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize("role", ["reader", "pruner"])
def test_everything_can_be_read(roles: Roles, writer: LedgerProcess, role: str) -> None:
    with psycopg.connect(roles.url_of(role)) as connection:
        assert connection.execute(b"SELECT count(*) > 0 FROM audit_entry").fetchone() == (True,)


def test_the_pruner_deletes_no_value_without_the_permit(roles: Roles, writer: LedgerProcess) -> None:
    with psycopg.connect(roles.url_of("pruner")) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(b"DELETE FROM audit_disclosure")


def test_the_writer_alone_erases_and_prunes_nothing(writer: LedgerProcess) -> None:
    before = writer.ask("checked", shard=YEAR)["values"]
    assert writer.error_of("erase", actor="7") == "PermissionDenied"
    assert writer.error_of("prune") == "PermissionDenied"
    assert writer.ask("checked", shard=YEAR)["values"] > before  # what was tried is told


def test_with_the_pruner_beside_it_erases_and_prunes(roles: Roles, writer: LedgerProcess) -> None:
    both = roles.process("writer", MYCO_AUDIT_PRUNER_URL=roles.url_of("pruner"))
    assert both.ask("erase", actor="7") > 0
    assert both.ask("prune") == [10, 0]
    check = both.ask("checked", shard=YEAR)
    assert (check["problems"], check["pruned"]) == ([], 10)
    assert both.ask("sign", folder=str(roles.folder / "signer")) == 0


def test_a_hold_is_seen_through_the_pruner_too(roles: Roles, writer: LedgerProcess) -> None:
    both = roles.process("writer", MYCO_AUDIT_PRUNER_URL=roles.url_of("pruner"))
    hold = writer.ask("hold", reason="a lawsuit")
    assert both.error_of("erase", actor="7") == "LedgerHeld"
    writer.ask("release", hold_id=hold)


def test_migrations_go_through_the_owner_and_guards_are_made_anew(roles: Roles, writer: LedgerProcess) -> None:
    with psycopg.connect(roles.url_of("owner"), autocommit=True) as connection:
        connection.execute(b"DROP TRIGGER audit_entry_no_delete ON audit_entry")
    assert writer.ask("missing_guards") == ["audit_entry_no_delete"]
    migrating = roles.process("writer", MYCO_AUDIT_OWNER_URL=roles.url_of("owner"))
    migrating.ask("migrate")
    assert migrating.ask("missing_guards") == []
    # Afterwards it is the writer again.
    assert migrating.error_of("execute", statement="DROP TABLE audit_entry") == "ProgrammingError"


def test_the_owner_of_the_tables_is_stopped_by_the_guards(roles: Roles, writer: LedgerProcess) -> None:
    for statement in (b"DELETE FROM audit_entry", b"TRUNCATE audit_entry", b"UPDATE audit_entry SET payload = 'x'"):
        with psycopg.connect(roles.url_of("owner")) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement)
