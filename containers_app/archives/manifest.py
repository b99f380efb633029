"""Says what a backup consists of, so that it can be checked and restored without this product."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from containers_app.archives.json_fields import Fields, parse_object
from containers_app.errors import ArchiveInvalid
from containers_app.specs.encoding import CODECS

FORMAT = "mycodocker-backup"
VERSION = 1
LIMIT_BYTES = 1024 * 1024

CONSISTENCY_GRADES = ("live", "paused", "stopped")
PART_KINDS = ("rootfs", "config", "secrets", "volume", "bind", "image", "index")
TAR_KINDS = ("rootfs", "volume", "bind", "image")
ENCRYPTIONS = ("age",)

_SHA256 = r"[0-9a-f]{64}"
_FILE_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}"
_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_WARNING_CODE = r"[A-Z][A-Z0-9_]*"


@dataclass(frozen=True, kw_only=True)
class ContainerIdentity:
    """The container as the Engine named it: `id` is 64 hex digits, `platform` is like `linux/amd64`."""

    id: str
    name: str
    image: str
    image_id: str
    platform: str


@dataclass(frozen=True, kw_only=True)
class StackIdentity:
    """The compose project that the backup is a part of: the sets with the same `operation_id` are of one moment.

    `members` are the names of all containers that were saved together, this one's among them.
    """

    project: str
    service: str
    operation_id: str
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ManifestWarning:
    """Something that the reader of the backup should know; `code` is stable and in capitals."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of the backup, in the folder of the manifest; `path` is its name there.

    `kind` is one of PART_KINDS, and `name` tells parts of one kind apart: a volume's name, a bind's folder, the path of
    the part that an index is about. `size_bytes` and `sha256` describe the
    plain bytes, `stored_bytes` and `stored_sha256` the file. `members` counts the entries of a tar, which those of
    TAR_KINDS are; None: it is no tar.
    """

    kind: str
    name: str
    path: str
    size_bytes: int
    stored_bytes: int
    sha256: str
    stored_sha256: str
    members: int | None
    codec: str = "none"
    encryption: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole description of one backup, version 1.

    `created_at` is UTC with milliseconds, `2026-02-12T03:20:00.000Z`; `consistency_grade` says what the container did
    while it was copied, and `stopped` proves more than `paused`, `paused` more than `live`.
    """

    product_version: str
    operation_id: str
    created_at: str
    container: ContainerIdentity
    host: str
    engine_version: str
    api_version: str
    consistency_grade: str
    parts: tuple[Part, ...]
    warnings: tuple[ManifestWarning, ...] = ()
    stack: StackIdentity | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces between tokens, UTF-8, a newline at the end.

        Raises ArchiveInvalid for values that `from_bytes` refuses: what cannot be read is not written.
        """
        text = json.dumps(_to_json(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        content = f"{text}\n".encode(errors="surrogatepass")
        self.from_bytes(content)
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """The manifest in these bytes. Raises ArchiveInvalid for whatever the published schema does not allow."""
        if len(content) > LIMIT_BYTES:
            raise ArchiveInvalid(f"The manifest is invalid: it has more than {LIMIT_BYTES} bytes.")
        fields = parse_object(content)
        _check_version(fields)
        manifest = _manifest(fields)
        fields.end()
        return manifest


def _to_json(manifest: Manifest) -> dict[str, object]:
    container = manifest.container
    stack = {} if manifest.stack is None else {"stack": _stack_to_json(manifest.stack)}
    return {
        **stack,
        "format": FORMAT,
        "version": VERSION,
        "productVersion": manifest.product_version,
        "operationId": manifest.operation_id,
        "createdAt": manifest.created_at,
        "container": {
            "id": container.id,
            "name": container.name,
            "image": container.image,
            "imageId": container.image_id,
            "platform": container.platform,
        },
        "host": {"name": manifest.host},
        "engine": {"version": manifest.engine_version, "apiVersion": manifest.api_version},
        "consistencyGrade": manifest.consistency_grade,
        "warnings": [{"code": warning.code, "message": warning.message} for warning in manifest.warnings],
        "parts": [_part_to_json(part) for part in manifest.parts],
    }


def _stack_to_json(stack: StackIdentity) -> dict[str, object]:
    return {
        "project": stack.project,
        "service": stack.service,
        "operationId": stack.operation_id,
        "members": list(stack.members),
    }


def _part_to_json(part: Part) -> dict[str, object]:
    return {
        "kind": part.kind,
        "name": part.name,
        "path": part.path,
        "codec": part.codec,
        "encryption": part.encryption,
        "sizeBytes": part.size_bytes,
        "storedBytes": part.stored_bytes,
        "sha256": part.sha256,
        "storedSha256": part.stored_sha256,
        "members": part.members,
    }


def _check_version(fields: Fields) -> None:
    if fields.text("format") != FORMAT:
        raise fields.invalid("format", f"is not {FORMAT}")
    if fields.count("version") != VERSION:
        raise fields.invalid("version", f"is not {VERSION}: a newer release of the product may read it")


def _manifest(fields: Fields) -> Manifest:
    with fields.object("host") as host:
        host_name = host.text("name")
    with fields.object("engine") as engine:
        engine_version, api_version = engine.text("version"), engine.text("apiVersion")
    with fields.object("container") as container:
        identity = _container(container)
    return Manifest(
        product_version=fields.text("productVersion", minimum=1),
        operation_id=fields.text("operationId", minimum=1),
        created_at=_created_at(fields),
        container=identity,
        host=host_name,
        engine_version=engine_version,
        api_version=api_version,
        consistency_grade=fields.choice("consistencyGrade", CONSISTENCY_GRADES),
        parts=_parts(fields),
        warnings=tuple(map(_warning, fields.objects("warnings"))),
        stack=_stack(fields) if fields.has("stack") else None,
    )


def _stack(fields: Fields) -> StackIdentity:
    with fields.object("stack") as stack:
        return StackIdentity(
            project=stack.text("project", minimum=1),
            service=stack.text("service"),
            operation_id=stack.text("operationId", minimum=1),
            members=stack.texts("members"),
        )


def _created_at(fields: Fields) -> str:
    text = fields.matching("createdAt", _INSTANT)
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise fields.invalid("createdAt", "is not a moment of the calendar") from error
    return text


def _container(fields: Fields) -> ContainerIdentity:
    return ContainerIdentity(
        id=fields.matching("id", _SHA256),
        name=fields.text("name", minimum=1),
        image=fields.text("image"),
        image_id=fields.text("imageId"),
        platform=fields.text("platform"),
    )


def _warning(fields: Fields) -> ManifestWarning:
    warning = ManifestWarning(code=fields.matching("code", _WARNING_CODE), message=fields.text("message"))
    fields.end()
    return warning


def _parts(fields: Fields) -> tuple[Part, ...]:
    parts = tuple(map(_part, fields.objects("parts")))
    if not parts:
        raise fields.invalid("parts", "is empty")
    if len({part.path for part in parts}) != len(parts):
        raise fields.invalid("parts", "names one path twice")
    return parts


def _part(fields: Fields) -> Part:
    part = Part(
        kind=fields.choice("kind", PART_KINDS),
        name=fields.text("name", minimum=1),
        path=fields.matching("path", _FILE_NAME),
        codec=fields.choice("codec", CODECS),
        encryption=None if fields.takes_null("encryption") else fields.choice("encryption", ENCRYPTIONS),
        size_bytes=fields.count("sizeBytes"),
        stored_bytes=fields.count("storedBytes"),
        sha256=fields.matching("sha256", _SHA256),
        stored_sha256=fields.matching("storedSha256", _SHA256),
        members=None if fields.takes_null("members") else fields.count("members"),
    )
    fields.end()
    if part.kind in TAR_KINDS and part.members is None:
        raise fields.invalid("members", f"is null, yet every {part.kind} is a tar")
    stored_plainly = part.codec == "none" and part.encryption is None
    if stored_plainly and (part.size_bytes, part.sha256) != (part.stored_bytes, part.stored_sha256):
        raise fields.invalid(
            "storedSha256", "or storedBytes differs from the plain bytes, yet the part is stored plainly"
        )
    return part
