"""bin/virtualenv makes a whole environment or none: what an interrupted run left is never taken for one."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import PROJECT
from tests.throwaway import wait_until

# Makes an "environment" that is a copy of itself; each real question goes to the real Python.
PYTHON = """#!/bin/sh
case "$1 $2 $3" in
  "-m venv --clear") rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip --version") ;;
  "-m pip install") touch half; while [ -e hold ]; do sleep 0.05; done; [ ! -e broken ] ;;
  *) exec {real} "$@" ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two files, and a Python that installs nothing."""
    for folder in ("bin", "requirements"):
        (tmp_path / folder).mkdir()
    shutil.copy(PROJECT / "bin" / "virtualenv", tmp_path / "bin")
    (tmp_path / "requirements" / "runtime.txt").write_text("")
    (tmp_path / "python").write_text(PYTHON.replace("{real}", sys.executable))
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def begin(project: Path) -> subprocess.Popen[bytes]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(project / "python")}
    # Whoever runs the tests may ignore these signals, which a shell could never undo.
    words = ["env", "--default-signal=HUP,INT,TERM", str(project / "bin" / "virtualenv"), "runtime"]
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def stamps(project: Path) -> list[str]:
    return [path.name[:8] for path in (project / "var" / "venv").glob(".*")]


def test_a_whole_run_leaves_a_stamp_and_a_second_one_does_nothing(project: Path) -> None:
    assert begin(project).wait(30) == 0
    assert stamps(project) == [".runtime"]
    (project / "half").unlink()
    assert begin(project).wait(30) == 0
    assert not (project / "half").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_first_run_leaves_nothing(project: Path, number: signal.Signals) -> None:
    (project / "hold").touch()
    process = begin(project)
    wait_until((project / "half").exists, what="an installation")
    subprocess.run(["kill", f"-{number.value}", "--", f"-{process.pid}"], check=True)
    assert process.wait(30) != 0
    assert not (project / "var" / "venv").exists()


def test_a_failed_first_run_leaves_nothing(project: Path) -> None:
    (project / "broken").touch()
    assert begin(project).wait(30) == 1
    assert not (project / "var" / "venv").exists()


def test_what_a_killed_run_left_is_made_anew(project: Path) -> None:
    (project / "hold").touch()
    process = begin(project)
    wait_until((project / "half").exists, what="an installation")
    subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=True)
    process.wait(30)
    left = project / "var" / "venv" / "left"
    left.touch()
    (project / "hold").unlink()
    assert begin(project).wait(30) == 0
    assert not left.exists()
    assert stamps(project) == [".runtime"]


def test_a_failed_renewal_is_no_environment_either(project: Path) -> None:
    assert begin(project).wait(30) == 0
    (project / "requirements" / "runtime.txt").write_text("# newer")
    (project / "broken").touch()
    assert begin(project).wait(30) == 1
    (project / "requirements" / "runtime.txt").write_text("")
    assert begin(project).wait(30) == 1
    (project / "broken").unlink()
    assert begin(project).wait(30) == 0
