"""Trees of files with everything that a copy can lose, and what they are, read without the product."""

from __future__ import annotations

import os
import random
import stat
import struct
from pathlib import Path
from typing import Any

MOMENT = 1_234_567_890_123_456_789
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
NAMES = (b"plain", b"new\nline", b"not-utf8-\xff\xfe", b"-rf", b" ", b"~", b"\xe2\x82\xac", b"a\\b", b"'quoted\"", b"*")
ATTRIBUTES = (("user.b", b"1\0\n="), ("user.a", b""), ("trusted.t", b"x"), ("security.capability", CAPABILITY))
NO_ONE = 0xFFFFFFFF


def access_list(user: int) -> bytes:
    """A POSIX access list as the kernel keeps it, with one named user."""
    entries = ((0x01, 7, NO_ONE), (0x02, 5, user), (0x04, 5, NO_ONE), (0x10, 5, NO_ONE), (0x20, 1, NO_ONE))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def make_tree(root: Path) -> None:
    """Fill an empty folder with one of everything; needs root."""
    file, sparse, folder = root / "file", root / "sparse", root / "folder"
    file.write_bytes(b"content")
    os.chown(file, 123, 4567)
    file.chmod(0o4751)
    os.link(file, root / "hard")
    for name, value in ATTRIBUTES:
        os.setxattr(file, name, value)
    with sparse.open("wb") as written:
        written.truncate(10_000_000)
        written.seek(5_000_000)
        written.write(b"x")
    (folder / "empty").mkdir(parents=True)
    folder.chmod(0o2750)
    os.setxattr(folder, "system.posix_acl_access", access_list(1000))
    os.setxattr(folder, "system.posix_acl_default", access_list(1001))
    os.setxattr(folder / "empty", "user.long", b"z" * 3000)
    (root / "link").symlink_to("nowhere/\n")
    os.setxattr(root / "link", "trusted.of-a-link", b"y", follow_symlinks=False)
    os.mkfifo(root / "pipe", 0o640)
    os.mknod(root / "character", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "block", 0o660 | stat.S_IFBLK, os.makedev(7, 200))
    for raw in NAMES:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + raw)).write_bytes(raw)
    os.chown(root / "link", 5, 6, follow_symlinks=False)
    os.setxattr(root, "user.of-the-root", b"r")
    os.chown(root, 33, 44)
    root.chmod(0o1770)
    for name in ("file", "sparse", "link", "pipe", "folder/empty", "folder", "."):
        os.utime(root / name, ns=(1, MOMENT), follow_symlinks=False)


def make_random_tree(root: Path, seed: int, *, entries: int = 60) -> None:
    """Fill an empty folder with a tree that only the seed decides; needs root."""
    chosen = random.Random(seed)  # noqa: S311 - a test that can be repeated
    folders: list[Path] = [root]
    files: list[Path] = []
    for number in range(entries):
        parent = os.fsencode(chosen.choice(folders))
        path = Path(os.fsdecode(parent + b"/%d-" % number + chosen.choice(NAMES) + bytes([chosen.randrange(128, 256)])))
        kind = chosen.choice(("file", "file", "file", "folder", "link", "hard", "pipe", "device"))
        if kind == "folder":
            path.mkdir()
            folders.append(path)
        elif kind == "link":
            path.symlink_to(os.fsdecode(chosen.randbytes(20).replace(b"\0", b"0")))
        elif kind == "hard" and files:
            os.link(chosen.choice(files), path)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR, os.makedev(chosen.randrange(1, 256), chosen.randrange(256)))
        else:
            path.write_bytes(chosen.randbytes(chosen.choice((0, 1, 4096, 70_000))))
            os.truncate(path, chosen.choice((0, 3, 500_000)))
            files.append(path)
    for path in sorted(root.rglob("*"), reverse=True):
        _decorate(path, chosen)


def _decorate(path: Path, chosen: random.Random) -> None:
    os.chown(path, chosen.randrange(70_000), chosen.randrange(70_000), follow_symlinks=False)
    if not path.is_symlink():
        path.chmod(chosen.randrange(0o10000))
        if path.is_file() or path.is_dir():
            names = [f"user.{number}" for number in range(chosen.randrange(4))]
            for name in chosen.sample(names, len(names)):
                os.setxattr(path, name, chosen.randbytes(chosen.randrange(200)))
    os.setxattr(path, "trusted.n", chosen.randbytes(3), follow_symlinks=False)
    os.utime(path, ns=(1, chosen.randrange(2**62)), follow_symlinks=False)


def snapshot(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """All that a copy must keep, by path; for a hard link also the first path of the same file."""
    base = os.fsencode(root)
    found: dict[bytes, tuple[Any, ...]] = {}
    first: dict[tuple[int, int], bytes] = {}
    paths = [base] + [folder + b"/" + name for folder, folders, files in os.walk(base) for name in folders + files]
    for path in sorted(paths):
        facts = os.lstat(path)
        names = os.listxattr(path, follow_symlinks=False)
        found[os.path.relpath(path, base)] = (
            oct(facts.st_mode),
            (facts.st_uid, facts.st_gid, facts.st_rdev, facts.st_mtime_ns),
            None if stat.S_ISDIR(facts.st_mode) else facts.st_size,
            {name: os.getxattr(path, name, follow_symlinks=False) for name in names},
            first.setdefault((facts.st_dev, facts.st_ino), os.path.relpath(path, base)),
            Path(os.fsdecode(path)).read_bytes() if stat.S_ISREG(facts.st_mode) else b"",
            os.fsencode(Path(os.fsdecode(path)).readlink()) if stat.S_ISLNK(facts.st_mode) else b"",
        )
    return found


def allocated_bytes(path: Path) -> int:
    """What a file takes on the disk."""
    return path.stat().st_blocks * 512
