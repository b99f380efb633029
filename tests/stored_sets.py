"""Real backup sets on a real folder: parts, a manifest that the strict reader takes, and the rows that record them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from containers_app.archives.manifest import ContainerIdentity, Manifest, ManifestWarning, Part
from containers_app.models import Backup, BackupPart
from containers_app.models.identifiers import uuid7
from tests import recipes
from tests.unit.archives.samples import Member, tar_of

IMAGE = "image-0123456789abcdef0123456789abcdef.tar"
WEB = "a" * 64
CREATED = "2026-02-12T03:20:00.000Z"


def part_of(kind: str, name: str, path: Path, content: bytes, *, members: int | None) -> Part:
    """Write a plain part, unless it stands there, and describe it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    size = len(content)
    return Part(
        kind=kind,
        name=name,
        path=path.name,
        size_bytes=size,
        stored_bytes=size,
        sha256=sha256,
        stored_sha256=sha256,
        members=members,
    )


def tar(text: str, count: int = 1) -> bytes:
    """A tar of so many files."""
    return tar_of([Member(f"{number}", f"{text} {number}\n".encode() * 100) for number in range(count)])


def write_set(root: Path, name: str = "web.tar", *, image: bool = False, **fields: Any) -> Manifest:
    """A set without a row: file system, volume and configuration, and the shared image if asked for."""
    parts = [
        part_of("rootfs", "web", root / name, tar(name, 3), members=3),
        part_of("volume", "data", root / f"{name}.volume-1-data.tar", tar("data", 2), members=2),
        part_of("config", "config", root / f"{name}.config.json", b'{"Name": "/web"}', members=None),
    ]
    if image:
        parts.append(part_of("image", "sha256:1", root / IMAGE, tar("image"), members=1))
    manifest = manifest_of(parts, **fields)
    (root / f"{name}.manifest.json").write_bytes(manifest.to_bytes())
    return manifest


def manifest_of(parts: list[Part], **fields: Any) -> Manifest:
    """A manifest of `web` on `local`."""
    identity = {"id": WEB, "name": "web", "image": "web:1", "image_id": "sha256:1", "platform": "linux/amd64"}
    identity |= {key: fields.pop(key) for key in list(fields) if key in identity}
    codes = fields.pop("warnings", ())
    values: dict[str, Any] = {
        "product_version": "0.1.0",
        "operation_id": str(uuid7()),
        "created_at": CREATED,
        "container": ContainerIdentity(**identity),
        "host": "local",
        "engine_version": "29.0",
        "api_version": "1.52",
        "consistency_grade": "live",
        "parts": tuple(parts),
        "warnings": tuple(ManifestWarning(code=code, message="words") for code in codes),
    }
    return Manifest(**{**values, **fields})


def stored_set(root: Path, name: str = "web.tar", *, image: bool = False, **fields: Any) -> Backup:
    """A set with its row; the fields are those of the row."""
    manifest = write_set(root, name, image=image)
    first = manifest.parts[0]
    row = recipes.backup(
        path=str(root / name),
        file_name=name,
        consistency_grade="live",
        size_bytes=first.stored_bytes,
        sha256=first.stored_sha256,
        members=first.members,
        **{"stored_bytes": sum(part.stored_bytes for part in manifest.parts), **fields},
    )
    row.parts.all().delete()
    BackupPart.objects.bulk_create(BackupPart.of(row, number, part) for number, part in enumerate(manifest.parts))
    return row


def flip(path: Path, position: int = -1) -> None:
    """Change one bit of a file, and neither its size nor anything else."""
    content = bytearray(path.read_bytes())
    content[position if position < 0 else position % len(content)] ^= 1
    path.write_bytes(content)


def edited(path: Path, **changes: Any) -> None:
    """Change a manifest so that the strict reader still takes it."""
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n")


def names(root: Path) -> list[str]:
    """The files of a folder."""
    return sorted(path.name for path in root.iterdir() if path.is_file())
