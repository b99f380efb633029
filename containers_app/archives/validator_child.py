"""The process in which a stranger's archive is judged: it reads one stream, writes one line, and can do no more."""

from __future__ import annotations

import json
import os
import resource
from contextlib import suppress

from containers_app.archives.judge import Judge
from containers_app.archives.limits import Limits
from containers_app.errors import ArchiveInvalid, ArchiveTruncated

CHUNK_BYTES = 1024 * 1024
STANDARD_INPUT, STANDARD_OUTPUT = 0, 1
NOBODY = 65534


def main(order: str) -> None:
    """Judge the tar on standard input; `order` is a JSON object with `limits` and `plain_bytes`.

    The answer is a JSON object on standard output: the fields of Judged, or `refused` with the words and `truncated`.
    """
    options = json.loads(order)
    limits = Limits(**options["limits"])
    _confine(limits)
    answer = _answer(Judge(limits, plain_bytes=options["plain_bytes"]), limits)
    os.write(STANDARD_OUTPUT, json.dumps(answer).encode())


def _confine(limits: Limits) -> None:
    """Take away all that judging does not need, before the first byte is read."""
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        # No file and no socket can be opened any more, and no process started.
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    for what, value in bounds.items():
        resource.setrlimit(what, (value, value))
    # The signal of the lower one says why the process ended.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    # A root without the right to become somebody else has no other right of root's either.
    with suppress(PermissionError):
        _become_nobody()


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _answer(judge: Judge, limits: Limits) -> dict[str, object]:
    try:
        return _judged(judge)
    except ArchiveInvalid as error:
        return {"refused": error.message, "truncated": isinstance(error, ArchiveTruncated)}
    except MemoryError:
        words = f"The archive is refused: judging it takes more than {limits.memory_bytes} bytes of memory."
        return {"refused": words, "truncated": False}


def _judged(judge: Judge) -> dict[str, object]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while size_bytes := os.readv(STANDARD_INPUT, [buffer]):
        judge.feed(buffer[:size_bytes])
    found = judge.finish()
    return {
        "members": found.members,
        "archive_bytes": found.archive_bytes,
        "content_bytes": found.content_bytes,
    }
