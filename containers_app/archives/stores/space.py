"""Keeps a part of the storage free, so that a full disk is refused early and deleting still works."""

from __future__ import annotations

import os

from containers_app.errors import StorageFull

DEFAULT_RESERVE_BYTES = 64 * 1024 * 1024
CHECK_INTERVAL_BYTES = 64 * 1024 * 1024

_FILES_OF_A_BACKUP = 2
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def free_bytes(place: int | str) -> int:
    """What an unprivileged writer may still use on the file system of a path or descriptor. Raises OSError."""
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def require_space(
    place: int | str, *, needed_bytes: int, reserve_bytes: int, called: str = "The backup storage"
) -> int:
    """How many bytes may be written before the reserve is touched: `needed_bytes` or more. `called` begins the words.

    Raises StorageFull when they are fewer; raises OSError.
    """
    free = free_bytes(place)
    usable = free - reserve_bytes
    if usable < needed_bytes:
        raise StorageFull(
            f"{called} needs {_readable(needed_bytes)} beside its reserve of {_readable(reserve_bytes)}, "
            f"and has {_readable(free)}: free some space, or use another folder."
        )
    return usable


def require_inodes(place: int | str) -> None:
    """Raises StorageFull when the file system has no inodes left for an archive and its manifest; raises OSError."""
    status = os.statvfs(place)
    # Some file systems (btrfs) make inodes as they go and report none at all.
    if status.f_files and status.f_favail < _FILES_OF_A_BACKUP:
        raise StorageFull("The backup storage can hold no more files: delete some, or use another folder.")


class SpaceGuard:
    """Asks for the free space of one open file now and then, and often enough that the reserve is never used."""

    def __init__(self, descriptor: int, reserve_bytes: int, *, called: str = "The backup storage") -> None:
        self._descriptor = descriptor
        self._called = called
        self._reserve_bytes = reserve_bytes
        self._allowance_bytes = 0

    def before_writing(self, size_bytes: int) -> None:
        """Call before each write. Raises StorageFull when it would use the reserve, and OSError."""
        if size_bytes > self._allowance_bytes:
            usable = self._usable_bytes(size_bytes)
            self._allowance_bytes = max(size_bytes, min(CHECK_INTERVAL_BYTES, usable))
        self._allowance_bytes -= size_bytes

    def _usable_bytes(self, size_bytes: int) -> int:
        return require_space(
            self._descriptor, needed_bytes=size_bytes, reserve_bytes=self._reserve_bytes, called=self._called
        )


def _readable(size_bytes: int) -> str:
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"
