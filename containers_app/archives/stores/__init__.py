"""What every place for backups can do, so that workflows need not know which one they write to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from containers_app.archives.stores.paths import Leftover, Location

__all__ = ["ArchiveStore", "ArchiveWriter", "Leftover", "Location", "nothing_to_check"]


def nothing_to_check() -> None:
    """The checkpoint of somebody who never stops."""


class ArchiveWriter(Protocol):
    """One file on its way: write, then seal, then publish, in this order; leaving it unpublished discards it.

    Every method but `abort` raises StorageFull or StorageError, and has then discarded what was written.
    """

    @property
    def inode(self) -> int:
        """What identifies the file that this writer makes, for the undo record."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Append the whole chunk."""

    def seal(self, sha256: str, size_bytes: int, *, checkpoint: Callable[[], None] = nothing_to_check) -> None:
        """Make the bytes durable, read them back and compare; `checkpoint` is called between reads and may raise."""

    def publish(self) -> None:
        """Give the file its name, never over another one. Raises NameTaken."""

    def abort(self) -> None:
        """Discard what was made and is not published; never raises, and may be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class ArchiveStore(Protocol):
    """A place for archives. All methods but `locate` and `path_of` raise StorageError when the place fails."""

    def locate(self, path: str | None, name: str) -> Location:
        """Where a requested folder and file name are, by their words alone. Raises InvalidRequest."""

    def path_of(self, location: Location) -> str:
        """The absolute path, as a person writes it."""

    def check_space(self, location: Location, needed_bytes: int | None = None) -> None:
        """Raises StorageFull when `needed_bytes`, or anything at all, does not fit beside the reserve."""

    def free_bytes(self, location: Location | None = None) -> int:
        """The bytes left for this product, the reserve included; without a location, in the first root."""

    def open_for_write(self, location: Location, operation_id: str) -> ArchiveWriter:
        """Start an archive under a temporary name. Raises NameTaken, InvalidRequest, StorageFull or StorageError."""

    def require_free(self, location: Location) -> None:
        """Raises NameTaken when something has this name."""

    def exists(self, location: Location) -> bool:
        """Whether a regular file stands there."""

    def stored_size(self, location: Location) -> int | None:
        """The size of the regular file there, by its entry alone; None without one."""

    def size(self, location: Location) -> int:
        """The file's size in bytes."""

    def read(self, location: Location) -> AbstractContextManager[BinaryIO]:
        """The file, open for reading and seekable."""

    def remove_leftovers(self, location: Location, operation_id: str, inode: int | None) -> tuple[str, ...]:
        """Remove what a killed operation left, and its published file only when it has that inode; names removed."""

    def remove(self, location: Location) -> bool:
        """Remove a file for good; False when none was there."""

    def mark(self, location: Location) -> str | None:
        """What tells the file there from every other one that ever had its name; None without one."""

    def remove_marked(self, location: Location, mark: str) -> bool:
        """Remove the file that had this mark; False when it is gone, or another one has its name."""

    def manifests(self) -> tuple[Location, ...]:
        """The files that are called like a manifest; who reads one believes nothing in it."""

    def sweep(self, leftover: Leftover) -> None:
        """Remove a temporary whose operation is over."""

    def sweep_candidates(self) -> tuple[Leftover, ...]:
        """The temporaries that stand in the store; the caller knows which of their operations are alive."""
