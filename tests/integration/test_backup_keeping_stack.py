"""Backups after they were made, through the whole product: damage is found, deletions end, lost records come back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from containers_app.archives.manifest import Part
from tests.integration.clone_bench import Body, full_source, word
from tests.integration.stack import Stack, embedded
from tests.stored_sets import flip, manifest_of

pytest_plugins = ["tests.integration.stack_fixture"]
EVERYTHING = ["rootfs", "config", "volumes", "image"]
LARGE_BYTES = 3 * 2**30
VERBS: list[tuple[str, str, Body]] = [
    ("POST", "/verify", {}),
    ("POST", "/pin", {}),
    ("POST", "/unpin", {}),
    ("POST", "/hold", {"reason": "a lawsuit"}),
    ("POST", "/release", {}),
    ("DELETE", "", {"confirm": "x"}),
]


def back_up(stack: Stack, source: Any, **options: Any) -> Body:
    answer = stack.act("backup", source.id, **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def record(stack: Stack, backup: str) -> Body:
    return dict(stack.get(f"/api/backups/{backup}", by="administrator").json())


def verify(stack: Stack, backup: str, *, by: str = "operator") -> requests.Response:
    return stack.post(f"/api/backups/{backup}/verify", {}, by=by)


def delete(stack: Stack, backup: str, *, confirm: str | None = None, **options: Any) -> requests.Response:
    name = confirm or Path(record(stack, backup)["path"]).name
    return stack.delete(f"/api/backups/{backup}", {"confirm": name, **options}, by="administrator")


def begin(stack: Stack, verb: str, backup: str, **body: Any) -> str:
    """An operation of an administrator that nobody waits for; its id."""
    address, prefer = f"/api/backups/{backup}", {"Prefer": "respond-async"}
    if verb == "delete":
        answer = stack.delete(address, body, by="administrator", **prefer)
    else:
        answer = stack.post(f"{address}/{verb}", body, by="administrator", **prefer)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def files_of(row: Body) -> list[Path]:
    """The set's files, its manifest last."""
    folder = Path(row["path"]).parent
    (manifest,) = [path for path in folder.glob("*.manifest.json") if row["operation"] in path.read_text()]
    return [*(folder / part["path"] for part in row["parts"]), manifest]


def test_a_flipped_byte_in_any_file_is_found_and_mended_bytes_are_good_again(stack: Stack) -> None:
    body = back_up(stack, full_source(stack), contents=EVERYTHING, path=word())
    row = record(stack, body["backupId"])
    files = files_of(row)
    assert {part["kind"] for part in row["parts"]} == {"rootfs", "volume", "image", "config", "secrets", "index"}
    for path in files:
        flip(path, path.stat().st_size // 2)
        found = verify(stack, body["backupId"])
        assert (found.status_code, found.json()["code"]) == (409, "BACKUP_CORRUPT"), path
        assert path.name in found.json()["error"]
        assert record(stack, body["backupId"])["state"] == "corrupt"
        flip(path, path.stat().st_size // 2)
        assert verify(stack, body["backupId"]).json()["state"] == "complete"
    good = verify(stack, body["backupId"]).json()
    assert good["bytesRead"] == sum(path.stat().st_size for path in files)
    assert record(stack, body["backupId"])["verifiedAt"][:23] == good["verifiedAt"][:23]


@embedded
def test_a_missing_file_is_found_and_the_finding_is_in_the_operation(stack: Stack) -> None:
    body = back_up(stack, full_source(stack), contents=EVERYTHING, path=word())
    path = files_of(record(stack, body["backupId"]))[1]
    content = path.read_bytes()
    path.unlink()
    ended = stack.finished(begin(stack, "verify", body["backupId"]))
    assert (ended["state"], ended["code"]) == ("failed", "BACKUP_MISSING")
    assert {part["verdict"] for part in ended["result"]["parts"]} == {"intact", "missing"}
    assert record(stack, body["backupId"])["state"] == "missing"
    path.write_bytes(content)
    stack.wait(lambda: record(stack, body["backupId"])["state"] == "complete", what="the look of the reconciler")


@embedded
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_set_is_compared_inside_too(stack: Stack, compression: str) -> None:
    body = back_up(stack, stack.source(), contents=["rootfs", "config"], compression=compression)
    verdicts = verify(stack, body["backupId"]).json()["parts"]
    assert {(part["verdict"], part["decoded"]) for part in verdicts} == {("intact", True)}


@embedded
def test_no_engine_is_needed_to_verify_and_to_delete(stack: Stack) -> None:
    source = stack.source()
    first, second = back_up(stack, source), back_up(stack, source, name=f"{word()}.tar")
    with stack.engine.frozen():
        assert verify(stack, first["backupId"]).status_code == 200
        assert delete(stack, second["backupId"]).status_code == 200


def test_a_set_is_deleted_once_nothing_keeps_it(stack: Stack) -> None:
    source, folder = stack.source(), word()
    first = back_up(stack, source, contents=EVERYTHING, path=folder)["backupId"]
    second = back_up(stack, source, contents=["rootfs", "image"], path=folder)["backupId"]
    kept = stack.post(f"/api/backups/{first}/pin", {}, by="operator")
    assert (kept.status_code, kept.json()["pinned"]) == (200, True)
    assert delete(stack, first).json()["code"] == "BACKUP_PINNED"
    assert stack.post(f"/api/backups/{first}/unpin", {}, by="operator").status_code == 200
    hold = {"reason": "a lawsuit", "ticket": "CHG-7"}
    assert stack.post(f"/api/backups/{first}/hold", hold, by="administrator").status_code == 200
    assert delete(stack, first).json()["code"] == "BACKUP_HELD"
    assert stack.post(f"/api/backups/{first}/release", {}, by="administrator").status_code == 200
    wrong = delete(stack, first, confirm="another.tar")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "INVALID_REQUEST")
    gone = delete(stack, first, reason="too old").json()
    (image,) = gone["keptFiles"]
    assert record(stack, first)["state"] == "deleted"
    assert verify(stack, second).status_code == 200
    last = delete(stack, second)
    assert (last.status_code, last.json()["code"]) == (409, "LAST_GOOD_BACKUP")
    source.remove(force=True)
    stack.wait(lambda: delete(stack, second, confirmLast=True).status_code == 200, what="the removal to be known")
    assert not (stack.root / folder / image).exists()
    assert list((stack.root / folder).iterdir()) == []


def test_of_two_last_good_sets_two_deletions_at_once_leave_one(stack: Stack) -> None:
    source = stack.source()
    sets = [back_up(stack, source, name=f"{word()}.tar")["backupId"] for _ in range(2)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = list(pool.map(lambda backup: delete(stack, backup), sets))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert sorted(record(stack, backup)["state"] for backup in sets) == ["complete", "deleted"]


@embedded
def test_a_set_is_deleted_from_a_full_disk(stack: Stack, small_storage: Any) -> None:
    source, filler = stack.source(), stack.small / "filler.manifest.json.partial"
    small_storage(64)
    body = back_up(stack, source, path=str(stack.small))
    back_up(stack, source, name=f"{word()}.tar")
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(2**16))
            file.flush()
    assert os.statvfs(stack.small).f_bavail == 0
    assert delete(stack, body["backupId"]).status_code == 200
    filler.unlink()
    assert list(stack.small.iterdir()) == []


@contextlib.contextmanager
def disk_of_its_own(stack: Stack) -> Iterator[Path]:
    """The second backup root as a real file system, which can be frozen."""
    image = stack.directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(256 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, stack.small], check=True)
    (stack.small / "lost+found").rmdir()
    try:
        yield stack.small
    finally:
        subprocess.run(["umount", "-l", stack.small], check=True)
        image.unlink()


@contextlib.contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Whoever changes something in the folder's file system waits inside of the kernel until the end."""
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", folder], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of one's own needs root")
def test_a_deletion_whose_worker_is_killed_in_the_middle_is_finished(stack: Stack) -> None:
    source = full_source(stack)
    back_up(stack, source, name=f"{word()}.tar")
    with disk_of_its_own(stack) as small:
        body = back_up(stack, source, contents=["rootfs", "config", "volumes"], path=str(small))
        files = files_of(record(stack, body["backupId"]))
        with frozen(small):
            operation = begin(stack, "delete", body["backupId"], confirm=body["backupFile"])
            stack.wait(lambda: record(stack, body["backupId"])["state"] == "deleted", what="the record of the deletion")
            os.kill(stack.worker_process(operation), signal.SIGKILL)
            assert all(path.exists() for path in files)
            assert stack.ask("operation", operation)["state"] == "running"
        ended = stack.finished(operation)
        assert (ended["state"], ended["code"]) == ("interrupted", "INTERRUPTED")
        assert "carried out all the same" in ended["message"]
        stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="the rest of the deletion")
        assert list(small.iterdir()) == []
        assert record(stack, body["backupId"])["state"] == "deleted"


@pytest.fixture
def large(stack: Stack) -> Iterator[str]:
    """A set that takes seconds to read, adopted; deleted at the end."""
    name = f"{word()}.bin"
    path = stack.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    digest, block = hashlib.sha256(), bytes(2**20)
    for _ in range(LARGE_BYTES // len(block)):
        digest.update(block)
    sha256 = digest.hexdigest()
    figures: Body = {"size_bytes": LARGE_BYTES, "stored_bytes": LARGE_BYTES, "sha256": sha256, "stored_sha256": sha256}
    part = Part(kind="config", name="config", path=name, members=None, **figures)
    manifest = path.with_name(f"{name}.manifest.json")
    manifest.write_bytes(manifest_of([part], id="e" * 64).to_bytes())
    adopted = stack.post("/api/backups/orphans/adopt", {"path": str(manifest)}, by="administrator")
    assert adopted.status_code == 200, adopted.text
    yield str(adopted.json()["backupId"])
    assert delete(stack, adopted.json()["backupId"], confirmLast=True).status_code == 200


def in_the_middle(stack: Stack, operation: str) -> None:
    """Wait until bytes were read, and more are left."""
    stack.wait(lambda: bool(stack.ask("operation", operation)["bytes"][0]), what="the first bytes")
    assert stack.ask("operation", operation)["state"] == "running"


@pytest.mark.slow
@embedded
def test_a_killed_verification_verifies_nothing_and_the_next_one_does(stack: Stack, large: str) -> None:
    before = record(stack, large)["verifiedAt"]
    operation = begin(stack, "verify", large)
    in_the_middle(stack, operation)
    os.kill(stack.worker_process(operation), signal.SIGKILL)
    assert stack.finished(operation)["state"] == "interrupted"
    assert (record(stack, large)["verifiedAt"], record(stack, large)["state"]) == (before, "complete")
    assert verify(stack, large).status_code == 200
    assert record(stack, large)["verifiedAt"] > before


@pytest.mark.slow
@embedded
def test_a_verification_is_cancelled_and_verifies_nothing(stack: Stack, large: str) -> None:
    before = record(stack, large)["verifiedAt"]
    operation = begin(stack, "verify", large)
    in_the_middle(stack, operation)
    assert delete(stack, large, confirmLast=True).json()["code"] == "BUSY"
    assert stack.post(f"/api/operations/{operation}/cancel", {}, by="administrator").status_code == 202
    assert stack.finished(operation)["state"] == "cancelled"
    assert record(stack, large)["verifiedAt"] == before


def test_a_set_whose_rows_were_lost_is_an_orphan_and_is_adopted(stack: Stack) -> None:
    source = full_source(stack)
    body = back_up(stack, source, contents=EVERYTHING, path=word())
    before = record(stack, body["backupId"])
    manifest = str(files_of(before)[-1])
    stack.ask("forget", body["backupId"])
    listed = stack.get("/api/backups/orphans", by="auditor").json()
    (orphan,) = [one for one in listed["results"] if one["path"] == manifest]
    assert orphan["container"] == before["container"]
    assert stack.get("/api/backups/orphans", by="operator").status_code == 403
    for nobody in ("stranger", "operator", "auditor"):
        assert stack.post("/api/backups/orphans/adopt", {"path": manifest}, by=nobody).status_code == 403
    adopted = stack.post("/api/backups/orphans/adopt", {"path": manifest}, by="administrator")
    assert adopted.status_code == 200, adopted.text
    after = record(stack, adopted.json()["backupId"])
    same = ("parts", "path", "sha256", "storedBytes", "container", "host", "consistencyGrade", "state")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert after["createdAt"][:23] == before["createdAt"][:23]
    assert stack.get("/api/backups/orphans", by="auditor").json()["results"] == []
    again = stack.post("/api/backups/orphans/adopt", {"path": manifest}, by="administrator")
    assert (again.status_code, again.json()["code"]) == (409, "NAME_TAKEN")
    assert verify(stack, after["id"]).status_code == 200


@embedded
@pytest.mark.parametrize(("method", "verb", "body"), VERBS, ids=[verb or "delete" for _, verb, _ in VERBS])
def test_a_stranger_and_an_auditor_keep_and_delete_nothing(stack: Stack, method: str, verb: str, body: Body) -> None:
    backup = back_up(stack, stack.source())["backupId"]
    address = f"/api/backups/{backup}{verb}"
    for who, status in (("stranger", 404), ("auditor", 403)):
        ask = stack.delete if method == "DELETE" else stack.post
        assert ask(address, body, by=who).status_code == status
    row = record(stack, backup)
    assert (row["state"], row["pinned"], row["hold"], row["verifiedAt"]) == ("complete", False, None, None)
