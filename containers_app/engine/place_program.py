"""More verbs of the helper's program: entries of a backup put among the files that are there, and taken back again.

Its text stands before that of `tree_program`, whose names its functions find when they are called.

A folder of our own in the tree's root has all that a return needs: what is put there (`new`), what that replaced
(`old`), and a journal of all steps, which is on the disk before the first of them. Files change by one rename each, so
that a program that runs sees the old one or the new one. No link on the way to an entry is followed.
"""

import os
import stat

try:
    from containers_app.engine.tree_program import (  # type: ignore[attr-defined]  # a name of the interpreter's
        BLOCK_BYTES,
        DONE,
        FAILED,
        _empty,
        _free,
        _received,
        _write,
        complain,
        sha256,
        tell,
        unpack,
    )
except ImportError:  # in the helper, where they are all in one text
    pass

from _collections_abc import Callable, Iterator, Sequence

OVERLAY = "overlay"
NEW, OVERWRITTEN, UNCHANGED, BLOCKED = "new", "overwritten", "unchanged", "blocked"
SHOWN_ENTRIES = 200
FIELDS = 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FORMATS = {"symlink": stat.S_IFLNK, "character": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO}


class Wanted:
    """An entry of a backup: `path` is where it goes, `staged` where it is below `new`.

    A `parent` is a folder that is only made where it is missing.
    """

    def __init__(self, words: "Sequence[bytes]") -> None:
        kind, self.path, self.staged, *numbers, digest, self.target = words
        self.kind, self.sha256 = kind.decode(), digest.decode()
        self.mode, self.uid, self.gid, self.mtime_ns, self.size = (int(number) for number in numbers)

    @property
    def is_folder(self) -> bool:
        """Also where it is one on the way only."""
        return self.kind in ("folder", "parent")

    @property
    def folder_values(self) -> "tuple[int, int, int, int]":
        """As a folder gets them."""
        return self.mode, self.uid, self.gid, self.mtime_ns


def _read() -> "list[Wanted] | None":
    """The list on standard input; None where it was cut."""
    content = bytearray()
    if _received(content.extend) is None:
        complain("the list was cut")
        return None
    words = bytes(content).split(b"\0")
    return [Wanted(words[start : start + FIELDS]) for start in range(0, len(words) - 1, FIELDS)]


def _is_ready(root: str, options: "Sequence[str]") -> bool:
    """Whether the tree is what it is taken for: a container's files are there only while an Engine has them mounted."""
    if OVERLAY not in options:
        return True
    with open("/proc/self/mountinfo", "rb") as mounts:
        found = [line.split() for line in mounts]
    own = [line for line in found if line[4] == os.fsencode(root)]
    if own and own[-1][own[-1].index(b"-") + 1] == b"overlay":
        return True
    complain("the Engine has the container's file system not mounted: start the container, then try again")
    return False


class Tree:
    """The tree at a root: folders are opened step by step from it, and the last one is kept open."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, _FOLDER)
        self._path, self._folder = b"", self._root

    def folder(self, path: bytes) -> int:
        """The open folder. Raises OSError where a step is missing, is no folder, or is a link."""
        if path != self._path:
            self._close(self._folder)
            self._path, self._folder = b"", self._root
            for step in path.split(b"/") if path else ():
                below = os.open(step, _FOLDER, dir_fd=self._folder)
                self._close(self._folder)
                self._path, self._folder = self._path + step + b"/", below
            self._path = path
        return self._folder

    def _close(self, folder: int) -> None:
        if folder != self._root:
            os.close(folder)

    def place(self, path: bytes) -> "tuple[bytes, int]":
        """The name and the open folder of an entry; the root's is `.`."""
        folder, _, name = path.rpartition(b"/")
        return name or b".", self.folder(folder)

    def facts(self, path: bytes) -> "os.stat_result | None":
        """What stands there; None for nothing. Raises OSError where the way there is blocked."""
        try:
            name, folder = self.place(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def digest(self, path: bytes) -> str:
        """SHA-256 of a file, in hex."""
        name, folder = self.place(path)
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        hashed = sha256()
        try:
            while block := os.read(file, BLOCK_BYTES):
                hashed.update(block)
        finally:
            os.close(file)
        return hashed.hexdigest()


def _verdict_on(tree: "Tree", entry: "Wanted") -> str:
    """What putting the entry there does, or why it cannot be put there: then `blocked`."""
    try:
        facts = tree.facts(entry.path)
    except OSError:
        return BLOCKED
    if facts is None:
        return NEW
    is_folder = stat.S_ISDIR(facts.st_mode)
    if is_folder != entry.is_folder:
        return BLOCKED
    if entry.kind == "parent":
        return UNCHANGED
    return UNCHANGED if _is_same(tree, entry, facts) else OVERWRITTEN


def _is_same(tree: "Tree", entry: "Wanted", facts: os.stat_result) -> bool:
    if entry.kind in _FORMATS and stat.S_IFMT(facts.st_mode) != _FORMATS[entry.kind]:
        return False
    if (facts.st_uid, facts.st_gid) != (entry.uid, entry.gid) or not _same_time(entry.mtime_ns, facts.st_mtime_ns):
        return False
    if entry.kind == "symlink":
        name, folder = tree.place(entry.path)
        return os.readlink(name, dir_fd=folder) == entry.target
    if stat.S_IMODE(facts.st_mode) != entry.mode:
        return False
    return entry.kind != "file" or _same_content(tree, entry, facts)


def _same_time(wanted_ns: int, found_ns: int) -> bool:
    """Some archives have seconds only."""
    return found_ns // 10**9 * 10**9 == wanted_ns if wanted_ns % 10**9 == 0 else found_ns == wanted_ns


def _same_content(tree: "Tree", entry: "Wanted", facts: os.stat_result) -> bool:
    """Without a digest nobody knows, and so it is not."""
    if not stat.S_ISREG(facts.st_mode) or facts.st_size != entry.size:
        return False
    return entry.sha256 != "" and tree.digest(entry.path) == entry.sha256


def look(root: str, *options: str) -> int:
    """Tell what putting the entries of standard input there would do: totals, and those that are not unchanged."""
    entries = _read() if _is_ready(root, options) else None
    if entries is None:
        return FAILED
    tree, hashed, shown = Tree(root), sha256(), 0
    totals = dict.fromkeys((NEW, OVERWRITTEN, UNCHANGED, BLOCKED), 0)
    for number, entry in enumerate(entries):
        verdict = _verdict_on(tree, entry)
        hashed.update(verdict.encode() + b"\0")
        if entry.kind != "parent" or verdict != UNCHANGED:
            totals[verdict] += 1
        if verdict != UNCHANGED and (shown < SHOWN_ENTRIES or (verdict == BLOCKED and totals[BLOCKED] == 1)):
            shown += 1
            tell(f"entry{number}", verdict=verdict)
    tell("looked", **totals, free=_free(root), sha256=hashed.hexdigest())
    return DONE


def _own(root: str, identifier: str) -> str:
    return f"{root}/.before-{identifier}"


def stage(root: str, identifier: str, number: str, *options: str) -> int:
    """Unpack the tar of standard input below `new`, beside what is there."""
    if not _is_ready(root, options):
        return FAILED
    own = _own(root, identifier)
    if not os.path.lexists(own):
        moment = os.stat(root).st_mtime_ns
        os.mkdir(own, 0o700)
        os.mkdir(f"{own}/new", 0o700)
        os.mkdir(f"{own}/old", 0o700)
        _save(f"{own}/root", b"%d" % moment)
    os.mkdir(f"{own}/new/{number}", 0o700)
    return unpack(f"{own}/new/{number}")


def _save(path: str, content: bytes) -> None:
    """Write a file, which is whole and on the disk as soon as it has its name."""
    file = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    _write(file, content)
    os.fsync(file)
    os.close(file)
    os.rename(f"{path}.part", path)


def place(root: str, identifier: str, *options: str) -> int:
    """Put the staged entries of standard input where they belong. The journal first; nothing where one is blocked."""
    entries = _read() if _is_ready(root, options) else None
    if entries is None:
        return FAILED
    tree = Tree(root)
    steps = []
    for entry in entries:
        verdict = _verdict_on(tree, entry)
        if verdict == BLOCKED:
            complain(b"something else stands at " + entry.path)
            return FAILED
        if verdict != UNCHANGED:
            steps.append((verdict, entry))
    own = _own(root, identifier)
    _save(f"{own}/journal", b"".join(_journal(tree, own, steps)))
    for verdict, entry in steps:
        _put(tree, own, verdict, entry)
    # What is put into a folder changes its time.
    values = dict(_folders(_lines(own)))
    values.update((entry.path, entry.folder_values) for _, entry in steps if entry.is_folder)
    for path, found in values.items():
        _set_folder(tree, path, found)
    return DONE


def _journal(tree: "Tree", own: str, steps: "Sequence[tuple[str, Wanted]]") -> "Iterator[bytes]":
    """What is done to which path; and how each folder was in which something changes."""
    folders: dict[bytes, None] = {}
    for verdict, entry in steps:
        if entry.is_folder and verdict == OVERWRITTEN:
            folders[entry.path] = None
        else:
            word = b"made" if entry.is_folder else b"new" if verdict == NEW else b"changed"
            yield b"\0".join((word, entry.path, entry.staged, b""))
        folders[entry.path.rpartition(b"/")[0]] = None
    for path in folders:
        facts = tree.facts(path)
        if facts is not None:
            moment = facts.st_mtime_ns
            if not path:
                with open(f"{own}/root", "rb") as file:
                    moment = int(file.read())
            values = b"%d %d %d %d" % (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, moment)
            yield b"\0".join((b"folder", path, values, b""))


def _lines(own: str) -> "list[tuple[bytes, bytes, bytes]]":
    """The journal; nothing was done where there is none."""
    try:
        with open(f"{own}/journal", "rb") as file:
            words = file.read().split(b"\0")
    except FileNotFoundError:
        return []
    return [(words[at], words[at + 1], words[at + 2]) for at in range(0, len(words) - 1, 3)]


def _folders(lines: "Sequence[tuple[bytes, bytes, bytes]]") -> "Iterator[tuple[bytes, tuple[int, int, int, int]]]":
    for word, path, values in lines:
        if word == b"folder":
            mode, uid, gid, moment = (int(value) for value in values.split(b" "))
            yield path, (mode, uid, gid, moment)


def _set_folder(tree: "Tree", path: bytes, values: "tuple[int, int, int, int]") -> None:
    """Mode, owner, group and time of a folder."""
    mode, uid, gid, moment = values
    folder = tree.folder(path)
    os.chown(folder, uid, gid)
    os.chmod(folder, mode)
    os.utime(folder, ns=(moment, moment))


def _put(tree: "Tree", own: str, verdict: str, entry: "Wanted") -> None:
    """One step. Where something is replaced, its old self gets a second name first."""
    name, folder = tree.place(entry.path)
    staged = f"{own}/new/".encode() + entry.staged
    if entry.is_folder:
        if verdict == NEW:
            os.mkdir(name, 0o700, dir_fd=folder)
            _copy_attributes(staged, tree.folder(entry.path))
        return
    if verdict == OVERWRITTEN:
        kept = f"{own}/old/".encode() + entry.path
        os.makedirs(os.path.dirname(kept), 0o700, exist_ok=True)
        os.link(name, kept, src_dir_fd=folder, follow_symlinks=False)
    os.rename(staged, name, dst_dir_fd=folder)


def _copy_attributes(source: bytes, folder: int) -> None:
    if not os.path.lexists(source):  # a folder on the way, of which the backup knows nothing
        return
    for name in os.listxattr(source, follow_symlinks=False):
        os.setxattr(folder, name, os.getxattr(source, name, follow_symlinks=False))


def unplace(root: str, identifier: str, *options: str) -> int:
    """Take back what `place` did or began; nothing is left of it. Safe to repeat, and where there was nothing."""
    if not _is_ready(root, options):
        return FAILED
    own = _own(root, identifier)
    if not os.path.lexists(own):
        return DONE
    tree, lines = Tree(root), _lines(own)
    for word, path, staged in reversed(lines):
        if word != b"folder" and tree.facts(path) is not None:
            _take_back(tree, own, word, path, staged)
    for path, values in _folders(lines):
        if tree.facts(path) is not None:
            _set_folder(tree, path, values)
    _clear(root, own)
    return DONE


def _take_back(tree: "Tree", own: str, word: bytes, path: bytes, staged: bytes) -> None:
    name, folder = tree.place(path)
    kept, new = f"{own}/old/".encode() + path, f"{own}/new/".encode() + staged
    if word == b"made":
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError:
            complain(b"something was put into " + path + b" meanwhile: it stays\n")
    elif word == b"changed" and os.path.lexists(kept):
        os.rename(kept, name, dst_dir_fd=folder)
    elif word == b"new" and not os.path.lexists(new):
        os.rename(name, new, src_dir_fd=folder)


def settle(root: str, identifier: str, *options: str) -> int:
    """Let what was put there stay: what it replaced is kept, the rest of our own folder goes."""
    if not _is_ready(root, options):
        return FAILED
    own = _own(root, identifier)
    if not os.path.lexists(own):
        return DONE
    if not os.listdir(f"{own}/old"):
        _clear(root, own)
        return DONE
    if os.path.lexists(f"{own}/new"):
        _empty(f"{own}/new")
        os.rmdir(f"{own}/new")
    for name in ("journal", "root"):
        if os.path.lexists(f"{own}/{name}"):
            os.unlink(f"{own}/{name}")
    return DONE


def _clear(root: str, own: str) -> None:
    """Remove our own folder, and give the root its time again."""
    try:
        with open(f"{own}/root", "rb") as file:
            moment = int(file.read())
    except (FileNotFoundError, ValueError):
        moment = os.stat(root).st_mtime_ns
    _empty(own)
    os.rmdir(own)
    os.utime(root, ns=(moment, moment))


MORE_VERBS: "dict[str, Callable[..., int]]" = {
    "look": look,
    "stage": stage,
    "place": place,
    "unplace": unplace,
    "settle": settle,
}
