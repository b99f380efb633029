from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from containers_app.archives.extract import file_content, folder_archive
from containers_app.archives.index import Index
from containers_app.archives.writer import CHUNK_BYTES
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, NotFound
from tests.unit.archives.indexes import opened_index
from tests.unit.archives.samples import END_MARKER, PACK, Member, gnu_tar, sparse_member, tar_of

IndexOf = Callable[[bytes], Index]


class Forward:
    """A source that cannot seek, and counts what was read of it."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)
        self.bytes_read = 0

    def read(self, size_bytes: int, /) -> bytes:
        chunk = self._stream.read(min(size_bytes, 1000))
        self.bytes_read += len(chunk)
        return chunk


SOURCES = [io.BytesIO, Forward]


@pytest.fixture
def index_of() -> Iterator[IndexOf]:
    with ExitStack() as stack:

        def build(content: bytes) -> Index:
            return stack.enter_context(opened_index(content))

        yield build


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with everything that a volume may hold."""
    folder = tmp_path / "tree"
    (folder / "data" / "inner").mkdir(parents=True)
    (folder / "outside").write_bytes(b"o" * 5000)
    (folder / "data" / "file").write_bytes(b"f" * 700)
    (folder / "data" / "inner" / ("long" * 40)).write_bytes(b"long")
    (folder / "data" / "hard").hardlink_to(folder / "data" / "file")
    (folder / "data" / "soft").symlink_to("../outside")
    os.utime(folder / "data" / "file", ns=(0, 1_700_000_000_123_456_789))
    with (folder / "data" / "sparse").open("wb") as file:
        for offset in (0, 100_000, 3_000_000):
            file.seek(offset)
            file.write(b"island" * 100)
        file.truncate(5_000_000)
    return folder


def folder_of(content: bytes, index: Index, folder: bytes, source: type = Forward) -> bytes:
    return b"".join(folder_archive(source(content), index.entries_below(folder), folder=folder))


def unpacked(archive: bytes, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--file=-", "--directory", str(folder)], input=archive, check=True)
    return folder


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_is_read_out_of_the_middle(index_of: IndexOf, source: type):
    content = tar_of([Member("a", b"a" * 3000), Member("b", b"b" * 3000), Member("c", b"c")])
    index = index_of(content)
    for name, expected in ((b"b", b"b" * 3000), (b"c", b"c")):
        assert b"".join(file_content(source(content), index.entry(name))) == expected


def test_no_more_is_read_than_needed(index_of: IndexOf):
    content = tar_of([Member("a", b"a" * 3000), Member("b", b"b" * 100_000)], tarfile.USTAR_FORMAT)
    source = Forward(content)
    assert b"".join(file_content(source, index_of(content).entry(b"a"))) == b"a" * 3000
    assert source.bytes_read == 512 + 3000


def test_a_seekable_file_is_not_read_up_to_there(index_of: IndexOf, tmp_path: Path):
    content = tar_of([Member("a", b"a" * 3000), Member("b", b"b")])
    path = tmp_path / "tar"
    path.write_bytes(b"\xff" * 4096 + content[4096:])
    with path.open("rb") as file:
        assert b"".join(file_content(file, index_of(content).entry(b"b"))) == b"b"


def test_pieces_are_bounded(index_of: IndexOf):
    content = tar_of([Member("a", b"a" * (3 * CHUNK_BYTES + 5))])
    pieces = list(file_content(io.BytesIO(content), index_of(content).entry(b"a")))
    assert [len(piece) for piece in pieces] == [CHUNK_BYTES] * 3 + [5]


def test_an_empty_file_has_no_pieces(index_of: IndexOf):
    content = tar_of([Member("a")])
    assert list(file_content(io.BytesIO(content), index_of(content).entry(b"a"))) == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_sparse_file_is_read_with_its_holes(index_of: IndexOf, tree: Path, source: type):
    content = gnu_tar(tree, *PACK, member=".")
    entry = index_of(content).entry(b"data/sparse")
    assert entry.sparse
    digest = hashlib.sha256(b"".join(file_content(source(content), entry)))
    assert digest.digest() == hashlib.sha256((tree / "data" / "sparse").read_bytes()).digest()


@pytest.mark.parametrize(
    ("text", "words"), [(b"1\n0\n600\n", "beyond"), (b"1\n0\n5\n", "fit"), (b"x\n", "malformed"), (b"9\n", "cut")]
)
def test_a_sparse_file_with_a_wrong_map_is_refused(index_of: IndexOf, text: bytes, words: str):
    content = sparse_member(b"a", 512, text=text) + END_MARKER
    with pytest.raises(ArchiveInvalid, match=words):
        list(file_content(io.BytesIO(content), index_of(content).entry(b"a")))


def test_a_hard_link_is_read_as_its_file(index_of: IndexOf):
    content = tar_of([Member("a", b"content"), Member("b", typeflag=tarfile.LNKTYPE, target="a")])
    assert b"".join(file_content(Forward(content), index_of(content).entry(b"b"))) == b"content"


@pytest.mark.parametrize("typeflag", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_has_no_content(index_of: IndexOf, typeflag: bytes):
    content = tar_of([Member("a", typeflag=typeflag, target="b")])
    with pytest.raises(NotFound):
        file_content(io.BytesIO(content), index_of(content).entry(b"a"))


@pytest.mark.parametrize("end", [512 + 100, 100, 0])
def test_a_shorter_archive_than_the_indexed_one_is_truncated(index_of: IndexOf, end: int):
    content = tar_of([Member("a", b"a" * 300)])
    with pytest.raises(ArchiveTruncated):
        list(file_content(Forward(content[:end]), index_of(content).entry(b"a")))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("options", [PACK, ("--format=gnu",), ("--format=pax",)])
def test_a_folder_comes_out_as_it_was(
    index_of: IndexOf, tree: Path, tmp_path: Path, options: tuple[str, ...], source: type
):
    content = gnu_tar(tree, *options, member=".")
    taken = unpacked(folder_of(content, index_of(content), b"data", source), tmp_path / "taken") / "data"
    assert sorted(path.relative_to(taken) for path in taken.rglob("*")) == sorted(
        path.relative_to(tree / "data") for path in (tree / "data").rglob("*")
    )
    for name in ("file", "sparse", "inner/" + "long" * 40):
        assert (taken / name).read_bytes() == (tree / "data" / name).read_bytes()
    assert (taken / "soft").readlink() == Path("../outside")
    assert (taken / "hard").stat().st_ino == (taken / "file").stat().st_ino
    if options != ("--format=gnu",):
        assert (taken / "file").stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_the_members_of_a_folder_are_the_archive_s_own_bytes(index_of: IndexOf):
    before, inside = Member("a", b"a"), [Member("d/" + "n" * 150, b"x" * 600, seconds=1.5), Member("d/e")]
    content = tar_of([before, *inside, Member("z")])
    for folder in (b"d", b"./d/"):
        assert folder_of(content, index_of(content), folder) == tar_of(inside)


def test_the_root_is_the_whole_archive(index_of: IndexOf):
    content = tar_of([Member("./", typeflag=tarfile.DIRTYPE), Member("a", b"a"), Member("d/e", b"e")])
    assert folder_of(content, index_of(content), b"") == content


def test_one_file_is_an_archive_of_one_member(index_of: IndexOf):
    content = tar_of([Member("a", b"a"), Member("d/e", b"e")])
    assert folder_of(content, index_of(content), b"d/e") == tar_of([Member("d/e", b"e")])


def hard_link(name: str, target: str) -> Member:
    return Member(name, typeflag=tarfile.LNKTYPE, target=target, owner=7, seconds=1000)


@pytest.mark.parametrize("source", SOURCES)
def test_a_hard_link_to_a_file_outside_becomes_a_file(index_of: IndexOf, tmp_path: Path, source: type):
    long = "d/" + "n" * 200
    listed = [
        Member("x", b"x" * 700),
        Member("d/a", b"inside"),
        Member("y", b"y" * 3000),
        hard_link("d/second", "y"),
        hard_link(long, "x"),
        hard_link("d/third", "y"),
        hard_link("d/within", "d/a"),
    ]
    content = tar_of(listed)
    archive = folder_of(content, index_of(content), b"d", source)
    taken = unpacked(archive, tmp_path / "taken")
    assert {path.name for path in (taken / "d").iterdir()} == {"a", "second", "third", "within", "n" * 200}
    assert (taken / long).read_bytes() == b"x" * 700
    assert (taken / "d/third").read_bytes() == b"y" * 3000
    assert (taken / "d/second").stat().st_ino == (taken / "d/third").stat().st_ino
    assert (taken / "d/a").stat().st_ino == (taken / "d/within").stat().st_ino
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.getmember(long)
        assert (file.uid, file.mtime, file.isreg()) == (7, 1000, True)


@pytest.mark.parametrize(
    "mtime_ns", [1_700_000_000_123_456_789, 1_700_000_000_000_000_001, 1_700_000_000_000_000_000, -1, -1_500_000_000]
)
@pytest.mark.parametrize("name", [b"short", b"n" * 200, b"\xff"])
def test_a_file_in_the_place_of_a_hard_link_has_its_time_to_the_nanosecond(
    index_of: IndexOf, tmp_path: Path, mtime_ns: int, name: bytes
):
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    file = tree / "a"
    file.write_bytes(b"content")
    os.link(file, tree / "d" / os.fsdecode(name))
    os.utime(file, ns=(mtime_ns, mtime_ns))
    content = gnu_tar(tree, *PACK, "--sort=name", member=".")
    index = index_of(content)
    assert index.entry(b"d/" + name).kind == "hardlink"
    archive = folder_of(content, index, b"d")
    taken = unpacked(archive, tmp_path / "taken") / "d" / os.fsdecode(name)
    assert (taken.read_bytes(), taken.stat().st_mtime_ns) == (b"content", mtime_ns)
    (again,) = [entry for entry in index_of(archive).entries_below(b"") if entry.kind == "file"]
    assert (again.path, again.mtime_ns) == (b"d/" + name, mtime_ns)


def test_a_hard_link_to_a_sparse_file_outside_becomes_a_file_with_zeros(index_of: IndexOf):
    sparse = sparse_member(b"x", 2000, text=b"1\n1000\n5\n", data=b"data!")
    content = sparse + tar_of([hard_link("d/a", "x")])
    with tarfile.open(fileobj=io.BytesIO(folder_of(content, index_of(content), b"d"))) as opened:
        file = opened.extractfile("d/a")
        assert file is not None
        assert file.read() == bytes(1000) + b"data!" + bytes(995)


def test_a_hard_link_within_stays_one_however_the_folder_is_written(index_of: IndexOf):
    listed = [Member("d/a", b"inside"), hard_link("d/b", "d/a")]
    content = tar_of(listed)
    assert folder_of(content, index_of(content), b"./d/") == content


def test_a_hard_link_to_a_symbolic_link_outside_is_left_out(index_of: IndexOf):
    listed = [Member("x", typeflag=tarfile.SYMTYPE, target="y"), hard_link("d/a", "x"), Member("d/b")]
    content = tar_of(listed)
    with tarfile.open(fileobj=io.BytesIO(folder_of(content, index_of(content), b"d"))) as opened:
        assert opened.getnames() == ["d/b"]


def test_a_name_that_is_not_utf_8_is_kept_in_the_place_of_a_link(index_of: IndexOf):
    info = tarfile.TarInfo(os.fsdecode(b"d/\xff"))
    info.type, info.linkname = tarfile.LNKTYPE, "x"
    link = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    content = tar_of([Member("x", b"x")]).removesuffix(END_MARKER) + link + END_MARKER
    with tarfile.open(fileobj=io.BytesIO(folder_of(content, index_of(content), b"d"))) as opened:
        assert opened.getnames() == [os.fsdecode(b"d/\xff")]


def test_an_index_of_another_archive_is_noticed(index_of: IndexOf):
    index = index_of(tar_of([Member("d/a", b"a"), Member("d/b", b"b")]))
    backwards = sorted(index.entries_below(b"d"), key=lambda entry: entry.name, reverse=True)
    with pytest.raises(ArchiveInvalid, match="does not fit"):
        list(folder_archive(Forward(tar_of([Member("d/a", b"a" * 5000)])), backwards, folder=b"d"))
