"""Reads a backup set: no byte of it counts unless it is the byte that was written."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from containers_app.archives.beside import Beside
from containers_app.archives.codecs import Keys, decoded
from containers_app.archives.judge import Judge, judged
from containers_app.archives.limits import Limits
from containers_app.archives.manifest import LIMIT_BYTES, Manifest, Part
from containers_app.archives.stores import Location
from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.errors import ArchiveInvalid, BackupUnusable, InvalidRequest, StorageError
from containers_app.models import Backup
from containers_app.models.backups import USABLE_STATES
from containers_app.specs.saved import SavedConfiguration
from containers_app.workflows.context import Context

_DOCUMENT_LIMIT_BYTES = 64 * 1024 * 1024


class PartSource:
    """The plain bytes of a part. The end comes only after all of them were what the manifest says."""

    def __init__(self, part: Part, stored: _Hashed, plain: ByteSource) -> None:
        self.part = part
        self._stored, self._plain = stored, plain
        self._is_stored_plain = part.codec == "none" and part.encryption is None
        self._digest = hashlib.sha256()
        self._hashing = Beside(self._digest.update)
        self._size_bytes = 0

    def read(self, size_bytes: int, /) -> bytes:
        """Between one and `size_bytes` bytes, or none at the end. Raises BackupUnusable at it, and StorageError."""
        try:
            with storage_faults("reading the backup"):
                piece = self._plain.read(size_bytes)
        except ArchiveInvalid as error:
            raise BackupUnusable(f"the backup's file {self.part.path} cannot be read: {error.message}") from error
        self._size_bytes += len(piece)
        if not self._is_stored_plain:
            self._hashing.feed(piece)
        if not piece or self._size_bytes > self.part.size_bytes:
            self._check()
        return piece

    def blocks(self, watch: Callable[[bytes], None]) -> Iterator[bytes]:
        """All of it, each block after `watch` has seen it. Raises as `read` does, and what `watch` raises."""
        while block := self.read(CHUNK_BYTES):
            watch(block)
            yield block

    def close(self) -> None:
        """End its thread."""
        self._hashing.close()

    def _check(self) -> None:
        part, stored = self.part, self._stored
        stored.read_to_end()
        self._hashing.finish()
        sha256 = stored.sha256 if self._is_stored_plain else self._digest.hexdigest()
        plain_is_right = (self._size_bytes, sha256) == (part.size_bytes, part.sha256)
        if not plain_is_right or (stored.size_bytes, stored.sha256) != (part.stored_bytes, part.stored_sha256):
            raise _altered(part)


class SetReader:
    """The files of one backup, opened by its row; what the manifest says of them is what the row says."""

    def __init__(self, context: Context, backup: Backup, keys: Keys) -> None:
        self._context, self._keys = context, keys
        self.backup = backup
        path = PurePosixPath(backup.path)
        self._base = _located(context, path)
        self.manifest = self._manifest()

    @property
    def is_adopted(self) -> bool:
        """Whether somebody else may have written it."""
        return self.backup.operation.kind == "adopt"

    def part(self, kind: str) -> Part | None:
        """The first part of this kind."""
        return next(iter(self.parts(kind)), None)

    def parts(self, *kinds: str) -> tuple[Part, ...]:
        """Those of these kinds."""
        return tuple(part for part in self.manifest.parts if part.kind in kinds)

    def configuration(self) -> SavedConfiguration:
        """What the set says of the container; without its `secrets`, values that may be secret are lacking.

        Raises InvalidRequest for a set without it, ArchiveInvalid, and what reading raises.
        """
        config, secrets = self.part("config"), self.part("secrets")
        if config is None:
            words = "this backup has no configuration, only files: restore a volume, or choose a backup with 'config'"
            raise InvalidRequest(words, field="mode")
        return SavedConfiguration.of(self._document(config), self._document(secrets) if secrets else None)

    def check(self, parts: tuple[Part, ...]) -> None:
        """Read these files, and their indexes, as they are stored, before anything is done. Raises BackupUnusable.

        A restore needs no index; but who altered one may have meant the rest.
        """
        names = {part.path for part in parts}
        indexes = tuple(part for part in self.parts("index") if part.name in names)
        for part in (*parts, *indexes):
            with self._stored(part) as stored:
                stored.read_to_end(self._context.checkpoint)
            if (stored.size_bytes, stored.sha256) != (part.stored_bytes, part.stored_sha256):
                raise _altered(part)

    def harmless(self, part: Part, blocks: Iterator[bytes], *, judge: Judge | None = None) -> Iterator[bytes]:
        """The blocks of a tar, which a stranger's set cannot do harm with; a `judge` asks in any case.

        What could be opened without a key was judged when it was adopted. Raises BackupUnusable before the last block.
        """
        if judge is None and (not self.is_adopted or part.encryption is None):
            return blocks
        return _judged(part, blocks, judge or Judge(Limits(devices=True), plain_bytes=part.size_bytes + CHUNK_BYTES))

    @contextmanager
    def opened(self, part: Part) -> Iterator[PartSource]:
        """A part to be read to its end, in constant memory. Raises StorageError, and what the decoder raises."""
        with (
            self._stored(part) as stored,
            decoded(
                part.codec, part.encryption, cast(BinaryIO, stored), keys=self._keys, limit_bytes=part.size_bytes
            ) as plain,
            closing(PartSource(part, stored, plain)) as source,
        ):
            yield source

    def _document(self, part: Part) -> Any:
        if part.size_bytes > _DOCUMENT_LIMIT_BYTES:
            raise ArchiveInvalid(f"The backup's {part.kind} is larger than any that is written.")
        # A decoder would take altered bytes for a wrong key.
        self.check((part,))
        with self.opened(part) as source:
            content = b"".join(source.blocks(lambda block: self._context.checkpoint()))
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ArchiveInvalid(f"The backup's {part.kind} is not JSON.") from error

    @contextmanager
    def _stored(self, part: Part) -> Iterator[_Hashed]:
        with self._file(part.path) as file, _Hashed(file) as hashed:
            yield hashed

    @contextmanager
    def _file(self, name: str) -> Iterator[BinaryIO]:
        location = self._base.beside(name)
        if self._context.store.stored_size(location) is None:
            raise BackupUnusable(f"the backup's file {name} is not on the backup storage")
        with self._context.store.read(location) as file:
            yield file

    def _manifest(self) -> Manifest:
        with self._file(self.backup.manifest_name) as file, storage_faults("reading the backup"):
            content = file.read(LIMIT_BYTES + 1)
        try:
            manifest = Manifest.from_bytes(content)
        except ArchiveInvalid as error:
            raise BackupUnusable(f"the backup's manifest was altered: {error.message}") from error
        if list(manifest.parts) != [row.as_part() for row in self.backup.parts.all()]:
            raise BackupUnusable("the backup's manifest is not the one that was written")
        return manifest


class _Hashed(io.RawIOBase):
    """A file with the size and SHA-256 of what was read of it; closing it leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._hashing = Beside(self._digest.update)
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """In lower-case hex."""
        self._hashing.finish()
        return self._digest.hexdigest()

    def close(self) -> None:
        """End its thread."""
        self._hashing.close()
        super().close()

    def read(self, size_bytes: int = -1, /) -> bytes:
        """As files do."""
        block = self._file.read(size_bytes)
        self._hashing.feed(block)
        self.size_bytes += len(block)
        return block

    def read_to_end(self, checkpoint: Callable[[], None] = lambda: None) -> None:
        """What a decoder may leave unread is stored all the same. Raises StorageError."""
        with storage_faults("reading the backup"):
            while self.read(CHUNK_BYTES):
                checkpoint()


def _judged(part: Part, blocks: Iterator[bytes], judge: Judge) -> Iterator[bytes]:
    try:
        yield from judged(blocks, judge)
    except BackupUnusable:
        raise
    except ArchiveInvalid as error:
        raise BackupUnusable(f"the backup's file {part.path} is not restored: {error.message}") from error


def open_set(context: Context, backup_id: str, keys: Keys) -> SetReader:
    """The backup of this id. Raises BackupUnusable for one that cannot be restored, and StorageError."""
    backup = Backup.objects.select_related("operation").prefetch_related("parts").filter(pk=backup_id).first()
    if backup is None:
        raise BackupUnusable("there is no such backup any more")
    check_usable(backup)
    return SetReader(context, backup, keys)


def check_usable(backup: Backup) -> None:
    """Raise BackupUnusable for a backup whose files are gone or altered."""
    if backup.state not in USABLE_STATES:
        words = "a verification says which of its files; choose another one"
        raise BackupUnusable(f"this backup is {backup.state}: {words}")


def _located(context: Context, path: PurePosixPath) -> Location:
    try:
        return context.store.locate(str(path.parent), path.name)
    except InvalidRequest as error:
        raise StorageError("The backup is in a folder that is none of the backup roots now.") from error


def _altered(part: Part) -> BackupUnusable:
    return BackupUnusable(f"the backup's file {part.path} is not what was written: restore another backup")
