"""What a tar holds, told so that two tars of one tree can be compared, whatever their order."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from containers_app.archives.sparse_map import BLOCK_BYTES, SparseMap
from containers_app.archives.tar_member import TarMember, clean_path
from containers_app.archives.tar_walker import TarWalker
from containers_app.errors import ArchiveInvalid

# What belongs to the host's policy, and differs where the trees are equal.
_VOLATILE = frozenset((b"SCHILY.xattr.security.selinux", b"SCHILY.xattr.security.ima", b"SCHILY.xattr.security.evm"))
_COMPARED_PREFIXES = (b"SCHILY.xattr.", b"SCHILY.acl.")
_ZEROS = bytes(1024 * 1024)


@dataclass(frozen=True, kw_only=True)
class TreeFacts:
    """`digests` has one for each path, of all that is compared of it; `size_bytes` is what the files take.

    `contents`: SHA-256 of what is in each file, if that was asked for.
    """

    digests: Mapping[bytes, bytes] = field(repr=False)
    size_bytes: int
    contents: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)

    @property
    def sha256(self) -> str:
        """One hash of the whole tree, in hex: equal trees, equal hashes."""
        hashed = hashlib.sha256()
        for path in sorted(self.digests):
            hashed.update(len(path).to_bytes(8, "big") + path + self.digests[path])
        return hashed.hexdigest()

    def document(self) -> dict[str, object]:
        """As proofs show it."""
        return {"entries": len(self.digests), "bytes": self.size_bytes, "sha256": self.sha256}

    def differing(self, other: TreeFacts) -> tuple[bytes, ...]:
        """The paths that only one of them has, or that are not the same in both; sorted."""
        every = self.digests.keys() | other.digests.keys()
        return tuple(sorted(path for path in every if self.digests.get(path) != other.digests.get(path)))


class TarTree:
    """Reads a plain tar that passes, and says what is in it.

    Of each member: path, kind, mode, owner, time of change (to the nanosecond where the tar has it), size, content,
    target of a link, extended attributes and access lists; names that are hard links of one file are a group. Not
    compared: the numbers of devices, and the times of `undated` paths. A hole of a sparse file is the zeros that it
    reads as. Memory: about 250 bytes a member, and as much again with `contents`.
    """

    def __init__(self, *, undated: Collection[bytes] = (), contents: bool = False) -> None:
        self._undated = frozenset(undated)
        self._contents: dict[bytes, bytes] | None = {} if contents else None
        self._walker = TarWalker(self)
        self._member: TarMember | None = None
        self._content: _Content | None = None
        self._facts: dict[bytes, bytes] = {}
        self._links: dict[bytes, bytes] = {}
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes. Raises ArchiveInvalid for what is no tar."""
        self._walker.feed(chunk)

    def finish(self) -> TreeFacts:
        """What it was. Raises ArchiveInvalid, ArchiveTruncated."""
        self._walker.finish()
        self._end_member()
        digests = self._grouped()
        contents = self._contents or {}
        contents |= {path: contents[target] for path, target in self._links.items() if target in contents}
        return TreeFacts(digests=digests, size_bytes=self._size_bytes, contents=contents)

    def member(self, member: TarMember, /) -> None:
        """The walker's word that a member starts."""
        self._end_member()
        path = clean_path(member.path)
        if member.kind == "hardlink":
            target = clean_path(member.target)
            self._links[path] = self._links.get(target, target)
            return
        self._member, self._content = member, _Content(member)
        self._size_bytes += member.size_bytes

    def content(self, piece: memoryview, /) -> None:
        """The walker's next bytes of that member."""
        if self._content is not None:
            self._content.add(piece)

    def _end_member(self) -> None:
        if self._member is not None and self._content is not None:
            path = clean_path(self._member.path)
            dated, content_sha256 = path not in self._undated, self._content.finish()
            self._facts[path] = _digest(_fields(self._member, content_sha256, dated=dated))
            if self._contents is not None and self._member.kind == "file":
                self._contents[path] = content_sha256
        self._member = self._content = None

    def _grouped(self) -> dict[bytes, bytes]:
        """Which name of a file comes first in a tar is chance: each name of a group stands for the whole group."""
        groups: dict[bytes, list[bytes]] = {}
        for path, target in self._links.items():
            groups.setdefault(target, [target]).append(path)
        digests = dict(self._facts)
        for target, names in groups.items():
            if target not in self._facts:
                raise ArchiveInvalid("The archive has a hard link to a file that is not in it.")
            digests |= dict.fromkeys(names, _digest([self._facts[target], *sorted(names)]))
        return digests


def _fields(member: TarMember, content_sha256: bytes, *, dated: bool) -> Iterable[bytes]:
    yield member.kind.encode()
    moment = member.mtime_ns if dated else 0
    for number in (member.mode, member.uid, member.gid, moment, member.size_bytes):
        yield b"%d" % number
    yield member.target
    yield content_sha256
    for keyword in sorted(member.records.keys() - _VOLATILE):
        if keyword.startswith(_COMPARED_PREFIXES):
            yield keyword
            yield member.records[keyword]


def _digest(fields: Iterable[bytes]) -> bytes:
    hashed = hashlib.sha256()
    for content in fields:
        hashed.update(len(content).to_bytes(8, "big") + content)
    return hashed.digest()


class _Content:
    """The SHA-256 of a file's content as it reads once restored."""

    def __init__(self, member: TarMember) -> None:
        self._member = member
        self._hashed = hashlib.sha256()
        self._map = SparseMap() if member.sparse else None
        self._block = bytearray()
        self._regions: list[tuple[int, int]] = []
        self._offset = 0

    def add(self, piece: memoryview) -> None:
        while self._map is not None and piece:
            wanted_bytes = BLOCK_BYTES - len(self._block)
            self._block += piece[:wanted_bytes]
            piece = piece[wanted_bytes:]
            self._read_map(self._map)
        while self._regions and piece:
            piece = self._fill(piece)
        if not self._member.sparse:
            self._hashed.update(piece)

    def finish(self) -> bytes:
        if self._member.sparse:
            self._skip_to(self._member.size_bytes)
        return self._hashed.digest()

    def _read_map(self, sparse_map: SparseMap) -> None:
        if len(self._block) < BLOCK_BYTES:
            return
        member = self._member
        try:
            if sparse_map.add(bytes(self._block)):
                regions = sparse_map.regions(size_bytes=member.size_bytes, stored_bytes=member.stored_bytes)
                self._regions = [region for region in regions if region[1]][::-1]
                self._map = None
        except ValueError as error:
            raise ArchiveInvalid(f"The archive has a sparse file that cannot be read: {error}.") from error
        self._block.clear()

    def _fill(self, piece: memoryview) -> memoryview:
        """Take what of the piece belongs to the current region."""
        offset, length = self._regions.pop()
        self._skip_to(offset)
        taken = piece[:length]
        self._hashed.update(taken)
        self._offset += len(taken)
        if len(taken) < length:
            self._regions.append((offset + len(taken), length - len(taken)))
        return piece[len(taken) :]

    def _skip_to(self, offset: int) -> None:
        """Over a hole, which reads as zeros."""
        while self._offset < offset:
            zeros = _ZEROS[: offset - self._offset]
            self._hashed.update(zeros)
            self._offset += len(zeros)
