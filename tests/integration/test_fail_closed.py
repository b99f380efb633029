"""What cannot be recorded is not run: with the ledger's database really stopped, full or locked, on both databases."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from containers_app.audit.appending import LOCK_NUMBER
from tests.machine import PROJECT

Fault = Callable[[], contextlib.AbstractContextManager[None]]
STORAGE_MEBIBYTES = 24
FAULTS = [("sqlite", "full"), ("sqlite", "locked"), ("postgresql", "stopped"), ("postgresql", "full")]
FAULTS += [("postgresql", "locked")]


@dataclass
class DeafEngine:
    """A socket where an Engine is looked for: it counts who comes, does `meanwhile`, and says nothing."""

    path: Path
    meanwhile: Callable[[], object] = lambda: None
    calls: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))

    def __post_init__(self) -> None:
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.calls += 1
                self.meanwhile()
                client.close()

    def close(self) -> None:
        """Let nobody in any more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@dataclass(frozen=True, kw_only=True)
class Product:
    """The product in a process of its own, and what can happen to its ledger."""

    process: subprocess.Popen[str]
    engine: DeafEngine
    faults: dict[str, Fault]
    facts: dict[str, Any]

    def ask(self, call: str, *arguments: Any) -> Any:
        """Call a function of the process."""
        return ask(self.process, call, *arguments)


def ask(process: subprocess.Popen[str], call: str, *arguments: Any) -> Any:
    """Call a function of the product's process."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([call, *arguments]) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, "the product ended"
    return json.loads(line)


@pytest.fixture(scope="module")
def storage() -> Iterator[Path]:
    """A small file system, open to the user that PostgreSQL runs as."""
    if os.geteuid() != 0:
        pytest.skip("a file system of one's own needs root")
    folder = Path(f"/tmp/myco-small-{os.getpid()}")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={STORAGE_MEBIBYTES}m,mode=0777", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@contextlib.contextmanager
def filled(storage: Path) -> Iterator[None]:
    """While inside, no byte is free."""
    filler = storage / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def running(folder: Path, databases: dict[str, str], faults: dict[str, Fault]) -> Iterator[Product]:
    engine = DeafEngine(folder / "engine.sock")
    with started(folder, f"unix://{engine.path}", databases) as (process, facts):
        ask(process, "impatient")
        yield Product(process=process, engine=engine, faults=faults, facts=facts)
    engine.close()


@contextlib.contextmanager
def started(
    folder: Path, engine_url: str, databases: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MYCO_", "DOCKER_"))},
        **databases,
        "PYTHONPATH": str(PROJECT),
        "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
        "MYCO_DATA_DIR": str(folder / "data"),
        "MYCO_BACKUP_ROOTS": str(folder / "backups"),
        "MYCO_BROKER_URL": "redis+socket:///nonexistent/broker.sock",
        "MYCO_SECRET_KEY": "a key for this product alone, gone with its folder",
        "DOCKER_API_URL": engine_url,
    }
    command = [sys.executable, "-m", "tests.integration.product_child"]
    with (folder / "log").open("w") as log:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        process = subprocess.Popen(command, env=environment, cwd=PROJECT, **pipes)
    try:
        yield process, ask(process, "prepare")
    finally:
        process.communicate()


@contextlib.contextmanager
def on_sqlite(folder: Path, storage: Path) -> Iterator[Product]:
    file = storage / "audit.sqlite3"

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with filled(storage):
            yield

    @contextlib.contextmanager
    def locked() -> Iterator[None]:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield

    databases = {"MYCO_AUDIT_DATABASE_URL": f"sqlite:///{file}"}
    with running(folder, databases, {"full": full, "locked": locked}) as product:
        yield product


@contextlib.contextmanager
def on_postgresql(folder: Path, storage: Path, server: Any) -> Iterator[Product]:
    """The ledger alone is on this server, and in this storage."""
    owner = Path(server.directory, "data").stat()
    place = storage / "tablespace"
    place.mkdir()
    os.chown(place, owner.st_uid, owner.st_gid)
    server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    server.execute("CREATE DATABASE ledger TABLESPACE small")
    server.execute("ALTER DATABASE ledger SET synchronous_commit = on")  # these servers have it off
    url = server.url("ledger")

    @contextlib.contextmanager
    def locked() -> Iterator[None]:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [LOCK_NUMBER])
            yield

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        with filled(storage):
            yield

    faults = {"full": full, "locked": locked, "stopped": server.stopped}
    with running(folder, {"MYCO_AUDIT_DATABASE_URL": url}, faults) as product:
        yield product


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def product(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, storage: Path
) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        with on_sqlite(folder, storage) as made:
            yield made
    else:
        with on_postgresql(folder, storage, request.getfixturevalue("own_postgres")) as made:
            yield made


def afflicted(product: Product, fault: str) -> contextlib.AbstractContextManager[None]:
    """The fault, and no room left in the pages that are there when it is a full disk."""

    @contextlib.contextmanager
    def inside() -> Iterator[None]:
        with product.faults[fault]():
            if fault == "full":
                product.ask("fill_up")
            yield

    return inside()


each_fault = pytest.mark.parametrize(("product", "fault"), FAULTS, indirect=["product"], scope="module")


@each_fault
def test_every_way_to_ask_is_refused_and_nothing_runs_or_waits(product: Product, fault: str) -> None:
    before, calls = product.ask("stored"), product.engine.calls
    with afflicted(product, fault):
        answers = product.ask("rest")
        kinds = product.ask("kinds")
        pages = product.ask("console")
        said = product.ask("command")
    for row, status, body, retry_after in answers:
        assert (status, body.get("code"), retry_after.isdigit()) == (503, "AUDIT_UNAVAILABLE", True), (row, body)
        assert "nothing was run" in body.get("error", body.get("detail", "")), (row, body)
    assert len(answers) == len(product.facts["rows"]) > 20
    assert kinds == dict.fromkeys(product.facts["kinds"], "AUDIT_UNAVAILABLE")
    assert {name for name, page in pages.items() if "audit ledger does not answer" not in page} == set()
    assert "audit ledger does not answer" in said
    assert product.ask("stored") == before
    assert product.engine.calls == calls
    assert product.ask("problems") == []


@each_fault
def test_the_next_try_after_recovery_works(product: Product, fault: str) -> None:
    with afflicted(product, fault):
        assert product.ask("kinds")["hostTest"] == "AUDIT_UNAVAILABLE"
    operation = product.ask("run", "hostTest")
    state, _, code, entries = product.ask("told", operation)
    assert (state, code) == ("failed", "ENGINE_UNAVAILABLE")
    assert [(phase, outcome) for phase, outcome, _ in entries] == [("intent", ""), ("outcome", "failure")]
    assert product.ask("problems") == []


@pytest.mark.parametrize("product", ["postgresql"], indirect=True, scope="module")
def test_what_has_a_receipt_outlives_a_power_cut_of_the_server(product: Product) -> None:
    for _ in range(3):
        operation = product.ask("submit_one", "hostTest")
        with product.faults["stopped"]():
            pass
        assert [phase for phase, _, _ in product.ask("told", operation)[3]] == ["intent"]
        product.ask("work", operation)
    assert product.ask("problems") == []


@each_fault
def test_a_worker_asks_the_ledger_before_the_engine(product: Product, fault: str) -> None:
    operation = product.ask("submit_one", "hostTest")
    calls = product.engine.calls
    with afflicted(product, fault):
        state, shown, code, _ = product.ask("work", operation)
    # A full or locked ledger can be read: then the receipt is good, and the effect is recorded afterwards.
    was_read = fault != "stopped"
    assert (state, code) == ("failed", "ENGINE_UNAVAILABLE" if was_read else "AUDIT_UNAVAILABLE")
    assert (product.engine.calls > calls) == was_read
    assert shown == "running"
    assert_told_late(product, operation)


# On PostgreSQL the pages of the intent have room for the outcome, however full the disk is: see the test above.
@pytest.mark.parametrize(
    ("product", "fault"), [one for one in FAULTS if one != ("postgresql", "full")], indirect=["product"], scope="module"
)
def test_an_outcome_that_the_ledger_did_not_take_is_told_late_and_once(product: Product, fault: str) -> None:
    operation = product.ask("submit_one", "hostTest")
    with contextlib.ExitStack() as until, broken_by_the_first_call(product, fault, until):
        state, shown, code, _ = product.ask("work", operation)
    assert (state, shown, code) == ("failed", "running", "ENGINE_UNAVAILABLE")
    assert_told_late(product, operation)


@contextlib.contextmanager
def broken_by_the_first_call(product: Product, fault: str, until: contextlib.ExitStack) -> Iterator[None]:
    """The ledger is well until the worker has begun its work on the Engine."""
    begun: list[bool] = []

    def break_it() -> None:
        if not begun:
            begun.append(True)
            until.enter_context(product.faults[fault]())

    product.engine.meanwhile = break_it
    try:
        yield
    finally:
        product.engine.meanwhile = lambda: None


def assert_told_late(product: Product, operation: str) -> None:
    assert product.ask("reconcile")["late"] >= 1
    product.ask("reconcile")
    _, shown, _, entries = product.ask("told", operation)
    assert shown == "failed"
    assert entries == [["intent", "", False], ["outcome", "failure", True]]
    assert product.ask("problems") == []
