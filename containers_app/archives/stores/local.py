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
        """Start a file under its temporary name in the wanted folder, which is made when missing.

        Raises NameTaken when the name is in use, InvalidRequest (field `options.path`) when a symbolic link or a file
        stands in the place of a folder, StorageFull or StorageError.
        """
        with ExitStack() as stack, storage_faults("opening the folder"):
            folder = _open_requested(location)
            stack.callback(close_quietly, folder)
            if entry_inode(folder, location.name) is not None:
                raise name_taken(location.name)
            self._require_room(folder, 1)
            writer = LocalWriter(folder, location, operation_id=operation_id, reserve_bytes=self._reserve_bytes)
            stack.pop_all()
        return writer

    def require_free(self, location: Location) -> None:
        """Raises NameTaken when something has this name, be it a link, and StorageError."""
        missing = suppress(FileNotFoundError, NotAFolder)
        with storage_faults("looking for the archive"), missing, _folder_of(location) as folder:
            if entry_inode(folder, location.name) is not None:
                raise name_taken(location.name)

    def exists(self, location: Location) -> bool:
        """Whether a regular file stands there. Raises StorageError when the storage cannot tell."""
        with storage_faults("looking for the archive"), suppress(FileNotFoundError), _folder_of(location) as folder:
            return stat.S_ISREG(os.stat(location.name, dir_fd=folder, follow_symlinks=False).st_mode)
        return False

    def stored_size(self, location: Location) -> int | None:
        """The size of the regular file there, by its entry alone; None without one.

        Raises StorageError when the storage cannot tell: a root that is gone says nothing about the files in it.
        """
        entry = self._entry(location)
        return entry and entry.st_size

    def _entry(self, location: Location) -> os.stat_result | None:
        with storage_faults("looking for the archive"):
            with suppress(FileNotFoundError, NotAFolder), _folder_of(location) as folder:
                entry = os.stat(location.name, dir_fd=folder, follow_symlinks=False)
                return entry if stat.S_ISREG(entry.st_mode) else None
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
        """Remove what a killed operation left of a file; returns the names that were removed.

        These are its temporary and, only when the final name has exactly this inode and so was given by that
        operation, the file. Raises StorageError.
        """
        with storage_faults("removing leftovers"), suppress(FileNotFoundError), _folder_of(location) as folder:
            published = inode is not None and entry_inode(folder, location.name) == inode
            names = (location.name,) if published else ()
            return _remove(folder, (*names, location.partial_name(operation_id)))
        return ()

    def sweep(self, leftover: Leftover) -> None:
        """Remove the temporary of an operation that is over. Raises StorageError."""
        self.remove(leftover.location)

    def remove(self, location: Location) -> bool:
        """Remove a file for good; False when none was there. Raises StorageError."""
        with storage_faults("removing the archive"), suppress(FileNotFoundError), _folder_of(location) as folder:
            return bool(_remove(folder, (location.name,)))
        return False

    def mark(self, location: Location) -> str | None:
        """What tells the file there from every other one that ever had its name; None without one.

        An inode alone does not: file systems give it to the next file. Raises StorageError as `stored_size`.
        """
        entry = self._entry(location)
        return entry and f"{entry.st_ino}:{entry.st_mtime_ns}:{entry.st_size}"

    def remove_marked(self, location: Location, mark: str) -> bool:
        """Remove the file that had this mark, and no other one that has its name by now. Raises StorageError."""
        return self.mark(location) == mark and self.remove(location)

    def manifests(self) -> tuple[Location, ...]:
        """The files below the roots that are called like a manifest, by their names alone; bounded as a sweep is."""
        return tuple(found for found in self._found("looking for backups") if paths.is_manifest_name(found.name))

    def sweep_candidates(self) -> tuple[Leftover, ...]:
        """The temporaries below the roots; `sweep` removes one.

        Looks at no more than SWEEP_LIMIT_ENTRIES entries, and only into folders that requests can name; what cannot
        be read is left out. The caller decides which operations are still alive. Raises StorageError.
        """
        found = [(location, paths.operation_of_partial(location.name)) for location in self._found("sweeping")]
        return tuple(Leftover(location=location, operation_id=owner) for location, owner in found if owner)

    def _found(self, doing: str) -> Iterator[Location]:
        for root in self.roots:
            with storage_faults(doing), suppress(FileNotFoundError):
                yield from _files(root)

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


def _remove(folder: int, names: tuple[str, ...]) -> tuple[str, ...]:
    removed = []
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
            removed.append(name)
    if removed:
        os.fsync(folder)
    return tuple(removed)


def _files(root: str) -> Iterator[Location]:
    with ExitStack() as stack:
        descriptor = open_folder(root, ())
        stack.callback(close_quietly, descriptor)
        looked_at = 0
        for place, folders, files, _ in os.fwalk(".", dir_fd=descriptor):
            below = tuple(place.split("/")[1:])
            yield from (Location(root=root, folders=below, name=name) for name in files)
            folders[:] = filter(paths.is_folder_name, folders) if len(below) < paths.MAXIMUM_FOLDERS else ()
            looked_at += len(files) + len(folders)
            if looked_at > SWEEP_LIMIT_ENTRIES:
                return
