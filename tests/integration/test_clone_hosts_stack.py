"""A clone on another Docker host: image, volumes and layer are brought there, and a failure leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine, started_engine
from tests.integration.clone_bench import (
    clone,
    codes,
    full_source,
    inspect,
    plan,
    refusal,
    rest_of,
    volume_folder,
    word,
)
from tests.integration.stack import HELPER_LABEL, Stack, embedded
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, embedded]
REACHED_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """The other host: its name, its Engine and a client of that."""

    name: str
    engine: PrivateEngine
    docker: Any

    def images(self) -> set[str]:
        return {str(image["Id"]) for image in self.docker.api.images()}


@pytest.fixture(scope="module")
def second() -> Iterator[PrivateEngine]:
    with started_engine() as own:
        yield own


@pytest.fixture
def site(stack: Stack, second: PrivateEngine) -> Iterator[Site]:
    with contextlib.closing(second.client()) as client:
        name = word()
        stack.ask("register", name, second.url)
        yield Site(name=name, engine=second, docker=client)
        stack.ask("disable", name)


def own_image(stack: Stack, **options: Any) -> Any:
    """A source whose image only its own Engine has."""
    tag = f"mycodocker/{word()}:1"
    stack.engine.make_image(tag, "LABEL only=here", "ENV X=1")
    source = full_source(stack, image=tag, **options)
    return source, tag


def test_sockets_that_stay_behind_are_no_difference(stack: Stack, site: Site) -> None:
    source = full_source(stack)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(volume_folder(stack.engine, source.name) / "s"))
    body = clone(stack, source, host=site.name, data="volumes", consistency="pause")
    assert [entry["equal"] for entry in body["proof"]["content"]] == [True]
    assert stack.ask("operation", body["operationId"])["state"] == "succeeded"
    volumes = volumes_of(site, body)
    site.docker.api.remove_container(body["newId"], force=True)
    for name in volumes:
        site.docker.volumes.get(name).remove()


def test_a_clone_on_another_host_has_everything(stack: Stack, site: Site) -> None:
    source, tag = own_image(stack)
    before = rest_of(inspect(stack, source.id))
    body = clone(stack, source, host=site.name, data="all", consistency="pause", start=True)
    made = dict(site.docker.api.inspect_container(body["newId"]))
    assert (made["Image"], made["Config"]["Image"]) == (inspect(stack, source.id)["Image"], tag)
    assert made["State"]["Running"]
    volume = next(mount["Name"] for mount in made["Mounts"])
    assert snapshot(volume_folder(site.engine, volume)) == snapshot(volume_folder(stack.engine, source.name))
    assert site.docker.containers.get(body["newId"]).exec_run(["cat", "/etc/motd"]).output == b"new\n"
    assert [entry["equal"] for entry in body["proof"]["content"]] == [True, True]
    assert "move the image" in stack.ask("operation", body["operationId"])["stages"]
    assert rest_of(inspect(stack, source.id)) == before
    assert codes(body) == []
    images = site.images()
    again = clone(stack, source, host=site.name)
    assert "move the image" not in stack.ask("operation", again["operationId"])["stages"]
    assert site.images() == images
    assert stack.made(site.docker).keys() == {f"volume {name}" for name in (volume, *volumes_of(site, again))}


def volumes_of(site: Site, body: dict[str, Any]) -> list[str]:
    return [mount["Name"] for mount in site.docker.api.inspect_container(body["newId"])["Mounts"]]


def test_what_another_host_cannot_give_is_refused_in_the_plan(stack: Stack, site: Site) -> None:
    other = stack.source()
    other.start()
    network = stack.docker.networks.create(word())
    sources = {
        "NetworkMode": stack.source(network_mode=f"container:{other.id}"),
        network.name: stack.source(network=network.name),
        other.name: stack.source(links={other.name: "db"}),
    }
    for subject, source in sources.items():
        collisions = plan(stack, source, host=site.name)["collisions"]
        assert any(subject in entry["subject"] and entry["blocks"] == "create" for entry in collisions), subject
        assert refusal(stack, source, host=site.name)[:2] == (409, "COLLISION")
    body = clone(stack, sources[network.name], host=site.name, overrides={"networks": [{"name": "bridge"}]})
    assert list(site.docker.api.inspect_container(body["newId"])["NetworkSettings"]["Networks"]) == ["bridge"]


def test_a_failure_leaves_nothing_on_either_side(stack: Stack, site: Site) -> None:
    source, _ = own_image(stack, ports={"80/tcp": ("0.0.0.0", 18600)})
    before, images = rest_of(inspect(stack, source.id)), site.images()
    command = ["/bin/nc", "-l", "-p", "18600"]
    blocker = site.docker.containers.create(SAMPLE_IMAGE, command, network_mode="host")
    blocker.start()
    try:
        status, code, _ = refusal(stack, source, host=site.name, data="all", consistency="pause", start=True)
    finally:
        blocker.remove(force=True)
    assert (status, code) == (409, "PORT_TAKEN")
    assert site.images() == images
    assert left(site, stack) == []
    assert rest_of(inspect(stack, source.id)) == before


@pytest.mark.parametrize(("stage", "path", "skip"), [("move the image", "/get", 0), ("copy layer 1 of 2", "/start", 1)])
def test_a_worker_that_is_killed_meanwhile_leaves_nothing_on_either_side(
    stack: Stack, site: Site, stage: str, path: str, skip: int
) -> None:
    source, _ = own_image(stack)
    before, images = rest_of(inspect(stack, source.id)), site.images()
    with stack.proxy.fault(path, hold_bytes=0, skip=skip) as held:
        asked = {"host": site.name, "data": "all", "consistency": "pause"}
        operation = stack.begin_operation("clone", source.name, **asked)
        assert held.reached.wait(REACHED_SECONDS), stack.log_end("worker")
        stack.wait(lambda: stack.ask("operation", operation)["stage"] == stage, what=f"the stage {stage}")
        os.kill(stack.worker_process(operation), signal.SIGKILL)
    assert stack.finished(operation)["state"] == "interrupted"
    stack.wait(lambda: stack.ask("operation", operation)["undo"] == [], what="what is to be taken back")
    assert site.images() - images <= helper_images(site)
    assert left(site, stack) == []
    assert rest_of(inspect(stack, source.id)) == before


def helper_images(site: Site) -> set[str]:
    """They stay, for the next time."""
    return {str(image["Id"]) for image in site.docker.api.images(filters={"label": HELPER_LABEL})}


def left(site: Site, stack: Stack) -> list[str]:
    """What operations that did not succeed have left on the other host."""
    good = {row["id"] for row in stack.ask("facts")["operations"] if row["state"] in ("succeeded", "partial")}
    return [what for what, by in stack.made(site.docker).items() if by not in good]


def test_a_host_that_is_unknown_disabled_or_dead_is_refused(stack: Stack, site: Site) -> None:
    source = stack.source()
    status, code, error = refusal(stack, source, host="nowhere")
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "options.host" in error
    stack.ask("disable", site.name)
    status, code, error = refusal(stack, source, host=site.name)
    assert (status, code) == (400, "INVALID_REQUEST")
    assert "disabled" in error
    dead = word()
    stack.ask("register", dead, "unix:///nonexistent/engine.sock")
    assert refusal(stack, source, host=dead)[:2] == (500, "CLONE_FAILED")
    stack.ask("disable", dead)
