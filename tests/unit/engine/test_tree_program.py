"""The program of the helper container, run here as it is run there. Like a private Engine, it needs root and Linux."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import re
import socket
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.engine import tree_program
from tests.trees import access_list, allocated_bytes, make_random_tree, make_tree, snapshot

pytestmark = pytest.mark.engine

TEXT = Path(tree_program.__file__).read_text()
PYTHON = getattr(sys, "_base_executable", sys.executable)


def run(*arguments: str | Path, sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([PYTHON, "-I", "-S", "-c", TEXT, *arguments], check=False, capture_output=True, input=sent)


def told(*arguments: str | Path, sent: bytes = b"") -> str:
    done = run(*arguments, sent=sent)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def proof(root: Path, *options: str) -> str:
    return told("prove", root, *options)


def framed(*blocks: bytes) -> bytes:
    return b"".join(len(block).to_bytes(4, "big") + block for block in blocks)


@pytest.fixture(autouse=True)
def errors_of_this_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program keeps complaints in its own /tmp; each test has another one."""
    monkeypatch.setattr(f"{__name__}.TEXT", TEXT.replace('"/tmp/errors"', repr(str(tmp_path / "errors"))))
    monkeypatch.setattr(tree_program, "ERRORS", str(tmp_path / "errors"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    make_tree(folder)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_a_copy_is_the_same_in_everything(source: Path, target: Path) -> None:
    told("copy", source, target)
    assert snapshot(target) == snapshot(source)
    assert proof(target) == proof(source)
    assert allocated_bytes(target / "sparse") < 100_000


def test_what_is_packed_unpacks_to_the_same_in_everything(source: Path, target: Path) -> None:
    packed = run("pack", source)
    assert packed.returncode == 0
    received = told("unpack", target, sent=framed(packed.stdout[:1000], packed.stdout[1000:], b""))
    assert received == f"unpacked sha256={hashlib.sha256(packed.stdout).hexdigest()}\n"
    assert snapshot(target) == snapshot(source)
    assert proof(target) == proof(source)
    assert allocated_bytes(target / "sparse") < 100_000


@pytest.mark.parametrize("seed", range(6))
def test_any_tree_is_copied_packed_and_proved_alike(tmp_path: Path, seed: int) -> None:
    folders = [tmp_path / name for name in ("source", "copied", "unpacked")]
    for folder in folders:
        folder.mkdir()
    make_random_tree(folders[0], seed)
    told("copy", folders[0], folders[1])
    told("unpack", folders[2], sent=framed(run("pack", folders[0]).stdout, b""))
    assert snapshot(folders[0]) == snapshot(folders[1]) == snapshot(folders[2])
    assert len({proof(folder) for folder in folders}) == 1


CHANGES: dict[str, Callable[[Path], object]] = {
    "one bit": lambda root: (root / "file").write_bytes(b"contenu"),
    "one bit behind a hole": lambda root: write_at(root / "sparse", 5_000_000),
    "mode": lambda root: (root / "file").chmod(0o4750),
    "owner": lambda root: os.chown(root / "pipe", 1, 0),
    "group": lambda root: os.chown(root / "pipe", 0, 1),
    "owner of a link": lambda root: os.chown(root / "link", 7, 6, follow_symlinks=False),
    "one nanosecond": lambda root: os.utime(root / "file", ns=(1, 1_234_567_890_123_456_790)),
    "attribute changed": lambda root: os.setxattr(root / "file", "user.b", b"2"),
    "attribute added": lambda root: os.setxattr(root / "file", "user.c", b""),
    "attribute removed": lambda root: os.removexattr(root / "file", "user.a"),
    "attribute of a link": lambda root: os.removexattr(root / "link", "trusted.of-a-link", follow_symlinks=False),
    "attribute of the root": lambda root: os.removexattr(root, "user.of-the-root"),
    "access list": lambda root: os.setxattr(root / "folder", "system.posix_acl_access", access_list(1001)),
    "default access list": lambda root: os.removexattr(root / "folder", "system.posix_acl_default"),
    "capability": lambda root: os.removexattr(root / "file", "security.capability"),
    "target of a link": lambda root: replaced(root / "link", lambda path: path.symlink_to("elsewhere")),
    "device number": lambda root: replaced(
        root / "block", lambda path: os.mknod(path, 0o660 | stat.S_IFBLK, os.makedev(7, 201))
    ),
    "hard link": lambda root: replaced(root / "hard", lambda path: path.write_bytes(b"content")),
    "name": lambda root: (root / "pipe").rename(root / "pipe2"),
    "empty folder": lambda root: (root / "folder" / "empty").rmdir(),
    "mode of the root": lambda root: root.chmod(0o770),
    "time of the root": lambda root: os.utime(root, ns=(1, 1)),
    "owner of the root": lambda root: os.chown(root, 33, 45),
}


def write_at(path: Path, offset: int) -> None:
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"y")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    facts = path.lstat()
    path.unlink()
    make(path)
    os.chown(path, facts.st_uid, facts.st_gid, follow_symlinks=False)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns), follow_symlinks=False)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_proof_tells_every_difference(source: Path, change: Callable[[Path], object]) -> None:
    parent = source.stat()
    before = proof(source)
    assert proof(source) == before
    root_times = (parent.st_atime_ns, parent.st_mtime_ns)
    change(source)
    if source.stat().st_mtime_ns != 1:
        os.utime(source, ns=root_times)
    assert proof(source) != before


def test_holes_and_the_order_of_attributes_do_not_matter(source: Path) -> None:
    before = proof(source)
    content = (source / "sparse").read_bytes()
    replaced(source / "sparse", lambda path: path.write_bytes(content))
    value = os.getxattr(source / "file", "user.b")
    os.removexattr(source / "file", "user.b")
    os.setxattr(source / "file", "user.b", value)
    os.utime(source, ns=(1, source.stat().st_mtime_ns))
    os.utime(source / "sparse", ns=(1, 1_234_567_890_123_456_789))
    os.utime(source, ns=(1, 1_234_567_890_123_456_789))
    assert allocated_bytes(source / "sparse") >= 10_000_000
    assert proof(source) == before


def test_a_file_that_grows_while_it_is_read_is_noticed(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    read = os.read

    def growing(file: int, size: int) -> bytes:
        with (source / "file").open("ab") as written:
            written.write(b"more")
        return read(file, size)

    monkeypatch.setattr(os, "read", growing)
    proved = tree_program.Proof(())
    proved.run(str(source))
    assert proved.watch.where == b"file"


def test_a_file_that_vanishes_after_its_folder_was_listed_is_noticed(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    watch = tree_program.Watch()
    seen = []
    for path, _, _ in tree_program.walk(str(source), watch):
        seen.append(path)
        if path == b"block":
            (source / "pipe").unlink()
    assert watch.where == b"pipe"
    assert b"sparse" in seen


def test_a_change_and_a_failure_have_different_codes(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tree_program.Proof, "run", lambda self, root: self.watch.note(b"here") or "0" * 64)
    assert tree_program.main(("prove", str(source))) == tree_program.CHANGED
    assert "changed while it was read: here" in capfd.readouterr().err
    assert run("prove", tmp_path / "nothing").returncode == tree_program.FAILED
    assert run("unknown").returncode not in (tree_program.DONE, tree_program.CHANGED)


@pytest.mark.parametrize(
    ("complaints", "code"),
    [
        ("cp: cannot stat '/source/a': No such file or directory\n", tree_program.CHANGED),
        ("cp: cannot open '/source/a' for reading: No such file or directory\n", tree_program.CHANGED),
        ("cp: cannot stat 'a': No such file or directory\ncp: error reading 'b': Input/output error\n", 2),
        ("cp: cannot create regular file '/target/a': No such file or directory\n", 2),
        ("cp: cannot open 'a' for reading: Permission denied\n", 2),
        ("", 2),
    ],
)
def test_only_missing_files_make_a_copy_one_of_a_changed_source(complaints: str, code: int) -> None:
    Path(tree_program.ERRORS).write_text(complaints)
    assert tree_program._complaint_of_cp() == code


def test_a_tree_deeper_than_any_path_is_proved_and_its_copy_refused_in_words(tmp_path: Path, target: Path) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    script = "import os, sys; os.chdir(sys.argv[1]); [(os.mkdir('d' * 100), os.chdir('d' * 100)) for _ in range(60)]"
    subprocess.run([PYTHON, "-c", script, root], check=True)
    try:
        assert proof(root).startswith("proved entries=61 ")
        done = run("copy", root, target)
        assert done.returncode == tree_program.FAILED
        assert b"File name too long" in done.stderr
    finally:
        subprocess.run(["rm", "-rf", root, target], check=True)


@pytest.mark.parametrize("verb", ["copy", "unpack"])
def test_a_volume_that_is_not_empty_is_not_written_to(source: Path, target: Path, verb: str) -> None:
    command = ("copy", source, target) if verb == "copy" else ("unpack", target)
    (target / "lost+found").mkdir()
    assert b"not empty" not in run(*command, sent=framed(b"")).stderr
    subprocess.run(["rm", "-rf", target], check=True)
    target.mkdir()
    (target / "there").touch()
    done = run(*command, sent=framed(b""))
    assert (done.returncode, done.stderr) == (tree_program.FAILED, b"the target is not empty")
    assert [path.name for path in target.iterdir()] == ["there"]


def test_a_layer_is_emptied_first_and_keeps_the_identity_of_its_overlay(source: Path, target: Path) -> None:
    (target / "old" / "deeper").mkdir(parents=True)
    (target / "old" / "file").touch()
    os.setxattr(source, "trusted.overlay.uuid", b"source's")
    told("copy", source, target, "layer")
    assert "trusted.overlay.uuid" not in os.listxattr(target)
    assert not (target / "old").exists()
    os.setxattr(target, "trusted.overlay.uuid", b"target's")
    told("copy", source, target, "layer")
    assert os.getxattr(target, "trusted.overlay.uuid") == b"target's"
    assert proof(target, "layer") == proof(source, "layer")
    assert proof(target) != proof(source)


def test_whiteouts_are_the_same_linked_or_not(tmp_path: Path) -> None:
    folders = tmp_path / "linked", tmp_path / "single"
    for folder in folders:
        folder.mkdir()
        os.mknod(folder / "a", stat.S_IFCHR, 0)
    os.link(folders[0] / "a", folders[0] / "b")
    os.mknod(folders[1] / "b", stat.S_IFCHR, 0)
    for path in (*(folder / name for folder in folders for name in "ab"), *folders):
        os.utime(path, ns=(1, 1))
    assert proof(folders[0]) == proof(folders[1])


@pytest.mark.parametrize(
    "sent",
    [b"", b"\0\0", framed(b"x" * 100), framed(b"x" * 100)[:-1], framed(b"not a tar" * 200, b"")],
    ids=["nothing", "half a length", "no end", "half a frame", "no tar"],
)
def test_a_stream_without_its_end_is_a_failure(target: Path, sent: bytes) -> None:
    done = run("unpack", target, sent=sent)
    assert done.returncode == tree_program.FAILED
    assert done.stderr


def test_a_tar_that_is_cut_between_members_is_a_failure(source: Path, target: Path) -> None:
    packed = run("pack", source).stdout
    done = run("unpack", target, sent=framed(packed[: len(packed) // 2 // 512 * 512]))
    assert done.returncode == tree_program.FAILED


def test_a_measure_counts_content_once_and_sees_what_is_kept_elsewhere(source: Path) -> None:
    subprocess.run(["sync", "-f", source], check=True)  # blocks are counted when they have a place
    entries = len(snapshot(source))
    first = told("measure", source)
    assert first.startswith(f"measured entries={entries} bytes=")
    assert " elsewhere=0 free=" in first
    assert int(first.split("bytes=")[1].split()[0]) < 100_000
    os.setxattr(source / "folder", "trusted.overlay.redirect", b"/old")
    os.setxattr(source / "file", "trusted.overlay.metacopy", b"")
    assert " elsewhere=3 free=" in told("measure", source)


def test_what_is_free_is_what_the_file_system_says(source: Path) -> None:
    disk = os.statvfs("/")
    free_bytes = int(told("space").removeprefix("space free="))
    assert free_bytes == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.05)


def test_signs_of_life_are_told_while_it_works(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tree_program, "PROGRESS_SECONDS", 0.0)
    assert tree_program.main(("prove", str(source))) == tree_program.DONE
    assert capfd.readouterr().out.count("progress bytes=") > 10


def test_several_verbs_in_one_run_each_tell_their_end(source: Path, target: Path) -> None:
    lines = told("each", "measure", source, "--", "copy", source, target, "--", "prove", target, "--").splitlines()
    assert [line.split(" ")[0] for line in lines if not line.startswith("progress")] == [
        "measured",
        "ended",
        "ended",
        "proved",
        "ended",
    ]
    assert lines.count("ended code=0") == 3
    assert lines[-2] + "\n" == proof(source)


def test_the_first_verb_that_fails_is_the_last(source: Path, target: Path) -> None:
    (target / "there").touch()
    done = run("each", "copy", source, target, "--", "prove", source, "--")
    assert (done.returncode, done.stdout) == (2, b"ended code=2\n")
    assert b"not empty" in done.stderr


def packed_names(root: Path, *options: str) -> set[str]:
    done = run("pack", root, *options)
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        return {name.removeprefix("./") for name in archive.getnames()}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("a/x.tmp", "a/y", "a/cache/z", "b/q.tmp", "b/-w", "b/new\nline"):
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "site"


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        ((), set()),
        (("exclude=*.tmp",), {"a/x.tmp", "b/q.tmp"}),
        (("exclude=a/cache", "exclude=b/??"), {"a/cache", "a/cache/z", "b/-w"}),
        (("exclude=a",), {"a", "a/x.tmp", "a/y", "a/cache", "a/cache/z"}),
        (("include=b",), {"a/x.tmp", "a/y", "a/cache/z"}),
        (("include=a/*", "exclude=a/y"), {"a/y", "b/q.tmp", "b/-w", "b/new\nline"}),
        (("exclude=x.tmp",), set()),
        (("exclude=*new*line",), {"b/new\nline"}),
    ],
)
def test_patterns_choose_what_is_packed(site: Path, options: tuple[str, ...], left_out: set[str]):
    everything = {str(path.relative_to(site)) for path in site.rglob("*")} | {"."}
    assert packed_names(site, *options) == everything - left_out


@pytest.mark.parametrize("options", [(), ("exclude=*.tmp",), ("include=b", "exclude=b/q*")])
def test_a_packing_says_how_many_entries_it_should_have(site: Path, options: tuple[str, ...]):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site / "socket"))
    said = run("pack", site, "count", *options).stderr.splitlines()[0]
    assert said == b"entries=%d" % len(packed_names(site, *options))


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        (b"*", b"", True),
        (b"", b"", True),
        (b"", b"a", False),
        (b"a*b*c", b"a/b/xbc", True),
        (b"a*b*c", b"a/b/x", False),
        (b"**a", b"ba", True),
        (b"?", b"", False),
        (b"?*", b"\xff\xfe", True),
        (b"*a" * 30, b"a" * 2000 + b"b", False),
    ],
)
def test_a_pattern_matches_as_in_a_shell_but_for_slashes(pattern: bytes, text: bytes, matched: bool):
    assert tree_program._matches(pattern, text) is matched


@given(st.binary(max_size=12), st.text(alphabet="ab*?/", max_size=8))
def test_a_pattern_matches_what_the_library_s_does(text: bytes, pattern: str):
    assert tree_program._matches(pattern.encode(), text) is bool(
        re.fullmatch(fnmatch.translate(pattern), text.decode("latin-1"))
    )


def test_a_proof_of_what_went_through_a_tar_counts_no_socket(site: Path):
    without = [proof(site), proof(site, "streamed")]
    facts = site.stat()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site / "socket"))
    os.utime(site, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert proof(site, "streamed") == without[1] == without[0]
    assert proof(site) != without[0]
