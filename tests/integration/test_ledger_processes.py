"""The ledger under many processes, kill -9, a locked or absent database, and hands in its tables; on both databases."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from containers_app.audit.appending import LOCK_NUMBER
from containers_app.audit.guards import GUARDS
from tests.integration.ledger_copies import copies_of_database, copies_of_file
from tests.integration.ledger_process import LedgerProcess, LedgerProgram
from tests.machine import PROJECT

WRITERS = 8
ENTRIES_EACH = 100
MOST_STEPS = 60


@dataclass(frozen=True)
class Ledger:
    """A ledger's database, with all its guards, and the program that uses it."""

    vendor: str
    environment: dict[str, str]
    program: LedgerProgram

    def process(self) -> contextlib.AbstractContextManager[LedgerProcess]:
        return self.program.process()

    def ask(self, what: str, **arguments: Any) -> Any:
        return self.program.ask(what, **arguments)


@pytest.fixture(scope="module")
def make_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Ledger]]:
    """A function that makes a ledger on an empty PostgreSQL database, or on SQLite where there is no URL."""
    with ExitStack() as until:

        def make(vendor: str, url: str, target: str = "") -> Ledger:
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]),
                "MYCO_DATA_DIR": str(tmp_path_factory.mktemp(vendor)),
                "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
                "MYCO_AUDIT_GUARDS": "true",
                "MYCO_DATABASE_URL": "",
                "MYCO_AUDIT_DATABASE_URL": url,
            }
            made = Ledger(vendor, environment, LedgerProgram(environment))
            until.callback(made.program.end)
            made.ask("migrate", target=target)
            return made

        yield make


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def renewed(
    request: pytest.FixtureRequest, make_ledger: Callable[[str, str], Ledger]
) -> Iterator[tuple[Ledger, Callable[[], None]]]:
    """One for all tests that want a new one, and what makes it new."""
    if request.param == "sqlite":
        made = make_ledger(request.param, "")
        yield made, copies_of_file(Path(made.environment["MYCO_DATA_DIR"], "audit.sqlite3"))()
    else:
        url = request.getfixturevalue("make_shared_database")()
        made = make_ledger(request.param, url)
        with copies_of_database(request.getfixturevalue("postgres_server"), url) as copy:
            yield made, copy()


@pytest.fixture
def ledger(renewed: tuple[Ledger, Callable[[], None]]) -> Ledger:
    """A new one for the test."""
    made, renew = renewed
    renew()
    return made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, make_ledger: Callable[[str, str], Ledger]) -> Iterator[Shared]:
    """One for all tests that leave it honest, with a process that watches it."""
    url = request.getfixturevalue("make_shared_database")() if request.param == "postgresql" else ""
    found = make_ledger(request.param, url)
    with found.process() as watcher:
        watcher.ask("append", count=6)
        yield Shared(found, watcher)


@dataclass(frozen=True)
class Shared:
    """A ledger that many tests use, and a process that tells its state."""

    ledger: Ledger
    watcher: LedgerProcess

    def size(self) -> int:
        """How many entries it has, after a check of all of it."""
        state = self.watcher.ask("state")
        assert_honest(state, state["size"])
        return int(state["size"])


@pytest.fixture(scope="module")
def crowd(shared: Shared) -> Iterator[list[LedgerProcess]]:
    """Eight processes that use the shared ledger."""
    with ExitStack() as stack:
        yield [stack.enter_context(shared.ledger.process()) for _ in range(WRITERS)]


@pytest.fixture
def hold_the_lock(ledger: Ledger) -> Callable[[], contextlib.AbstractContextManager[object]]:
    """Hold, from outside, what writers of the ledger wait for."""

    @contextmanager
    def on_sqlite() -> Iterator[None]:
        file = Path(ledger.environment["MYCO_DATA_DIR"], "audit.sqlite3")
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def on_postgresql() -> Iterator[None]:
        with psycopg.connect(ledger.environment["MYCO_AUDIT_DATABASE_URL"]) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_NUMBER])
            yield

    return on_sqlite if ledger.vendor == "sqlite" else on_postgresql


def assert_honest(state: dict[str, Any], size: int) -> None:
    assert state["problems"] == []
    assert state["size"] == size
    assert state["indexes"] == list(range(size))
    assert state["is_in_order"]
    assert state["wrong_subtrees"] == []


@pytest.mark.slow
def test_eight_writers_leave_no_gap_and_one_tree(shared: Shared, crowd: list[LedgerProcess]) -> None:
    before = shared.size()
    for writer in crowd:
        writer.send("append", count=ENTRIES_EACH)
    assert [writer.receive() for writer in crowd] == [{"result": ENTRIES_EACH}] * WRITERS
    assert shared.size() == before + WRITERS * ENTRIES_EACH


def test_several_processes_check_the_ledger_as_one_does(shared: Shared) -> None:
    size = shared.size()
    for processes in (1, 3):
        with shared.ledger.process() as checker:
            found = checker.ask("check", processes=processes, level=2)
        assert found == {"size": size, "same": True, "problems": []}


def test_an_operation_that_many_processes_end_has_one_outcome(shared: Shared, crowd: list[LedgerProcess]) -> None:
    before = shared.watcher.ask("state")
    operations = [str(uuid.uuid4()) for _ in range(10)]
    for operation_id in operations:
        crowd[0].ask("intent", operation_id=operation_id)
        for ender in crowd:
            ender.send("outcome", operation_id=operation_id)
        assert len({ender.receive()["result"] for ender in crowd}) == 1
    after = shared.watcher.ask("state")
    assert after["outcomes"] == before["outcomes"] + len(operations)
    assert_honest(after, before["size"] + 2 * len(operations))


def test_an_operation_that_many_processes_begin_has_one_intent(shared: Shared, crowd: list[LedgerProcess]) -> None:
    before = shared.size()
    for beginner in crowd:
        beginner.send("intent", operation_id="one")
    received = [beginner.receive() for beginner in crowd]
    assert sorted(answer.get("error", "") for answer in received) == ["", *["Unrecordable"] * (WRITERS - 1)]
    assert shared.size() == before + 1


@pytest.mark.parametrize("work", ["intent_and_outcome", "two_together"])
def test_a_process_killed_before_any_step_leaves_an_honest_ledger(ledger: Ledger, work: str) -> None:
    was_killed, step = True, 0
    with ledger.process() as parent, ledger.process() as watcher:
        watcher.ask("append", count=6)
        for step in range(1, MOST_STEPS):
            before = watcher.ask("state")
            was_killed = parent.ask("die_at", step=step, work=work, operation_id=f"{work.replace('_', '-')}-{step}")
            after = watcher.ask("state")
            assert_honest(after, after["size"])
            assert after["size"] - before["size"] in ((0, 2) if work == "two_together" else (0, 1, 2))
            if not was_killed:
                break
            watcher.ask("close_what_is_open")
        ended = watcher.ask("state")
    assert not was_killed
    assert step > 3
    assert ended["intents"] == ended["outcomes"]


def test_when_the_lock_is_never_free_the_ledger_is_unavailable(
    ledger: Ledger, hold_the_lock: Callable[[], contextlib.AbstractContextManager[object]]
) -> None:
    with ledger.process() as writer:
        writer.ask("append", count=2)
        writer.ask("wait_at_most", milliseconds=300)
        with hold_the_lock():
            assert writer.error_of("intent", operation_id="one") == "AuditUnavailable"
        assert writer.ask("intent", operation_id="two") == 2
    assert_honest(ledger.ask("state"), 3)


@pytest.mark.parametrize("renewed", ["postgresql"], indirect=True)
def test_when_the_server_cuts_the_line_the_same_process_goes_on_afterwards(
    ledger: Ledger, make_postgres_database: Callable[[], str]
) -> None:
    database = urlsplit(ledger.environment["MYCO_AUDIT_DATABASE_URL"]).path.strip("/")
    with ledger.process() as writer, psycopg.connect(make_postgres_database(), autocommit=True) as elsewhere:
        writer.ask("append", count=2)
        elsewhere.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false'.encode())
        elsewhere.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database])
        assert writer.error_of("intent", operation_id="one") == "AuditUnavailable"
        elsewhere.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true'.encode())
        assert writer.ask("intent", operation_id="two") == 2
        elsewhere.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database])
        assert writer.ask("outcome", operation_id="two") == 3
    assert_honest(ledger.ask("state"), 4)


def test_a_halted_ledger_takes_nothing_until_it_is_released(ledger: Ledger) -> None:
    standing = "INSERT INTO audit_standing (state, told, since) VALUES ('{}', '{{}}', '2026-01-01 00:00:00+00:00')"
    with ledger.process() as writer:
        writer.ask("append", count=2)
        writer.ask("execute", statement=standing.format("halted"))
        for act in ("intent", "outcome", "two_together"):
            assert writer.error_of(act, operation_id="one") == "LedgerHalted"
        writer.ask("execute", statement=standing.format("released"))
        assert writer.ask("intent", operation_id="one") == 2
    assert_honest(ledger.ask("state"), 3)


@pytest.mark.parametrize("frontier", ["", "x", "0", "0" * 64])
def test_nothing_is_written_after_a_damaged_head(ledger: Ledger, frontier: str) -> None:
    unguarded = {
        "sqlite": "DROP TRIGGER audit_head_only_grows",
        "postgresql": "ALTER TABLE audit_head DISABLE TRIGGER ALL",
    }
    with ledger.process() as writer:
        writer.ask("append", count=6)
        writer.ask("execute", statement=unguarded[ledger.vendor])
        writer.ask("execute", statement="UPDATE audit_head SET frontier = 'FRONTIER'".replace("FRONTIER", frontier))
        for act in ("intent", "two_together"):
            assert writer.error_of(act, operation_id="one") == "AuditUnavailable"
        assert writer.ask("count") == 6


@pytest.mark.parametrize("renewed", ["sqlite"], indirect=True)
def test_a_file_that_is_no_database_makes_the_ledger_unavailable(ledger: Ledger) -> None:
    file = Path(ledger.environment["MYCO_DATA_DIR"], "audit.sqlite3")
    file.write_bytes(b"not a database" * 1000)
    with ledger.process() as writer:
        assert writer.error_of("intent", operation_id="one") == "AuditUnavailable"


@pytest.mark.parametrize("shared", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET payload = 'forged'",
        "DELETE FROM audit_entry WHERE leaf_index = 1",
        "TRUNCATE audit_entry",
        "TRUNCATE audit_entry, audit_head, audit_disclosure CASCADE",
        "INSERT INTO audit_entry SELECT * FROM audit_entry ON CONFLICT (id) DO UPDATE SET payload = 'forged'",
        "SET LOCAL session_replication_role = replica; DELETE FROM audit_entry",
        "UPDATE audit_head SET size = size - 1",
        "UPDATE audit_head SET frontier = ''",
        "UPDATE audit_head SET shard = 1999, size = size + 1",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
        "TRUNCATE audit_subtree",
        "TRUNCATE audit_checkpoint",
        "TRUNCATE audit_standing",
        "TRUNCATE audit_anchoring",
        "TRUNCATE audit_review",
        "UPDATE audit_disclosure SET text = 'forged'",
        "DELETE FROM audit_disclosure",
        "TRUNCATE audit_disclosure",
    ],
)
def test_postgresql_itself_refuses_changes(shared: Shared, statement: str) -> None:
    shared.watcher.ask("append", count=4)
    before = shared.size()
    shared.watcher.send("execute", statement=statement)
    answer = shared.watcher.receive()
    assert answer["error"] == "IntegrityError"
    assert "the ledger is append-only" in answer["message"]
    assert shared.size() == before


@pytest.mark.parametrize("shared", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("DROP TRIGGER audit_entry_no_truncate ON audit_entry", ["audit_entry_no_truncate"]),
        ("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_no_delete", ["audit_entry_no_delete"]),
        ("ALTER TABLE audit_head ENABLE TRIGGER audit_head_no_delete", ["audit_head_no_delete"]),
        (
            "CREATE OR REPLACE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head FOR EACH ROW"
            " WHEN (false) EXECUTE FUNCTION audit_refuse()",
            ["audit_head_only_grows"],
        ),
    ],
)
def test_postgresql_guards_that_were_weakened_are_missed_until_the_next_migration(
    shared: Shared, statement: str, missing: list[str]
) -> None:
    hand = shared.watcher
    assert hand.ask("missing_guards") == []
    hand.ask("execute", statement=statement)
    assert hand.ask("missing_guards") == missing
    hand.ask("migrate")
    assert hand.ask("missing_guards") == []


@pytest.mark.parametrize("shared", ["postgresql"], indirect=True)
def test_a_refusing_function_that_refuses_nothing_is_missed(shared: Shared) -> None:
    hand, guards = shared.watcher, GUARDS["postgresql"]
    hand.ask(
        "execute",
        statement="CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RETURN OLD; END$$",
    )
    assert len(hand.ask("missing_guards")) == sum("EXECUTE FUNCTION audit_refuse()" in one.statement for one in guards)
    hand.ask("migrate")
    assert hand.ask("missing_guards") == []


def test_a_real_migration_installs_the_guards(shared: Shared) -> None:
    assert shared.watcher.ask("missing_guards") == []


def test_the_migration_that_stores_subtrees_holds_writers_off(
    make_ledger: Callable[..., Ledger], postgres_url: str
) -> None:
    older = make_ledger("postgresql", postgres_url, target="0001")
    with older.process() as migrating:
        with psycopg.connect(postgres_url) as writer:
            writer.execute("SELECT pg_advisory_lock(%s)", [LOCK_NUMBER])
            migrating.send("migrate")
            assert is_waited_for(writer)
        assert migrating.receive() == {"result": None}
        migrating.ask("append", count=2)
    assert_honest(older.ask("state"), 2)


def is_waited_for(writer: psycopg.Connection[Any], kind: str = "advisory") -> bool:
    """Whether somebody comes to wait for a lock of that kind within half a minute."""
    waiting = b"SELECT count(*) FROM pg_locks WHERE locktype = %s AND NOT granted"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if writer.execute(waiting, [kind]).fetchone() == (1,):
            return True
        time.sleep(0.1)
    return False


def test_the_count_of_a_flood_is_written_when_the_process_ends(ledger: Ledger) -> None:
    with ledger.process() as flooded:
        assert flooded.ask("deny", count=500) > 0
    state = ledger.ask("state")
    assert state["denied"] == 500
    assert state["size"] < 100


def test_a_pruning_that_is_killed_in_between_ends_the_same_when_it_is_run_again(ledger: Ledger) -> None:
    ledger.ask("age")
    untouched = ledger.ask("checked", shard=2020)
    for killed, gone in ((1, 0), (3, 2), (2, 2)):
        with ledger.process() as dying:
            dying.send("prune", rows_at_once=2, die_after=killed)
            assert dying.end() == -signal.SIGKILL
        check = ledger.ask("checked", shard=2020)
        assert (check["problems"], check["pruned"], check["size"]) == ([], gone, untouched["size"])
        assert ledger.ask("missing_guards") == []
    assert ledger.ask("prune") == [8, 0]
    check = ledger.ask("checked", shard=2020)
    assert (check["problems"], check["pruned"]) == ([], 10)


def test_a_subtree_that_somebody_wrote_before_holds_no_entry_back(ledger: Ledger) -> None:
    forged = "INSERT INTO audit_subtree (shard, level, number, root) SELECT shard, 8, NUMBER, 'false' FROM audit_head"
    with ledger.process() as writer:
        writer.ask("append", count=254)
        for number in "01":
            writer.ask("execute", statement=forged.replace("NUMBER", number))
        writer.ask("two_together", operation_id="one")
        writer.ask("append", count=256)
        assert writer.ask("count") == 512


def test_the_migration_that_builds_indexes_holds_no_writer_up(
    make_ledger: Callable[..., Ledger], postgres_url: str
) -> None:
    older = make_ledger("postgresql", postgres_url, target="0004")
    with older.process() as migrating, older.process() as appending:
        with psycopg.connect(postgres_url) as writer:
            writer.execute("LOCK TABLE audit_entry IN ROW EXCLUSIVE MODE")
            migrating.send("migrate")
            assert is_waited_for(writer, "virtualxid")
            appending.ask("append", count=4)
        assert migrating.receive() == {"result": None}
        appending.ask("append", count=4)
    with psycopg.connect(postgres_url) as reader:
        valid = "SELECT indisvalid, count(*) FROM pg_index WHERE indrelid = 'audit_entry'::regclass GROUP BY 1"
        assert [row[0] for row in reader.execute(valid)] == [True]
    assert_honest(older.ask("state"), 8)
