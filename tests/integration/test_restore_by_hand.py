"""The page on how to restore without the product, done to the letter where there is nothing of the product."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.integration.clone_bench import full_source, inspect, volume_folder
from tests.integration.stack import Stack, embedded
from tests.machine import PROJECT
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.archivers, embedded]
PAGE = PROJECT / "docs" / "how-to" / "restore-without-mycodocker.md"
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands() -> str:
    found = COMMANDS.findall(PAGE.read_text())
    assert len(found) == 5
    return "\n".join(found)


def run_page(stack: Stack, folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Every command of the page, in order, in this folder; the first that fails ends it."""
    environment = {
        "PATH": os.environ["PATH"],
        "DOCKER_HOST": stack.engine.url,
        "SOCKET": stack.engine.url.removeprefix("unix://"),
        "NAME": name,
        "KEY": str(folder / "key.txt"),
    }
    command = ["bash", "-euo", "pipefail", "-c", commands()]
    return subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)


def saved_and_lost(stack: Stack, folder: Path, **options: Any) -> tuple[Any, dict[bytes, tuple[Any, ...]]]:
    """The inspect and the volume's tree of a container that is gone with its volume; its backup is in the folder."""
    source = full_source(
        stack, environment={"TOKEN": "a b\nc"}, labels={"kept": "yes"}, restart_policy={"Name": "always"}
    )
    answer = stack.act(
        "backup", source.id, name="lost.tar", path=folder.name, contents=["rootfs", "config", "volumes"], **options
    )
    assert answer.status_code == 200, answer.text
    before, tree = inspect(stack, source.id), snapshot(volume_folder(stack.engine, source.name))
    source.remove(force=True, v=True)
    stack.docker.volumes.get(source.name).remove()
    for path in (stack.root / folder.name).iterdir():
        shutil.copy2(path, folder)
    return before, tree


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("encrypted", [False, True])
def test_the_page_brings_everything_back(stack: Stack, tmp_path: Path, codec: str, encrypted: bool) -> None:
    folder = tmp_path / f"alone-{codec}-{encrypted}"
    folder.mkdir()
    identity = pyrage.x25519.Identity.generate()
    (folder / "key.txt").write_text(str(identity))
    encryption = {"recipients": [str(identity.to_public())]} if encrypted else None
    before, tree = saved_and_lost(stack, folder, compression=codec, encryption=encryption)
    done = run_page(stack, folder, "lost.tar")
    assert done.returncode == 0, done.stdout + done.stderr
    name = before["Name"].removeprefix("/")
    restored = inspect(stack, name)
    try:
        assert restored["State"]["Running"]
        for part in ("Config", "HostConfig"):
            same = {key: value for key, value in before[part].items() if key not in ("Image", "Hostname")}
            assert {key: value for key, value in restored[part].items() if key in same} == same
        assert snapshot(volume_folder(stack.engine, name)) == tree
        made = stack.docker.containers.get(name)
        assert made.exec_run(["cat", "/etc/motd"]).output == b"new\n"
        assert made.exec_run(["ls", "/bin/zcat"]).exit_code != 0
        left = {path.name for path in folder.iterdir()}
        assert not left & {"config.json", "secrets.json", "create.json"}
    finally:
        stack.docker.containers.get(name).remove(force=True)


def test_the_page_stops_at_a_file_that_is_not_what_it_was(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "alone-flipped"
    folder.mkdir()
    before, _ = saved_and_lost(stack, folder)
    with (folder / "lost.tar").open("r+b") as file:
        file.seek(5000)
        file.write(b"X")
    done = run_page(stack, folder, "lost.tar")
    assert done.returncode != 0
    assert "FAILED" in done.stdout + done.stderr
    assert not stack.docker.containers.list(all=True, filters={"name": before["Name"].removeprefix("/")})
