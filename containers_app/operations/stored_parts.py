"""From a backup's row to the bytes of its parts: where they are, whether they are whole, and in plain form."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from containers_app.archives.codecs import Keys, decoded
from containers_app.archives.index import Index
from containers_app.archives.index_cache import IndexCache, WantedIndex
from containers_app.archives.stores import Location
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.conf import load
from containers_app.errors import (
    ArchiveInvalid,
    BackupUnusable,
    IndexEncrypted,
    IndexMissing,
    InvalidRequest,
    KeyMissing,
    MycoError,
    NotFound,
    WrongKey,
)
from containers_app.models import Backup, BackupPart
from containers_app.models.backups import USABLE_STATES
from containers_app.operations.hosts import store_of
from containers_app.specs.saved import SavedConfiguration

_CACHE_FOLDER = "indexes"
_CONFIGURATION_LIMIT_BYTES = 16 * 1024 * 1024
_LOCKED = "this part is encrypted, and the server has no key for it: download the whole part, and open it with age"


def check_readable(backup: Backup) -> None:
    """Raise BackupUnusable for a backup that is not whole any more."""
    if backup.state not in USABLE_STATES:
        raise BackupUnusable(f"this backup is {backup.state}, so nothing of it is given out: choose another one")


def part_named(backup: Backup, file_name: str | None) -> BackupPart:
    """The part with this file; None means the first one. Raises NotFound."""
    for part in backup.parts.all():
        if file_name in (None, part.file_name):
            return part
    raise NotFound("the backup has no part of this name: its parts are named in 'path' of 'parts'", field="part")


def index_part(part: BackupPart) -> BackupPart:
    """The index of this part. Raises IndexMissing."""
    for found in part.backup.parts.all():
        if found.kind == "index" and found.name == part.file_name:
            return found
    raise IndexMissing("this part has no list of its files: download it as a whole")


def location_of(part: BackupPart) -> Location:
    """Where the part's file is. Raises BackupUnusable for a folder that is none of the backup roots now."""
    try:
        folder = str(PurePosixPath(part.backup.path).parent)
        return store_of(load()).locate(folder, "any").beside(part.file_name)
    except InvalidRequest as error:
        raise BackupUnusable("the backup is in a folder that is none of the backup roots now") from error


def mounted_at(part: BackupPart) -> str | None:
    """Where the container had what is in this part, such as `/data`; empty for its own file system.

    None where the backup does not tell, or not without a key.
    """
    if part.kind == "rootfs":
        return ""
    config = next((found for found in part.backup.parts.all() if found.kind == "config"), None)
    if config is None or config.size_bytes > _CONFIGURATION_LIMIT_BYTES:
        return None
    with suppress(MycoError), plain_bytes(config) as source:
        content = b"".join(iter(partial(source.read, CHUNK_BYTES), b""))
        saved = SavedConfiguration.of(json.loads(content), None)
        return _mount_point(saved.container.get("Mounts") or [], part)
    return None


def _mount_point(mounts: Iterable[Mapping[str, object]], part: BackupPart) -> str | None:
    key = "Name" if part.kind == "volume" else "Source"
    places = (
        str(mount["Destination"]) for mount in mounts if (mount.get("Type"), mount.get(key)) == (part.kind, part.name)
    )
    return next(places, None)


@contextmanager
def stored_file(part: BackupPart) -> Iterator[BinaryIO]:
    """The part as it is stored, open at its start. Raises BackupUnusable and StorageError."""
    store, location = store_of(load()), location_of(part)
    if store.stored_size(location) is None:
        raise BackupUnusable(f"the backup's file {part.file_name} is not on the backup storage")
    with store.read(location) as file:
        if os.fstat(file.fileno()).st_size != part.stored_bytes:
            raise BackupUnusable(f"the backup's file {part.file_name} has another size than it was written with")
        yield file


@contextmanager
def plain_bytes(part: BackupPart) -> Iterator[ByteSource]:
    """The part in plain form; seekable when it is stored so. Raises IndexEncrypted besides what `stored_file` does.

    What turns out to be damaged while it is read inside raises BackupUnusable.
    """
    with stored_file(part) as file:
        try:
            with _decoded(part, file) as plain:
                yield plain
        except (KeyMissing, WrongKey) as error:
            raise IndexEncrypted(_LOCKED) from error
        except ArchiveInvalid as error:
            raise BackupUnusable(f"the backup's file {part.file_name} cannot be read: {error.message}") from error


@contextmanager
def _decoded(part: BackupPart, file: BinaryIO) -> Iterator[ByteSource]:
    if part.codec == "none" and not part.encryption:
        yield file
        return
    identity = load().age_identity
    keys = Keys(identities=(identity,) if identity else ())
    with decoded(part.codec, part.encryption or None, file, keys=keys, limit_bytes=part.size_bytes) as plain:
        yield plain


def opened_index(part: BackupPart) -> Index:
    """The list of the part's files. Raises IndexMissing, IndexEncrypted, BackupUnusable, ArchiveInvalid, StorageError.

    In plain form it is kept below the data folder, also that of an encrypted part whose key the server has.
    """
    index = index_part(part)
    if index.encryption and not load().age_identity:
        raise IndexEncrypted(_LOCKED)
    cache = IndexCache(Path(load().data_directory, _CACHE_FOLDER))
    return cache.open(WantedIndex(sha256=index.sha256, size_bytes=index.size_bytes, source=lambda: plain_bytes(index)))
