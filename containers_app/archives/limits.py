"""What an archive of a stranger may be at most."""

from __future__ import annotations

from dataclasses import dataclass

from containers_app.archives.sparse_map import MAP_LIMIT_BYTES
from containers_app.archives.tar_walker import EXTENSION_LIMIT_BYTES, EXTENSION_LIMIT_RECORDS

MIB, GIB, TIB = 1024**2, 1024**3, 1024**4


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one validation; what is over one of them is refused, and says by how much.

    `archive_bytes` bounds the plain tar, `content_bytes` what its files take once restored, holes of sparse ones
    included. A stored archive may grow by `ratio` when it is decompressed; below `ratio_free_bytes` no ratio counts.
    `members` counts members and the folders that only paths imply. `path_bytes` is for paths and targets of links,
    `name_bytes` for one component: Linux's PATH_MAX and NAME_MAX. `extension_bytes` and `extension_records` are for one
    extension header, `sparse_map_bytes` for the map of one sparse file. `devices` allows character and block devices,
    which the file system of a container may hold. The child process gets `memory_bytes` of address space and
    `cpu_seconds`, and is killed after `timeout_seconds`, the time of its source included.
    """

    archive_bytes: int = TIB
    content_bytes: int = 2 * TIB
    ratio: int = 200
    ratio_free_bytes: int = 64 * MIB
    members: int = 1_000_000
    path_bytes: int = 4096
    name_bytes: int = 255
    extension_bytes: int = EXTENSION_LIMIT_BYTES
    extension_records: int = EXTENSION_LIMIT_RECORDS
    sparse_map_bytes: int = MAP_LIMIT_BYTES
    devices: bool = False
    memory_bytes: int = 512 * MIB
    cpu_seconds: int = 900
    timeout_seconds: float = 3600.0

    def plain_bytes(self, stored_bytes: int | None) -> int:
        """How long the plain tar may be that is stored in so many bytes; None: it is stored as it is."""
        if stored_bytes is None:
            return self.archive_bytes
        return min(self.archive_bytes, max(self.ratio_free_bytes, stored_bytes * self.ratio))
