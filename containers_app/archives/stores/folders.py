"""Opens folders and names files inside them so that no symbolic link can lead a write out of the backup root."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import ExitStack, suppress
from pathlib import Path

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY
_PRIVATE_FOLDER = 0o700
_NOT_A_FOLDER = frozenset((errno.ELOOP, errno.ENOTDIR))
_NO_HARD_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS))
_NO_EXCLUSIVE_RENAME = frozenset((errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS))
_RENAME_NOREPLACE = 1


class NotAFolder(OSError):
    """Below the root, a symbolic link or a file stands where a folder should be."""


def open_folder(root: str, folders: tuple[str, ...], *, create: bool = False) -> int:
    """A descriptor of the folder; the caller closes it.

    The root may be reached through symbolic links: the administrator chose it. Below it none is followed.
    With `create`, missing folders are made, for the owner alone. Raises OSError, FileNotFoundError and NotAFolder.
    """
    if create:
        _make_root(Path(root))
    descriptor = os.open(root, _FOLDER_FLAGS)
    for folder in folders:
        with ExitStack() as stack:
            stack.callback(close_quietly, descriptor)
            descriptor = _open_below(descriptor, folder, create=create)
    return descriptor


def close_quietly(descriptor: int) -> None:
    """Close a descriptor whose errors tell nothing: one that nothing was written to, or whose file is given up."""
    with suppress(OSError):
        os.close(descriptor)


def entry_inode(folder: int, name: str) -> int | None:
    """The inode of what has this name in the folder, be it a link, or None. Raises OSError."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None


def place(folder: int, temporary: str, name: str) -> None:
    """Give a temporary its final name, never over another file; it may keep the temporary name too.

    Raises FileExistsError when the name is in use, OSError otherwise.
    """
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _rename_exclusively(folder, temporary, name)


def _rename_exclusively(folder: int, temporary: str, name: str) -> None:
    """renameat2(2) with RENAME_NOREPLACE; where the file system lacks it, a look and a rename."""
    code = _renameat2(folder, temporary, name)
    if code in _NO_EXCLUSIVE_RENAME:
        code = errno.EEXIST if entry_inode(folder, name) is not None else 0
        if not code:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    if code:
        raise OSError(code, os.strerror(code))


def _renameat2(folder: int, temporary: str, name: str) -> int:
    """The errno of the call, 0 for success."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return errno.ENOSYS
    failed = function(folder, os.fsencode(temporary), folder, os.fsencode(name), ctypes.c_uint(_RENAME_NOREPLACE))
    return ctypes.get_errno() if failed else 0


def _make_root(root: Path) -> None:
    if not root.exists():
        _make_root(root.parent)
        with ExitStack() as stack:
            parent = os.open(root.parent, _FOLDER_FLAGS)
            stack.callback(close_quietly, parent)
            _make_folder(parent, root.name)


def _open_below(parent: int, folder: str, *, create: bool) -> int:
    try:
        if create and entry_inode(parent, folder) is None:
            _make_folder(parent, folder)
        return os.open(folder, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in _NOT_A_FOLDER:
            raise
        raise NotAFolder(error.errno, os.strerror(error.errno or 0)) from error


def _make_folder(parent: int, folder: str) -> None:
    try:
        os.mkdir(folder, _PRIVATE_FOLDER, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)
