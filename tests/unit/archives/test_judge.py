from __future__ import annotations

import io
import os
import tarfile
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.archives.judge import Judge, Judged
from containers_app.archives.limits import Limits
from containers_app.errors import ArchiveInvalid, ArchiveTruncated
from tests.unit.archives.hostile import CATALOGUE, folder, hard_link, link, named
from tests.unit.archives.samples import (
    BLOCK,
    END_MARKER,
    PACK,
    Member,
    gnu_tar,
    header,
    pax_header,
    sparse_member,
    tar_of,
)

LIMITS = Limits()
SMALL = Limits(archive_bytes=100_000, content_bytes=50_000, members=20)


def judge(
    content: bytes, limits: Limits = LIMITS, *, stored_bytes: int | None = None, chunk_bytes: int = 1 << 20
) -> Judged:
    judging = Judge(limits, plain_bytes=limits.plain_bytes(stored_bytes))
    for start in range(0, len(content), chunk_bytes):
        judging.feed(content[start : start + chunk_bytes])
    return judging.finish()


@pytest.mark.parametrize(("content", "words"), [row[1:] for row in CATALOGUE], ids=[row[0] for row in CATALOGUE])
def test_a_hostile_archive_is_refused_by_name(content: bytes, words: str):
    with pytest.raises(ArchiveInvalid) as caught:
        judge(content)
    assert words in caught.value.message


@pytest.mark.parametrize("chunk_bytes", [100, 512, 1000])
@pytest.mark.parametrize(("content", "words"), [row[1:] for row in CATALOGUE if len(row[1]) < 5000])
def test_chunks_change_no_verdict(content: bytes, words: str, chunk_bytes: int):
    with pytest.raises(ArchiveInvalid) as caught:
        judge(content, chunk_bytes=chunk_bytes)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "listed",
    [
        [folder("./"), folder("./usr"), folder("./usr/bin"), Member("./usr/bin/tool")],
        [link("bin", "usr/bin"), link("etc/mtab", "/proc/self/mounts"), link("usr/lib/x", "../../../../y")],
        [link("loop", "loop"), link("up", ".."), link("root", "/")],
        [Member("a"), hard_link("b", "a"), hard_link("c", "./a"), hard_link("d/e", "b")],
        [link("a", "/etc"), hard_link("b", "a")],
        [folder("a"), Member("a/b"), folder("a"), Member("a/c")],
        [Member("a/b"), folder("a"), folder("./a/")],
        [Member("a", typeflag=tarfile.FIFOTYPE)],
        [Member("A"), Member("a")],
        [Member("-rf"), Member("--checkpoint-action=exec=sh"), Member(";id"), Member("~/x"), Member("$(id)")],
        [Member("system-systemd\\x2dcryptsetup.slice"), Member("c:"), Member("..."), Member("a/..b/.c"), Member(" ")],
        [Member("n" * 255), Member("/".join(["n" * 200] * 20))],
    ],
)
def test_an_honest_archive_passes(listed: list[Member]):
    assert judge(tar_of(listed)).members == len(listed)


def test_a_name_that_is_not_utf_8_passes():
    content = tarfile.TarInfo(os.fsdecode(b"caf\xe9")).tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    assert judge(content + END_MARKER).members == 1


def test_devices_pass_where_they_are_allowed():
    content = tar_of([Member("null", typeflag=tarfile.CHRTYPE), Member("disk", typeflag=tarfile.BLKTYPE)])
    assert judge(content, replace(LIMITS, devices=True)).members == 2


def test_the_verdict_counts_what_is_in_the_archive():
    content = tar_of([Member("a", b"x" * 700), Member("b", b"x")]) + sparse_member(b"c", 10**6, text=b"0\n")
    content = content.replace(END_MARKER, b"", 1) + END_MARKER
    assert judge(content) == Judged(members=3, archive_bytes=len(content), content_bytes=700 + 1 + 10**6)


def test_what_a_helper_packs_of_a_volume_passes(tmp_path: Path):
    tree = tmp_path / "volume"
    (tree / "inner" / ("long" * 30)).mkdir(parents=True)
    (tree / "file").write_bytes(b"content")
    (tree / "hard").hardlink_to(tree / "file")
    (tree / "soft").symlink_to("/etc/passwd")
    os.mkfifo(tree / "pipe")
    with suppress(OSError):  # a file system without extended attributes
        os.setxattr(tree / "file", "user.note", b"a\n=\0b")
    for number in range(3):
        with (tree / f"sparse{number}").open("wb") as file:
            for offset in range(0, 100 * number):
                file.seek(offset * 100_000)
                file.write(b"island")
            file.truncate(20_000_000)
    content = gnu_tar(tree, *PACK, member=".")
    assert b"GNU.sparse.major=1" in content
    found = judge(content, chunk_bytes=777)
    assert (found.members, found.content_bytes) == (10, 7 + 3 * 20_000_000)


@pytest.mark.parametrize("archive_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_makes_of_a_root_file_system_passes(tmp_path: Path, archive_format: int):
    for name in ("usr/bin", "etc", "var/lib"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/python").symlink_to("/etc/alternatives/python")
    (tmp_path / "etc/passwd").write_text("root:x:0:0")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=archive_format) as archive:
        archive.add(tmp_path, ".")
    assert judge(stream.getvalue()).members == 9


@pytest.mark.parametrize(
    ("content", "limits", "words"),
    [
        (tar_of([Member("a", b"x" * 3000)]), replace(LIMITS, archive_bytes=4000), "more than 4000 bytes unpacked"),
        (tar_of([Member("a", b"x" * 600), Member("b", b"x" * 600)]), replace(LIMITS, content_bytes=1000), "1000 bytes"),
        (tar_of([Member("a"), Member("b"), Member("c")]), replace(LIMITS, members=2), "more than 2 members"),
        (tar_of([Member("a/b/c")]), replace(LIMITS, members=2), "more than 2 members"),
        (named(b"a" * 11), replace(LIMITS, path_bytes=10), "path of more than 10 bytes"),
        (named(b"b/" + b"a" * 11), replace(LIMITS, name_bytes=10), "name of more than 10 bytes"),
        (named(b"a" * 99), replace(LIMITS, extension_bytes=98), "over the limit of 98"),
        (pax_header(b"uid=1", b"gid=1") + header(b"0"), replace(LIMITS, extension_records=1), "more than 1 records"),
        (sparse_member(b"a", 9, text=b"9" * 999), replace(LIMITS, sparse_map_bytes=BLOCK), "more than 512 bytes"),
    ],
)
def test_every_bound_is_a_field_of_the_limits(content: bytes, limits: Limits, words: str):
    with pytest.raises(ArchiveInvalid) as caught:
        judge(content, limits)
    assert words in caught.value.message


def test_an_archive_may_not_grow_beyond_its_ratio():
    limits = replace(LIMITS, ratio=10, ratio_free_bytes=4000)
    content = tar_of([Member("a", b"x" * 9000)])
    assert judge(content, limits, stored_bytes=len(content) // 10 + 1).members == 1
    with pytest.raises(ArchiveInvalid, match="more than 9000 bytes unpacked"):
        judge(content, limits, stored_bytes=900)


def test_a_small_archive_may_grow_as_it_likes():
    content = tar_of([Member("a", b"x" * 9000)])
    assert judge(content, stored_bytes=1).members == 1


def test_the_limits_have_sensible_values_everywhere():
    assert all(getattr(LIMITS, field.name) > 0 for field in fields(Limits) if field.name != "devices")
    assert not LIMITS.devices


def test_names_are_shown_as_harmless_text():
    with pytest.raises(ArchiveInvalid) as caught:
        judge(named(b"../\x1b[2J\r\n\xff\xe2\x80\xa8" + b"x" * 200 + b"/" + b"y" * 200))
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


parts = st.sampled_from(["a", "b", ".", "..", "c\\d", ""])
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
listings = st.lists(st.builds(Member, name=paths, typeflag=kinds, target=paths), min_size=1, max_size=6)


@given(listed=listings)
def test_what_passes_is_unpacked_inside_an_empty_folder(listed: list[Member], tmp_path_factory: pytest.TempPathFactory):
    content = tar_of([member for member in listed if member.name])
    try:
        judge(content, SMALL)
    except ArchiveInvalid:
        return
    place = tmp_path_factory.mktemp("place")
    target = place / "deep" / "target"
    target.mkdir(parents=True)
    before = {path: path.lstat().st_mtime_ns for path in (place, place / "deep")}
    # The most trusting way there is: whatever the names say.
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(target, filter="fully_trusted")  # noqa: S202 - that is the test
    assert {path: path.lstat().st_mtime_ns for path in before} == before
    assert [path.name for path in place.iterdir()] == ["deep"]
    assert [path.name for path in (place / "deep").iterdir()] == ["target"]


@given(listed=listings, damage=st.data())
def test_whatever_comes_it_answers_with_its_own_errors(listed: list[Member], damage: st.DataObject):
    sparse = sparse_member(b"s", 99, text=b"1\n0\n9\n", data=b"9" * 9)
    content = bytearray(sparse + tar_of(listed) + b"trailing")
    for position in damage.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = damage.draw(st.integers(0, 255))
    with pytest.raises((ArchiveInvalid, ArchiveTruncated)):
        judge(bytes(content), SMALL)


@given(content=st.binary(max_size=3000))
def test_noise_is_no_archive(content: bytes):
    with pytest.raises(ArchiveInvalid):
        judge(content)
