"""What the Engine and the storage themselves say about a clone and a backup."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from containers_app.archives.manifest import Manifest
from containers_app.archives.stores.paths import MANIFEST_SUFFIX
from containers_app.engine.connection import EngineLimits, open_reader
from containers_app.errors import ArchiveInvalid, MycoError
from containers_app.management.launch.engine_calls import EngineCalls
from containers_app.management.smoke.report import CannotTell
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.engine import OPERATION_LABEL
from containers_app.specs.fidelity import differences

_BLOCK_BYTES = 1024 * 1024
# What a container is; its health and its log go on by themselves.
_LASTING = ("Id", "Name", "Image", "Config", "HostConfig", "Mounts", "RestartCount")

Inspect = Mapping[str, Any]


def inspect(endpoint: Endpoint, reference: str) -> dict[str, Any]:
    """The Engine's description of the container. Raises CannotTell."""
    try:
        with open_reader(endpoint, EngineLimits()) as reader:
            return reader.inspect(reader.resolve(reference).id)
    except MycoError as error:
        raise CannotTell(f"the Engine at {endpoint.url}: {error.message}") from error


def source_problems(before: Inspect, after: Inspect) -> list[str]:
    """What a trial changed at its source; empty when nothing is."""
    changed = [f"{key} has changed" for key in _LASTING if before.get(key) != after.get(key)]
    states = [inspected["State"] for inspected in (before, after)]
    if states[0].get("StartedAt") != states[1].get("StartedAt") or states[0].get("Status") != states[1].get("Status"):
        changed.append("it was started or stopped")
    return changed


def clone_problems(source: Inspect, clone: Inspect, *, operation_id: str) -> list[str]:
    """How a clone differs from its source, was started, or is not the operation's; empty when it is as promised."""
    problems = [f"{found.field}: {found.source} / {found.clone}" for found in differences(source, clone)]
    if clone["State"].get("Status") != "created":
        problems.append(f"its state is {clone['State'].get('Status')} and not created")
    if (clone["Config"].get("Labels") or {}).get(OPERATION_LABEL) != operation_id:
        problems.append("it does not carry the operation's label")
    return problems


def remove_clone(endpoint: Endpoint, identifier: str, *, operation_id: str) -> None:
    """Remove the container that this operation made, and no other. Raises CannotTell."""
    calls = EngineCalls(endpoint)
    try:
        labels = calls.call("GET", f"/containers/{identifier}/json").json()["Config"]["Labels"] or {}
        if not operation_id or labels.get(OPERATION_LABEL) != operation_id:
            raise CannotTell("it does not carry the operation's label, so it was left")
        answer = calls.call("DELETE", f"/containers/{identifier}", query={"v": "1"})
    except (MycoError, ValueError, KeyError, TypeError) as error:
        raise CannotTell("the Engine does not answer for it") from error
    if not answer.is_good:
        raise CannotTell(answer.message())


def file_problems(body: Inspect, *, container_id: str) -> list[str]:
    """What is wrong with a backup's file and its manifest; empty when nothing is. Raises CannotTell."""
    path = Path(str(body["backupPath"]))
    if not path.exists():
        raise CannotTell(f"{path} is not on this machine, or not for this user to see")
    try:
        manifest = Manifest.from_bytes(manifest_of(path).read_bytes())
        digest, size_bytes = _digest(path), path.stat().st_size
        members = _members(path)
    except (ArchiveInvalid, tarfile.TarError) as error:
        return [f"it is not complete: {error}"]
    except OSError as error:
        raise CannotTell(f"{path}: {error.strerror}") from error
    part = manifest.parts[0]
    facts = {
        "the size of the file": (size_bytes, body["sizeBytes"]),
        "the manifest's size": (part.size_bytes, size_bytes),
        "the manifest's sha256": (part.sha256, digest),
        "the manifest's members": (part.members, members),
        "the manifest's container": (manifest.container.id, container_id),
    }
    return [f"{name} is {found} and not {wanted}" for name, (found, wanted) in facts.items() if found != wanted]


def manifest_of(archive: Path) -> Path:
    """The manifest that stands beside an archive."""
    return archive.with_name(archive.name + MANIFEST_SUFFIX)


def remove_backup(body: Inspect, *, operation_id: str) -> None:
    """Remove the manifest and the files of it that this operation made, and no other. Raises CannotTell."""
    path = Path(str(body["backupPath"]))
    try:
        manifest = Manifest.from_bytes(manifest_of(path).read_bytes())
        if manifest.operation_id != operation_id:
            raise CannotTell("its manifest names another operation, so it was left")
        with suppress(FileNotFoundError):
            manifest_of(path).unlink()
        for part in manifest.parts:
            path.with_name(part.path).unlink()
    except (OSError, ArchiveInvalid) as error:
        raise CannotTell(f"{path} could not be removed: {error}") from error


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _members(path: Path) -> int:
    """How many entries the tar has, read to its end."""
    with tarfile.open(path, mode="r:") as archive:
        return sum(1 for _ in archive)
