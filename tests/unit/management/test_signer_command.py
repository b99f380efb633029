"""`manage.py signer` as a process: it signs what others record, ends at once when told, and there is one of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import PROJECT

SECONDS = 30.0
RECORD = (
    "import django; django.setup();"
    "from containers_app.audit import ledger;"
    "from containers_app.audit.record import Actor, Source;"
    "ledger.event(action='system.start', actor=Actor(type='system'), source=Source(channel='engine'))"
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A data folder of its own, with a migrated ledger, and a folder as an anchor."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MYCO_")}
    own |= {"MYCO_DATA_DIR": str(tmp_path), "MYCO_ANCHOR_DIR": str(tmp_path), "MYCO_ANCHOR_SECONDS": "0.2"}
    own |= {"DJANGO_SETTINGS_MODULE": "mycodocker.settings"}
    manage(own, "migrate", "--database", "audit", "--verbosity", "0", "--skip-checks")
    return own


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "manage.py", "signer", "--skip-checks"]
    with subprocess.Popen(words, cwd=PROJECT, env=environment) as running:
        yield running
        running.kill()


def manage(environment: dict[str, str], *words: str) -> None:
    subprocess.run([sys.executable, "manage.py", *words], cwd=PROJECT, env=environment, check=True)


def record(environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", RECORD], cwd=PROJECT, env=environment, check=True)


def wait_for(folder: Path, count: int) -> list[Path]:
    deadline = time.monotonic() + SECONDS
    while len(found := sorted(folder.glob("*.checkpoint"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_it_signs_and_anchors_what_others_record_and_goes_on_after_a_kill(
    environment: dict[str, str], process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    record(environment)
    (first,) = wait_for(tmp_path, 1)
    process.kill()
    process.wait()
    record(environment)
    words = [sys.executable, "manage.py", "signer", "--skip-checks"]
    with subprocess.Popen(words, cwd=PROJECT, env=environment) as again:
        _, second = wait_for(tmp_path, 2)
        other = subprocess.run(words, cwd=PROJECT, env=environment, capture_output=True, check=False)
        assert other.returncode == 1
        assert b"runs already" in other.stderr
        again.send_signal(signal.SIGTERM)
        assert again.wait(5) == 0
    sizes = [path.read_text().split("\n")[1] for path in (first, second)]
    assert sizes == ["1", "2"]
