"""Private PostgreSQL and Redis servers for tests: one of each per test process, empty for each test."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
import redis

from tests.machine import require
from tests.throwaway import Throwaway, run_script


class _PostgresServer(Throwaway):
    def __init__(self) -> None:
        super().__init__("postgres")

    def url(self, database: str = "postgres") -> str:
        return run_script("postgres", "url", self.directory, database)

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url(), connect_timeout=2):
                return True
        except (RuntimeError, psycopg.OperationalError):
            return False

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While inside, it does not run; it ended without any preparation, as by a power cut."""
        run_script("postgres", "stop", self.directory)
        self.reap()
        try:
            yield
        finally:
            self.start(self.answers)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())


class _RedisServer(Throwaway):
    def __init__(self) -> None:
        super().__init__("redis")
        self.client = redis.Redis(unix_socket_path=f"{self.directory}/redis.sock")

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[_PostgresServer]:
    """A private PostgreSQL server."""
    require("postgres")
    server = _PostgresServer()
    try:
        server.start(server.answers)
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[_PostgresServer]:
    """One that the module's tests may stop, and start again."""
    require("postgres")
    server = _PostgresServer()
    try:
        server.start(server.answers)
        yield server
    finally:
        server.destroy()


@contextlib.contextmanager
def _databases(server: _PostgresServer) -> Iterator[Callable[[], str]]:
    names: list[str] = []

    def make() -> str:
        name = f"test_{uuid.uuid4().hex}"
        server.execute(f"CREATE DATABASE {name}")
        names.append(name)
        return server.url(name)

    yield make
    for name in names:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def make_postgres_database(postgres_server: _PostgresServer) -> Iterator[Callable[[], str]]:
    """A function that makes an empty database and returns its URL; all of them are dropped after the test."""
    with _databases(postgres_server) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_database(postgres_server: _PostgresServer) -> Iterator[Callable[[], str]]:
    """The same for all tests of a module."""
    with _databases(postgres_server) as make:
        yield make


@pytest.fixture
def postgres_url(make_postgres_database: Callable[[], str]) -> str:
    """The URL of an empty PostgreSQL database, for MYCO_DATABASE_URL."""
    return make_postgres_database()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[_RedisServer]:
    """A private Redis server."""
    require("redis")
    server = _RedisServer()
    try:
        server.start(server.answers)
        with contextlib.closing(server.client):
            yield server
    finally:
        server.destroy()


@pytest.fixture
def redis_url(redis_server: _RedisServer) -> str:
    """The URL of an empty Redis, for MYCO_BROKER_URL."""
    redis_server.client.flushall()
    return f"redis+socket://{redis_server.directory}/redis.sock"
