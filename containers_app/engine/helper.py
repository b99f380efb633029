"""Runs the tree program in a container of its own: without network, read-only, with the powers that copying needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from containers_app.engine.errors import clean
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.helper_image import HELPER_LABEL
from containers_app.engine.streams import FrameStream, InputStream
from containers_app.errors import EngineError, EngineUnavailable, MycoError, StreamBroken

CHANGED = 10
_KILLED = 137
# cp's words, and tar's.
_FULL = ("No space left on device", "Disk quota exceeded", "Wrote only")
_MEMORY_BYTES = 512 * 1024 * 1024
_PROCESSES = 32
_WORDS_LIMIT_BYTES = 4096
_POWERS = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD", "SETFCAP")
# Nothing less reads or sets trusted.*, which overlay layers, and the layers of an Engine inside a volume, are made of.
_TRUSTED_POWER = "SYS_ADMIN"
# One text: the last one has the main part, and knows the verbs of the first.
_PROGRAMS = tuple(Path(__file__).with_name(name) for name in ("place_program.py", "tree_program.py"))


@dataclass(frozen=True, kw_only=True)
class HelperMount:
    """A volume (by name) or a folder of the Engine's host (by path) at `target` in the helper."""

    kind: str
    source: str
    target: str
    read_only: bool

    def body(self) -> dict[str, Any]:
        """As the Engine takes it: a folder that is missing is refused, a volume is not filled from the image."""
        options = {"VolumeOptions": {"NoCopy": True}} if self.kind == "volume" else {}
        return {
            "Type": self.kind,
            "Source": self.source,
            "Target": self.target,
            "ReadOnly": self.read_only,
            **options,
        }


@dataclass(frozen=True, kw_only=True)
class HelperTask:
    """One verb of the tree program with its arguments, in an image, over mounts."""

    image_id: str
    arguments: tuple[str, ...]
    mounts: tuple[HelperMount, ...]
    trusted: bool = True
    takes_input: bool = False

    def body(self) -> dict[str, Any]:
        """The container to create."""
        powers = (*_POWERS, _TRUSTED_POWER) if self.trusted else _POWERS
        return {
            "Image": self.image_id,
            "Entrypoint": ["python3", "-I", "-S", "-c", "\n".join(path.read_text() for path in _PROGRAMS)],
            "Cmd": list(self.arguments),
            "User": "0:0",
            "WorkingDir": "/",
            "Healthcheck": {"Test": ["NONE"]},
            "StopSignal": "SIGKILL",
            "Labels": {HELPER_LABEL: self.arguments[0]},
            "OpenStdin": self.takes_input,
            "StdinOnce": self.takes_input,
            "AttachStdin": self.takes_input,
            "HostConfig": {
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "AutoRemove": False,
                "CapDrop": ["ALL"],
                "CapAdd": list(powers),
                "SecurityOpt": ["no-new-privileges", "label=disable"],
                "Memory": _MEMORY_BYTES,
                "MemorySwap": _MEMORY_BYTES,
                "PidsLimit": _PROCESSES,
                # What it prints may be the whole content of a volume.
                "LogConfig": {"Type": "none"},
                "Tmpfs": {"/tmp": "size=16m,mode=1777"},  # noqa: S108 - inside the container
                "Mounts": [mount.body() for mount in self.mounts],
            },
        }


@dataclass
class Helper:
    """A helper container that runs. `data` gives what it prints raw, `lines` what it tells; then `finish`."""

    _gateway: EngineGateway
    _container: str
    _output: FrameStream
    input: InputStream | None
    _words: bytearray = field(default_factory=bytearray)
    _aborted: threading.Event = field(default_factory=threading.Event)

    def data(self) -> Iterator[bytes]:
        """Blocks of its standard output, until it ends."""
        for channel, content in self._output:
            if channel == 1:
                yield content
            elif len(self._words) < _WORDS_LIMIT_BYTES:
                self._words += content[:_WORDS_LIMIT_BYTES]

    def lines(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """What it tells, as (word, facts), until it ends."""
        waiting = b""
        for block in self.data():
            *lines, waiting = (waiting + block).split(b"\n")
            for line in lines:
                word, *facts = line.decode("ascii", "replace").split(" ")
                yield word, dict(fact.partition("=")[::2] for fact in facts)

    @property
    def entries(self) -> int | None:
        """How many entries a `pack` with `count` found before it began; None where it could not tell."""
        first, _, _ = self._words.partition(b"\n")
        name, _, number = first.partition(b"=")
        return int(number) if name == b"entries" and number.isdigit() else None

    def finish(self) -> bool:
        """Wait for its end; whether something changed meanwhile. Raises EngineError with its words when it failed."""
        code = self._gateway.wait_helper(self._container)
        if code in (0, CHANGED):
            return code == CHANGED
        words = clean(self._words.decode("utf-8", "replace"))
        if any(full in words for full in _FULL):
            raise EngineError(f"The disk of the Engine's host, or the volume, is full: {words}")
        if code == _KILLED:
            raise EngineError("The helper container was killed: was its memory enough, or did somebody remove it?")
        raise EngineError(f"The helper container failed ({code}): {words or 'without a word'}")

    @property
    def is_aborted(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._aborted.is_set()

    def abort(self) -> None:
        """From another thread: whoever waits for its output gets StreamBroken, and the container is removed."""
        self._aborted.set()
        if self.input is not None:
            self.input.abort()
        self._output.abort()


class Receiver(threading.Thread):
    """Feeds a helper that takes input, and listens meanwhile: one that gives up early says why, and reads no more."""

    def __init__(self, helper: Helper) -> None:
        super().__init__(daemon=True)
        if helper.input is None:
            raise EngineError("The helper container takes no input.")
        self._helper, self._input = helper, helper.input
        self._told: dict[str, Mapping[str, str]] = {}
        self._failure: MycoError | None = None
        self._complete = False

    def run(self) -> None:
        """Listen until the output ends; then nobody waits any more for what is written to be read."""
        try:
            self._told.update(self._helper.lines())
        except MycoError as error:
            self._failure = error
        if not self._complete:
            self._input.abort()

    def send(self, content: bytes) -> None:
        """Write a block. Raises EngineError with the helper's own words where it takes no more."""
        try:
            self._input.send(content)
        except EngineUnavailable as error:
            if not self._helper.is_aborted:
                self._verdict()
            raise StreamBroken("The helper container took no more.") from error

    def finish(self) -> Mapping[str, Mapping[str, str]]:
        """Say that this was all, and wait for the verdict; what the helper told, by word."""
        self._complete = True
        self.send(b"")
        self._verdict()
        return self._told

    def _verdict(self) -> None:
        self.join()
        if self._failure is not None:
            raise self._failure
        self._helper.finish()


@contextmanager
def receiving(helper: Helper) -> Iterator[Receiver]:
    """A receiver whose thread has ended when this is left."""
    receiver = Receiver(helper)
    receiver.start()
    try:
        yield receiver
    finally:
        helper.abort()
        receiver.join()


@contextmanager
def running_helper(gateway: EngineGateway, task: HelperTask) -> Iterator[Helper]:
    """Create, attach, start; the container is removed at the end, however that comes, and found by its label if not."""
    container = gateway.create_helper(task.body())
    try:
        with ExitStack() as stack:
            written = stack.enter_context(gateway.helper_input(container)) if task.takes_input else None
            output = stack.enter_context(gateway.helper_output(container))
            gateway.start_helper(container)
            yield Helper(gateway, container, output, written)
    except BaseException:
        # What went wrong first is what counts; the operation's undo finds the container by its label.
        with suppress(MycoError):
            gateway.remove(container)
        raise
    gateway.remove(container)
