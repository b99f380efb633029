from __future__ import annotations

import random
import tarfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives import tar_walker as module
from containers_app.errors import ArchiveInvalid, ArchiveTruncated
from tests.unit.archives.samples import (
    BLOCK,
    END_MARKER,
    PACK,
    Member,
    gnu_tar,
    header,
    octal,
    pax_header,
    sparse_records,
    tar_of,
)

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LINK_TYPES = [tarfile.LNKTYPE, tarfile.SYMTYPE]
EMPTY_TYPES = [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
GIB = 1024**3


def walk(content: bytes, chunk_bytes: int = 1 << 20) -> int:
    """The number of members."""
    walker = module.TarWalker()
    for start in range(0, len(content), chunk_bytes):
        walker.feed(content[start : start + chunk_bytes])
    return walker.finish().members


names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=90)
long_names = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=300)
contents = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(lambda size: b"x" * size))


def members(archive_format: int) -> st.SearchStrategy[list[Member]]:
    """Random members that the format can hold."""
    plain = archive_format == tarfile.USTAR_FORMAT
    name = names if plain else st.one_of(names, long_names)
    owner = st.integers(0, 2**21 - 1 if plain else 2**40)
    seconds = st.integers(0, 2**31) if plain else st.floats(0, 2**31)
    files = st.builds(Member, name=name, content=contents, owner=owner, seconds=seconds)
    links = st.builds(Member, name=name, typeflag=st.sampled_from(LINK_TYPES), target=name)
    others = st.builds(Member, name=name, typeflag=st.sampled_from(EMPTY_TYPES), owner=owner)
    return st.lists(st.one_of(files, links, others), min_size=1, max_size=8)


archives = st.sampled_from(FORMATS).flatmap(
    lambda archive_format: members(archive_format).map(lambda listed: tar_of(listed, archive_format))
)


@given(content=archives, padding_blocks=st.integers(0, 40), chunking=st.randoms(use_true_random=False))
def test_it_counts_the_members_whatever_the_chunks(content: bytes, padding_blocks: int, chunking: random.Random):
    content += bytes(BLOCK * padding_blocks)
    walker, position = module.TarWalker(), 0
    while position < len(content):
        size = chunking.choice((1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 5000, 1 << 20))
        walker.feed(content[position : position + size])
        position += size
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        assert walker.finish().members == len(archive.getmembers())


@given(content=archives, damage=st.data())
def test_it_answers_with_its_own_errors_only_whatever_the_damage(content: bytes, damage: st.DataObject):
    damaged = bytearray(content)
    for position in damage.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        damaged[position] = damage.draw(st.integers(0, 255))
    with suppress(ArchiveInvalid):
        assert walk(bytes(damaged)) >= 1


@given(content=archives, cut=st.data())
def test_it_refuses_every_random_archive_that_is_cut(content: bytes, cut: st.DataObject):
    with pytest.raises(ArchiveTruncated):
        walk(content[: cut.draw(st.integers(0, len(content) - 1))])


@pytest.mark.parametrize("archive_format", FORMATS)
def test_every_cut_of_a_small_archive_is_truncated(archive_format: int):
    name = "n" * 90 if archive_format == tarfile.USTAR_FORMAT else "n" * 150
    content = tar_of([Member(name, b"a" * 700), Member("folder", typeflag=tarfile.DIRTYPE)], archive_format)
    for cut in range(len(content)):
        with pytest.raises(ArchiveTruncated):
            walk(content[:cut])
    assert walk(content) == 2


def test_a_cut_between_two_members_is_truncated_although_tarfile_accepts_it():
    content = tar_of([Member("one", b"1" * 600), Member("two", b"2")], tarfile.USTAR_FORMAT)
    boundary = content[: 3 * BLOCK]
    with tarfile.open(fileobj=BytesIO(boundary)) as archive:
        assert archive.getnames() == ["one"]
    with pytest.raises(ArchiveTruncated, match="after 1 members"):
        walk(boundary)


def test_a_cut_in_the_zeros_behind_the_end_marker_is_truncated():
    content = tar_of([Member("one")]) + bytes(BLOCK * 3)
    assert walk(content[:-BLOCK]) == 1
    with pytest.raises(ArchiveTruncated, match="last block"):
        walk(content[:-1])


@pytest.mark.parametrize("tail", [b'{"message":"unexpected EOF"}', b"\0" * 700 + b"x", tar_of([Member("second")])])
def test_it_refuses_data_after_the_end_marker(tail: bytes):
    with pytest.raises(ArchiveInvalid, match="trailing data") as caught:
        walk(tar_of([Member("one")]) + tail)
    assert not isinstance(caught.value, ArchiveTruncated)


def test_an_error_of_the_engine_in_place_of_the_end_marker_is_refused():
    content = tar_of([Member("one", b"1")]).removesuffix(END_MARKER)
    for message in (b'{"message":"unexpected EOF"}', b'{"message":"' + b"long" * 200 + b'"}'):
        with pytest.raises(ArchiveInvalid):
            walk(content + message)


@pytest.mark.parametrize("content", [END_MARKER, bytes(10240)])
def test_it_refuses_an_archive_without_members(content: bytes):
    with pytest.raises(ArchiveInvalid, match="empty"):
        walk(content)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 511, bytes(BLOCK)])
def test_what_is_too_short_for_an_archive_is_truncated(content: bytes):
    with pytest.raises(ArchiveTruncated):
        walk(content)


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0" + b"jpeg" * 400, b"PK\x03\x04" + b"zip" * 400, b"{" * 2048])
def test_it_refuses_what_is_no_tar(content: bytes):
    with pytest.raises(ArchiveInvalid, match="next header"):
        walk(content)


@pytest.mark.parametrize("position", [0, 99, 124, 148, 156, 300, 511])
def test_it_refuses_a_header_whose_checksum_is_wrong(position: int):
    content = bytearray(tar_of([Member("one", b"1")]))
    content[position] ^= 0x01
    with pytest.raises(ArchiveInvalid):
        walk(bytes(content))


def test_it_refuses_one_block_of_zeros_between_members():
    content = header(b"0") + bytes(BLOCK) + header(b"0") + END_MARKER
    with pytest.raises(ArchiveInvalid, match="block of zeros"):
        walk(content)


def test_the_checksum_is_the_plain_sum_even_of_the_largest_bytes():
    block = header(b"0", name=b"\xff" * 100, size_field=octal(0))
    assert walk(block + END_MARKER) == 1


def test_a_pax_size_replaces_the_size_of_the_next_member_only():
    content = pax_header(b"path=a", b"size=700") + header(b"0") + b"a" * 1024 + header(b"0") + END_MARKER
    assert walk(content) == 2
    assert walk(content, chunk_bytes=100) == 2


def test_a_pax_size_reaches_its_member_through_a_gnu_long_name():
    long_name = header(b"L", size_field=octal(600)) + b"n" * 600 + bytes(424)
    assert walk(pax_header(b"size=512") + long_name + header(b"0") + b"a" * BLOCK + END_MARKER) == 1


def test_ten_gigabytes_that_only_a_pax_header_promises_are_truncated():
    content = pax_header(b"size=%d" % (10 * GIB)) + header(b"0")
    with pytest.raises(ArchiveTruncated):
        walk(content + END_MARKER)


@pytest.mark.parametrize("start", [pax_header(b"size=%d" % (9 * GIB)) + header(b"0"), None])
def test_it_skips_more_than_eight_gibibytes(start: bytes | None):
    if start is None:
        info = tarfile.TarInfo("large")
        info.size = 9 * GIB
        start = info.tobuf(tarfile.GNU_FORMAT)
        assert start[124] == 0x80
    walker, chunk = module.TarWalker(), bytes(16 * 1024 * 1024)
    walker.feed(start)
    for _ in range(9 * GIB // len(chunk)):
        walker.feed(memoryview(chunk))
    walker.feed(header(b"0") + END_MARKER)
    assert walker.finish().members == 2


@pytest.mark.parametrize(
    "size_field",
    [
        b"\xff" * 12,  # a negative base-256 number
        b"\x80" + b"\xff" * 11,  # 2**88 - 1
        b"\x81" + b"\0" * 11,
        b"-0000000001\0",
        b"0000000009\0\0",
        b"0x000000001\0",
        b"1_000000000\0",
        b"0000\x00000001\0",
    ],
)
def test_it_refuses_a_size_that_is_no_octal_or_positive_number(size_field: bytes):
    with pytest.raises(ArchiveInvalid):
        walk(header(b"0", size_field=size_field) + END_MARKER)


@pytest.mark.parametrize("size_field", [b"\0" * 12, b" " * 12, b"          0 ", b"0\0          "])
def test_it_reads_the_ways_to_write_no_size(size_field: bytes):
    assert walk(header(b"0", size_field=size_field) + END_MARKER) == 1


@pytest.mark.parametrize(
    "record", [b"size=-1", b"size=", b"size=1e3", b"size=%d" % 2**63, b"size=" + b"9" * 5000, "size=٣".encode()]
)
def test_it_refuses_a_pax_size_that_is_no_possible_number(record: bytes):
    with pytest.raises(ArchiveInvalid):
        walk(pax_header(record) + header(b"0") + END_MARKER)


@pytest.mark.parametrize(
    "payload", [b"abc", b"5 a=b", b"0 a=b\n", b"1 a=b\n", b"99 a=b\n", b"6 a b\n", b"5 =b\n", b"-6 a=b\n", b"6 a=b\0"]
)
def test_it_refuses_a_malformed_pax_record(payload: bytes):
    content = header(b"x", size_field=octal(len(payload))) + payload.ljust(BLOCK, b"\0")
    with pytest.raises(ArchiveInvalid, match="malformed record"):
        walk(content + header(b"0") + END_MARKER)


def test_a_pax_value_may_hold_anything_even_what_looks_like_a_size():
    attribute = b"SCHILY.xattr.user.x=\n12 size=512\n\0\xff="
    assert walk(pax_header(attribute) + header(b"0") + END_MARKER) == 1


def test_a_global_pax_header_is_no_member():
    content = pax_header(b"comment=hello", typeflag=b"g") + header(b"0") + END_MARKER
    assert walk(content) == 1


@pytest.mark.parametrize("record", [b"size=512", b"path=a", b"linkpath=a", b"mtime=1", b"uid=0", b"GNU.sparse.major=1"])
def test_it_refuses_a_global_value_for_members_because_readers_differ(record: bytes):
    with pytest.raises(ArchiveInvalid, match="global extension header sets " + record.partition(b"=")[0].decode()):
        walk(pax_header(record, typeflag=b"g") + header(b"0") + bytes(BLOCK) + END_MARKER)


def test_it_refuses_a_name_in_both_kinds_of_extension_headers_because_readers_differ():
    long_name = header(b"L", size_field=octal(2)) + b"b\0".ljust(BLOCK, b"\0")
    with pytest.raises(ArchiveInvalid, match="give the same member a name"):
        walk(pax_header(b"path=a") + long_name + header(b"0") + END_MARKER)


@pytest.mark.parametrize("typeflag", [b"x", b"g", b"L", b"K"])
def test_it_refuses_an_extension_header_over_one_mebibyte(typeflag: bytes):
    walker = module.TarWalker()
    with pytest.raises(ArchiveInvalid, match="extension header"):
        walker.feed(header(typeflag, size_field=octal(module.EXTENSION_LIMIT_BYTES + 1)))


def test_an_extension_header_of_one_mebibyte_is_read():
    record = b"comment=" + b"c" * (module.EXTENSION_LIMIT_BYTES - len(b"1048576 comment=\n"))
    assert walk(pax_header(record) + header(b"0") + END_MARKER, chunk_bytes=1000) == 1


def test_it_refuses_an_extension_header_of_too_many_records():
    records = [b"k%d=v" % count for count in range(module.EXTENSION_LIMIT_RECORDS)]
    assert walk(pax_header(*records) + header(b"0") + END_MARKER) == 1
    with pytest.raises(ArchiveInvalid, match="more than 10000 records"):
        walk(pax_header(*records, b"one=more") + header(b"0") + END_MARKER)


def test_an_extension_header_may_be_empty():
    assert walk(header(b"x") + header(b"0") + END_MARKER) == 1


@pytest.mark.parametrize("extension", [pax_header(b"path=a"), header(b"L", size_field=octal(1)) + bytes(BLOCK)])
def test_it_refuses_extension_headers_that_describe_nothing_or_the_same_twice(extension: bytes):
    with pytest.raises(ArchiveInvalid, match="describes no member"):
        walk(header(b"0") + extension + END_MARKER)
    with pytest.raises(ArchiveInvalid, match="same member"):
        walk(extension + extension + header(b"0") + END_MARKER)


@pytest.mark.parametrize("typeflag", [b"D", b"M", b"V", b"N", b"X", b"A", b"8", b"\xff"])
def test_it_refuses_member_types_it_cannot_judge(typeflag: bytes):
    with pytest.raises(ArchiveInvalid, match="not supported"):
        walk(header(typeflag) + END_MARKER)


@pytest.mark.parametrize(
    "content",
    [
        header(b"S"),
        pax_header(b"GNU.sparse.major=1") + header(b"0"),
        pax_header(*sparse_records(b"a", 9), b"GNU.sparse.map=0,9") + header(b"0"),
        pax_header(*sparse_records(b"a", 9, major=2)) + header(b"0"),
    ],
)
def test_it_refuses_sparse_members(content: bytes):
    with pytest.raises(ArchiveInvalid, match="sparse"):
        walk(content + END_MARKER)


@pytest.mark.parametrize("typeflag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_it_refuses_data_in_a_member_that_is_no_file(typeflag: bytes):
    with pytest.raises(ArchiveInvalid, match="not a file"):
        walk(header(typeflag, size_field=octal(BLOCK)) + bytes(BLOCK) + END_MARKER)
    with pytest.raises(ArchiveInvalid, match="not a file"):
        walk(pax_header(b"size=512") + header(typeflag) + bytes(BLOCK) + END_MARKER)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Seven entries: two folders, a long name, a hard link, a symbolic link, a plain and an empty file."""
    folder = tmp_path / "tree"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / ("long" * 24)).write_bytes(b"x" * 100_000)
    (folder / "plain").write_bytes(b"plain")
    (folder / "hard").hardlink_to(folder / "plain")
    (folder / "soft").symlink_to("plain")
    (folder / "empty").touch()
    return folder


@pytest.mark.parametrize("name", ["gnu", "oldgnu", "pax", "ustar"])
def test_it_walks_what_the_tar_program_writes(tree: Path, name: str):
    content = gnu_tar(tree, f"--format={name}")
    assert walk(content) == 7
    assert walk(content, chunk_bytes=333) == 7


@pytest.mark.parametrize("options", [["gnu"], ["pax", "--sparse-version=0.0"], ["pax", "--sparse-version=0.1"]])
def test_it_refuses_the_tar_program_s_older_sparse_files(tree: Path, options: list[str]):
    with (tree / "sparse").open("wb") as file:
        file.truncate(10 * 1024 * 1024)
    with pytest.raises(ArchiveInvalid, match="sparse"):
        walk(gnu_tar(tree, f"--format={options[0]}", "--sparse", *options[1:]))


@pytest.mark.parametrize("chunk_bytes", [100, 512, 1 << 20])
def test_it_walks_the_tar_program_s_sparse_files_of_version_1(tree: Path, chunk_bytes: int):
    with (tree / "sparse").open("wb") as file:
        file.truncate(10 * 1024 * 1024)
        file.seek(5_000_000)
        file.write(b"island")
    assert walk(gnu_tar(tree, *PACK), chunk_bytes) == 8


def test_it_refuses_an_incremental_archive(tree: Path, tmp_path: Path):
    with pytest.raises(ArchiveInvalid, match="not supported"):
        walk(gnu_tar(tree, "--format=gnu", f"--listed-incremental={tmp_path / 'snapshot'}"))
