from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from containers_app.archives import validator as module
from containers_app.archives.limits import Limits
from containers_app.errors import ArchiveInvalid, ArchiveTruncated
from tests.unit.archives.hostile import CATALOGUE, link
from tests.unit.archives.samples import END_MARKER, Member, Stream, header, pax_header, tar_of

LIMITS = Limits(timeout_seconds=60)
MIB, GIB = 1024**2, 1024**3
HONEST = tar_of([Member("etc/passwd", b"root"), link("bin", "/usr/bin")])


class Stopped(Exception):
    pass


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started, most recent last."""
    started: list[subprocess.Popen[bytes]] = []
    original = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        process = original(*arguments, **options)  # type: ignore[call-overload]
        started.append(process)
        return process  # type: ignore[no-any-return]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started


def is_reaped(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process is gone, and not as a zombie either."""
    return process.returncode is not None and not Path(f"/proc/{process.pid}").exists()


def zeros(size_bytes: int, start: bytes = b"", end: bytes = b"") -> Stream:
    def chunks() -> Iterator[bytes]:
        if start:
            yield start
        yield from (bytes(MIB) for _ in range(size_bytes // MIB))
        if end:
            yield end

    return Stream(chunks())


def file_of(size_bytes: int) -> bytes:
    info = tarfile.TarInfo("zeros")
    info.size = size_bytes
    return info.tobuf(tarfile.GNU_FORMAT)


def field_of(process: subprocess.Popen[bytes], name: str) -> int:
    """A number of the process's own status, in kB where it is a size; 0 when it has just ended."""
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def test_an_honest_archive_passes_through_the_child():
    found = module.validate(Stream([HONEST[:700], HONEST[700:]]), limits=LIMITS)
    assert (found.members, found.archive_bytes, found.content_bytes) == (2, len(HONEST), 4)


def test_an_open_file_is_read_from_where_it_stands(tmp_path: Path):
    path = tmp_path / "archive"
    path.write_bytes(b"before" + HONEST)
    with path.open("rb", buffering=0) as file:
        file.seek(6)
        assert module.validate_file(file.fileno(), limits=LIMITS).members == 2


@pytest.mark.parametrize(
    "row", [row for row in CATALOGUE if row[0].split()[0] in ("T05", "T09", "T13", "M15")], ids=lambda row: row[0]
)
def test_a_hostile_archive_is_refused_in_the_child_s_words(row: tuple[str, bytes, str]):
    with pytest.raises(ArchiveInvalid) as caught:
        module.validate(Stream([row[1]]), limits=LIMITS)
    assert row[2] in caught.value.message


def test_a_cut_archive_is_truncated():
    with pytest.raises(ArchiveTruncated, match="broke off"):
        module.validate(Stream([HONEST[:-1024]]), limits=LIMITS)


def test_the_rest_is_not_read_once_the_archive_is_refused():
    source = zeros(GIB, tar_of([Member("/etc/passwd")]))
    with pytest.raises(ArchiveInvalid, match="absolute"):
        module.validate(source, limits=LIMITS)
    assert source.read(1), "the source had more to give"


@pytest.mark.parametrize(("start", "end"), [(file_of(GIB), END_MARKER), (b"", b"")], ids=["in a file", "bare"])
def test_a_gibibyte_of_zeros_takes_constant_memory(start: bytes, end: bytes, children: list[subprocess.Popen[bytes]]):
    peaks: list[int] = []

    def measure() -> None:
        if children and children[-1].poll() is None:
            peaks.append(field_of(children[-1], "VmHWM"))

    verdict = nullcontext() if start else pytest.raises(ArchiveInvalid, match="empty")
    with verdict:
        module.validate(zeros(GIB, start, end), limits=LIMITS, checkpoint=measure)
    assert len(peaks) > 1000
    assert 0 < max(peaks) < 48 * 1024


def test_the_child_gets_no_more_memory_than_the_limit():
    headers = (pax_header(b"path=%d/" % number + b"d/" * 2000 + b"x") + header(b"0") for number in range(500))
    with pytest.raises(ArchiveInvalid, match="bytes of memory"):
        module.validate(Stream(headers), limits=replace(LIMITS, memory_bytes=48 * MIB))


def test_the_child_gets_no_more_computing_than_the_limit(children: list[subprocess.Popen[bytes]]):
    with pytest.raises(ArchiveInvalid, match="1 seconds of computing"):
        module.validate(zeros(20 * GIB), limits=replace(LIMITS, cpu_seconds=1))
    assert is_reaped(children[-1])


def test_the_ratio_counts_what_was_stored():
    with pytest.raises(ArchiveInvalid, match="more than 67108864 bytes unpacked"):
        module.validate(zeros(GIB, file_of(GIB)), limits=LIMITS, stored_bytes=33 * 1024)


def test_the_child_can_open_nothing_and_is_nobody(children: list[subprocess.Popen[bytes]]):
    seen: list[tuple[str, int]] = []

    def look() -> None:
        # The first ones are read while it is still starting.
        if children[-1].poll() is not None:
            return
        limits = Path(f"/proc/{children[-1].pid}/limits").read_text()
        seen.append((limits, field_of(children[-1], "Uid")))

    with pytest.raises(ArchiveTruncated):
        module.validate(zeros(GIB // 2, file_of(GIB)), limits=LIMITS, checkpoint=look)
    limits, user = seen[-1]
    assert user == (65534 if os.geteuid() == 0 else os.geteuid())
    for name, bound in (("address space", 512 * MIB), ("open files", 0), ("file size", 0), ("core file size", 0)):
        assert re.search(rf"^Max {name}\s+{bound}\s+{bound}\s", limits, re.MULTILINE)


def test_a_child_that_takes_too_long_is_killed_and_reaped(children: list[subprocess.Popen[bytes]]):
    reading, writing = os.pipe()
    try:
        with pytest.raises(ArchiveInvalid, match="within 0.5 seconds"):
            module.validate_file(reading, limits=replace(LIMITS, timeout_seconds=0.5))
    finally:
        os.close(reading)
        os.close(writing)
    assert is_reaped(children[-1])


def test_a_source_that_takes_too_long_ends_in_the_same_words(children: list[subprocess.Popen[bytes]]):
    class Late:
        def read(self, size_bytes: int, /) -> bytes:
            children[-1].wait()
            return HONEST

    with pytest.raises(ArchiveInvalid, match="within 0.2 seconds"):
        module.validate(Late(), limits=replace(LIMITS, timeout_seconds=0.2))
    assert is_reaped(children[-1])


def test_a_failing_source_leaves_no_child_behind(children: list[subprocess.Popen[bytes]]):
    with pytest.raises(ConnectionResetError):
        module.validate(Stream([HONEST[:600]], ConnectionResetError()), limits=LIMITS)
    assert is_reaped(children[-1])


def stop() -> None:
    raise Stopped


def test_who_stops_leaves_no_child_behind(children: list[subprocess.Popen[bytes]], tmp_path: Path):
    reading, writing = os.pipe()
    with pytest.raises(Stopped):
        module.validate(Stream([HONEST]), limits=LIMITS, checkpoint=stop)
    with pytest.raises(Stopped):
        module.validate_file(reading, limits=LIMITS, checkpoint=stop)
    os.close(reading)
    os.close(writing)
    assert len(children) == 2
    assert all(map(is_reaped, children))


def test_nothing_stays_open(open_descriptors: Callable[[], int]):
    module.validate(Stream([HONEST]), limits=LIMITS)
    before, threads = open_descriptors(), threading.active_count()
    for content in (HONEST, b"no tar at all" * 100):
        try:
            module.validate(Stream([content]), limits=LIMITS)
        except ArchiveInvalid:
            assert content != HONEST
    assert open_descriptors() == before
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"[]", b"3", b'{"members": 1}', b'{"members": "x", "archive_bytes": 1, "content_bytes": 1}']
)
def test_a_child_that_says_nothing_sensible_proves_nothing(monkeypatch: pytest.MonkeyPatch, answer: bytes):
    monkeypatch.setattr(module, "_PROGRAM", f"import os; os.write(1, {answer!r})")
    with pytest.raises(ArchiveInvalid, match="no answer"):
        module.validate(Stream([HONEST]), limits=LIMITS)


def test_a_child_that_fails_proves_nothing(monkeypatch: pytest.MonkeyPatch):
    good = b'{"members": 1, "archive_bytes": 1, "content_bytes": 1}'
    monkeypatch.setattr(module, "_PROGRAM", f"import os; os.write(1, {good!r}); os._exit(3)")
    with pytest.raises(ArchiveInvalid, match="ended with 3"):
        module.validate(Stream([HONEST]), limits=LIMITS)


def test_the_child_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MYCO_SECRET_KEY", "hidden")
    monkeypatch.setattr(module, "_PROGRAM", "import os; os._exit(40 + ('MYCO_SECRET_KEY' in os.environ))")
    with pytest.raises(ArchiveInvalid, match="ended with 40"):
        module.validate(Stream([HONEST]), limits=LIMITS)


def test_the_child_starts_from_any_folder(monkeypatch: pytest.MonkeyPatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        assert module.validate(Stream([HONEST]), limits=LIMITS).members == 2
