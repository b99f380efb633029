"""Keeps archives in folders of this machine, or of a network share that is mounted on it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from containers_app.archives.stores import ArchiveWriter, Leftover, Location, paths, space
from containers_app.archives.stores.faults import storage_faults
from containers_app.archives.stores.folders import NotAFolder, close_quietly, entry_inode, open_folder
from containers_app.archives.stores.local_writer import LocalWriter, name_taken
from containers_app.errors import InvalidRequest, StorageError

__all__ = ["ArchiveWriter", "Leftover", "LocalStore", "Location"]

SWEEP_LIMIT_ENTRIES = 100_000

# Without O_NONBLOCK a named pipe in the archive's place would hold its reader for ever.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class LocalStore:
    """Archives below one or more absolute root folders; the first root is the default.

    Roots are made when missing, for the owner alone. `reserve_bytes` of the file system stay free. Raises ValueError
    for roots that are not absolute folders written plainly.
    """

    def __init__(self, roots: Iterable[str], *, reserve_bytes: int = space.DEFAULT_RESERVE_BYTES) -> None:
        self.roots = paths.checked_roots(roots)
        self._reserve_bytes = reserve_bytes

    def locate(self, path: str | None, name: str) -> Location:
        """Where a request's folder and file name are; see `paths.locate`. Raises InvalidRequest."""
        return paths.locate(self.roots, path, name)

    def path_of(self, location: Location) -> str:
        """The absolute path as a person writes it: no symbolic link is resolved."""
        return "/".join((location.root, *location.folders, location.name))

    def free_bytes(self, location: Location | None = None) -> int:
        """The bytes that a writer may still use, the reserve included; in the first root without a location."""
        folder = Path(location.root, *location.folders) if location else Path(self.roots[0])
        with storage_faults("asking for free space"):
            return space.free_bytes(_nearest(folder))

    def check_space(self, location: Location, needed_bytes: int | None = None) -> None:
        """Raises StorageFull unless `needed_bytes` (at least one) fit beside the reserve, and StorageError."""
        with storage_faults("asking for free space"):
            self._require_room(_nearest(Path(location.root, *location.folders)), needed_bytes or 1)

    def open_for_write(self, location: Location, operation_id: str) -> ArchiveWriter:
        """Start an archive as `.<operation_id>.partial` in the wanted folder, which is made when missing.

        Raises NameTaken when the name or its manifest's is in use, InvalidRequest (field `options.path`) when a
        symbolic link or a file stands in the place of a folder, StorageFull or StorageError.
        """
        with ExitStack() as stack, storage_faults("opening the folder"):
            folder = _open_requested(location)
            stack.callback(close_quietly, folder)
            for name in (location.name, location.manifest_name):
                if entry_inode(folder, name) is not None:
                    raise name_taken(name)
            self._require_room(folder, 1)
            writer = LocalWriter(folder, location, operation_id=operation_id, reserve_bytes=self._reserve_bytes)
            stack.pop_all()
        return writer

    def exists(self, location: Location) -> bool:
        """Whether a regular file stands there. Raises StorageError when the storage cannot tell."""
        with storage_faults("looking for the archive"), suppress(FileNotFoundError), _folder_of(location) as folder:
            return stat.S_ISREG(os.stat(location.name, dir_fd=folder, follow_symlinks=False).st_mode)
        return False

    def stored_size(self, location: Location) -> int | None:
        """The size of the regular file there, by its entry alone; None without one.

        Raises StorageError when the storage cannot tell: a root that is gone says nothing about the files in it.
        """
        with storage_faults("looking for the archive"):
            with suppress(FileNotFoundError, NotAFolder), _folder_of(location) as folder:
                entry = os.stat(location.name, dir_fd=folder, follow_symlinks=False)
                return entry.st_size if stat.S_ISREG(entry.st_mode) else None
            Path(location.root).stat()
        return None

    def size(self, location: Location) -> int:
        """The size in bytes. Raises StorageError, also when no file stands there."""
        with self.read(location) as file:
            return os.fstat(file.fileno()).st_size

    @contextmanager
    def read(self, location: Location) -> Iterator[BinaryIO]:
        """The file, open for reading. Raises StorageError, also when no regular file stands there."""
        with ExitStack() as stack:
            with storage_faults("opening the archive"), _folder_of(location) as folder:
                descriptor = os.open(location.name, _READ_FLAGS, dir_fd=folder)
                stack.callback(close_quietly, descriptor)
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise StorageError(f"{location.name} is not a regular file on the backup storage.")
                file = stack.enter_context(os.fdopen(descriptor, "rb", closefd=False))
            yield file

    def remove_leftovers(self, location: Location, operation_id: str, inode: int | None) -> tuple[str, ...]:
        """Remove what a killed operation left; returns the names that were removed.

        These are its two temporaries and, only when the archive's final name has exactly this inode and so was given
        by that operation, the archive and its manifest. Raises StorageError.
        """
        with storage_faults("removing leftovers"), suppress(FileNotFoundError), _folder_of(location) as folder:
            published = inode is not None and entry_inode(folder, location.name) == inode
            names = (location.manifest_name, location.name) if published else ()
            return _remove(folder, (*names, *_partials(operation_id)))
        return ()

    def sweep_candidates(self) -> tuple[Leftover, ...]:
        """The temporaries below the roots; `remove_leftovers` with such a location and no inode removes them.

        Looks at no more than SWEEP_LIMIT_ENTRIES entries, and only into folders that requests can name; what cannot
        be read is left out. The caller decides which operations are still alive. Raises StorageError.
        """
        found: list[Leftover] = []
        for root in self.roots:
            with storage_faults("looking for leftovers"), suppress(FileNotFoundError):
                found.extend(_leftovers(root))
        return tuple(found)

    def _require_room(self, place: int | str, needed_bytes: int) -> None:
        space.require_space(place, needed_bytes=needed_bytes, reserve_bytes=self._reserve_bytes)
        space.require_inodes(place)


def _open_requested(location: Location) -> int:
    try:
        return open_folder(location.root, location.folders, create=True)
    except NotAFolder as error:
        raise InvalidRequest(
            "options.path leads through something that is not a folder (symbolic links are not followed): "
            "name another folder.",
            field=paths.PATH_FIELD,
        ) from error


@contextmanager
def _folder_of(location: Location) -> Iterator[int]:
    descriptor = open_folder(location.root, location.folders)
    try:
        yield descriptor
    finally:
        close_quietly(descriptor)


def _nearest(folder: Path) -> str:
    """The longest part of the path that exists: a missing folder will be made on its file system."""
    return str(next(place for place in (folder, *folder.parents) if place.is_dir()))


def _partials(operation_id: str) -> tuple[str, str]:
    return paths.manifest_partial_name(operation_id), paths.partial_name(operation_id)


def _remove(folder: int, names: tuple[str, ...]) -> tuple[str, ...]:
    removed = []
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
            removed.append(name)
    if removed:
        os.fsync(folder)
    return tuple(removed)


def _leftovers(root: str) -> Iterator[Leftover]:
    with ExitStack() as stack:
        descriptor = open_folder(root, ())
        stack.callback(close_quietly, descriptor)
        looked_at = 0
        for place, folders, files, _ in os.fwalk(".", dir_fd=descriptor):
            below = tuple(place.split("/")[1:])
            for name in files:
                if operation_id := paths.operation_of_partial(name):
                    yield Leftover(location=Location(root=root, folders=below, name=name), operation_id=operation_id)
            folders[:] = filter(paths.is_folder_name, folders) if len(below) < paths.MAXIMUM_FOLDERS else ()
            looked_at += len(files) + len(folders)
            if looked_at > SWEEP_LIMIT_ENTRIES:
                return
