"""Two tars are compared by what they hold: everything that a copy can lose is seen, and the order of packing is not."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from containers_app.archives.tar_tree import TarTree, TreeFacts
from containers_app.engine.tree_program import PACK
from containers_app.errors import ArchiveInvalid, ArchiveTruncated

Member = tuple[str, bytes, bytes, dict[str, object]]


def facts(content: bytes, *, step: int = 1 << 20, undated: tuple[bytes, ...] = ()) -> TreeFacts:
    tree = TarTree(undated=undated)
    for start in range(0, len(content), step):
        tree.feed(content[start : start + step])
    return tree.finish()


def tar(*members: Member) -> bytes:
    """A tar of (name, type, content, other fields)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, content, more in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.mode, entry.mtime = kind, len(content), 0o644, 1_700_000_000
            for field, value in more.items():
                setattr(entry, field, value)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def file(name: str, content: bytes = b"content", **more: object) -> Member:
    return name, tarfile.REGTYPE, content, more


def hard(name: str, target: str) -> Member:
    return name, tarfile.LNKTYPE, b"", {"linkname": target}


def packed(folder: Path) -> bytes:
    """As a helper container packs it."""
    return subprocess.run(["tar", "-C", folder, *PACK, "-c", "-f", "-", "."], check=True, capture_output=True).stdout


def test_the_order_and_the_writing_of_names_say_nothing() -> None:
    first = facts(tar(file("a"), file("b", b"other")))
    second = facts(tar(file("./b", b"other"), file("./a")))
    assert first.differing(second) == ()
    assert first.sha256 == second.sha256
    assert first.document() == {"entries": 2, "bytes": 12, "sha256": first.sha256}


CHANGES: dict[str, Member] = {
    "content": file("a", b"CONTENT"),
    "length": file("a", b"content and more"),
    "mode": file("a", mode=0o600),
    "owner": file("a", uid=7),
    "group": file("a", gid=7),
    "second": file("a", mtime=1_700_000_001),
    "nanosecond": file("a", pax_headers={"mtime": "1700000000.000000001"}),
    "kind": ("a", tarfile.DIRTYPE, b"", {}),
    "attribute": file("a", pax_headers={"SCHILY.xattr.user.own": "1"}),
    "access list": file("a", pax_headers={"SCHILY.acl.access": "user::rwx"}),
    "path": file("b"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_everything_that_a_copy_can_lose_is_seen(change: str) -> None:
    assert b"a" in facts(tar(file("a"))).differing(facts(tar(CHANGES[change])))


def test_what_the_host_decides_is_not_compared() -> None:
    labelled = file("a", pax_headers={"SCHILY.xattr.security.selinux": "a label", "atime": "5", "ctime": "6"})
    assert facts(tar(file("a"))).differing(facts(tar(labelled))) == ()


def test_a_symbolic_link_is_its_target() -> None:
    links = [facts(tar(("l", tarfile.SYMTYPE, b"", {"linkname": target}))) for target in ("x", "y")]
    assert links[0].differing(links[1]) == (b"l",)


def test_names_of_one_file_are_a_group_whichever_comes_first() -> None:
    first = facts(tar(file("a"), hard("b", "a"), hard("c", "a")))
    second = facts(tar(file("c"), hard("b", "c"), hard("a", "c")))
    copies = facts(tar(file("a"), file("b"), file("c")))
    assert first.differing(second) == ()
    assert first.differing(copies) == (b"a", b"b", b"c")
    with pytest.raises(ArchiveInvalid, match="hard link"):
        facts(tar(file("a"), hard("b", "nothing")))


def test_what_is_in_the_files_is_told_when_asked_for() -> None:
    content = tar(file("a"), hard("b", "a"), hard("c", "b"), ("d", tarfile.DIRTYPE, b"", {}), file("e", b""))
    tree = TarTree(contents=True)
    tree.feed(content)
    contents = {**dict.fromkeys((b"a", b"b", b"c"), b"content"), b"e": b""}
    assert tree.finish().contents == {name: hashlib.sha256(read).digest() for name, read in contents.items()}
    assert facts(content).contents == {}


def test_times_that_are_not_ours_are_left_out_and_nothing_else() -> None:
    own, other = tar(file("etc/hosts")), tar(file("etc/hosts", mtime=5))
    assert facts(own, undated=(b"etc/hosts",)).differing(facts(other, undated=(b"etc/hosts",))) == ()
    changed = tar(file("etc/hosts", b"x", mtime=5))
    assert facts(own, undated=(b"etc/hosts",)).differing(facts(changed, undated=(b"etc/hosts",))) == (b"etc/hosts",)


def sparse_file(path: Path, *parts: tuple[int, bytes], size_bytes: int) -> None:
    with path.open("wb") as written:
        written.truncate(size_bytes)
        for offset, content in parts:
            written.seek(offset)
            written.write(content)


@pytest.mark.parametrize("step", [1, 511, 4096, 1 << 20])
def test_the_holes_of_a_sparse_file_are_the_zeros_that_they_read_as(step: int, tmp_path: Path) -> None:
    whole, holed = tmp_path / "whole", tmp_path / "holed"
    whole.mkdir()
    holed.mkdir()
    sparse_file(holed / "f", (40_000, b"x" * 5_000), (90_000, b"y"), size_bytes=150_000)
    (whole / "f").write_bytes((holed / "f").read_bytes())
    for folder in (whole, holed):
        os.utime(folder / "f", ns=(1, 1))
        os.utime(folder, ns=(1, 1))
    stored = packed(holed)
    assert b"GNU.sparse" in stored
    assert facts(stored, step=step).differing(facts(packed(whole))) == ()
    sparse_file(holed / "f", (40_000, b"x" * 4_999), (90_000, b"y"), size_bytes=150_000)
    os.utime(holed / "f", ns=(1, 1))
    assert facts(packed(holed), step=step).differing(facts(packed(whole))) == (b"f",)


@pytest.mark.parametrize(
    ("broken", "error"),
    [(lambda whole: whole[:600], ArchiveTruncated), (lambda whole: b"x" * 1024, ArchiveInvalid)],
    ids=["cut", "no tar"],
)
def test_what_is_no_whole_tar_is_nothing(broken: Callable[[bytes], bytes], error: type[Exception]) -> None:
    with pytest.raises(error):
        facts(broken(tar(file("a"))))
