"""Other versions of the Engine, unpacked by bin/fetch-engines and not installed."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.engine_fixture import PrivateEngine
from tests.machine import ENGINE_SUITES, ENGINES, PROJECT

NO_ARCHIVE = {**os.environ, "DEBIAN_MIRROR": "file:/nowhere"}


def fetch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run bin/fetch-engines where no archive can be reached."""
    command = [PROJECT / "bin" / "fetch-engines", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=NO_ARCHIVE)


def test_each_engine_is_the_version_that_was_unpacked(any_engine: PrivateEngine) -> None:
    with contextlib.closing(any_engine.client()) as client:
        version = client.version()["Version"]
    fetched = {suite: (ENGINES / suite / "version").read_text().split()[2].rstrip(",") for suite in ENGINE_SUITES}
    assert version == fetched.get(any_engine.suite or "", version)
    assert len(set(fetched.values())) == len(ENGINE_SUITES)


@pytest.mark.engines
def test_what_is_there_is_not_fetched_again() -> None:
    done = fetch(ENGINES)
    assert done.returncode == 0
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == list(ENGINE_SUITES)


@pytest.mark.engines
def test_without_an_archive_nothing_is_left_behind(tmp_path: Path) -> None:
    done = fetch(tmp_path / "engines")
    assert done.returncode == 1
    assert "the package lists of file:/nowhere could not be had" in done.stderr
    assert [path.name for path in (tmp_path / "engines").iterdir()] == [".lock"]


def test_an_option_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert fetch("--everything", tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []
