"""Has a stranger's archive judged by a process that could do no harm if the archive got the better of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from containers_app.archives.judge import Judged
from containers_app.archives.limits import Limits
from containers_app.archives.stores import nothing_to_check
from containers_app.archives.writer import CHUNK_BYTES, ByteSource
from containers_app.errors import ArchiveInvalid, ArchiveTruncated

ANSWER_LIMIT_BYTES = 16 * 1024
CHECK_INTERVAL_SECONDS = 0.2

_DEFAULTS = Limits()
_PROJECT = Path(__file__).resolve().parents[2]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from containers_app.archives.validator_child import main; main(sys.argv[2])"
)
# Where the interpreter's own library may be; nothing else of our environment, which holds secrets.
_ENVIRONMENT = ("LD_LIBRARY_PATH",)


def validate(
    source: ByteSource,
    *,
    limits: Limits = _DEFAULTS,
    stored_bytes: int | None = None,
    checkpoint: Callable[[], None] = nothing_to_check,
) -> Judged:
    """Judge a plain tar from its source by the rules of `Judge`, in a child process; nothing is extracted.

    `stored_bytes` is the size of the compressed file that the source unpacks, for the limit of the ratio; None: it is
    not compressed. `checkpoint` is called for each chunk and raises to stop. A source that blocks must give up by
    itself: the time limit kills the child only. The child is gone when this returns or raises. Raises ArchiveInvalid,
    ArchiveTruncated, what the source raises and what `checkpoint` raises.
    """
    with _child(subprocess.PIPE, limits, stored_bytes) as child:
        if child.process.stdin is not None:
            _feed(child.process.stdin, source, checkpoint)
        return child.verdict(checkpoint)


def validate_file(
    descriptor: int, *, limits: Limits = _DEFAULTS, checkpoint: Callable[[], None] = nothing_to_check
) -> Judged:
    """The same for a plain tar in an open file, from its position on, which the child reads by itself.

    `checkpoint` is called several times a second.
    """
    with _child(descriptor, limits, None) as child:
        return child.verdict(checkpoint)


def _feed(pipe: IO[bytes], source: ByteSource, checkpoint: Callable[[], None]) -> None:
    """Write until the source ends, or the child has read enough."""
    while chunk := source.read(CHUNK_BYTES):
        checkpoint()
        try:
            pipe.write(chunk)
        except BrokenPipeError:
            return
    with suppress(BrokenPipeError):
        pipe.close()


@contextmanager
def _child(reading: int, limits: Limits, stored_bytes: int | None) -> Iterator[_Child]:
    """The process, which is killed and reaped at the end of the context whatever happens in it."""
    order = json.dumps({"limits": asdict(limits), "plain_bytes": limits.plain_bytes(stored_bytes)})
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, str(_PROJECT), order],
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        pipesize=CHUNK_BYTES,
    )
    child = _Child(process, limits)
    try:
        yield child
    finally:
        child.end()


class _Child:
    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.process, self._limits = process, limits
        self._expired = False
        self._timer = threading.Timer(limits.timeout_seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def verdict(self, checkpoint: Callable[[], None]) -> Judged:
        """What the child says, once it has ended. Raises ArchiveInvalid or ArchiveTruncated."""
        while self.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(CHECK_INTERVAL_SECONDS)
            checkpoint()
        if self._expired:
            raise ArchiveInvalid(f"The archive was not judged within {self._limits.timeout_seconds} seconds.")
        if self.process.returncode == -signal.SIGXCPU:
            raise ArchiveInvalid(f"Judging the archive takes over {self._limits.cpu_seconds} seconds of computing.")
        if self.process.returncode or self.process.stdout is None:
            raise ArchiveInvalid(f"The archive could not be judged: the process ended with {self.process.returncode}.")
        return _parsed(self.process.stdout.read(ANSWER_LIMIT_BYTES))

    def end(self) -> None:
        self._timer.cancel()
        self._timer.join()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                # What could not be written is flushed once more, to nobody.
                with suppress(BrokenPipeError):
                    pipe.close()

    def _expire(self) -> None:
        self._expired = True
        self.process.kill()


def _parsed(answer: bytes) -> Judged:
    """The verdict; what is none is no proof either, since the archive may speak through the child."""
    try:
        words = json.loads(answer)
        if "refused" in words:
            raise (ArchiveTruncated if words["truncated"] else ArchiveInvalid)(str(words["refused"]))
        return Judged(
            members=int(words["members"]),
            archive_bytes=int(words["archive_bytes"]),
            content_bytes=int(words["content_bytes"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveInvalid("The archive could not be judged: the process gave no answer.") from error
