"""More verbs of the helper's program: entries of a backup put among the files that are there, and taken back again.

Its text stands before that of `tree_program`, whose names its functions find when they are called.

A folder of our own in the tree's root has all that a return needs: what is put there (`new`), what that replaced
(`old`), and a journal of all steps, which is on the disk before the first of them. Files change by one rename each, so
that a program that runs sees the old one or the new one. No link on the way to an entry is followed, and none in our
own folder, which is opened once and must be root's alone.
"""

import errno
import os
import stat

try:
    from containers_app.engine.tree_program import (  # type: ignore[attr-defined]  # a name of the interpreter's
        BLOCK_BYTES,
        DONE,
        FAILED,
        Watch,
        _empty,
        _free,
        _received,
        _write,
        complain,
        sha256,
        tell,
        unpack,
        walk,
    )
except ImportError:  # in the helper, where they are all in one text
    pass

from _collections_abc import Callable, Iterator, Sequence

OVERLAY = "overlay"
NEW, OVERWRITTEN, UNCHANGED, BLOCKED = "new", "overwritten", "unchanged", "blocked"
OLD = "old"
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

    def __init__(self, root: "str | int") -> None:
        self.root = root if isinstance(root, int) else os.open(root, _FOLDER)
        self._path, self._folder = b"", self.root

    def folder(self, path: bytes) -> int:
        """The open folder. Raises OSError where a step is missing, is no folder, or is a link."""
        if path != self._path:
            self._close(self._folder)
            self._path, self._folder = b"", self.root
            for step in path.split(b"/") if path else ():
                below = os.open(step, _FOLDER, dir_fd=self._folder)
                self._close(self._folder)
                self._path, self._folder = self._path + step + b"/", below
            self._path = path
        return self._folder

    def _close(self, folder: int) -> None:
        if folder != self.root:
            os.close(folder)

    def place(self, path: bytes) -> "tuple[bytes, int]":
        """The name and the open folder of an entry; the root's is `.`."""
        folder, _, name = path.rpartition(b"/")
        return name or b".", self.folder(folder)

    def make(self, path: bytes) -> None:
        """Make what is missing of this folder and those above it."""
        try:
            self.folder(path)
        except FileNotFoundError:
            self.make(path.rpartition(b"/")[0])
            name, folder = self.place(path)
            os.mkdir(name, 0o700, dir_fd=folder)

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


def _own(tree: "Tree", identifier: str) -> "Tree | None":
    """Our own folder, opened once; None where there is none. Raises OSError where it cannot be the one we made."""
    try:
        folder = os.open(f".before-{identifier}", _FOLDER, dir_fd=tree.root)
    except FileNotFoundError:
        return None
    _require_ours(folder)
    return Tree(folder)


def _require_ours(file: int) -> None:
    """What says what is done as root must be root's, and nobody else's."""
    facts = os.fstat(file)
    if facts.st_uid != 0 or facts.st_mode & 0o077:
        raise OSError("somebody else may write where this operation keeps what it replaces: look at it, then remove it")


def _made_own(tree: "Tree", identifier: str) -> "Tree":
    name, moment = f".before-{identifier}", os.fstat(tree.root).st_mtime_ns
    os.mkdir(name, 0o700, dir_fd=tree.root)
    try:
        own = _own(tree, identifier)
    except OSError:
        os.rmdir(name, dir_fd=tree.root)
        raise
    if own is None:
        raise OSError("the folder for what is staged is gone")
    for below in (NEW, OLD):
        os.mkdir(below, 0o700, dir_fd=own.root)
    _save(own, "root", b"%d" % moment)
    return own


def stage(root: str, identifier: str, number: str, *options: str) -> int:
    """Unpack the tar of standard input below `new`, beside what is there; it is on the disk then."""
    if not _is_ready(root, options):
        return FAILED
    tree = Tree(root)
    own = _own(tree, identifier) or _made_own(tree, identifier)
    new = own.folder(NEW.encode())
    os.mkdir(number, 0o700, dir_fd=new)
    # Where we are, no name has to be followed to.
    os.chdir(os.open(number, _FOLDER, dir_fd=new))
    code = unpack(".")
    os.sync()
    return code


def _save(own: "Tree", name: str, content: bytes) -> None:
    """Write a file, which is whole and on the disk as soon as it has its name."""
    file = os.open(f"{name}.part", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=own.root)
    _write(file, content)
    os.fsync(file)
    os.close(file)
    os.rename(f"{name}.part", name, src_dir_fd=own.root, dst_dir_fd=own.root)
    os.fsync(own.root)


def _saved(own: "Tree", name: str) -> "bytes | None":
    """What was saved; None where nothing was. Raises OSError where somebody else may have written it."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=own.root)
    except FileNotFoundError:
        return None
    with open(file, "rb") as opened:
        _require_ours(file)
        return opened.read()


def place(root: str, identifier: str, *options: str) -> int:
    """Put the staged entries of standard input where they belong. The journal first; nothing where one is blocked."""
    entries = _read() if _is_ready(root, options) else None
    if entries is None:
        return FAILED
    tree = Tree(root)
    own = _own(tree, identifier)
    if own is None:
        complain("nothing is staged")
        return FAILED
    steps = _steps(tree, entries)
    if steps is None:
        return FAILED
    lines = list(_journal(tree, own, steps))
    _save(own, "journal", b"".join(b"\0".join((*line, b"")) for line in lines))
    for verdict, entry in steps:
        _put(tree, own, verdict, entry)
    # What is put into a folder changes its time.
    values = dict(_folders(lines))
    values.update((entry.path, entry.folder_values) for _, entry in steps if entry.is_folder)
    for path, found in values.items():
        _set_folder(tree, path, found)
    os.sync()
    return DONE


def _steps(tree: "Tree", entries: "Sequence[Wanted]") -> "list[tuple[str, Wanted]] | None":
    """What is to be done to which entry; None where one is blocked."""
    steps = []
    for entry in entries:
        verdict = _verdict_on(tree, entry)
        if verdict == BLOCKED:
            complain(b"something else stands at " + entry.path)
            return None
        if verdict != UNCHANGED:
            steps.append((verdict, entry))
    return steps


def _journal(
    tree: "Tree", own: "Tree", steps: "Sequence[tuple[str, Wanted]]"
) -> "Iterator[tuple[bytes, bytes, bytes]]":
    """What is done to which path; and how each folder was in which something changes."""
    folders: dict[bytes, None] = {}
    for verdict, entry in steps:
        if entry.is_folder and verdict == OVERWRITTEN:
            folders[entry.path] = None
        else:
            word = b"made" if entry.is_folder else b"new" if verdict == NEW else b"changed"
            yield word, entry.path, entry.staged
        folders[entry.path.rpartition(b"/")[0]] = None
    for path in folders:
        facts = tree.facts(path)
        if facts is not None:
            moment = facts.st_mtime_ns if path else int(_saved(own, "root") or facts.st_mtime_ns)
            yield b"folder", path, b"%d %d %d %d" % (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, moment)


def _lines(own: "Tree") -> "list[tuple[bytes, bytes, bytes]]":
    """The journal; nothing was done where there is none."""
    words = (_saved(own, "journal") or b"").split(b"\0")
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


def _put(tree: "Tree", own: "Tree", verdict: str, entry: "Wanted") -> None:
    """One step. What is staged keeps its name there, so that no other file gets its number, by which we know it again.

    What somebody made there meanwhile is not replaced. Where something is, its old self gets a second name first.
    """
    name, folder = tree.place(entry.path)
    if entry.is_folder:
        if verdict == NEW:
            os.mkdir(name, 0o700, dir_fd=folder)
            _copy_attributes(own, entry.staged, tree.folder(entry.path))
        return
    if verdict == NEW:
        staged, staging = own.place(_new(entry.staged))
        os.link(staged, name, src_dir_fd=staging, dst_dir_fd=folder, follow_symlinks=False)
        return
    own.make(_old(entry.path).rpartition(b"/")[0])
    kept, keeping = own.place(_old(entry.path))
    os.link(name, kept, src_dir_fd=folder, dst_dir_fd=keeping, follow_symlinks=False)
    staged, staging = own.place(_new(entry.staged))
    os.link(staged, "put", src_dir_fd=staging, dst_dir_fd=own.root, follow_symlinks=False)
    os.rename("put", name, src_dir_fd=own.root, dst_dir_fd=folder)


def _new(staged: bytes) -> bytes:
    return f"{NEW}/".encode() + staged


def _old(path: bytes) -> bytes:
    return f"{OLD}/".encode() + path


def _copy_attributes(own: "Tree", staged: bytes, folder: int) -> None:
    try:
        source = own.folder(_new(staged)) if staged else None
    except FileNotFoundError:
        return
    if source is not None:  # None: a folder on the way, of which the backup knows nothing
        for name in os.listxattr(source):
            os.setxattr(folder, name, os.getxattr(source, name))


def unplace(root: str, identifier: str, *options: str) -> int:
    """Take back what `place` did or began. Safe to repeat, and where there was nothing.

    What is not what was put there any more stays, and what that replaced stays in `old`: `left` tells how many.
    """
    if not _is_ready(root, options):
        return FAILED
    tree = Tree(root)
    own = _own(tree, identifier)
    if own is None:
        return DONE
    lines = _lines(own)
    left, stuck = _taken_back(tree, own, lines)
    for path, values in _folders(lines):
        try:
            if tree.facts(path) is not None:
                _set_folder(tree, path, values)
        except OSError as error:
            stuck += not _is_gone(error, path)
    if stuck:
        return FAILED
    tell("left", entries=left)
    _tidy(tree, own, identifier)
    return DONE


def _taken_back(tree: "Tree", own: "Tree", lines: "Sequence[tuple[bytes, bytes, bytes]]") -> "tuple[int, int]":
    """How many entries stay because they are others by now, and how many could not be taken back yet."""
    left = stuck = 0
    for word, path, staged in reversed(lines):
        if word == b"folder":
            continue
        try:
            left += not _take_back(tree, own, word, path, staged)
        except OSError as error:
            gone = _is_gone(error, path)
            left, stuck = left + gone, stuck + (not gone)
    return left, stuck


def _is_gone(error: OSError, path: bytes) -> bool:
    """Whether a link or a file stands on the way by now; else it is said what is wrong."""
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return True
    complain(path + f": {error}\n".encode())
    return False


def _take_back(tree: "Tree", own: "Tree", word: bytes, path: bytes, staged: bytes) -> bool:
    """Whether it is as it was. What another one than us has put there stays."""
    facts, ours, kept = tree.facts(path), own.facts(_new(staged)), own.facts(_old(path))
    is_ours = facts is not None and ours is not None and os.path.samestat(facts, ours)
    if word == b"made":
        return facts is None or _removed_folder(tree, path)
    if word == b"new":
        if is_ours:
            name, folder = tree.place(path)
            os.unlink(name, dir_fd=folder)
        return is_ours or facts is None
    if kept is None:
        return True
    if not is_ours and (facts is None or not os.path.samestat(facts, kept)):
        return False
    old, keeping = own.place(_old(path))
    name, folder = tree.place(path)
    if is_ours:
        os.rename(old, name, src_dir_fd=keeping, dst_dir_fd=folder)
    else:
        os.unlink(old, dir_fd=keeping)
    return True


def _removed_folder(tree: "Tree", path: bytes) -> bool:
    """Only an empty one goes."""
    name, folder = tree.place(path)
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def settle(root: str, identifier: str, *options: str) -> int:
    """Let what was put there stay: what it replaced is kept, the rest of our own folder goes."""
    if not _is_ready(root, options):
        return FAILED
    tree = Tree(root)
    own = _own(tree, identifier)
    if own is not None:
        _tidy(tree, own, identifier)
    return DONE


def _keeps(own: "Tree") -> bool:
    """Whether something that was replaced is kept."""
    if own.facts(OLD.encode()) is None:
        return False
    return any(not stat.S_ISDIR(facts.st_mode) for _, _, facts in walk(own.folder(OLD.encode()), Watch()))


def _tidy(tree: "Tree", own: "Tree", identifier: str) -> None:
    """Remove what only a return needs; where nothing of what was replaced is kept, all, and the root has its time."""
    if _keeps(own):
        if own.facts(NEW.encode()) is not None:
            _empty(own.folder(NEW.encode()))
            os.rmdir(NEW, dir_fd=own.root)
        for name in ("put", "journal", "root"):
            if own.facts(name.encode()) is not None:
                os.unlink(name, dir_fd=own.root)
        return
    moment = int(_saved(own, "root") or os.fstat(tree.root).st_mtime_ns)
    _empty(own.root)
    os.rmdir(f".before-{identifier}", dir_fd=tree.root)
    os.utime(tree.root, ns=(moment, moment))


MORE_VERBS: "dict[str, Callable[..., int]]" = {
    "look": look,
    "stage": stage,
    "place": place,
    "unplace": unplace,
    "settle": settle,
}
