"""A private, real Docker Engine for tests, with the sample image, and clean again after each test."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
from docker.errors import APIError, NotFound

from tests.machine import ENGINE_SUITES, ENGINES, require
from tests.throwaway import Throwaway, run_script, wait_until

if TYPE_CHECKING:
    from containers_app.specs.endpoint import Endpoint

SAMPLE_IMAGE = "mycodocker/sample:1"
# The suites of all versions of the Engine that this machine can start, as the params of a fixture.
EVERY_ENGINE = (
    pytest.param(None, id="system"),
    *(pytest.param(suite, id=suite, marks=pytest.mark.engines) for suite in ENGINE_SUITES),
)


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


class PrivateEngine(Throwaway):
    """A Docker Engine in namespaces of its own. `url` is its DOCKER_HOST.

    `suite` is that of another version, as bin/fetch-engines unpacks it; None is the machine's own. `options` go to
    dockerd. With `network`, three numbers such as `10.213.1`, its address is `<network>.2`.
    """

    def __init__(self, *options: str, suite: str | None = None, network: str = "") -> None:
        # The empty argument is the folder of the machine's own dockerd.
        folder = [ENGINES / suite / "bin"] if suite else [""] if options else []
        super().__init__("engine", *folder, *options)
        self.suite = suite
        self.url = f"unix://{self.directory}/docker.sock"
        # As bin/engine names it; what is below goes with the Engine.
        self.control_group = "/myco-" + hashlib.sha256(bytes(self.directory)).hexdigest()[:10]
        self.environment = {"ENGINE_VETH": network} if network else {}

    def client(self) -> docker.DockerClient:
        """A Docker SDK client; the caller closes it."""
        return docker.DockerClient(self.url, version="1.41", timeout=60)

    def answers(self) -> bool:
        """Whether the Engine answers a ping."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            try:
                connection.connect(f"{self.directory}/docker.sock")
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return connection.recv(64).split(b" ")[1:2] == [b"200"]
            except OSError:
                return False

    def begin(self) -> None:
        """Start the Engine, again after `stop` or `power_cut`; what it stored is kept."""
        self.start(self.answers)

    def load_sample_image(self) -> None:
        """Make SAMPLE_IMAGE available."""
        run_script("sample-image", self.url, SAMPLE_IMAGE)

    def make_image(self, name: str, *changes: str) -> None:
        """Make the image `name` (repository:tag): the sample image with Dockerfile lines such as `VOLUME /data`."""
        run_script("sample-image", self.url, name, *changes)

    def stop(self) -> None:
        """End the Engine as an administrator does; its containers stop with it."""
        run_script("engine", "stop", self.directory)
        self.reap()

    def power_cut(self) -> None:
        """End the Engine and every container at once."""
        run_script("engine", "kill", self.directory)
        self.reap()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While inside, the Engine accepts connections and answers nothing."""
        daemon = self._daemon()
        os.kill(daemon, signal.SIGSTOP)
        try:
            # On a busy machine a thread may answer once more before it has stopped.
            wait_until(lambda: _is_stopped(daemon), seconds=10, what="the stop of every thread")
            yield
        finally:
            os.kill(daemon, signal.SIGCONT)

    def _daemon(self) -> int:
        waiting = [int((self.directory / "pid").read_text())]
        while waiting:
            process = waiting.pop(0)
            if Path(f"/proc/{process}/comm").read_text().strip() == "dockerd":
                return process
            waiting.extend(_children(process))
        raise RuntimeError("dockerd is not running")


def _is_stopped(process: int) -> bool:
    texts = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/status")]
    return all("\nState:\tT" in text for text in texts)


@contextlib.contextmanager
def started_engine(*options: str, suite: str | None = None) -> Iterator[PrivateEngine]:
    """A running private Engine with the sample image; destroyed at the end. `options` go to dockerd."""
    require("engines" if suite else "engine")
    engine = PrivateEngine(*options, suite=suite)
    try:
        engine.begin()
        engine.load_sample_image()
        yield engine
    finally:
        engine.destroy()


@pytest.fixture(scope="session")
def engine() -> Iterator[PrivateEngine]:
    """The Engine that all tests of this process share. A test that stops or kills one takes `disposable_engine`."""
    with started_engine() as shared:
        yield shared


@pytest.fixture(scope="session")
def engine_of() -> Iterator[Callable[[str | None], PrivateEngine]]:
    """A function that gives the Engine of a suite: started when it is first asked for, and up to the end."""
    with contextlib.ExitStack() as started:
        yield functools.cache(lambda suite: started.enter_context(started_engine(suite=suite)))


@pytest.fixture(params=EVERY_ENGINE)
def any_engine(request: pytest.FixtureRequest, engine_of: Callable[[str | None], PrivateEngine]) -> PrivateEngine:
    """Each version of the Engine that this machine can start: a test that takes it runs on all."""
    return engine_of(request.param)


@pytest.fixture
def disposable_engine() -> Iterator[PrivateEngine]:
    """An Engine for this test alone, to be stopped, frozen or killed."""
    with started_engine() as own:
        yield own


@pytest.fixture(scope="session")
def engine_url(engine: PrivateEngine) -> str:
    """The DOCKER_HOST of the shared Engine."""
    return engine.url


@pytest.fixture(scope="session")
def engine_endpoint(engine_url: str) -> Endpoint:
    """The shared Engine, as the engine layer takes it."""
    from containers_app.specs.endpoint import Endpoint

    return Endpoint.parse(engine_url)


class _Inventory:
    """What is on an Engine, to remove later what was added."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._before = self._present()

    def _present(self) -> dict[str, set[str]]:
        return {
            "containers": {str(found["Id"]) for found in self._client.api.containers(all=True)},
            "networks": {str(found["Id"]) for found in self._client.api.networks()},
            "volumes": {str(found["Name"]) for found in self._client.api.volumes()["Volumes"] or ()},
            "images": {name for found in self._client.api.images() for name in _names_of(found)},
        }

    def remove_added(self) -> None:
        """Remove what came since; a container that is already going away is fine."""
        added = {kind: names - self._before[kind] for kind, names in self._present().items()}
        with contextlib.suppress(NotFound):
            for container in added["containers"]:
                _remove_container(self._client, container)
        for network in added["networks"]:
            with contextlib.suppress(NotFound):
                self._client.api.remove_network(network)
        for volume in added["volumes"]:
            with contextlib.suppress(NotFound):
                self._client.api.remove_volume(volume, force=True)
        for image in added["images"]:
            with contextlib.suppress(NotFound):
                self._client.api.remove_image(image, force=True)


def _names_of(image: dict[str, Any]) -> list[str]:
    """The names of an image, or its id where it has none, which Engines before 24 write as a name."""
    return [name for name in image["RepoTags"] or () if name != "<none>:<none>"] or [image["Id"]]


def _remove_container(client: docker.DockerClient, container: str) -> None:
    try:
        client.api.remove_container(container, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        # Another removal of the same container is under way: its end is what matters.
        if error.status_code != 409:
            raise
        client.api.wait(container, condition="removed", timeout=30)


@pytest.fixture
def engine_cleanup(engine: PrivateEngine) -> Iterator[None]:
    """Remove every container, network, volume and image that the test added to the shared Engine."""
    with contextlib.closing(engine.client()) as client:
        inventory = _Inventory(client)
        yield
        inventory.remove_added()


@pytest.fixture
def docker_client(engine: PrivateEngine, engine_cleanup: None) -> Iterator[docker.DockerClient]:
    """A Docker SDK client of the shared Engine, to arrange sources with; what is made is removed after the test."""
    with contextlib.closing(engine.client()) as client:
        yield client
