"""What people get out of a stored set, through real HTTP: the bytes that were saved, and nothing else."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.integration.clone_bench import Body, full_source, volume_folder
from tests.integration.stack import Stack, embedded
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]


def back_up(stack: Stack, source: Any, **options: Any) -> Body:
    """A backup that succeeds, as the API shows it."""
    answer = stack.act("backup", source.id, **options)
    assert answer.status_code == 200, answer.text
    return dict(stack.get(f"/api/backups/{answer.json()['backupId']}").json())


def part_of(backup: Body, kind: str) -> Body:
    return dict(next(part for part in backup["parts"] if part["kind"] == kind))


def ask(stack: Stack, address: str, *, by: str = "operator", **headers: str) -> requests.Response:
    sent = {"Authorization": f"Bearer {stack.keys[by]}", **headers}
    return requests.get(stack.url + address, headers=sent, timeout=60, stream=True)


def content_address(backup: Body, *, part: str, path: str | None = None) -> str:
    place = "" if path is None else f"&path={quote(path)}"
    return f"/api/backups/{backup['id']}/content?part={part}{place}"


def actions(stack: Stack) -> list[str]:
    """Oldest first, without what the tests themselves do on the Engine, which is told whenever it is noticed."""
    told = [entry["action"] for entry in reversed(stack.ask("facts")["entries"])]
    return [action for action in told if action != "engine.unattributed"]


def unpacked(content: bytes, folder: Path) -> Path:
    folder.mkdir()
    command = ["tar", "--xattrs", "--xattrs-include=*", "--acls", "-xpf", "-", "-C", str(folder)]
    subprocess.run(command, input=content, check=True)
    return folder


def test_a_part_that_broke_off_is_resumed_to_the_same_bytes(stack: Stack) -> None:
    backup = back_up(stack, stack.source())
    part = part_of(backup, "rootfs")
    address = content_address(backup, part=part["path"])
    before = actions(stack)
    with ask(stack, address) as broken:
        first = broken.raw.read(100_001)
        etag = broken.headers["ETag"]
    rest = ask(stack, address, Range=f"bytes={len(first)}-", **{"If-Range": etag})
    assert rest.status_code == 206
    assert rest.headers["Content-Range"] == f"bytes {len(first)}-{part['storedBytes'] - 1}/{part['storedBytes']}"
    whole = first + rest.content
    assert hashlib.sha256(whole).hexdigest() == part["storedSha256"] == etag.strip('"')
    assert actions(stack)[len(before) :] == ["backup.download"] * 2


@embedded
def test_one_connection_carries_exact_ranges_one_after_the_other(stack: Stack) -> None:
    backup = back_up(stack, stack.source())
    part = part_of(backup, "rootfs")
    stored = Path(backup["path"]).read_bytes()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {stack.keys['operator']}"
        for asked in ((0, 1), (511, 513), (1000, 700_000), (len(stored) - 1, len(stored))):
            header = {"Range": f"bytes={asked[0]}-{asked[1] - 1}"}
            answer = session.get(stack.url + content_address(backup, part=part["path"]), headers=header, timeout=60)
            assert (answer.status_code, answer.content == stored[slice(*asked)]) == (206, True)
            past = session.get(
                stack.url + content_address(backup, part=part["path"]),
                headers={"Range": f"bytes={len(stored)}-"},
                timeout=60,
            )
            assert (past.status_code, past.content) == (416, b"")


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_file_and_a_folder_of_a_volume_are_those_of_the_source(
    stack: Stack, tmp_path: Path, compression: str
) -> None:
    source = full_source(stack)
    backup = back_up(stack, source, contents=["volumes"], compression=compression)
    part, tree = part_of(backup, "volume")["path"], volume_folder(stack.engine, source.name)
    one = ask(stack, content_address(backup, part=part, path="file"))
    assert one.content == (tree / "file").read_bytes()
    sparse = ask(stack, content_address(backup, part=part, path="sparse"))
    assert sparse.content == (tree / "sparse").read_bytes()
    folder = ask(stack, content_address(backup, part=part, path="folder")).content
    assert snapshot(unpacked(folder, tmp_path / "folder") / "folder") == snapshot(tree / "folder")
    whole = ask(stack, content_address(backup, part=part, path="")).content
    assert snapshot(unpacked(whole, tmp_path / "whole")) == snapshot(tree)
    listed = stack.get(f"/api/backups/{backup['id']}/files?part={part}&path=folder").json()["results"]
    assert len(listed) == len(list((tree / "folder").iterdir()))
    assert actions(stack)[-5:] == [*["backup.download"] * 4, "backup.browse"]


@embedded
def test_two_sets_say_what_happened_between_them(stack: Stack) -> None:
    source = full_source(stack)
    tree = volume_folder(stack.engine, source.name)
    earlier = back_up(stack, source, contents=["volumes"])
    (tree / "file").write_bytes(b"changed")
    (tree / "pipe").unlink()
    (tree / "new").write_bytes(b"new")
    later = back_up(stack, source, contents=["volumes"], compression="gzip")
    answer = stack.get(f"/api/backups/{later['id']}/compare?with={earlier['id']}")
    changes = {row["path"]: row["change"] for row in answer.json()["results"]}
    assert changes == {"": "changed", "file": "changed", "hard": "changed", "pipe": "deleted", "new": "new"}


def test_a_link_works_once_for_somebody_without_a_key(stack: Stack) -> None:
    backup = back_up(stack, stack.source())
    made = stack.post(f"/api/backups/{backup['id']}/links", {"expiresInSeconds": 60})
    assert made.status_code == 201, made.text
    address = stack.url + urlsplit(made.json()["url"]).path
    assert requests.head(address, timeout=60).status_code == 200
    with requests.get(address, timeout=60, stream=True) as broken:
        first = broken.raw.read(5000)
    rest = requests.get(address, timeout=60, headers={"Range": "bytes=5000-"})
    assert hashlib.sha256(first + rest.content).hexdigest() == backup["sha256"]
    assert requests.get(address, timeout=60).status_code == 404
    assert actions(stack)[-4:-1] == ["backup.link", "backup.link_used", "backup.link_used"]


def test_strangers_and_auditors_get_no_byte(stack: Stack) -> None:
    backup = back_up(stack, stack.source())
    address = content_address(backup, part=part_of(backup, "rootfs")["path"])
    assert ask(stack, address, by="stranger").status_code == 404
    assert ask(stack, address, by="auditor").status_code == 403
    assert requests.get(stack.url + address, timeout=60).status_code == 401
    files = f"/api/backups/{backup['id']}/files"
    assert [ask(stack, files, by=who).status_code for who in ("stranger", "auditor")] == [404, 200]
    assert "backup.download" not in actions(stack)[-5:]


def test_a_set_that_was_cut_gives_nothing_out(stack: Stack) -> None:
    backup = back_up(stack, stack.source())
    path = Path(backup["path"])
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-512])
        for place in (None, ""):
            answer = ask(stack, content_address(backup, part=path.name, path=place))
            assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_UNUSABLE")
    finally:
        path.write_bytes(content)


@embedded
def test_a_file_that_was_altered_breaks_off_before_its_end(stack: Stack) -> None:
    source = full_source(stack)
    backup = back_up(stack, source, contents=["volumes"])
    path = Path(backup["path"])
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(b"content", b"cXntent", 1))
        answer = ask(stack, content_address(backup, part=path.name, path="file"))
        assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_UNUSABLE")
    finally:
        path.write_bytes(content)
