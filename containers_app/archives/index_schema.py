"""The file format of an index: what builds one and what reads one agree here."""

from __future__ import annotations

from dataclasses import dataclass

from containers_app.archives.tar_member import Kind

# `PRAGMA application_id`, "MyIx" in ASCII, and `PRAGMA user_version`.
APPLICATION_ID = 0x4D794978
VERSION = 1
PATH_LIMIT_BYTES = 4096

# The root is the one entry without a name, in its own folder.
ROOT_ID = 1

TABLES = (
    "CREATE TABLE folders (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE)",
    "CREATE TABLE entries (folder_id INTEGER NOT NULL, name BLOB NOT NULL, kind TEXT NOT NULL,"
    " mode INTEGER, uid INTEGER, gid INTEGER, mtime_seconds INTEGER, mtime_nanoseconds INTEGER,"
    " size_bytes INTEGER NOT NULL, sha256 BLOB, target BLOB NOT NULL, header_offset INTEGER, member_bytes INTEGER,"
    " data_offset INTEGER, stored_bytes INTEGER NOT NULL, sparse INTEGER NOT NULL,"
    " PRIMARY KEY (folder_id, name)) WITHOUT ROWID",
    "CREATE TABLE totals (kind TEXT PRIMARY KEY, entries INTEGER NOT NULL, size_bytes INTEGER NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the tree that an archive holds, in the order of the columns.

    `folder` and `name` are bytes, as in the archive: Linux names need not be UTF-8, and `os.fsdecode` makes text of
    them that `os.fsencode` turns back. `mode`, `uid`, `gid`, the time and `header_offset` are None for a folder that no
    member describes, only the paths below it. `size_bytes` is the restored size and `sha256` the digest of the stored
    content, of files and of hard links to files. `target` is a symbolic link's text, or the path of the entry that a
    hard link was made to. Offsets count from the start of the plain tar: the member's headers and content are
    `member_bytes` from `header_offset`, the content `stored_bytes` from `data_offset`, which for a hard link is that of
    the file. `sparse` content starts with a map.
    """

    folder: bytes
    name: bytes
    kind: Kind
    mode: int | None
    uid: int | None
    gid: int | None
    mtime_seconds: int | None
    mtime_nanoseconds: int | None
    size_bytes: int
    sha256: bytes | None
    target: bytes
    header_offset: int | None
    member_bytes: int | None
    data_offset: int | None
    stored_bytes: int
    sparse: int

    @property
    def path(self) -> bytes:
        """The whole path, without a slash at either end; empty for the root."""
        return joined(self.folder, self.name)

    @property
    def mtime_ns(self) -> int | None:
        """Nanoseconds since 1970, UTC."""
        if self.mtime_seconds is None or self.mtime_nanoseconds is None:
            return None
        return self.mtime_seconds * 10**9 + self.mtime_nanoseconds


def joined(folder: bytes, name: bytes) -> bytes:
    """The path of a name in a folder."""
    return folder + b"/" + name if folder else name


def split(path: bytes) -> tuple[bytes, bytes]:
    """Folder and name of a clean path; of the root both are empty."""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether a clean path is the folder's own or one below it."""
    return not folder or path == folder or path.startswith(folder + b"/")
