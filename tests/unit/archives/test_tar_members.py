from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.tar_member import TarMember, clean_path
from containers_app.archives.tar_walker import TarWalker
from containers_app.errors import ArchiveInvalid
from tests.unit.archives.samples import (
    BLOCK,
    END_MARKER,
    PACK,
    Member,
    gnu_tar,
    header,
    octal,
    pax_header,
    sparse_member,
    tar_of,
)

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.LNKTYPE: "hardlink",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "character",
    tarfile.BLKTYPE: "block",
    tarfile.DIRTYPE: "folder",
    tarfile.FIFOTYPE: "fifo",
}


class Watching:
    """An observer that keeps everything."""

    def __init__(self) -> None:
        self.members: list[TarMember] = []
        self.contents: list[bytes] = []

    def member(self, member: TarMember, /) -> None:
        self.members.append(member)
        self.contents.append(b"")

    def content(self, piece: memoryview, /) -> None:
        self.contents[-1] += piece


def watch(content: bytes, chunk_bytes: int = 1 << 20) -> Watching:
    watching = Watching()
    walker = TarWalker(watching)
    for start in range(0, len(content), chunk_bytes):
        walker.feed(content[start : start + chunk_bytes])
    walker.finish()
    return watching


def only(content: bytes) -> TarMember:
    (member,) = watch(content + END_MARKER).members
    return member


def field(block: bytes, position: int, value: bytes) -> bytes:
    """The header with another field, and the checksum that goes with it."""
    changed = bytearray(block)
    changed[position : position + len(value)] = value
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


names = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=300)
members = st.lists(
    st.builds(
        Member,
        name=names,
        content=st.binary(max_size=1500),
        owner=st.integers(0, 2**40),
        seconds=st.integers(0, 2**31).map(float),
    )
    | st.builds(Member, name=names, typeflag=st.sampled_from([tarfile.LNKTYPE, tarfile.SYMTYPE]), target=names)
    | st.builds(Member, name=names, typeflag=st.sampled_from([tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])),
    min_size=1,
    max_size=6,
)


@given(listed=members, archive_format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_an_observer_learns_what_tarfile_reads(listed: list[Member], archive_format: int):
    content = tar_of(listed, archive_format)
    watching = watch(content, 700)
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        for info, member, stored in zip(archive, watching.members, watching.contents, strict=True):
            assert member.path.rstrip(b"/") == os.fsencode(info.name)
            assert (member.kind, member.mode) == (KINDS[info.type], info.mode)
            assert (member.uid, member.gid, member.mtime_ns) == (info.uid, info.gid, info.mtime * 10**9)
            assert (member.size_bytes, member.stored_bytes) == (info.size, info.size)
            assert (member.header_offset, member.data_offset) == (info.offset, info.offset_data)
            assert member.target == os.fsencode(info.linkname)
            assert stored == content[info.offset_data : info.offset_data + info.size]


@pytest.mark.parametrize("chunk_bytes", [1, 511, 513, 5000])
def test_content_comes_without_padding_whatever_the_chunks(chunk_bytes: int):
    content = tar_of([Member("one", b"1" * 700), Member("empty"), Member("two", b"2" * 512)])
    assert watch(content, chunk_bytes).contents == [b"1" * 700, b"", b"2" * 512]


def test_a_name_that_is_not_utf_8_stays_as_it_is():
    name = b"caf\xe9/\xff"
    assert only(header(b"0", name=name)).path == name
    assert only(pax_header(b"path=" + name) + header(b"0")).path == name


def test_a_prefix_is_read_in_ustar_headers_only():
    ustar = field(header(b"0"), 345, b"folder")
    assert only(ustar).path == b"folder/file"
    assert only(field(ustar, 257, b"ustar  \0")).path == b"file"


@pytest.mark.parametrize(
    ("record", "mtime_ns"),
    [
        (b"mtime=1", 10**9),
        (b"mtime=1.", 10**9),
        (b"mtime=1700000000.123456789", 1_700_000_000_123_456_789),
        (b"mtime=1700000000.1234567899", 1_700_000_000_123_456_789),
        (b"mtime=-5.5", -5_500_000_000),
        (b"mtime=-0.000000001", -1),
        (b"mtime=253402300800.5", 253_402_300_800_500_000_000),
    ],
)
def test_a_pax_time_is_read_to_the_nanosecond(record: bytes, mtime_ns: int):
    assert only(pax_header(record) + header(b"0")).mtime_ns == mtime_ns


@pytest.mark.parametrize("record", [b"mtime=", b"mtime=now", b"mtime=1e9", b"mtime=1,5", b"mtime=9223372036854775807"])
def test_a_pax_time_that_is_none_is_refused(record: bytes):
    with pytest.raises(ArchiveInvalid, match="time"):
        only(pax_header(record) + header(b"0"))


def test_a_time_before_1970_in_base_256_is_negative():
    assert only(field(header(b"0"), 136, b"\xff" * 11 + b"\xfe")).mtime_ns == -2 * 10**9


@pytest.mark.parametrize("record", [b"uid=-1", b"gid=root", b"uid="])
def test_a_pax_owner_that_is_no_number_is_refused(record: bytes):
    with pytest.raises(ArchiveInvalid, match="not a number"):
        only(pax_header(record) + header(b"0"))


def test_the_start_of_a_member_is_that_of_its_first_extension_header():
    content = (
        header(b"0", name=b"first")
        + pax_header(b"comment=for all", typeflag=b"g")
        + pax_header(b"mtime=1.5")
        + header(b"L", size_field=octal(7))
        + b"second\0".ljust(BLOCK, b"\0")
        + header(b"0", name=b"s")
        + END_MARKER
    )
    first, second = watch(content).members
    assert (first.header_offset, first.data_offset) == (0, BLOCK)
    assert (second.path, second.header_offset, second.data_offset) == (b"second", 3 * BLOCK, 8 * BLOCK)


def test_extension_headers_reach_one_member_only():
    content = pax_header(b"path=long", b"mtime=7") + header(b"0") + header(b"0", name=b"plain") + END_MARKER
    first, second = watch(content).members
    assert (first.path, first.mtime_ns) == (b"long", 7 * 10**9)
    assert (second.path, second.mtime_ns, second.records) == (b"plain", 0, {})


def test_a_file_of_before_posix_whose_name_ends_in_a_slash_is_a_folder():
    assert only(header(b"\0", name=b"folder/")).kind == "folder"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header(b"0", name=b"file/"), "ends in a slash"),
        (header(b"\0", name=b"file/", size_field=octal(1)) + bytes(BLOCK), "ends in a slash"),
        (header(b"0", name=b""), "no name"),
        (pax_header(b"path=") + header(b"0"), "no name"),
        (pax_header(b"path=a\0b") + header(b"0"), "NUL"),
        (pax_header(b"linkpath=a\0b") + header(b"2"), "NUL"),
        (header(b"2"), "no target"),
        (header(b"1"), "no target"),
    ],
)
def test_a_name_that_readers_understand_differently_is_refused(content: bytes, words: str):
    with pytest.raises(ArchiveInvalid, match=words):
        only(content)


def test_a_sparse_member_has_its_own_name_and_its_restored_size():
    member = only(sparse_member(b"./real", 1 << 40, text=b"1\n1099511627776\n0\n"))
    assert (member.path, member.sparse) == (b"./real", True)
    assert (member.size_bytes, member.stored_bytes) == (1 << 40, BLOCK)


def test_a_sparse_member_of_the_tar_program_is_read(tmp_path: Path):
    with (tmp_path / ("sparse" * 20)).open("wb") as file:
        file.truncate(1_000_000)
        file.seek(500_000)
        file.write(b"island")
    root, member = watch(gnu_tar(tmp_path, *PACK, member=".")).members
    assert (root.path, root.kind) == (b"./", "folder")
    assert member.path == b"./" + b"sparse" * 20
    assert member.size_bytes == 1_000_000
    assert member.stored_bytes < 20_000


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        (b"a", b"a"),
        (b"a/", b"a"),
        (b"./a", b"a"),
        (b".//a///b/./c/.", b"a/b/c"),
        (b"/a", b"a"),
        (b".", b""),
        (b"./", b""),
        (b"/", b""),
        (b".a/..b", b".a/..b"),
        (b"a/.b", b"a/.b"),
        (b"a/../b", b"a/../b"),
    ],
)
def test_a_clean_path_is_what_readers_make_of_it(path: bytes, clean: bytes):
    assert clean_path(path) == clean


@given(parts=st.lists(st.sampled_from([b"a", b".", b"", b"..", b".b"]), min_size=1, max_size=6))
def test_a_clean_path_stays_clean(parts: list[bytes]):
    clean = clean_path(b"/".join(parts))
    assert clean_path(clean) == clean
    assert not {b"", b"."} & set(clean.split(b"/")) or clean == b""
