"""What runs inside a helper container: it measures, proves, copies, packs and unpacks one tree of files.

Its text is given to `python3 -I -S -c`, so that any image with Python, GNU tar and coreutils can be the helper. It uses
what an interpreter has without a library folder. Exit codes: 0 done, 10 something changed meanwhile; all else is
failure (an interpreter that fails has 1).
"""

import os
import stat
import sys
import time

try:
    from _hashlib import openssl_sha256 as sha256
except ImportError:  # an interpreter that was built without OpenSSL
    from hashlib import sha256

from _collections_abc import Callable, Iterator, Sequence

DONE, CHANGED, FAILED = 0, 10, 2
FORMAT = b"mycodocker-tree-1"
BLOCK_BYTES = 1024 * 1024
ERRORS = "/tmp/errors"  # noqa: S108 - the helper's own memory file system
ERROR_LIMIT_BYTES = 450
PROGRESS_SECONDS = 0.5
# They belong to the host's policy or to the overlay's own bookkeeping, and differ where the trees are equal.
VOLATILE = ("security.selinux", "security.ima", "security.evm")
OVERLAYS = ("trusted.overlay.", "user.overlay.")
BOOKKEEPING = tuple(overlay + name for overlay in OVERLAYS for name in ("origin", "impure", "nlink", "upper", "uuid"))
VANISHED = (b"cp: cannot stat ", b"cp: cannot open ", b"cp: cannot access ")
IDENTITIES = tuple(overlay + "uuid" for overlay in OVERLAYS)
# A layer with these holds files that are not in it.
ELSEWHERE = tuple(overlay + name for overlay in OVERLAYS for name in ("redirect", "metacopy"))
PACK = ("--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--sort=none")
UNPACK = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--same-permissions", "--same-owner")
LAYER = "layer"
COUNT = "count"
STREAMED = "streamed"
REPLACE = "replace"
_WATCHED = ("st_ino", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns")


class Watch:
    """Whether, and where first, the tree was seen to change; and a sign of life for the worker now and then."""

    def __init__(self, *, beats: bool = True) -> None:
        self.where: bytes | None = None
        self.size_bytes = 0
        self._beats = beats
        self._told = time.monotonic()

    def note(self, path: bytes) -> None:
        """Remember the first place."""
        self.where = self.where or path

    def beat(self) -> None:
        """Tell how far it is, unless that was told just now."""
        now = time.monotonic()
        if self._beats and now - self._told >= PROGRESS_SECONDS:
            self._told = now
            tell("progress", bytes=self.size_bytes)


def tell(word: str, **facts: object) -> None:
    """One line for the worker."""
    line = " ".join([word, *(f"{name}={value}" for name, value in facts.items())])
    os.write(1, line.encode() + b"\n")


def complain(text: "str | bytes") -> None:
    """Words for the worker, on the other channel."""
    os.write(2, text if isinstance(text, bytes) else os.fsencode(text))


def walk(root: "str | int", watch: Watch) -> "Iterator[tuple[bytes, bytes, os.stat_result]]":
    """Each entry as (path, name, facts), folders first and names in byte order, while its folder is the working one.

    Changing the folder, instead of naming longer and longer paths, has no limit of depth.
    """
    os.chdir(root)
    here = os.lstat(b".")
    yield b".", b".", here
    stack = [(b"", iter(sorted(os.listdir(b"."))), here)]
    while stack:
        prefix, names, here = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            if stack:
                _leave(stack[-1][2])
            continue
        watch.beat()
        try:
            facts = os.lstat(name)
            yield prefix + name, name, facts
            if stat.S_ISDIR(facts.st_mode):
                _enter(name)
                stack.append((prefix + name + b"/", iter(sorted(os.listdir(b"."))), facts))
        except (FileNotFoundError, NotADirectoryError):
            watch.note(prefix + name)


def _enter(name: bytes) -> None:
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchdir(folder)
    finally:
        os.close(folder)


def _leave(parent: os.stat_result) -> None:
    os.chdir(b"..")
    if not os.path.samestat(os.lstat(b"."), parent):
        raise OSError("a folder was moved away while it was read")


def measure(root: str, *options: str) -> int:
    """Tell how many entries there are, what their content takes, and whether a layer refers to elsewhere."""
    seen: set[int] = set()
    entries = size_bytes = elsewhere = 0
    for _, name, facts in walk(root, Watch()):
        entries += 1
        if stat.S_ISREG(facts.st_mode) and (facts.st_nlink == 1 or facts.st_ino not in seen):
            seen.update((facts.st_ino,) if facts.st_nlink > 1 else ())
            size_bytes += min(facts.st_size, facts.st_blocks * 512)
        if stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode):
            elsewhere += any(found in ELSEWHERE for found in os.listxattr(name, follow_symlinks=False))
    tell("measured", entries=entries, bytes=size_bytes, elsewhere=elsewhere, free=_free(root))
    return DONE


def space(*options: str) -> int:
    """Tell what is free where the Engine keeps its containers: this one's own files are there too."""
    tell("space", free=_free("/"))
    return DONE


def _free(path: str) -> int:
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


class Proof:
    """The canonical description of a tree, hashed on the way; docs/reference/tree-proof.md has the format."""

    def __init__(self, ignored: "Sequence[str]", *, sockets: bool = True) -> None:
        self.watch = Watch()
        self.entries = 0
        self._sockets = sockets
        self._ignored = (*VOLATILE, *ignored)
        self._hash = sha256(FORMAT)
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self, root: str) -> str:
        """Walk the whole tree; returns the hash in hex."""
        for path, name, facts in walk(root, self.watch):
            if self._sockets or not stat.S_ISSOCK(facts.st_mode):
                self._entry(path, name, facts)
        return self._hash.hexdigest()

    def _fields(self, *fields: bytes) -> None:
        for field in fields:
            self._hash.update(len(field).to_bytes(8, "big") + field)

    def _numbers(self, *numbers: int) -> None:
        self._fields(*(b"%d" % number for number in numbers))

    def _entry(self, path: bytes, name: bytes, facts: os.stat_result) -> None:
        self.entries += 1
        identity = (facts.st_dev, facts.st_ino)
        first = None
        # The kernel links all whiteouts (device 0:0) of a layer to one, or does not, as it likes.
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode) and not _is_whiteout(facts):
            first = self._first.setdefault(identity, path)
        if first is not None and first != path:
            self._fields(path, b"hard link", first)
            return
        self._fields(path, b"%o" % facts.st_mode)
        self._numbers(facts.st_uid, facts.st_gid, facts.st_mtime_ns)
        self._attributes(name)
        if stat.S_ISLNK(facts.st_mode):
            self._fields(os.readlink(name))
        elif stat.S_ISCHR(facts.st_mode) or stat.S_ISBLK(facts.st_mode):
            self._numbers(os.major(facts.st_rdev), os.minor(facts.st_rdev))
        elif stat.S_ISREG(facts.st_mode):
            self._content(path, name, facts)

    def _attributes(self, name: bytes) -> None:
        names = sorted(set(os.listxattr(name, follow_symlinks=False)) - set(self._ignored))
        self._numbers(len(names))
        for found in names:
            self._fields(os.fsencode(found), os.getxattr(name, found, follow_symlinks=False))

    def _content(self, path: bytes, name: bytes, facts: os.stat_result) -> None:
        self._numbers(facts.st_size)
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            missing = facts.st_size
            while missing and (block := os.read(file, min(missing, BLOCK_BYTES))):
                self._hash.update(block)
                missing -= len(block)
                self.watch.size_bytes += len(block)
                self.watch.beat()
            after = os.fstat(file)
        finally:
            os.close(file)
        if missing or any(getattr(facts, what) != getattr(after, what) for what in _WATCHED):
            self.watch.note(path)


def _is_whiteout(facts: os.stat_result) -> bool:
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def prove(root: str, *options: str) -> int:
    """Tell the proof of the tree; with `streamed`, as it is after a tar, which leaves sockets out."""
    proof = Proof(BOOKKEEPING if LAYER in options else (), sockets=STREAMED not in options)
    hexadecimal = proof.run(root)
    tell("proved", entries=proof.entries, bytes=proof.watch.size_bytes, sha256=hexadecimal)
    return _verdict(proof.watch)


def _verdict(watch: Watch) -> int:
    if watch.where is None:
        return DONE
    complain(b"changed while it was read: " + watch.where)
    return CHANGED


def copy(source: str, target: str, *options: str) -> int:
    """Copy all of `source` into `target`, which is empty or is emptied first, and tell how far it is."""
    if not _made_empty(target, options):
        return FAILED
    own = _identities(target)
    program = ["cp", "-dR", "--preserve=mode,ownership,timestamps,links,xattr", "--sparse=auto", "--reflink=auto"]
    child = _start([*program, "--", f"{source}/.", target])
    code = _followed(child)
    _restore_identities(target, own)
    # cp leaves the special bits that a folder has had before.
    os.chmod(target, stat.S_IMODE(os.stat(source).st_mode))
    return DONE if code == 0 else _complaint_of_cp()


def _identities(root: str) -> "dict[str, bytes]":
    """The identity that the kernel gave to an overlay: the copy has its own."""
    return {name: os.getxattr(root, name) for name in os.listxattr(root) if name in IDENTITIES}


def _restore_identities(root: str, own: "dict[str, bytes]") -> None:
    for name in set(_identities(root)) - set(own):
        os.removexattr(root, name)
    for name, value in own.items():
        os.setxattr(root, name, value)


def _made_empty(root: str, options: "Sequence[str]") -> bool:
    """Empty a layer, or what is to be replaced; another volume has to be empty, but for a new file system's own."""
    if LAYER in options or REPLACE in options:
        _empty(root)
    elif set(os.listdir(root)) - {"lost+found"}:
        complain("the target is not empty")
        return False
    return True


def _empty(root: "str | int") -> None:
    folders = []
    for path, name, facts in walk(root, Watch()):
        if stat.S_ISDIR(facts.st_mode):
            folders.append(path)
        else:
            os.unlink(name)
    os.chdir(root)
    for path in reversed(folders[1:]):
        os.rmdir(path)


def _start(command: "list[str]", *, actions: "Sequence[tuple[int, ...]]" = ()) -> int:
    """Start a program whose complaints go to a file; returns its process id."""
    errors = os.open(ERRORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    moved = [*actions, (os.POSIX_SPAWN_DUP2, errors, 2)]
    child = os.posix_spawnp(command[0], command, {**os.environ, "LC_ALL": "C"}, file_actions=moved)
    os.close(errors)
    return child


def _ended(child: int) -> int:
    """Wait for a program; its exit code, or 128 plus the signal."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _followed(child: int) -> int:
    """Tell what the program has written until it ends; its exit code."""
    wait_seconds = 0.01
    told = time.monotonic()
    while True:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        time.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 1.5, PROGRESS_SECONDS / 20)
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            tell("progress", bytes=_written(child))


def _written(child: int) -> int:
    """What the kernel has counted as written by the program; copies that never leave the kernel are in it."""
    try:
        with open(f"/proc/{child}/io", "rb") as counters:
            return next((int(line[7:]) for line in counters if line.startswith(b"wchar: ")), 0)
    except OSError:
        return 0


def _errors() -> bytes:
    with open(ERRORS, "rb") as file:
        return file.read()


def _shortened(text: bytes) -> bytes:
    """Both ends: the first complaint, and the reason that stands behind a long name."""
    half = ERROR_LIMIT_BYTES // 2
    return text if len(text) <= ERROR_LIMIT_BYTES else text[:half] + b" ... " + text[-half:]


def _complaint_of_cp() -> int:
    """cp has one exit code for everything: where nothing but missing files is named, the source changed."""
    lines = _errors().splitlines()
    complain(_shortened(b"\n".join(lines)))
    gone = [line for line in lines if line.startswith(VANISHED) and line.endswith(b": No such file or directory")]
    return CHANGED if lines and gone == lines else FAILED


def pack(source: str, *options: str) -> int:
    """Write the tree to standard output as a tar; tar's verdict. `count`: how many entries it should have, in words.

    `include=PATTERN` and `exclude=PATTERN` choose among its entries.
    """
    chosen = Choice(options)
    if COUNT in options:
        complain(_counted(source, chosen))
    left_out = [f"--xattrs-exclude={name}" for name in BOOKKEEPING] if LAYER in options else []
    packing = ["tar", "-C", source, *PACK, *left_out, "-c", "-f", "-"]
    code = _ended(_start([*packing, "."])) if chosen.is_all else _packed_by_list(packing, source, chosen)
    if code:
        complain(_shortened(_errors()))
    return {0: DONE, 1: CHANGED}.get(code, FAILED)


def _packed_by_list(packing: "list[str]", source: str, chosen: "Choice") -> int:
    """Tar's verdict on the chosen entries, whose names another process gives it as it finds them."""
    reading, writing = os.pipe()
    listing = os.fork()
    if not listing:
        os.close(reading)
        os._exit(_listed(source, chosen, writing))
    os.close(writing)
    by_list = ["--null", "--verbatim-files-from", "--no-recursion", "-T", "-"]
    packed = _ended(_start([*packing, *by_list], actions=[(os.POSIX_SPAWN_DUP2, reading, 0)]))
    os.close(reading)
    return packed if _ended(listing) == DONE else FAILED


def _listed(source: str, chosen: "Choice", writing: int) -> int:
    try:
        for path, _, facts in walk(source, Watch(beats=False)):
            if chosen.has(path, facts):
                _write(writing, (b"./" + path if path != b"." else path) + b"\0")
    except OSError as error:
        complain(f"the entries cannot be listed: {error}\n")
        return FAILED
    return DONE


class Choice:
    """The entries that patterns choose: those that an `include` is about, if there is one, and no `exclude` is.

    A pattern is about what it matches and about all below it. `*` and `?` match a slash too. Folders stay as long as
    no `exclude` is about them, so that what is in them keeps its place.
    """

    def __init__(self, options: "Sequence[str]") -> None:
        self._included = [os.fsencode(word[8:]) for word in options if word.startswith("include=")]
        self._excluded = [os.fsencode(word[8:]) for word in options if word.startswith("exclude=")]
        self.is_all = not (self._included or self._excluded)

    def has(self, path: bytes, facts: os.stat_result) -> bool:
        """Whether the entry is one of them."""
        if path == b".":
            return True
        kept = stat.S_ISDIR(facts.st_mode) or not self._included or _is_about(self._included, path)
        return kept and not _is_about(self._excluded, path)


def _is_about(patterns: "Sequence[bytes]", path: bytes) -> bool:
    steps = path.split(b"/")
    above = [b"/".join(steps[: number + 1]) for number in range(len(steps))]
    return any(_matches(pattern, place) for pattern in patterns for place in above)


def _matches(pattern: bytes, text: bytes) -> bool:
    """The usual way with one place to come back to: the last `*`, which takes one more byte each time."""
    at = here = 0
    star, resume = -1, 0
    while at < len(text):
        if pattern[here : here + 1] == b"*":
            star, resume, here = here, at, here + 1
        elif here < len(pattern) and pattern[here : here + 1] in (b"?", text[at : at + 1]):
            at, here = at + 1, here + 1
        elif star >= 0:
            resume += 1
            at, here = resume, star + 1
        else:
            return False
    return not pattern[here:].strip(b"*")


def _counted(source: str, chosen: "Choice") -> bytes:
    """Without sockets, which tar leaves out; nothing where the tree changes so much that it cannot be told."""
    try:
        found = sum(
            chosen.has(path, facts) and not stat.S_ISSOCK(facts.st_mode)
            for path, _, facts in walk(source, Watch(beats=False))
        )
    except OSError:
        return b""
    return b"entries=%d\n" % found


def unpack(target: str, *options: str) -> int:
    """Unpack the framed tar that comes on standard input. A cut stream has no end frame, and is a failure."""
    if not _made_empty(target, options):
        return FAILED
    reading, writing = os.pipe()
    os.set_inheritable(writing, False)
    child = _start(["tar", "-C", target, *UNPACK, "-x", "-f", "-"], actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    os.close(reading)
    received = _received(lambda block: _write(writing, block))
    os.close(writing)
    code = _ended(child)
    if code or received is None:
        complain(_shortened(_errors()) or b"the stream was cut")
        return FAILED
    tell("unpacked", sha256=received)
    return DONE


def _write(file: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(file, view) :]


def _received(take: "Callable[[bytes], None]") -> "str | None":
    """Hand on each frame (4 bytes of length, content); the hash of all at the empty frame, None where it is missing."""
    hashed, watch = sha256(), Watch()
    try:
        while len(head := _exactly(4)) == 4:
            length = int.from_bytes(head, "big")
            if not length:
                return hashed.hexdigest()
            block = _exactly(length)
            if len(block) < length:
                return None
            hashed.update(block)
            take(block)
            watch.size_bytes += length
            watch.beat()
    except BrokenPipeError:
        return None
    return None


def _exactly(length: int) -> bytes:
    parts = []
    while length and (part := os.read(0, min(length, BLOCK_BYTES))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def each(*arguments: str) -> int:
    """Do several verbs, each with `--` behind it, and tell each one's end. The first that fails is the last."""
    verdict = DONE
    command: list[str] = []
    for word in arguments:
        if word != "--":
            command.append(word)
            continue
        code = VERBS[command[0]](*command[1:])
        tell("ended", code=code)
        if code not in (DONE, CHANGED):
            return code
        verdict, command = max(verdict, code), []
    return verdict


VERBS: "dict[str, Callable[..., int]]" = {
    "each": each,
    "measure": measure,
    "space": space,
    "prove": prove,
    "copy": copy,
    "pack": pack,
    "unpack": unpack,
}
VERBS.update(globals().get("MORE_VERBS", {}))


def main(arguments: "Sequence[str]") -> int:
    """Do one verb; what the system refuses is a failure in its words."""
    try:
        return VERBS[arguments[0]](*arguments[1:])
    except OSError as error:
        complain(f"{arguments[0]}: {error}")
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
