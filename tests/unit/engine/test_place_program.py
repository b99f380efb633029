"""Entries put among files that are there: each step of it can be the last one, and all is as it was again."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers_app.engine import place_program
from containers_app.engine.helper import HelperTask
from containers_app.engine.placing import PlacedEntry
from containers_app.engine.tree_program import DONE, FAILED
from tests.trees import snapshot

pytestmark = pytest.mark.engine
IDENTIFIER = "0123abcd"
MOMENT_NS = 1_600_000_000_000_000_007
STAGED = {"etc/app/main": b"saved", "etc/app/more/new": b"new", "etc/app/same": b"same", "etc/link": None}


class Put:
    """A tree in which some files are as in the backup, some others, and some are missing; and what is staged beside."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.told = root, bytearray()
        (root / "etc" / "app").mkdir(parents=True)
        for name, content in (("main", b"broken"), ("same", b"same"), ("own", b"own")):
            (root / "etc" / "app" / name).write_bytes(content)
            os.utime(root / "etc" / "app" / name, ns=(MOMENT_NS, MOMENT_NS))
        for folder in ("etc/app", "etc", "."):
            os.utime(root / folder, ns=(1, 1))
        self.before = snapshot(root)
        self.entries = [self.folder("etc", "parent"), self.folder("etc/app"), self.folder("etc/app/more")]
        self.entries += [self.entry(path, content) for path, content in STAGED.items()]
        self.entries.sort(key=lambda entry: entry.path.split(b"/"))
        monkeypatch.setattr(place_program, "_received", self.received)
        monkeypatch.setattr(place_program, "complain", self.complain)

    def received(self, take: Callable[[bytes], None]) -> str:
        take(b"".join(entry.line for entry in self.entries))
        return "hash"

    def complain(self, text: str | bytes) -> None:
        self.told += text if isinstance(text, bytes) else text.encode()

    def folder(self, path: str, kind: str = "folder") -> PlacedEntry:
        values: Any = {"mode": 0o750, "uid": 3, "gid": 4, "mtime_ns": MOMENT_NS}
        return PlacedEntry(path=path.encode(), staged=f"0/{path}".encode(), kind=kind, **values)

    def entry(self, path: str, content: bytes | None) -> PlacedEntry:
        values: Any = {"mode": 0o644, "uid": 0, "gid": 0, "mtime_ns": MOMENT_NS}
        place = {"path": path.encode(), "staged": f"0/{path}".encode(), **values}
        if content is None:
            return PlacedEntry(kind="symlink", target=b"/nowhere", **place)
        digest = hashlib.sha256(content).hexdigest()
        return PlacedEntry(kind="file", size_bytes=len(content), sha256=digest, **place)

    def stage(self) -> None:
        own = self.root / f".before-{IDENTIFIER}"
        for name in ("new/0", "old"):
            (own / name).mkdir(parents=True)
        own.chmod(0o700)
        (own / "root").touch(0o600)
        (own / "root").write_text("1")
        (own / "new" / "0" / "etc" / "app" / "more").mkdir(parents=True)
        for path, content in STAGED.items():
            staged = own / "new" / "0" / path
            staged.symlink_to("/nowhere") if content is None else staged.write_bytes(content)
            os.utime(staged, ns=(MOMENT_NS, MOMENT_NS), follow_symlinks=False)

    def do(self, verb: str) -> int:
        return place_program.MORE_VERBS[verb](str(self.root), IDENTIFIER)


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    root = tmp_path / "root"
    root.mkdir()
    # The program goes where it works, and stays there.
    monkeypatch.chdir(tmp_path)
    return Put(root, monkeypatch)


def looked(put: Put, capfd: pytest.CaptureFixture[str]) -> tuple[list[str], set[str]]:
    capfd.readouterr()
    assert place_program.look(str(put.root)) == DONE
    lines = capfd.readouterr().out.splitlines()
    totals = [word for line in lines if line.startswith("looked") for word in line.split()[1:5]]
    return totals, {line for line in lines if line.startswith("entry")}


def test_it_tells_what_would_change_and_changes_nothing(put: Put, capfd: pytest.CaptureFixture[str]) -> None:
    totals, entries = looked(put, capfd)
    assert totals == ["new=3", "overwritten=2", "unchanged=1", "blocked=0"]
    assert entries == {
        "entry1 verdict=overwritten",
        "entry2 verdict=overwritten",
        *(f"entry{number} verdict=new" for number in (3, 4, 6)),
    }
    assert snapshot(put.root) == put.before


def test_a_file_without_a_digest_is_never_taken_for_the_same(put: Put, capfd: pytest.CaptureFixture[str]) -> None:
    put.entries = [replace(entry, sha256="") for entry in put.entries if entry.path == b"etc/app/same"]
    assert looked(put, capfd)[0] == ["new=0", "overwritten=1", "unchanged=0", "blocked=0"]


def test_what_is_put_there_is_what_the_backup_has_and_the_rest_stays(
    put: Put, capfd: pytest.CaptureFixture[str]
) -> None:
    put.stage()
    assert put.do("place") == DONE
    assert looked(put, capfd)[0] == ["new=0", "overwritten=0", "unchanged=6", "blocked=0"]
    assert (put.root / "etc/app/own").read_bytes() == b"own"
    more = (put.root / "etc/app/more").stat()
    assert (more.st_mode & 0o777, more.st_uid, more.st_gid, more.st_mtime_ns) == (0o750, 3, 4, MOMENT_NS)
    assert (put.root / "etc").stat().st_mtime_ns == 1
    assert put.do("settle") == DONE
    kept = put.root / f".before-{IDENTIFIER}"
    assert sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()) == [
        "old/etc/app/main"
    ]
    assert put.do("settle") == DONE


def test_all_of_it_is_taken_back_twice(put: Put) -> None:
    put.stage()
    assert put.do("place") == DONE
    assert put.do("unplace") == DONE
    assert snapshot(put.root) == put.before
    assert put.do("unplace") == DONE
    assert snapshot(put.root) == put.before


EFFECTS = ["rename", "link", "unlink", "mkdir", "rmdir", "chmod", "chown", "utime", "fsync"]


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("verb", ["place", "unplace"])
def test_wherever_it_dies_all_is_as_it_was(
    put: Put, monkeypatch: pytest.MonkeyPatch, verb: str, effect: str, number: int
) -> None:
    put.stage()
    if verb == "unplace":
        assert put.do("place") == DONE
    count, real = iter(range(1000)), getattr(os, effect)

    def dying(*arguments: Any, **options: Any) -> Any:
        if next(count) == number:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, effect, dying)
        with contextlib.suppress(KeyboardInterrupt):
            put.do(verb)
    assert put.do("unplace") == DONE
    if verb == "unplace" and effect in ("unlink", "rmdir", "utime"):
        # The very last steps: nothing but the root's own time is left to be set, and nobody knows it any more.
        os.utime(put.root, ns=(1, 1))
    assert snapshot(put.root) == put.before


def failing(monkeypatch: pytest.MonkeyPatch, effect: str, error: OSError, *, first: Callable[[], object]) -> None:
    """The first call of an effect fails, or finds what somebody did just before."""
    real, calls = getattr(os, effect), iter(range(1000))

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(calls) == 0:
            first()
            if error.errno:
                raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, effect, fail)


@pytest.mark.parametrize("path", ["etc/link", "etc/app/more"])
def test_what_somebody_makes_meanwhile_is_not_replaced(put: Put, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    put.stage()
    made = put.root / path

    def make() -> None:
        made.parent.mkdir(exist_ok=True)
        if path == "etc/link":
            made.write_bytes(b"theirs")
        else:
            made.mkdir()
            (made / "theirs").touch()

    put.entries = [entry for entry in put.entries if entry.path in (b"etc", b"etc/app", path.encode())]
    with monkeypatch.context() as patched:
        failing(patched, "link" if path == "etc/link" else "mkdir", OSError(), first=make)
        with pytest.raises(FileExistsError):
            put.do("place")
    assert put.do("unplace") == DONE
    assert made.read_bytes() == b"theirs" if path == "etc/link" else (made / "theirs").exists()
    assert not (put.root / f".before-{IDENTIFIER}").exists()


def test_what_somebody_put_in_its_place_stays_and_what_was_replaced_is_kept(
    put: Put, capfd: pytest.CaptureFixture[str]
) -> None:
    put.stage()
    assert put.do("place") == DONE
    for path in ("etc/app/main", "etc/link"):
        (put.root / path).unlink()
        (put.root / path).write_bytes(b"theirs")
    capfd.readouterr()
    for left in (2, 0):
        assert put.do("unplace") == DONE
        assert capfd.readouterr().out == f"left entries={left}\n"
    assert [(put.root / path).read_bytes() for path in ("etc/app/main", "etc/link")] == [b"theirs"] * 2
    assert not (put.root / "etc/app/more").exists()
    kept = put.root / f".before-{IDENTIFIER}"
    assert [path.relative_to(kept).as_posix() for path in kept.rglob("*") if not path.is_dir()] == ["old/etc/app/main"]
    assert (kept / "old/etc/app/main").read_bytes() == b"broken"


def test_one_entry_that_is_stuck_does_not_keep_the_rest(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put.stage()
    assert put.do("place") == DONE
    with monkeypatch.context() as patched:
        failing(patched, "unlink", OSError(errno.EPERM, "immutable"), first=lambda: None)
        assert put.do("unplace") == FAILED
    assert b"etc/link: [Errno 1] immutable" in put.told
    assert (put.root / "etc/app/main").read_bytes() == b"broken"
    assert not (put.root / "etc/app/more").exists()
    assert put.do("unplace") == DONE
    assert snapshot(put.root) == put.before


def test_where_a_link_stands_on_the_way_by_now_nothing_is_taken_back_through_it(put: Put, tmp_path: Path) -> None:
    put.stage()
    assert put.do("place") == DONE
    (put.root / "etc/app").rename(tmp_path / "elsewhere")
    (put.root / "etc/app").symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path / "elsewhere")
    assert put.do("unplace") == DONE
    assert snapshot(tmp_path / "elsewhere") == before


FORGERIES: dict[str, Callable[[Path], object]] = {
    "somebody else's folder": lambda own: os.chown(own, 7, 7),
    "a folder that others may write": lambda own: own.chmod(0o770),
    "a link in its place": lambda own: own.rename(own.with_name("moved")).with_name(own.name).symlink_to("moved"),
    "somebody else's journal": lambda own: os.chown(own / "journal", 7, 7),
    "a journal that others may write": lambda own: (own / "journal").chmod(0o666),
    "a link for a journal": lambda own: (own / "journal").rename(own / "x").with_name("journal").symlink_to("x"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_journal_that_somebody_may_have_written_is_not_followed(put: Put, forge: Callable[[Path], object]) -> None:
    put.stage()
    assert put.do("place") == DONE
    own = put.root / f".before-{IDENTIFIER}"
    forge(own)
    before = snapshot(put.root)
    with pytest.raises(OSError, match=r"somebody else|Too many levels|Not a directory"):
        put.do("unplace")
    assert snapshot(put.root) == before


def test_a_folder_that_is_not_ours_is_not_staged_into(put: Put) -> None:
    own = put.root / f".before-{IDENTIFIER}"
    own.mkdir(0o755)
    before = snapshot(put.root)
    with pytest.raises(OSError, match="somebody else"):
        place_program.stage(str(put.root), IDENTIFIER, "0")
    assert snapshot(put.root) == before


@pytest.mark.parametrize("blocking", ["a folder", "a link on the way"])
def test_what_stands_in_the_way_is_named_and_nothing_is_put(put: Put, blocking: str) -> None:
    if blocking == "a folder":
        (put.root / "etc/app/main").unlink()
        (put.root / "etc/app/main").mkdir()
    else:
        (put.root / "etc").rename(put.root / "moved")
        (put.root / "etc").symlink_to("moved")
    before = snapshot(put.root)
    put.stage()
    assert put.do("place") == FAILED
    assert b"something else stands at etc" in put.told
    assert put.do("unplace") == DONE
    assert {path: facts for path, facts in snapshot(put.root).items() if path not in (b"", b".")} == {
        path: facts for path, facts in before.items() if path not in (b"", b".")
    }


def test_a_file_system_that_is_not_mounted_is_not_written_to(put: Put) -> None:
    put.stage()
    before = snapshot(put.root)
    for verb in ("place", "unplace", "settle"):
        assert place_program.MORE_VERBS[verb](str(put.root), IDENTIFIER, "overlay") == FAILED
    assert snapshot(put.root) == before
    assert b"not mounted" in put.told


def test_a_helper_has_both_programs_in_one_text() -> None:
    (*_, text) = HelperTask(image_id="", arguments=("look",), mounts=()).body()["Entrypoint"]
    assert text.index("MORE_VERBS:") < text.index("VERBS.update(")
    compile(text, "program", "exec")
