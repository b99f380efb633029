from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from containers_app.engine.elf import closure, read_binary

PROGRAMS = [Path(name).resolve() for name in ("/usr/bin/tar", "/usr/bin/cp", sys.executable)]


def loaded(program: Path) -> set[str]:
    """The names of what the loader maps, as ldd says."""
    told = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in told.splitlines() if "vdso" not in line]
    return {Path(words[0]).name for words in lines}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_the_closure_is_what_the_loader_loads(program: Path) -> None:
    assert {path.name for path in closure((program,)) - {program}} == loaded(program)


def test_what_is_no_binary_needs_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert read_binary(script) is None
    assert closure((script,)) == {script}


def test_a_library_that_is_nowhere_is_named(tmp_path: Path) -> None:
    content = PROGRAMS[0].read_bytes()
    broken = tmp_path / "tar"
    broken.write_bytes(content.replace(b"libacl.so.1\0", b"libnix.so.1\0"))
    with pytest.raises(FileNotFoundError, match=r"libnix\.so\.1"):
        closure((broken,))


def test_a_library_of_another_machine_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {path.name: path for path in closure((PROGRAMS[0],))}
    foreign = tmp_path / "libacl.so.1"
    content = bytearray(libraries["libacl.so.1"].read_bytes())
    content[18:20] = b"\xff\x00"
    foreign.write_bytes(content)
    folders = (str(tmp_path), *(str(path.parent) for path in libraries.values()))
    monkeypatch.setattr("containers_app.engine.elf._FOLDERS", folders)
    assert foreign not in closure((PROGRAMS[0],))
