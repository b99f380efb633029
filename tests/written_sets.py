"""Backup sets that really stand on the storage of the tests, with their rows, made by the product's own writer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from django.conf import settings

from containers_app.archives.stores.local import LocalStore
from containers_app.models import Backup, BackupPart
from containers_app.specs.encoding import Encoding
from containers_app.workflows.set_writer import SetWriter
from tests import recipes

_PLAIN = Encoding()


def written_set(
    *,
    name: str = "web.tar",
    rootfs: bytes = b"",
    volumes: Mapping[str, bytes] | None = None,
    encoding: Encoding = _PLAIN,
    hashed: bool = True,
    **fields: Any,
) -> Backup:
    """A set of these tars, each with its index; fields are those of the row."""
    writer = SetWriter(_context(), _store().locate(None, name), encoding)
    if rootfs:
        writer.add_tar("rootfs", "web", io.BytesIO(rootfs), hashed=hashed)
    for volume, content in (volumes or {}).items():
        writer.add_tar("volume", volume, io.BytesIO(content), label=volume, hashed=hashed)
    path = _store().path_of(writer.base.beside(writer.parts[0].path))
    made = recipes.backup(path=path, file_name=writer.parts[0].path, **fields)
    made.parts.all().delete()
    BackupPart.objects.bulk_create(BackupPart.of(made, number, part) for number, part in enumerate(writer.parts))
    return made


def file_of(backup: Backup, kind: str = "rootfs") -> Path:
    """The stored file of the first part of this kind."""
    part = backup.parts.filter(kind=kind).first()
    assert part is not None
    return Path(backup.path).with_name(part.file_name)


def _store() -> LocalStore:
    return LocalStore(settings.MYCODOCKER["backup_roots"], reserve_bytes=0)


def _context() -> Any:
    def ignore(*_arguments: object, **_options: object) -> None:
        pass

    return SimpleNamespace(
        store=_store(),
        scratch_folder=Path(settings.MYCODOCKER["data_directory"]),
        facts=SimpleNamespace(operation_id="operation"),
        remember_undo=ignore,
        checkpoint=ignore,
        progress=ignore,
        warn=ignore,
    )
