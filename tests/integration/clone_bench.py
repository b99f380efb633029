"""What the tests of clones through the whole product share: sources with content, and what became of them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine
from tests.integration.stack import Stack
from tests.trees import make_tree

Body = dict[str, Any]


def word() -> str:
    """A name that nothing else has."""
    return f"c-{uuid.uuid4().hex[:8]}"


def named(stack: Stack, name: str) -> list[Any]:
    return list(stack.docker.containers.list(all=True, filters={"name": f"^/{name}$"}))


def inspect(stack: Stack, container: str) -> Body:
    return dict(stack.docker.api.inspect_container(container))


def volume_folder(engine: PrivateEngine, name: str) -> Path:
    """Where an Engine of this machine keeps a volume."""
    return engine.directory / "data" / "volumes" / name / "_data"


def upper_folder(stack: Stack, container: str) -> Path:
    """Where the Engine keeps what a container has written."""
    return Path(inspect(stack, container)["GraphDriver"]["Data"]["UpperDir"])


def full_source(stack: Stack, *, image: str = SAMPLE_IMAGE, **options: Any) -> Any:
    """A running container with one of everything in a volume at /data, and with changes and deletions in its layer."""
    name = word()
    stack.docker.volumes.create(name, labels={"keep": "this"})
    make_tree(volume_folder(stack.engine, name))
    volumes = {name: {"bind": "/data", "mode": "rw"}}
    source = stack.docker.containers.create(image, name=name, volumes=volumes, **options)
    layer = upper_folder(stack, str(source.id)) / "written"
    layer.mkdir()
    make_tree(layer)
    source.start()
    assert source.exec_run(["sh", "-c", "echo new > /etc/motd; rm /bin/zcat; rm -r /var/www"]).exit_code == 0
    return source


def redirect(stack: Stack, source: Any) -> None:
    """Let the source's layer say that a folder's files are in the image: then it is no folder that can be copied."""
    os.setxattr(upper_folder(stack, str(source.id)) / "written", "trusted.overlay.redirect", b"/var")


def clone(stack: Stack, source: Any, *, by: str = "operator", **options: Any) -> Body:
    """A clone that succeeds; the answer's body."""
    answer = stack.act("clone", source.id, by=by, **options)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def plan(stack: Stack, source: Any, *, by: str = "operator", **options: Any) -> Body:
    """The plan of a dry run."""
    return dict(clone(stack, source, by=by, dryRun=True, **options)["plan"])


def refusal(stack: Stack, source: Any, *, by: str = "operator", **options: Any) -> tuple[int, str, str]:
    """Status, code and words of a clone that is refused."""
    answer = stack.act("clone", source.id, by=by, **options)
    return answer.status_code, answer.json()["code"], answer.json()["error"]


def codes(body: Body) -> list[str]:
    return [warning["code"] for warning in body["warnings"]]


def explained(body: Body) -> dict[str, str | None]:
    """The fields of the configuration's proof that differ, with their reasons."""
    return {entry["field"]: entry["reason"] for entry in body["proof"]["configuration"]["differences"]}


def rest_of(inspected: Body) -> Body:
    """What a clone may never change of its source, the moment of its start included."""
    state = inspected["State"]
    return {
        **{key: inspected[key] for key in ("Id", "Name", "Image", "Config", "HostConfig", "RestartCount")},
        "state": {key: state[key] for key in ("Status", "Paused", "StartedAt", "Pid")},
        "mounts": sorted(str(mount) for mount in inspected["Mounts"]),
        "networks": inspected["NetworkSettings"]["Networks"],
    }


@contextlib.contextmanager
def overheard(stack: Stack) -> Iterator[bytearray]:
    """Everything that passes through the broker while inside."""
    heard = bytearray()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{stack.directory}/broker.sock")
        client.sendall(b"MONITOR\r\n")
        assert client.recv(5) == b"+OK\r\n"

        def listen() -> None:
            with contextlib.suppress(OSError):
                while block := client.recv(65536):
                    heard.extend(block)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        yield heard
        client.shutdown(socket.SHUT_RDWR)
        listener.join()


def logs_of(stack: Stack) -> str:
    return "".join(path.read_text(errors="replace") for path in stack.directory.glob("*.log"))
