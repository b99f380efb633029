"""Reads a whole set back and says of each file whether it is what was recorded, in constant memory."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

from containers_app.archives.codecs import decoded
from containers_app.archives.manifest import LIMIT_BYTES, Manifest, Part
from containers_app.archives.stores import ArchiveStore, Location, nothing_to_check
from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.tar_walker import TarWalker
from containers_app.archives.writer import ByteSource
from containers_app.errors import ArchiveInvalid

INTACT, CORRUPT, MISSING = "intact", "corrupt", "missing"
READ_BYTES = 1024 * 1024
REPORT_INTERVAL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one file: INTACT, CORRUPT or MISSING, why in words, and the bytes of it that were read.

    `decoded`: its content was compared as well; else the stored bytes alone.
    """

    kind: str
    name: str
    path: str
    verdict: str
    bytes_read: int = 0
    decoded: bool = False
    message: str = ""


class Reading:
    """Counts the bytes of one check: `report` gets them twice a second at most, `checkpoint` raises to stop."""

    def __init__(
        self, *, report: Callable[[int], None] = lambda done: None, checkpoint: Callable[[], None] = nothing_to_check
    ) -> None:
        self.bytes_done = 0
        self.checkpoint = checkpoint
        self._report = report
        self._reported_at = time.monotonic()

    def advance(self, size_bytes: int) -> None:
        """So many bytes more."""
        self.bytes_done += size_bytes
        if time.monotonic() - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self.report()

    def report(self) -> None:
        """Tell now."""
        self._reported_at = time.monotonic()
        self._report(self.bytes_done)


def read_manifest(store: ArchiveStore, location: Location) -> Manifest:
    """The manifest there, by the strict reader alone. Raises ArchiveInvalid, and StorageError also without a file."""
    with store.read(location) as file, storage_faults("reading the manifest"):
        _from_disk(file)
        content = file.read(LIMIT_BYTES + 1)
    return Manifest.from_bytes(content)


def check_manifest(store: ArchiveStore, location: Location, agrees: Callable[[Manifest], bool]) -> Verdict:
    """Whether a manifest stands there that can be read and agrees with the record. Raises StorageError."""
    size_bytes = store.stored_size(location)
    if size_bytes is None:
        return _of_manifest(location, MISSING, 0, "it is not there")
    try:
        if not agrees(read_manifest(store, location)):
            return _of_manifest(location, CORRUPT, size_bytes, "it says something else than was recorded")
    except ArchiveInvalid as error:
        return _of_manifest(location, CORRUPT, min(size_bytes, LIMIT_BYTES + 1), error.message)
    return _of_manifest(location, INTACT, size_bytes, "")


def _of_manifest(location: Location, verdict: str, bytes_read: int, message: str) -> Verdict:
    return Verdict(
        kind="manifest",
        name="manifest",
        path=location.name,
        verdict=verdict,
        bytes_read=bytes_read,
        decoded=True,
        message=message,
    )


def check_parts(store: ArchiveStore, folder: Location, parts: Iterable[Part], reading: Reading) -> tuple[Verdict, ...]:
    """Every byte of every part, which stand beside `folder`. Raises StorageError, and what the checkpoint raises."""
    verdicts = tuple(_check(store, folder.beside(part.path), part, reading) for part in parts)
    reading.report()
    return verdicts


def worst(verdicts: Sequence[Verdict]) -> str:
    """The verdict on the whole set: what is missing counts before what is corrupt."""
    found = {verdict.verdict for verdict in verdicts}
    return next((word for word in (MISSING, CORRUPT) if word in found), INTACT)


def _check(store: ArchiveStore, location: Location, part: Part, reading: Reading) -> Verdict:
    size_bytes = store.stored_size(location)
    if size_bytes is None:
        return _of(part, MISSING, "it is not there")
    if size_bytes != part.stored_bytes:
        return _of(part, CORRUPT, f"it has {size_bytes} bytes, and {part.stored_bytes} were recorded")
    before = reading.bytes_done
    try:
        with store.read(location) as file:
            problem = _problem(_Stored(file, reading), part)
    except ArchiveInvalid as error:
        problem = error.message
    return _of(part, CORRUPT if problem else INTACT, problem, reading.bytes_done - before)


class _Stored:
    """The stored bytes of a part, hashed and counted while they are read."""

    def __init__(self, file: BinaryIO, reading: Reading) -> None:
        _from_disk(file)
        self._file = file
        self._reading = reading
        self._digest = hashlib.sha256()

    def read(self, size_bytes: int = READ_BYTES, /) -> bytes:
        """As a file's; never more than READ_BYTES. Raises StorageError, and what the checkpoint raises."""
        self._reading.checkpoint()
        with storage_faults("reading the archive"):
            chunk = os.read(self._file.fileno(), min(size_bytes, READ_BYTES))
        self._digest.update(chunk)
        self._reading.advance(len(chunk))
        return chunk

    def finish(self) -> str:
        """Read what is left; the SHA-256 of all of it."""
        while self.read():
            pass
        _from_disk(self._file)
        return self._digest.hexdigest()


def _problem(stored: _Stored, part: Part) -> str:
    """What is wrong with a part, empty if nothing is. Raises ArchiveInvalid for what is no whole tar or encoding."""
    problem = "" if part.encryption else _content_problem(stored, part)
    sha256 = stored.finish()
    return problem if sha256 == part.stored_sha256 else f"its SHA-256 is {sha256}, and another one was recorded"


def _content_problem(stored: _Stored, part: Part) -> str:
    """What is wrong inside. No key is at hand here, so that an encrypted part is compared as it is stored."""
    walker = TarWalker() if part.members is not None else None
    digest, size_bytes = hashlib.sha256(), 0
    with _plain(stored, part) as source:
        while chunk := source.read(READ_BYTES):
            size_bytes += len(chunk)
            digest.update(chunk)
            if walker:
                walker.feed(chunk)
    members = walker.finish().members if walker else None
    if members != part.members:
        return f"it has {members} members, and {part.members} were recorded"
    same = (size_bytes, digest.hexdigest()) == (part.size_bytes, part.sha256)
    return "" if same else "its content is not what was recorded"


def _plain(stored: _Stored, part: Part) -> AbstractContextManager[ByteSource]:
    if part.codec == "none":
        return nullcontext(stored)
    # The decoder takes a file, and does nothing but read it.
    return decoded(part.codec, None, cast(BinaryIO, stored), keys=None, limit_bytes=part.size_bytes)


def _from_disk(file: BinaryIO) -> None:
    """Let go of the kernel's copy, before so that the disk is what is read, and after so that nothing else is lost."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _of(part: Part, verdict: str, message: str, bytes_read: int = 0) -> Verdict:
    return Verdict(
        kind=part.kind,
        name=part.name,
        path=part.path,
        verdict=verdict,
        bytes_read=bytes_read,
        decoded=verdict == INTACT and part.encryption is None,
        message=message,
    )
