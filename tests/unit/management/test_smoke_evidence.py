"""The trial believes the file and the Engine, not the answer, and removes nothing that it did not make."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from containers_app.archives.manifest import ContainerIdentity, Manifest, Part
from containers_app.management.smoke import evidence
from containers_app.management.smoke.report import CannotTell

CONTAINER = "c" * 64
OPERATION = "01a20d21-701d-7b19-8d93-44eb2272752f"


def tar_of_one_file() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("hello")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"world"))
    return buffer.getvalue()


def manifest(content: bytes, name: str, **changes: Any) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    facts = {"size_bytes": len(content), "stored_bytes": len(content), "sha256": digest, "stored_sha256": digest}
    part = Part(kind="rootfs", name="web", path=name, members=1, **{**facts, **changes})
    return Manifest(
        product_version="1",
        operation_id=OPERATION,
        created_at="2026-02-12T03:20:00.000Z",
        container=ContainerIdentity(
            id=CONTAINER, name="web", image="sample:1", image_id="sha256:" + "a" * 64, platform="linux/amd64"
        ),
        host="local",
        engine_version="20.10",
        api_version="1.41",
        consistency_grade="live",
        parts=(part,),
    ).to_bytes()


@pytest.fixture
def body(tmp_path: Path) -> dict[str, Any]:
    """The answer of a backup whose file and manifest are right."""
    content, path = tar_of_one_file(), tmp_path / "web.tar"
    path.write_bytes(content)
    evidence.manifest_of(path).write_bytes(manifest(content, path.name))
    return {"backupPath": str(path), "sizeBytes": len(content)}


def problems(body: dict[str, Any], container_id: str = CONTAINER) -> str:
    return "; ".join(evidence.file_problems(body, container_id=container_id))


def test_a_whole_backup_has_no_problem(body: dict[str, Any]) -> None:
    assert problems(body) == ""


def test_an_answer_with_another_size_is_noticed(body: dict[str, Any]) -> None:
    assert "the size of the file" in problems({**body, "sizeBytes": body["sizeBytes"] + 1})


def test_one_changed_byte_is_noticed(body: dict[str, Any]) -> None:
    path = Path(body["backupPath"])
    path.write_bytes(path.read_bytes().replace(b"world", b"w0rld"))
    assert "the manifest's sha256" in problems(body)


def test_a_file_that_is_no_tar_is_noticed(body: dict[str, Any]) -> None:
    Path(body["backupPath"]).write_bytes(b"\1" * body["sizeBytes"])
    assert "not complete" in problems(body)


def test_the_backup_of_another_container_is_noticed(body: dict[str, Any]) -> None:
    assert "the manifest's container" in problems(body, container_id="d" * 64)


def test_a_broken_manifest_is_noticed(body: dict[str, Any]) -> None:
    evidence.manifest_of(Path(body["backupPath"])).write_text("{}")
    assert "not complete" in problems(body)


@pytest.mark.parametrize("missing", ["archive", "manifest"])
def test_a_file_that_is_not_here_tells_nothing(body: dict[str, Any], missing: str) -> None:
    path = Path(body["backupPath"])
    (path if missing == "archive" else evidence.manifest_of(path)).unlink()
    with pytest.raises(CannotTell):
        problems(body)


def test_its_own_backup_is_removed_with_its_manifest(body: dict[str, Any]) -> None:
    evidence.remove_backup(body, operation_id=OPERATION)
    assert list(Path(body["backupPath"]).parent.iterdir()) == []


def test_the_backup_of_another_operation_is_left(body: dict[str, Any]) -> None:
    with pytest.raises(CannotTell, match="another operation"):
        evidence.remove_backup(body, operation_id="another")
    assert problems(body) == ""


def source(**changes: Any) -> dict[str, Any]:
    state = {"Status": "running", "StartedAt": "1", "Health": {"Status": changes.pop("health", "starting")}}
    return {"Id": CONTAINER, "Name": "/web", "Config": {"Image": "x"}, "HostConfig": {}, "State": state, **changes}


def test_a_source_whose_health_goes_on_is_unchanged() -> None:
    assert evidence.source_problems(source(), source(health="healthy")) == []


@pytest.mark.parametrize(
    "changes",
    [{"Name": "/other"}, {"Config": {"Image": "y"}}, {"State": {"Status": "exited", "StartedAt": "1"}}],
)
def test_a_source_that_was_touched_is_noticed(changes: dict[str, Any]) -> None:
    assert evidence.source_problems(source(), source(**changes))
