"""What the tests of restores through the whole product share."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from containers_app.workflows.restore_content import ENGINES_OWN
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.clone_bench import Body, full_source, inspect, upper_folder, volume_folder, word
from tests.integration.stack import Stack
from tests.trees import snapshot

EVERYTHING = ["rootfs", "config", "volumes"]


def back_up(stack: Stack, source: Any, *, by: str = "operator", **options: Any) -> Body:
    """A backup that succeeds; the answer's body."""
    answer = stack.act("backup", source.id, by=by, **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ask(stack: Stack, backup: Body, *, by: str = "operator", **body: Any) -> Any:
    """The answer to a restore."""
    return stack.post(f"/api/backups/{backup['backupId']}/restore", {"mode": "new", **body}, by=by)


def restore(stack: Stack, backup: Body, *, by: str = "operator", **body: Any) -> Body:
    """A restore that succeeds; the answer's body."""
    answer = ask(stack, backup, by=by, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refusal(stack: Stack, backup: Body, *, by: str = "operator", **body: Any) -> tuple[int, str, str]:
    """Status, code and words of a restore that is refused."""
    answer = ask(stack, backup, by=by, **body)
    return answer.status_code, answer.json()["code"], answer.json()["error"]


def begin(stack: Stack, backup: Body, **body: Any) -> str:
    """A restore that is not waited for; its operation's id."""
    address = f"/api/backups/{backup['backupId']}/restore"
    answer = stack.post(address, {"mode": "new", **body}, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


class Lost:
    """A container that was backed up and is gone, with its volume: what it was."""

    def __init__(self, stack: Stack, *, contents: Any = EVERYTHING, encoding: Any = None, **options: Any) -> None:
        source = full_source(stack, **options)
        self.name = str(source.name)
        self.backup = back_up(stack, source, contents=contents, consistency="pause", **(encoding or {}))
        self.inspect = inspect(stack, str(source.id))
        self.volume = snapshot(volume_folder(stack.engine, self.name))
        self.layer = snapshot(upper_folder(stack, str(source.id)) / "written")
        source.remove(force=True)
        stack.docker.volumes.get(self.name).remove()

    def part_file(self, kind: str) -> Path:
        """A file of the set."""
        (found,) = [path for path in Path(self.backup["backupPath"]).parent.iterdir() if self._is(path, kind)]
        return found

    def _is(self, path: Path, kind: str) -> bool:
        file = str(self.backup["backupFile"])
        base = f"{file.partition('.tar')[0]}.tar"
        if kind == "index":
            return path.name == f"{base}.index"
        of_kind = path.name == file if kind == "rootfs" else path.name.startswith(f"{base}.{kind}")
        return of_kind and ".index" not in path.suffixes


@contextlib.contextmanager
def flipped(path: Path) -> Iterator[None]:
    """One bit in the middle of a file is another one while inside; its size stays."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(content)


def left_of(stack: Stack, operation: str) -> list[str]:
    """What an operation made and that is still there."""
    things = {**stack.labelled(), **stack.made()}
    return [what for what, by in things.items() if by == operation]


def everything_on(stack: Stack) -> set[str]:
    """Ids and names of all that the Engine has."""
    api = stack.docker.api
    return {
        *(str(entry["Id"]) for entry in api.containers(all=True)),
        *(str(entry["Name"]) for entry in api.volumes()["Volumes"] or ()),
        *(str(entry["Name"]) for entry in api.networks()),
        *(str(entry["Id"]) for entry in api.images()),
    }


def files_of(archive: Iterable[bytes] | Path) -> dict[str, tuple[Any, ...]]:
    """Each file and folder in a tar, as Python's own reader sees it; what an Engine puts there itself is left out."""
    found: dict[str, tuple[Any, ...]] = {}
    with tempfile.TemporaryFile() as copy:
        for block in [archive.read_bytes()] if isinstance(archive, Path) else archive:
            copy.write(block)
        copy.seek(0)
        with tarfile.open(fileobj=copy) as opened:
            for entry in opened:
                content = opened.extractfile(entry) if entry.isfile() else None
                read = content.read() if content else b""
                found[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, entry.mtime, entry.linkname, read)
    return {name: facts for name, facts in found.items() if os.fsencode(name) not in ENGINES_OWN}


def own_image(stack: Stack) -> str:
    """The name of an image that nothing else has."""
    name = f"{word()}:1"
    made = stack.docker.containers.create(SAMPLE_IMAGE, ["touch", "/own"])
    made.start()
    made.wait()
    repository, _, tag = name.partition(":")
    made.commit(repository, tag)
    made.remove()
    return name
