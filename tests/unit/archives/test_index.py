from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.index import Difference, Index
from containers_app.archives.index_builder import CACHED_FOLDERS, IndexBuilder
from containers_app.archives.index_schema import APPLICATION_ID, VERSION, Entry
from containers_app.errors import ArchiveInvalid, ArchiveTruncated, NotFound
from tests.unit.archives.indexes import index_bytes, opened_index
from tests.unit.archives.samples import BLOCK, END_MARKER, Member, header, pax_header, sparse_member, tar_of

IndexOf = Callable[[bytes], Index]
MEGABYTES_IN_A_CHILD = """
import resource, sys, tarfile
sys.path.insert(0, sys.argv[1])
from containers_app.archives.index_builder import IndexBuilder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with IndexBuilder() as builder:
    for number in range(int(sys.argv[2])):
        builder.feed(tarfile.TarInfo(f"{number % 20000}/a-name-as-long-as-usual-{number}").tobuf(tarfile.USTAR_FORMAT))
    builder.feed(bytes(1024))
    assert builder.finish().members == int(sys.argv[2])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.fixture
def index_of() -> Iterator[IndexOf]:
    """Builds the index of an archive and opens it."""
    with ExitStack() as stack:

        def build(content: bytes, chunk_bytes: int = 10_000) -> Index:
            return stack.enter_context(opened_index(content, chunk_bytes=chunk_bytes))

        yield build


def folder(name: str) -> Member:
    return Member(name, typeflag=tarfile.DIRTYPE)


def link(name: str, target: str) -> Member:
    return Member(name, typeflag=tarfile.SYMTYPE, target=target)


def hard_link(name: str, target: str) -> Member:
    return Member(name, typeflag=tarfile.LNKTYPE, target=target)


TREE = [
    folder("./"),
    folder("./etc"),
    Member("./etc/hosts", b"127.0.0.1 localhost", owner=7, seconds=1700000000.25),
    Member("./etc/passwd", b"root"),
    link("./etc/mtab", "/proc/mounts"),
    hard_link("./etc/shadow", "./etc/passwd"),
    Member("./usr/lib/deep/file", b"x" * 1000),
]


def full_disk() -> NoReturn:
    raise sqlite3.OperationalError("database or disk is full")


def names(entries: tuple[Entry, ...]) -> list[bytes]:
    return [entry.name for entry in entries]


def test_a_folder_lists_its_children_by_name(index_of: IndexOf):
    index = index_of(tar_of(TREE))
    assert names(index.folder(b"")) == [b"etc", b"usr"]
    assert names(index.folder(b"etc")) == [b"hosts", b"mtab", b"passwd", b"shadow"]
    assert [entry.path for entry in index.folder(b"./usr/lib/")] == [b"usr/lib/deep"]


def test_a_folder_is_read_in_pages(index_of: IndexOf):
    index = index_of(tar_of([Member(f"folder/{number:03}") for number in range(7)]))
    seen, after = [], None
    while page := index.folder(b"folder", after=after, limit=3):
        assert len(page) <= 3
        seen += names(page)
        after = page[-1].name
    assert seen == [b"%03d" % number for number in range(7)]


def test_an_entry_says_what_its_headers_say(index_of: IndexOf):
    content = tar_of(TREE)
    entry = index_of(content).entry(b"etc/hosts")
    assert (entry.kind, entry.mode, entry.uid, entry.gid) == ("file", 0o644, 7, 0)
    assert (entry.mtime_ns, entry.size_bytes, entry.target) == (1_700_000_000_250_000_000, 19, b"")
    assert entry.sha256 == hashlib.sha256(b"127.0.0.1 localhost").digest()
    assert entry.data_offset is not None
    assert content[entry.data_offset :].startswith(b"127.0.0.1 localhost")


def test_the_bytes_of_all_members_are_the_whole_archive(index_of: IndexOf):
    content = tar_of(TREE)
    found = list(index_of(content).entries_below(b""))
    assert [entry.path for entry in found] == [
        b"", b"etc", b"etc/hosts", b"etc/passwd", b"etc/mtab", b"etc/shadow", b"usr/lib/deep/file"
    ]  # fmt: skip
    position = 0
    for entry in found:
        assert entry.header_offset == position
        position += entry.member_bytes or 0
    assert content[position:] == END_MARKER


def test_a_folder_that_only_paths_imply_exists_without_facts(index_of: IndexOf):
    implied = index_of(tar_of(TREE)).entry(b"usr/lib")
    assert (implied.kind, implied.header_offset, implied.mode, implied.mtime_ns) == ("folder", None, None, None)


def test_a_folder_that_comes_after_its_content_has_its_facts(index_of: IndexOf):
    index = index_of(tar_of([Member("a/file"), folder("a")], tarfile.USTAR_FORMAT))
    assert index.entry(b"a").header_offset == BLOCK
    assert names(index.folder(b"a")) == [b"file"]
    assert [entry.path for entry in index.entries_below(b"a")] == [b"a/file", b"a"]


@pytest.mark.parametrize("path", [b"nothing", b"etc/hosts/below", b"etc/host", b"et"])
def test_what_is_not_in_the_archive_is_not_found(index_of: IndexOf, path: bytes):
    index = index_of(tar_of(TREE))
    for ask in (index.entry, index.folder, index.entries_below):
        with pytest.raises(NotFound):
            ask(path)


def test_a_file_is_no_folder_and_an_empty_folder_is_one(index_of: IndexOf):
    index = index_of(tar_of([folder("empty"), Member("file")]))
    assert index.folder(b"empty") == ()
    with pytest.raises(NotFound, match="no folder"):
        index.folder(b"file")


def test_entries_below_leave_out_neighbours_with_a_longer_name(index_of: IndexOf):
    index = index_of(tar_of([Member("a/1"), Member("a-b/2"), Member("a0/3"), Member("a"), Member("ab")]))
    assert {entry.path for entry in index.entries_below(b"a")} == {b"a", b"a/1"}


def test_names_that_are_not_utf_8_survive(index_of: IndexOf):
    name = b"caf\xe9-\xff\xfe"
    content = tarfile.TarInfo(os.fsdecode(b"d/" + name)).tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    index = index_of(content + END_MARKER)
    assert names(index.folder(b"d")) == [name]
    assert os.fsencode(os.fsdecode(index.entry(b"d/" + name).path)) == b"d/" + name


def test_of_two_members_with_one_name_the_last_wins(index_of: IndexOf):
    index = index_of(tar_of([Member("a", b"first"), Member("./a", b"second one")]))
    assert index.entry(b"a").size_bytes == 10
    assert index.summary().files == 1


def test_a_hard_link_has_the_content_of_its_file(index_of: IndexOf):
    index = index_of(tar_of(TREE))
    file, hard = index.entry(b"etc/passwd"), index.entry(b"etc/shadow")
    assert (hard.kind, hard.target, hard.size_bytes) == ("hardlink", b"etc/passwd", 4)
    assert (hard.sha256, hard.data_offset) == (file.sha256, file.data_offset)
    assert hard.header_offset != file.header_offset


def test_a_hard_link_keeps_the_content_that_its_file_had_then(index_of: IndexOf):
    index = index_of(tar_of([Member("a", b"then"), hard_link("b", "a"), Member("a", b"later")]))
    assert (index.entry(b"b").size_bytes, index.entry(b"a").size_bytes) == (4, 5)


@pytest.mark.parametrize("target", ["missing", "folder", "implied", "b"])
def test_a_hard_link_to_nothing_before_it_cannot_be_indexed(index_of: IndexOf, target: str):
    with pytest.raises(ArchiveInvalid, match="hard link"):
        index_of(tar_of([folder("folder"), Member("implied/a"), hard_link("b", target)]))


def test_a_time_beyond_what_64_bits_of_nanoseconds_hold_is_kept(index_of: IndexOf):
    index = index_of(pax_header(b"mtime=253402300799.5") + header(b"0") + END_MARKER)
    assert index.entry(b"file").mtime_ns == 253_402_300_799_500_000_000


def test_a_sparse_file_has_its_restored_size(index_of: IndexOf):
    entry = index_of(sparse_member(b"a", 10**12, text=b"1\n1000000000000\n0\n") + END_MARKER).entry(b"a")
    assert (entry.size_bytes, entry.stored_bytes, entry.sparse) == (10**12, BLOCK, 1)


def test_the_summary_counts_each_kind_and_the_content(index_of: IndexOf):
    summary = index_of(tar_of([*TREE, Member("pipe", typeflag=tarfile.FIFOTYPE)])).summary()
    assert (summary.files, summary.folders, summary.links, summary.specials) == (3, 5, 2, 1)
    assert summary.size_bytes == 19 + 4 + 1000


@pytest.mark.parametrize(("path", "words"), [("a/../b", "upwards"), ("..", "upwards"), ("n" * 4097, "4096 bytes")])
def test_a_path_that_no_tree_has_cannot_be_indexed(index_of: IndexOf, path: str, words: str):
    with pytest.raises(ArchiveInvalid, match=words):
        index_of(tar_of([Member(path)]))


def test_a_cut_archive_has_no_index(index_of: IndexOf):
    with pytest.raises(ArchiveTruncated):
        index_of(tar_of(TREE)[:-1024])


def test_the_file_is_private_and_has_no_name_that_a_killed_process_could_leave(tmp_path: Path):
    with IndexBuilder(within=tmp_path) as builder:
        facts = os.fstat(builder.file.fileno())
        assert (stat.S_IMODE(facts.st_mode), facts.st_nlink, facts.st_dev) == (0o600, 0, tmp_path.stat().st_dev)
        assert list(tmp_path.iterdir()) == []
        builder.feed(tar_of(TREE))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["a/" * 2049 + "b", "../up"])
def test_a_tolerant_builder_walks_on_behind_what_cannot_be_indexed(path: str):
    content = tar_of([Member("first", b"one"), Member(path, b"two"), Member("last", b"three")])
    with IndexBuilder(tolerant=True) as builder:
        builder.feed(content)
        assert builder.finish().members == 3
        assert isinstance(builder.failure, ArchiveInvalid)
    with pytest.raises(ArchiveInvalid), IndexBuilder() as strict:
        strict.feed(content)
        strict.finish()


def test_a_tolerant_builder_takes_no_cut_archive():
    with IndexBuilder(tolerant=True) as builder, pytest.raises(ArchiveTruncated):
        builder.feed(tar_of(TREE)[:-1024])
        builder.finish()


def test_a_full_disk_costs_a_tolerant_builder_the_index_alone(monkeypatch: pytest.MonkeyPatch):
    with IndexBuilder(tolerant=True) as builder:
        monkeypatch.setattr(builder, "_complete", full_disk)
        builder.feed(tar_of(TREE))
        assert builder.finish().members == len(TREE)
        assert isinstance(builder.failure, sqlite3.OperationalError)


def test_more_folders_than_are_known_by_heart_are_found_again(index_of: IndexOf):
    paths = [f"{number}/file" for number in range(CACHED_FOLDERS + 5)]
    index = index_of(tar_of([Member(path) for path in [*paths, "0/again"]], tarfile.USTAR_FORMAT))
    assert names(index.folder(b"0")) == [b"again", b"file"]
    assert index.summary().folders == len(paths) + 1


changes = st.dictionaries(
    st.sampled_from(["a", "a/b", "a-b", "b/c", "b/d/e", "z"]),
    st.builds(Member, name=st.just(""), content=st.sampled_from([b"", b"one", b"two"]), owner=st.integers(0, 1)),
    min_size=1,
)


@given(before=changes, after=changes)
def test_a_comparison_finds_every_difference_once_and_in_order(before: dict[str, Member], after: dict[str, Member]):
    with ExitStack() as stack:
        opened = []
        for tree in (before, after):
            members = [Member(path, tree[path].content, owner=tree[path].owner) for path in sorted(tree)]
            opened.append(stack.enter_context(opened_index(tar_of(members))))
        found = list(opened[0].compare(opened[1]))
    differences = {difference.path.decode(): difference for difference in found}
    assert len(differences) == len(found)
    assert [d.path.rpartition(b"/")[::2] for d in found] == sorted(d.path.rpartition(b"/")[::2] for d in found)
    for path in before.keys() | after.keys():
        same = before.get(path) == after.get(path)
        assert (path in differences) == (not same)
        if path not in before:
            # As a folder it may have been there.
            assert differences[path].change == "new" or differences[path].what
        elif path not in after:
            assert differences[path].change == "deleted" or differences[path].what


def test_a_comparison_says_what_changed(index_of: IndexOf):
    old = [Member("file", b"old"), Member("owned"), link("link", "a"), Member("turned"), Member("gone")]
    new = [
        Member("file", b"new", seconds=1),
        Member("owned", owner=1),
        link("link", "b"),
        folder("turned"),
        Member("new"),
    ]
    before, after = index_of(tar_of(old)), index_of(tar_of(new))
    assert list(before.compare(after)) == [
        Difference(path=b"file", change="changed", what=("content", "modified")),
        Difference(path=b"gone", change="deleted"),
        Difference(path=b"link", change="changed", what=("target",)),
        Difference(path=b"new", change="new"),
        Difference(path=b"owned", change="changed", what=("owner",)),
        Difference(path=b"turned", change="changed", what=("kind", "content")),
    ]


def test_which_of_two_names_is_the_hard_link_is_no_difference(index_of: IndexOf):
    before = index_of(tar_of([Member("a", b"x"), hard_link("b", "a")]))
    after = index_of(tar_of([Member("b", b"x"), hard_link("a", "b")]))
    assert list(before.compare(after)) == []


def test_a_folder_that_became_a_member_is_no_difference(index_of: IndexOf):
    before, after = index_of(tar_of([Member("a/b")])), index_of(tar_of([folder("a"), Member("a/b")]))
    assert list(before.compare(after)) == []


def test_the_root_is_compared_too(index_of: IndexOf):
    before = index_of(tar_of([folder("./"), Member("a")]))
    after = index_of(tar_of([Member("./", typeflag=tarfile.DIRTYPE, owner=5), Member("a")]))
    assert list(before.compare(after)) == [Difference(path=b"", change="changed", what=("owner",))]


def test_an_index_is_read_with_sqlite_alone(tmp_path: Path):
    path = tmp_path / "index.sqlite"
    path.write_bytes(index_bytes(tar_of(TREE)))
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT CAST(path || '/' || name AS TEXT), size_bytes FROM entries JOIN folders ON id = folder_id"
            " WHERE kind = 'file' ORDER BY header_offset"
        ).fetchall()
    assert rows == [("etc/hosts", 19), ("etc/passwd", 4), ("usr/lib/deep/file", 1000)]


@pytest.mark.parametrize("content", [b"", b"no database" * 100, None])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes | None):
    path = tmp_path / "index.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArchiveInvalid, match="build it again"):
        Index.open(path)


@pytest.mark.parametrize(
    "statement",
    [
        f"PRAGMA user_version = {VERSION + 1}",
        f"PRAGMA application_id = {APPLICATION_ID + 1}",
        "DROP TABLE totals",
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER late AFTER INSERT ON totals BEGIN SELECT 1; END",
    ],
)
def test_an_index_with_another_schema_is_refused(tmp_path: Path, statement: str):
    path = tmp_path / "index #1?.sqlite"
    path.write_bytes(index_bytes(tar_of(TREE)))
    Index.open(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
    with pytest.raises(ArchiveInvalid, match="no index of version"):
        Index.open(path)


def test_a_damaged_index_answers_with_our_own_error(tmp_path: Path):
    path = tmp_path / "index.sqlite"
    content = index_bytes(tar_of([Member(f"a/{number}") for number in range(2000)]))
    path.write_bytes(content[:8192] + b"\xff" * 40_000)
    with pytest.raises(ArchiveInvalid, match="build it again"), Index.open(path) as index:
        list(index.entries_below(b""))


@pytest.mark.parametrize(
    "lie",
    [
        "UPDATE entries SET name = X'2E2E' WHERE name = X'68'",
        "UPDATE entries SET name = X'2E' WHERE name = X'68'",
        "UPDATE entries SET name = X'612F62' WHERE name = X'68'",
        "UPDATE entries SET name = X'6100' WHERE name = X'68'",
        "UPDATE entries SET name = 'text' WHERE name = X'68'",
        "UPDATE entries SET target = X'6100' WHERE name = X'68'",
        "UPDATE entries SET kind = 'parent' WHERE name = X'68'",
        "UPDATE folders SET path = X'64002F2E2E' WHERE path = X'64'",
        "UPDATE folders SET path = X'642F2E2E2F65' WHERE path = X'64'",
        "UPDATE folders SET path = X'642F2F65' WHERE path = X'64'",
    ],
)
def test_an_index_cannot_lead_out_of_its_tree(tmp_path: Path, lie: str):
    path = tmp_path / "index.sqlite"
    path.write_bytes(index_bytes(tar_of([folder("d"), Member("d/h", b"x")])))
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(lie).rowcount == 1
    with pytest.raises(ArchiveInvalid, match="build it again"), Index.open(path) as index:
        list(index.entries_below(b""))


def test_memory_does_not_grow_with_the_members():
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", MEGABYTES_IN_A_CHILD, root, "40000"]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 24


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
@pytest.mark.parametrize("most_pairs", [1, 3, 1000])
def test_a_comparison_in_pages_is_the_whole_one(index_of: IndexOf, limit: int, most_pairs: int):
    before = index_of(tar_of([Member(f"{number % 4}/{number}", b"x") for number in range(30)]))
    after = index_of(tar_of([Member(f"{number % 4}/{number}", b"x" * (number % 3)) for number in range(5, 40)]))
    found: list[Difference] = []
    place: bytes | None = None
    while True:
        page = before.compare_page(after, after=place, limit=limit, most_pairs=most_pairs)
        assert len(page.differences) <= limit
        found += page.differences
        place = page.next_after
        if place is None:
            break
    assert found == list(before.compare(after))
    assert len({difference.path for difference in found}) == len(found) > 20


def test_contents_without_a_digest_are_compared_by_their_sizes(index_of: IndexOf):
    with opened_index(tar_of([Member("same", b"one"), Member("longer", b"one")]), hashed=False) as without:
        after = index_of(tar_of([Member("same", b"two"), Member("longer", b"three")]))
        found = list(without.compare(after))
    assert found == [Difference(path=b"longer", change="changed", what=("content",))]
