"""The verifier in a container that has a Python and nothing else: no network, no product, no library."""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from containers_app.engine.elf import closure
from tests.machine import PROJECT
from tests.unit.audit.bundle_vectors import VECTORS, VKEYS

VERIFIER = PROJECT / "containers_app" / "audit" / "verifier"
IMAGE = "mycodocker/python:1"
_LEFT_OUT = frozenset(("site-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "__pycache__"))
pytestmark = [pytest.mark.slow, pytest.mark.engine]


def python_tar() -> bytes:
    """The file system of an image: this machine's Python, its standard library, and what they are linked with."""
    program = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    library = Path(sysconfig.get_path("stdlib"))
    modules = [path for path in library.rglob("*") if path.is_file() and not _LEFT_OUT & set(path.parts)]
    extensions = [path for path in modules if path.suffix == ".so"]
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", dereference=True) as archive:
        for path in sorted({*closure((program, *extensions)), *modules}):
            archive.add(path, arcname=str(path).lstrip("/"))
        archive.add(program, arcname="python3")
        for name in ("tmp", "audit"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(folder)
    return target.getvalue()


def files_tar() -> bytes:
    """What the auditor brings along: the verifier, the keys, the bundles."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.add(VERIFIER / "verify.py", arcname="verify.py")
        for path in (VERIFIER / "vectors").iterdir():
            archive.add(path, arcname=path.name)
    return target.getvalue()


@pytest.fixture
def empty_machine(docker_client: docker.DockerClient) -> Iterator[Any]:
    """A running container that can only wait."""
    repository, tag = IMAGE.split(":")
    docker_client.api.import_image_from_data(python_tar(), repository=repository, tag=tag)
    waiting = "import signal; signal.pause()"
    home = {"PYTHONHOME": str(Path(sysconfig.get_path("stdlib")).parents[1])}
    container = docker_client.containers.run(
        IMAGE, ["/python3", "-S", "-c", waiting], detach=True, network_mode="none", environment=home
    )
    container.put_archive("/audit", files_tar())
    yield container
    container.remove(force=True)


def run(container: Any, *arguments: str) -> tuple[int, str]:
    command = ["/python3", "-S", *arguments]
    done = container.exec_run(command, workdir="/audit")
    return done.exit_code, done.output.decode()


def test_every_bundle_gets_its_verdict_there(empty_machine: Any) -> None:
    assert run(empty_machine, "-c", "import containers_app")[0] == 1
    code, printed = run(empty_machine, "-c", "import os; print(os.listdir('/sys/class/net'))")
    assert (code, printed.strip()) == (0, "['lo']")
    (code, printed) = run(empty_machine, "verify.py", "--help")
    assert (code, "--trust-bundle-key" in printed) == (0, True)
    found = {name: run(empty_machine, "verify.py", f"{name}.zip", "--vkey", "vkey")[0] for name in VECTORS}
    assert found == {name: code for name, (code, _, _) in VECTORS.items()}
    assert (VERIFIER / "vectors" / "vkey").read_text() == VKEYS
