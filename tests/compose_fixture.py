"""`docker compose` against the private Engine, with projects of locally made images."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine_fixture import PrivateEngine
from tests.machine import compose_folder

COMMAND_SECONDS = 90


class Compose:
    """The command line of compose for one Engine. Services need `pull_policy: never`: nothing can be pulled."""

    def __init__(self, engine_url: str, home: Path) -> None:
        folder = compose_folder()
        self._program = folder / "bin" / "docker"
        # A place of its own for each: a user's own contexts and proxies would be copied into containers.
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKER_HOST": engine_url,
            "DOCKER_CONFIG": str(folder / "config"),
        }

    def run(self, project: str, file: Path, *arguments: str) -> str:
        """Run `docker compose -p PROJECT -f FILE ARGUMENTS`; return its output or raise RuntimeError."""
        return self._run([self._program, "compose", "-p", project, "-f", file, *arguments], file.parent)

    def by_labels(self, project: str, *arguments: str) -> str:
        """Run `docker compose -p PROJECT ARGUMENTS` without a file: what compose finds by the labels alone."""
        return self._run([self._program, "compose", "-p", project, *arguments], Path(self._environment["HOME"]))

    def _run(self, command: list[str | Path], folder: Path) -> str:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=self._environment,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command[1:]))}: {done.stderr.strip()}")
        return done.stdout


@pytest.fixture
def compose(engine: PrivateEngine, engine_cleanup: None, tmp_path: Path) -> Compose:
    """Compose for the shared Engine; every container, network, volume and image of the test is removed after it."""
    return Compose(engine.url, tmp_path)
