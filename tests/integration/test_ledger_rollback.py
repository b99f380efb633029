"""An older copy of the ledger's database is restored: nothing runs until a person accepts it; on both databases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.integration.ledger_process import LedgerProcess
from tests.machine import PROJECT

SECONDS = 120.0
YEAR = datetime.now(UTC).year
REFUSED = [503, "AUDIT_UNAVAILABLE"]


@dataclass
class Site:
    """A whole product on a data folder of its own. `copy` and `restore` do to its ledger what a backup tool does."""

    environment: dict[str, str]
    copy: Callable[[], Callable[[], None]]
    hosts: int = field(default=0)

    @contextmanager
    def process(self) -> Iterator[LedgerProcess]:
        """Somebody who uses the ledger; nobody may while it is copied or restored."""
        child = LedgerProcess(self.environment)
        try:
            yield child
        finally:
            child.end()

    def add_host(self, child: LedgerProcess) -> list[Any]:
        self.hosts += 1
        return list(child.ask("add_host", name=f"site-{self.hosts}"))

    @contextmanager
    def signer(self) -> Iterator[None]:
        """The real process; it must end by itself when it is told to."""
        words = [sys.executable, "manage.py", "signer", "--skip-checks"]
        with subprocess.Popen(words, cwd=PROJECT, env=self.environment) as running:
            try:
                yield
                running.send_signal(signal.SIGTERM)
                assert running.wait(SECONDS) == 0
            finally:
                running.kill()

    def grow(self, count: int) -> None:
        """Record, and let a signer sign it."""
        with self.signer(), self.process() as child:
            child.ask("append", count=count)
            wait_for(child, lambda told: told["signed"] == told["size"])


def wait_for(child: LedgerProcess, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while not wanted(told := child.ask("standing")):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return dict(told)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> tuple[str, Callable[[], Callable[[], None]]]:
    file = tmp_path / "audit.sqlite3"

    def copy() -> Callable[[], None]:
        kept = file.read_bytes()
        assert not file.with_name("audit.sqlite3-wal").exists()

        def restore() -> None:
            file.write_bytes(kept)

        return restore

    return "", copy


@pytest.fixture
def on_postgresql(
    make_postgres_database: Callable[[], str],
) -> Iterator[tuple[str, Callable[[], Callable[[], None]]]]:
    url, elsewhere = make_postgres_database(), make_postgres_database()
    name = urlsplit(url).path.strip("/")
    copies: list[str] = []

    def execute(statement: str) -> None:
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            connection.execute(statement.encode())

    def copy() -> Callable[[], None]:
        kept = f"{name}_copy{len(copies)}"
        execute(f"CREATE DATABASE {kept} TEMPLATE {name}")
        copies.append(kept)

        def restore() -> None:
            execute(f"DROP DATABASE {name} WITH (FORCE)")
            execute(f"CREATE DATABASE {name} TEMPLATE {kept}")

        return restore

    yield url, copy
    for kept in copies:
        execute(f"DROP DATABASE {kept} WITH (FORCE)")


@pytest.fixture(params=["on_sqlite", "on_postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    url, copy = request.getfixturevalue(request.param)
    own = {name: value for name, value in os.environ.items() if not name.startswith("MYCO_")}
    own |= {
        "PYTHONPATH": str(PROJECT),
        "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
        "MYCO_DATA_DIR": str(tmp_path),
        "MYCO_AUDIT_DATABASE_URL": url,
        "MYCO_BROKER_URL": "redis+socket:///nonexistent/broker.sock",
        "MYCO_LEDGER_NAME": "a.example",
    }
    made = Site(own, copy)
    with made.process() as child:
        child.ask("migrate_all")
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_older_database_runs_nothing_until_it_is_accepted_and_so_does_the_next(site: Site) -> None:
    site.grow(4)
    first = site.copy()
    site.grow(6)
    second = rolled_back(site, first, lost=YEAR, accepted=YEAR * 100 + 1)
    rolled_back(site, second, lost=YEAR * 100 + 1, accepted=YEAR * 100 + 2)
    # Older than both acceptances: their shards are not there either, and what was given up stays so.
    rolled_back(site, first, lost=YEAR * 100 + 2, accepted=YEAR * 100 + 3)


def rolled_back(site: Site, restore: Callable[[], None], *, lost: int, accepted: int) -> Callable[[], None]:
    """Restore; see that nothing runs; accept; see that all goes on. Returns what restores the state in between."""
    restore()
    with site.signer(), site.process() as child:
        wait_for(child, lambda told: bool(told["state"] == "halted"))
        assert child.error_of("append", count=2) == "LedgerHalted"
        assert site.add_host(child) == REFUSED
        assert f"goes on in shard {accepted}" in child.ask("accept", text=f"give up {lost}")
        assert site.add_host(child)[0] == 201
        standing = wait_for(child, lambda told: told["state"] == "signed" and told["signed"] == told["size"])
    assert (standing["shard"], standing["problems"]) == (accepted, [])
    assert standing["openings"][-1] == "audit.accept_rollback"
    in_between = site.copy()
    site.grow(2)
    return in_between


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_start_looks_before_anything_can_be_appended(site: Site) -> None:
    """`run` compares before it starts the web server and the worker; no signer is there yet."""
    site.grow(2)
    restore = site.copy()
    site.grow(2)
    restore()
    with site.process() as child:
        assert child.ask("standing")["state"] == "signed"
        assert child.ask("look_once") == 1
        assert child.error_of("append", count=2) == "LedgerHalted"
        assert site.add_host(child) == REFUSED
