"""A set that somebody else may have written: its archives are judged, and its indexes compared with ones built anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from containers_app.archives.codecs import decoded
from containers_app.archives.index import Index
from containers_app.archives.index_builder import IndexBuilder
from containers_app.archives.limits import Limits
from containers_app.archives.manifest import TAR_KINDS, Part
from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.stores.local import Location
from containers_app.archives.validator import validate
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.errors import ArchiveInvalid, BackupCorrupt
from containers_app.workflows.context import Context

# The file system of a container has some, and so may what it keeps.
LIMITS = Limits(devices=True)


def judge_parts(context: Context, location: Location, parts: Iterable[Part]) -> None:
    """Judge every archive that can be opened without a key, and compare its index, if there is one, with the archive.

    What is encrypted is judged when it is restored. Raises BackupCorrupt that names the file, and StorageError.
    """
    parts = tuple(parts)
    indexes = _indexes(parts)
    for part in parts:
        if part.kind not in TAR_KINDS or part.encryption is not None:
            continue
        try:
            _judge(context, location, part, indexes.get(part.path))
        except BackupCorrupt:
            raise
        except ArchiveInvalid as error:
            raise BackupCorrupt(f"{part.path} is refused, so the backup is not adopted: {error.message}") from error


def _indexes(parts: Sequence[Part]) -> dict[str, Part]:
    """By the archive's file: one for each at most, and as well locked. Raises BackupCorrupt."""
    archives = {part.path: part for part in parts if part.kind in TAR_KINDS}
    found: dict[str, Part] = {}
    for index in parts:
        if index.kind != "index":
            continue
        archive = archives.get(index.name)
        if archive is None:
            raise _not_adopted(index, "is an index of no archive of this set")
        if index.name in found:
            raise _not_adopted(index, f"is one index too many of {index.name}")
        if index.encryption != archive.encryption:
            raise _not_adopted(index, f"is not encrypted as {index.name} is")
        found[index.name] = index
    return found


def _not_adopted(index: Part, words: str) -> BackupCorrupt:
    advice = "remove it from the set, or make the backup again"
    return BackupCorrupt(f"{index.path} {words}, so the backup is not adopted: {advice}")


def _judge(context: Context, location: Location, part: Part, index: Part | None) -> None:
    """The judge is another process; what is built here only costs time, and is thrown away."""
    with IndexBuilder(within=context.scratch_folder, tolerant=True) as builder:
        with _opened(context, location, part) as source:
            validate(_Watched(source, builder.feed), limits=LIMITS, checkpoint=context.checkpoint)
        builder.finish()
        if index is not None and not _is_same(context, location, index, builder):
            raise _not_adopted(index, "says something else than the archive that it is of")


def _is_same(context: Context, location: Location, stored: Part, builder: IndexBuilder) -> bool:
    if builder.failure is not None:
        return False

    def write_stored(file: BinaryIO) -> None:
        with _opened(context, location, stored) as source:
            _copy(source, file, context.checkpoint)

    def write_built(file: BinaryIO) -> None:
        builder.file.seek(0)
        _copy(builder.file, file, context.checkpoint)

    with (
        storage_faults("comparing an index"),
        Index.of(write_built, within=context.scratch_folder) as built,
        Index.of(write_stored, within=context.scratch_folder) as found,
    ):
        return found.is_same(built)


def _copy(source: ByteSource, file: BinaryIO, checkpoint: Callable[[], None]) -> None:
    while block := source.read(CHUNK_BYTES):
        checkpoint()
        file.write(block)


@contextmanager
def _opened(context: Context, location: Location, part: Part) -> Iterator[ByteSource]:
    with (
        context.store.read(location.beside(part.path)) as file,
        decoded(part.codec, None, file, keys=None, limit_bytes=part.size_bytes) as plain,
    ):
        yield plain


class _Watched:
    """A source whose bytes somebody else sees too."""

    def __init__(self, source: ByteSource, watch: Callable[[bytes], None]) -> None:
        self._source, self._watch = source, watch

    def read(self, size_bytes: int, /) -> bytes:
        """As the source does."""
        block = self._source.read(size_bytes)
        self._watch(block)
        return block
