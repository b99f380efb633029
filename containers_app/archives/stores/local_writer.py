"""Writes one archive into a local folder so that it has its name only once it is whole, durable and read back."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from containers_app.archives.stores import nothing_to_check
from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.stores.folders import close_quietly, entry_inode, place
from containers_app.archives.stores.paths import NAME_FIELD, Location
from containers_app.archives.stores.read_back import ReadBack
from containers_app.archives.stores.space import SpaceGuard
from containers_app.errors import MycoError, NameTaken, StorageError

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_PRIVATE_FILE = 0o600


class _State(enum.Enum):
    WRITING = enum.auto()
    SEALED = enum.auto()
    CLOSED = enum.auto()


class LocalWriter:
    """A file on its way into one folder; see `ArchiveWriter` for the order of the calls.

    Steps (the usual way to replace a file safely, with a link in place of the rename so that nothing is replaced):
    exclusive temporary, write, fsync, close, read back, link, fsync of the folder. What is written is read back in a
    thread while more comes. A failed step is never tried again: the writer discards everything instead.
    """

    def __init__(self, folder: int, location: Location, *, operation_id: str, reserve_bytes: int) -> None:
        """Takes over the descriptor `folder` once it returns. Raises StorageFull and StorageError."""
        self._folder = folder
        self._location = location
        self._partial = location.partial_name(operation_id)
        self._open_descriptors: list[int] = []
        self._made: dict[str, int | None] = {}
        self._state = _State.WRITING
        self._read_back = ReadBack()
        with self._step(_State.WRITING, "creating a file"):
            self._file = self._create(self._partial)
            self._inode = os.fstat(self._file).st_ino
        self._made[self._partial] = self._inode
        self._space = SpaceGuard(self._file, reserve_bytes)
        self._open_descriptors.append(folder)
        self._size_bytes = 0

    @property
    def inode(self) -> int:
        """The inode of the temporary, which the archive keeps under its final name."""
        return self._inode

    def write(self, chunk: bytes | memoryview) -> None:
        """Append the whole chunk. Raises StorageFull or StorageError, and has then discarded the archive."""
        with self._step(_State.WRITING, "writing the archive"):
            self._space.before_writing(len(chunk))
            _write_all(self._file, chunk)
            self._size_bytes += len(chunk)
            self._read_back.follow(self._file, self._size_bytes)

    def seal(self, sha256: str, size_bytes: int, *, checkpoint: Callable[[], None] = nothing_to_check) -> None:
        """Make the archive durable and compare what the storage gives back with the hash and size that were sent.

        Raises StorageFull or StorageError, and what `checkpoint` raises between two reads.
        """
        with self._step(_State.WRITING, "making the archive durable, and reading it back"):
            found = self._read_back.finish(self._file, checkpoint)
            if entry_inode(self._folder, self._partial) != self._inode or found != (sha256, size_bytes):
                raise StorageError("The backup storage did not give back what was written: check the disk, then retry.")
            self._close(self._file)
        self._state = _State.SEALED

    def publish(self) -> None:
        """Give the file its name, durably. Raises NameTaken when it is in use by now, StorageFull or StorageError."""
        with self._step(_State.SEALED, "publishing the archive"):
            self._place(self._partial, self._location.name)
        # From here on the file stands; a temporary name that cannot be removed is the sweeper's work.
        self._state = _State.CLOSED
        with suppress(OSError):
            os.unlink(self._partial, dir_fd=self._folder)
        self._close_all()

    def abort(self) -> None:
        """Remove every file that this writer made; folders stay. Never raises, and may be called again."""
        if self._state is _State.CLOSED:
            return
        while self._made:
            name, inode = self._made.popitem()
            with suppress(OSError):
                if inode is None or entry_inode(self._folder, name) == inode:
                    os.unlink(name, dir_fd=self._folder)
        self._state = _State.CLOSED
        self._close_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    @contextmanager
    def _step(self, expected: _State, doing: str) -> Iterator[None]:
        if self._state is not expected:
            raise RuntimeError(f"an archive that is {self._state.name} cannot go on with {doing}")
        try:
            with storage_faults(doing):
                yield
        except MycoError:
            self.abort()
            raise

    def _create(self, name: str) -> int:
        """A new file under a temporary name, noted as ours to close and to remove."""
        try:
            descriptor = os.open(name, _NEW_FILE, _PRIVATE_FILE, dir_fd=self._folder)
        except FileExistsError as error:
            raise StorageError(
                "A temporary file of this operation stands in the folder: retry when it is swept."
            ) from error
        self._open_descriptors.append(descriptor)
        # No inode yet, and none is needed: the file did not exist before.
        self._made[name] = None
        return descriptor

    def _place(self, temporary: str, name: str) -> None:
        inode = self._made[temporary]
        # Noted first: whatever happens in between, the inode tells whether the name is ours to remove.
        self._made[name] = inode
        try:
            place(self._folder, temporary, name)
        except FileExistsError as error:
            raise name_taken(name) from error
        if entry_inode(self._folder, name) != inode:
            raise StorageError("Another file took the place of the archive while it was published: retry.")
        os.fsync(self._folder)

    def _close(self, descriptor: int) -> None:
        self._open_descriptors.remove(descriptor)
        os.close(descriptor)

    def _close_all(self) -> None:
        self._read_back.close()
        while self._open_descriptors:
            close_quietly(self._open_descriptors.pop())


def name_taken(name: str) -> NameTaken:
    """The error for a name that is in use in the wanted folder."""
    return NameTaken(
        f"A file named {name} exists already in that folder: choose another options.name.", field=NAME_FIELD
    )


def _write_all(descriptor: int, chunk: bytes | memoryview) -> None:
    written = os.write(descriptor, chunk)
    while written < len(chunk):
        written += os.write(descriptor, memoryview(chunk)[written:])
