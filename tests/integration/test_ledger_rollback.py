"""An older copy of the ledger's database is restored: nothing runs until a person accepts it; on both databases."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ledger_copies import Copy, copies_of_database, copies_of_file
from tests.integration.ledger_process import LedgerProcess, LedgerProgram
from tests.machine import PROJECT

SECONDS = 120.0
YEAR = datetime.now(UTC).year
REFUSED = [503, "AUDIT_UNAVAILABLE"]


@dataclass
class Site:
    """A whole product on a data folder of its own. `copy` does to its ledger what a backup tool does."""

    program: LedgerProgram
    copy: Copy
    hosts: int = field(default=0)

    def process(self) -> contextlib.AbstractContextManager[LedgerProcess]:
        """Somebody who uses the ledger; nobody may while it is copied or restored."""
        return self.program.process()

    def add_host(self, child: LedgerProcess) -> list[Any]:
        self.hosts += 1
        return list(child.ask("add_host", name=f"site-{self.hosts}"))

    @contextmanager
    def signer(self) -> Iterator[None]:
        """A process that does nothing else; it must end by itself when it is told to."""
        with self.process() as running:
            running.send("run_signer")
            yield
            running.terminate()
            assert running.receive() == {"result": None}
            assert running.end() == 0

    def grow(self, count: int) -> None:
        """Record, and let a signer sign it."""
        with self.process() as child:
            child.ask("append", count=count)
            assert child.ask("look_once") == 0
            told = child.ask("standing")
            assert told["signed"] == told["size"]


def wait_for(child: LedgerProcess, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while not wanted(told := child.ask("standing")):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return dict(told)


@contextmanager
def started(folder: Path, url: str, copy: Copy) -> Iterator[tuple[Site, Callable[[], None]]]:
    """A site, and what makes its ledger a new one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MYCO_")}
    own |= {
        "PYTHONPATH": str(PROJECT),
        "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
        "MYCO_DATA_DIR": str(folder),
        "MYCO_AUDIT_DATABASE_URL": url,
        "MYCO_BROKER_URL": "redis+socket:///nonexistent/broker.sock",
        "MYCO_LEDGER_NAME": "a.example",
    }
    made = Site(LedgerProgram(own), copy)
    try:
        made.program.ask("migrate_all")
        restore = copy()

        def renew() -> None:
            restore()
            shutil.rmtree(folder / "signer", ignore_errors=True)

        yield made, renew
    finally:
        made.program.end()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Callable[[], None]]]:
    """One for all tests: making it is what takes time."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        url, copy = "", copies_of_file(folder / "audit.sqlite3")
        if request.param == "postgresql":
            url = request.getfixturevalue("make_shared_database")()
            copy = stack.enter_context(copies_of_database(request.getfixturevalue("postgres_server"), url))
        yield stack.enter_context(started(folder, url, copy))


@pytest.fixture
def site(shared_site: tuple[Site, Callable[[], None]]) -> Site:
    """With a new ledger and a new signer."""
    made, renew = shared_site
    renew()
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
