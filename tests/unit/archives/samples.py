"""Archives, sources and places that several tests of the archives layer need."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from containers_app.archives.manifest import ContainerIdentity, Manifest, ManifestWarning, Part
from containers_app.archives.stores import ArchiveWriter
from containers_app.archives.stores.local import LocalStore, Location
from containers_app.engine import tree_program

OPERATION = "0192f0c1-7a3b-7cde-8f01-23456789abcd"
END_MARKER = bytes(1024)
BLOCK = 512
# How a helper container packs a volume.
PACK = tree_program.PACK


@dataclass(frozen=True)
class Member:
    """One member of a sample archive; `typeflag` as in the tarfile module."""

    name: str
    content: bytes = b""
    typeflag: bytes = tarfile.REGTYPE
    target: str = ""
    owner: int = 0
    seconds: float = 0.0
    mode: int = 0o644


def tar_of(members: Iterable[Member], archive_format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar that ends right behind its end marker, without further padding."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=archive_format) as archive:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.linkname, info.uid, info.mtime = (
                member.typeflag,
                member.target,
                member.owner,
                member.seconds,
            )
            info.size, info.mode = len(member.content), member.mode
            archive.addfile(info, io.BytesIO(member.content))
        end = archive.offset
    return stream.getvalue()[:end] + END_MARKER


def header(typeflag: bytes, *, size_field: bytes = b"00000000000\0", name: bytes = b"file") -> bytes:
    """One header block, written by hand with the right checksum."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[124:136] = size_field
    block[148:156] = b" " * 8
    block[156:157] = typeflag
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def octal(size_bytes: int) -> bytes:
    return b"%011o\0" % size_bytes


def pax_header(*records: bytes, typeflag: bytes = b"x") -> bytes:
    """An extension header with these records, each `keyword=value`."""
    payload = b"".join(map(_record, records))
    return header(typeflag, size_field=octal(len(payload))) + payload.ljust(-(-len(payload) // BLOCK) * BLOCK, b"\0")


def _record(text: bytes) -> bytes:
    length = len(text) + 2
    while len(b"%d %s\n" % (length, text)) != length:
        length += 1
    return b"%d %s\n" % (length, text)


def sparse_records(name: bytes, size_bytes: int, *, major: int = 1) -> tuple[bytes, ...]:
    """The records of a sparse file."""
    return (
        b"GNU.sparse.major=%d" % major,
        b"GNU.sparse.minor=0",
        b"GNU.sparse.name=" + name,
        b"GNU.sparse.realsize=%d" % size_bytes,
    )


def sparse_member(name: bytes, size_bytes: int, *, text: bytes, data: bytes = b"") -> bytes:
    """A sparse file whose map is this text."""
    content = text.ljust(-(-len(text) // BLOCK) * BLOCK, b"\0") + data
    head = pax_header(*sparse_records(name, size_bytes)) + header(b"0", size_field=octal(len(content)))
    return head + content.ljust(-(-len(content) // BLOCK) * BLOCK, b"\0")


def gnu_tar(folder: Path, *options: str, member: str | None = None) -> bytes:
    """What the tar program makes of a folder, under its name or as `member` from within."""
    program = shutil.which("tar")
    if program is None:
        pytest.skip("no tar program on this machine")
    place = [str(folder.parent), folder.name] if member is None else [str(folder), member]
    command = [program, "--create", "--file=-", *options, "--directory", *place]
    return subprocess.run(command, check=True, capture_output=True).stdout


class Stream:
    """A source that gives its chunks one by one, and then raises what it was told to."""

    def __init__(self, chunks: Iterable[bytes], failure: Exception | None = None) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._failure = failure

    def read(self, size_bytes: int, /) -> bytes:
        chunk = next(self._chunks, b"")
        if not chunk and self._failure is not None:
            raise self._failure
        return chunk


def write_and_seal(writer: ArchiveWriter, content: bytes) -> None:
    writer.write(content)
    writer.seal(hashlib.sha256(content).hexdigest(), len(content))


def store_file(store: LocalStore, location: Location, content: bytes, operation_id: str = OPERATION) -> int:
    """Write, seal and publish; returns the inode."""
    with store.open_for_write(location, operation_id) as writer:
        write_and_seal(writer, content)
        writer.publish()
    return writer.inode


def store_archive(store: LocalStore, location: Location, content: bytes, operation_id: str = OPERATION) -> int:
    """An archive and a manifest beside it; returns the archive's inode."""
    inode = store_file(store, location, content, operation_id)
    store_file(store, location.manifest, b"{}\n", operation_id)
    return inode


def names_below(folder: Path) -> set[str]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def part_of(content: bytes, path: str = "web.tar") -> Part:
    digest = hashlib.sha256(content).hexdigest()
    return Part(
        kind="rootfs",
        name="web",
        path=path,
        size_bytes=len(content),
        stored_bytes=len(content),
        sha256=digest,
        stored_sha256=digest,
        members=3,
    )


def sample_manifest(*parts: Part) -> Manifest:
    return Manifest(
        product_version="1.0.0",
        operation_id=OPERATION,
        created_at="2026-02-12T03:20:00.000Z",
        container=ContainerIdentity(
            id="ab" * 32, name="web", image="nginx:1", image_id="sha256:" + "cd" * 32, platform="linux/amd64"
        ),
        host="büro",
        engine_version="28.5.1",
        api_version="1.51",
        consistency_grade="live",
        parts=parts or (part_of(b"content"),),
        warnings=(ManifestWarning(code="LIVE_COPY", message="The container ran while it was copied."),),
    )


def with_part(manifest: Manifest, **changes: object) -> Manifest:
    """The manifest with other values in its first part, right or wrong."""
    return replace(manifest, parts=(replace(manifest.parts[0], **changes),))  # type: ignore[arg-type]
