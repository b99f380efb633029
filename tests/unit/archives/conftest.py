"""Places to write to: an ordinary folder, and disks small enough to be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from containers_app.archives.codecs import age_passphrase
from containers_app.archives.stores.local import LocalStore

MakeDisk = Callable[[str], Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A backup root that does not exist yet."""
    return tmp_path / "backups"


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore((str(root),), reserve_bytes=0)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that no backup may ever reach."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Makes a real file system with the given limits (mount options of tmpfs)."""
    with ExitStack() as stack:

        def make(options: str) -> Path:
            folder = tmp_path / "disk"
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
            if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
                pytest.skip("a file system of its own needs root and the right to mount")
            stack.callback(subprocess.run, ["umount", str(folder)], check=True)
            return folder

        yield make


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    """Counts the descriptors of this process."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase takes no second and no memory; the format and the code are the same."""
    monkeypatch.setattr(age_passphrase, "WORK_FACTOR", 4)
