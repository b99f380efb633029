"""What every test may ask for. Nothing here imports a Django model: a test without a database starts without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine import REQUIREMENTS, chromium, require

_BEGINNING = Path.cwd()
_DJANGO_FIXTURES = Path(__file__).with_name("django_fixtures.py")

pytest_plugins = ["tests.engine_fixture", "tests.compose_fixture", "tests.database_fixtures"]
if _DJANGO_FIXTURES.exists():
    pytest_plugins.append("tests.django_fixtures")

# A test that takes one of these fixtures is marked, so that `-m "not engine"` leaves it out.
_MARKED_BY_FIXTURE = {
    "engine": "engine",
    "disposable_engine": "engine",
    "any_engine": "engine",
    "compose": "compose",
    "postgres_server": "postgres",
    "own_postgres": "postgres",
    "redis_server": "redis",
    "browser": "browser",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with what its fixtures need; long modules come first, so that short ones even out the end."""
    items.sort(key=lambda item: "unit" in item.path.relative_to(item.config.rootpath).parts)
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARKED_BY_FIXTURE:
                item.add_marker(_MARKED_BY_FIXTURE[fixture])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail where MYCO_REQUIRE says so, what this machine cannot run."""
    for name in REQUIREMENTS:
        if item.get_closest_marker(name) is not None:
            require(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A test that leaves the process in another folder breaks a later one of the same process."""
    yield
    assert Path.cwd() == _BEGINNING, "this test has to go back to the folder where it began: monkeypatch.chdir"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The machine's own Chromium, so that no browser is downloaded."""
    return {**browser_type_launch_args, "executable_path": chromium()}
