"""The rules for an archive that a stranger made: what it may hold, and under which names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from containers_app.archives.limits import Limits
from containers_app.archives.sparse_map import SparseMap
from containers_app.archives.tar_member import LINKS, SPARSE_PREFIX, Kind, TarMember, clean_path
from containers_app.archives.tar_walker import BLOCK_BYTES, TarWalker
from containers_app.errors import ArchiveInvalid

SHOWN_BYTES = 200

_WINDOWS_DRIVE = re.compile(rb"[A-Za-z]:[\\/]")
# POSIX.1-2001's own, and those with which GNU tar, star and libarchive describe what Linux keeps with a file.
_KEYWORDS = re.compile(
    rb"path|linkpath|size|mtime|atime|ctime|uid|gid|uname|gname|charset|hdrcharset|comment"
    rb"|SCHILY\.(?:xattr\..+|acl\.(?:access|default|ace)|fflags|dev|ino|nlink|realsize|devmajor|devminor)"
    rb"|LIBARCHIVE\.(?:xattr\..+|creationtime|symlinktype)|RHT\.security\.selinux",
    re.DOTALL,
)
_Known = Literal["implied"] | Kind


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An archive that was found harmless: its members, the length of the plain tar, and what its files take."""

    members: int
    archive_bytes: int
    content_bytes: int


class Judge:
    """Walks an archive and refuses it at the first thing that could do harm. Nothing is ever written.

    A *path* must stay in the tree by itself: it is relative, has no `..`, and no component of it is another member but
    a folder. The last one is the rule that matters for links, also in chains (CVE-2025-4517): since no member may be
    written through a symbolic link of the same archive, whichever of the two comes first, and since an archive is
    unpacked into an empty tree, all there is on the way are folders that it made itself.

    For that reason a *symbolic link* may point anywhere. `/usr/bin/python -> /etc/alternatives/python` is what an
    honest root file system is made of, its target means a place in the container, and nothing of ours follows it: what
    unpacks is GNU tar in a helper container, in an empty volume. A *hard link* is made to what is there, so it must
    name a member that came before it and is no folder.

    A name stands once, but for folders, which repeat when an archive is put together of several.
    """

    def __init__(self, limits: Limits, *, plain_bytes: int) -> None:
        self._limits, self._plain_bytes = limits, plain_bytes
        self._walker = TarWalker(
            self, extension_bytes=limits.extension_bytes, extension_records=limits.extension_records
        )
        # Digests, not names: what a million members of 4096 bytes need would be the attacker's choice.
        self._known: dict[bytes, _Known] = {}
        self._folder = b""
        self._archive_bytes = self._content_bytes = 0
        self._sparse: _SparseContent | None = None

    def feed(self, chunk: bytes | memoryview) -> None:
        """Judge the next plain bytes of the tar. Raises ArchiveInvalid."""
        self._archive_bytes += len(chunk)
        if self._archive_bytes > self._plain_bytes:
            raise ArchiveInvalid(f"The archive is too large: it has more than {self._plain_bytes} bytes unpacked.")
        self._walker.feed(chunk)

    def finish(self) -> Judged:
        """What was found, at the end of the stream. Raises ArchiveTruncated or ArchiveInvalid."""
        summary = self._walker.finish()
        self._end_sparse()
        return Judged(members=summary.members, archive_bytes=self._archive_bytes, content_bytes=self._content_bytes)

    def member(self, member: TarMember, /) -> None:
        """The walker's word that a member starts."""
        self._end_sparse()
        if fault := _fault(member.path, self._limits):
            raise _refused(member.path, fault)
        self._check_records(member)
        path = clean_path(member.path)
        self._check_kind(member)
        self._check_size(member)
        self._check_folders(path)
        if member.kind in LINKS:
            self._check_link(member)
        self._enter(path, member)
        if member.sparse:
            self._sparse = _SparseContent(member, self._limits)

    def content(self, piece: memoryview, /) -> None:
        """The walker's next bytes of that member."""
        if self._sparse is not None:
            self._sparse.add(piece)

    def _end_sparse(self) -> None:
        if self._sparse is not None:
            self._sparse.finish()
            self._sparse = None

    def _check_records(self, member: TarMember) -> None:
        for keyword in member.records:
            if not _KEYWORDS.fullmatch(keyword) and not keyword.startswith(SPARSE_PREFIX):
                raise _refused(member.path, f"has an extension record that is not supported, {_shown(keyword)}")

    def _check_kind(self, member: TarMember) -> None:
        if member.kind in ("character", "block") and not self._limits.devices:
            raise _refused(member.path, "is a device")
        if member.kind != "folder" and member.path.rpartition(b"/")[2] in (b"", b"."):
            raise _refused(member.path, f"is a {member.kind} whose name ends like that of a folder")

    def _check_size(self, member: TarMember) -> None:
        self._content_bytes += member.size_bytes
        if self._content_bytes > self._limits.content_bytes:
            raise _refused(member.path, f"brings the files to more than {self._limits.content_bytes} bytes")

    def _check_folders(self, path: bytes) -> None:
        """Every folder on the way to this path is one, and stays one; those that nobody knew are so from now on."""
        folder = path.rpartition(b"/")[0]
        if folder == self._folder:
            return
        self._folder = folder
        while folder:
            known = self._known.get(_digest(folder))
            if known in ("folder", "implied"):
                return
            if known is not None:
                raise _refused(path, f"leads through {_shown(folder)}, which is a {known} of this archive")
            self._learn(folder, "implied")
            folder = folder.rpartition(b"/")[0]

    def _check_link(self, member: TarMember) -> None:
        if len(member.target) > self._limits.path_bytes:
            raise _refused(member.path, f"has a link target of more than {self._limits.path_bytes} bytes")
        if member.kind == "symlink":
            return
        if fault := _fault(member.target, self._limits):
            raise _refused(member.path, f"is a hard link that leaves the tree, its target {fault}")
        if self._known.get(_digest(clean_path(member.target)), "folder") in ("folder", "implied"):
            raise _refused(member.path, "is a hard link to something that is not a file before it in this archive")

    def _enter(self, path: bytes, member: TarMember) -> None:
        known = self._known.get(_digest(path))
        if known is not None and not (known in ("folder", "implied") and member.kind == "folder"):
            raise _refused(member.path, f"stands twice: it is a {member.kind}, and a {known} before")
        self._learn(path, member.kind)

    def _learn(self, path: bytes, kind: _Known) -> None:
        self._known[_digest(path)] = kind
        if len(self._known) > self._limits.members:
            raise ArchiveInvalid(f"The archive has more than {self._limits.members} members.")


def judged(blocks: Iterator[bytes], judge: Judge) -> Iterator[bytes]:
    """The blocks, the last one only when all of them were found harmless. Raises ArchiveInvalid, ArchiveTruncated."""
    held = b""
    for block in blocks:
        judge.feed(block)
        if held:
            yield held
        held = block
    judge.finish()
    yield held


class _SparseContent:
    """Checks the map at the start of a sparse member's content against what follows."""

    def __init__(self, member: TarMember, limits: Limits) -> None:
        self._member = member
        self._map: SparseMap | None = SparseMap(limit_bytes=limits.sparse_map_bytes)
        self._block = bytearray()

    def add(self, piece: memoryview) -> None:
        while self._map is not None and piece:
            wanted_bytes = BLOCK_BYTES - len(self._block)
            self._block += piece[:wanted_bytes]
            piece = piece[wanted_bytes:]
            if len(self._block) == BLOCK_BYTES:
                self._add_block(self._map)

    def finish(self) -> None:
        if self._map is not None:
            raise _refused(self._member.path, "is a sparse file whose map is cut")

    def _add_block(self, sparse_map: SparseMap) -> None:
        member = self._member
        try:
            if sparse_map.add(bytes(self._block)):
                self._map = None
                for _ in sparse_map.regions(size_bytes=member.size_bytes, stored_bytes=member.stored_bytes):
                    pass
        except ValueError as error:
            raise _refused(member.path, f"cannot be restored: {error}") from error
        self._block.clear()


def _fault(path: bytes, limits: Limits) -> str | None:
    """What is wrong with a path by itself."""
    components = path.split(b"/")
    if len(path) > limits.path_bytes:
        return f"has a path of more than {limits.path_bytes} bytes"
    if path.startswith(b"/") or _WINDOWS_DRIVE.match(path):
        return "has an absolute path"
    if b".." in components:
        return "has .. in its path, which leads out of the tree"
    if max(map(len, components)) > limits.name_bytes:
        return f"has a name of more than {limits.name_bytes} bytes"
    return None


def _digest(path: bytes) -> bytes:
    return blake2b(path, digest_size=16).digest()


def _refused(path: bytes, words: str) -> ArchiveInvalid:
    return ArchiveInvalid(f"The archive is refused: {_shown(path)} {words}.")


def _shown(text: bytes) -> str:
    """A stranger's words as plain ASCII, shortened, so that they do nothing where they are shown."""
    return ascii(text[:SHOWN_BYTES].decode("utf-8", "surrogateescape"))
