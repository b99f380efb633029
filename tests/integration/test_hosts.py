"""Several real Engines: over TLS with certificates that are verified, and one that dies while the other goes on."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.engine.connection import EngineLimits, open_reader
from containers_app.errors import EngineUnavailable
from containers_app.models import Container, DockerHost, Operation, State
from containers_app.operations import runner
from containers_app.operations.authority import Asker
from containers_app.operations.followers import Followers
from containers_app.operations.hosts import endpoint_of, host_of_reference
from containers_app.operations.kinds import CLONE, HOST_TEST, Kind, Params
from containers_app.operations.submit import Request, submit
from containers_app.specs.endpoint import Endpoint
from containers_app.workflows.clone import CloneParams
from containers_app.workflows.hosts import HostTestParams
from tests import recipes
from tests.certificates import Authority
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine, started_engine
from tests.machine import require
from tests.throwaway import wait_until

# A link of two addresses for each test process, in a block that nothing else here uses.
NETWORK = f"10.219.{os.getpid() % 250}"
ADDRESS = f"{NETWORK}.2"
CERTIFICATES: dict[str, Any] = {
    "valid": {"names": (ADDRESS, "localhost")},
    "expired": {"names": (ADDRESS,), "days": -1},
    "of another name": {"names": ("other.example.org", "127.0.0.1")},
}
LIMITS = EngineLimits(connect_seconds=5.0, call_seconds=20.0)


@contextlib.contextmanager
def tls_engine(certificates: Path) -> Iterator[PrivateEngine]:
    """An Engine that listens on the network too, for clients of the authority in this folder."""
    require("engine")
    options = [f"--tls{what}={certificates}/{file}" for what, file in _FILES]
    engine = PrivateEngine("--host", "tcp://0.0.0.0:2376", "--tlsverify", *options, network=NETWORK)
    try:
        engine.begin()
        yield engine
    finally:
        engine.destroy()


_FILES = (("cacert", "ca.pem"), ("cert", "cert.pem"), ("key", "key.pem"))


@pytest.fixture
def authority(tmp_path: Path, settings: Settings) -> Authority:
    """An authority below the root of certificates, with a client's folder `site-b`."""
    settings.MYCODOCKER = {**settings.MYCODOCKER, "tls_root": str(tmp_path / "tls")}
    made = Authority(tmp_path / "tls")
    made.issue("site-b")
    return made


def host(**fields: str) -> DockerHost:
    return DockerHost(**{"name": "site-b", "url": f"tcp://{ADDRESS}:2376", "tls_directory": "site-b", **fields})


def listens() -> bool:
    with contextlib.suppress(OSError), socket.create_connection((ADDRESS, 2376), timeout=1):
        return True
    return False


@pytest.mark.engine
def test_an_engine_over_tls_answers_who_has_its_certificates_and_nobody_else(
    authority: Authority, tmp_path: Path
) -> None:
    Authority(tmp_path / "tls" / "impostor").issue("client")
    with tls_engine(authority.issue("server", **CERTIFICATES["valid"])) as engine:
        wait_until(listens, what="the port")
        with open_reader(endpoint_of(host()), LIMITS) as reader:
            version = reader.version()
        with open_reader(Endpoint.parse(engine.url), LIMITS) as own:
            assert own.version() == version
        with pytest.raises(EngineUnavailable, match="could not be verified"):
            open_reader(endpoint_of(host(tls_directory="impostor/client")), LIMITS).__enter__()
        with pytest.raises(EngineUnavailable, match="could not be verified"):
            open_reader(endpoint_of(host(url=f"https://{ADDRESS}:2376", tls_directory="")), LIMITS).__enter__()
        without = tmp_path / "tls" / "no-client"
        without.mkdir()
        (without / "ca.pem").write_bytes((authority.directory / "ca.pem").read_bytes())
        with pytest.raises(EngineUnavailable):
            open_reader(endpoint_of(host(tls_directory="no-client")), LIMITS).__enter__()
        with pytest.raises(EngineUnavailable):
            plain = DockerHost(name="site-b", url=f"http://{ADDRESS}:2376", allow_plain=True)
            open_reader(endpoint_of(plain), LIMITS).__enter__()


@pytest.mark.engine
@pytest.mark.parametrize("which", ["expired", "of another name"])
def test_an_engine_whose_certificate_is_wrong_is_refused(authority: Authority, which: str) -> None:
    with tls_engine(authority.issue("server", **CERTIFICATES[which])):
        wait_until(listens, what="the port")
        with pytest.raises(EngineUnavailable, match="could not be verified"):
            open_reader(endpoint_of(host()), LIMITS).__enter__()


@pytest.fixture
def followers(settings: Settings) -> Iterator[Followers]:
    limits = {"inventory_seconds": 1.0, "engine_connect_seconds": 2.0, "engine_call_seconds": 20.0}
    settings.MYCODOCKER = {**settings.MYCODOCKER, **limits}
    made = Followers()
    yield made
    made.join(seconds=10)


def created(engine: PrivateEngine, name: str) -> str:
    with contextlib.closing(engine.client()) as client:
        return str(client.api.create_container(SAMPLE_IMAGE, name=name)["Id"])


def present(name: str, host_name: str) -> bool:
    return Container.objects.present().filter(name=name, host__name=host_name).exists()


def run(kind: Kind, params: Params, on: DockerHost) -> Operation:
    """Submit, and do the work here, as a worker does."""
    who = Asker(user=User.objects.filter(username="adam").first() or recipes.administrator())
    wish = Request(kind=kind, params=params, host=on, asker=who, source=ledger.Source(channel="api"))
    operation = submit(wish).operation
    runner.run(operation.pk)
    operation.refresh_from_db()
    return operation


@pytest.mark.engine
@pytest.mark.django_db(transaction=True, databases=["default", "audit"])
@pytest.mark.usefixtures("groups")
def test_an_operation_works_on_the_engine_of_its_own_host(
    engine: PrivateEngine, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_API_URL", engine.url)
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)
    with started_engine() as second, contextlib.closing(second.client()) as there:
        source = created(second, "web")
        site = DockerHost.objects.create(name="site-b", url=second.url)
        recipes.container(host=site, engine_id=source, name="web")
        assert run(HOST_TEST, HostTestParams(host="site-b"), site).state == State.SUCCEEDED
        cloned = run(CLONE, CloneParams(container=source, name="web-2"), host_of_reference(source))
        assert (cloned.state, cloned.host.name) == (State.SUCCEEDED, "site-b"), cloned.error_message
        assert {found.name for found in there.containers.list(all=True)} == {"web", "web-2"}
        assert docker_client.containers.list(all=True) == []
        second.stop()
        failed = run(CLONE, CloneParams(container=source, name="web-3"), site)
        assert (failed.state, failed.error_code, failed.undo) == (State.FAILED, "ENGINE_UNAVAILABLE", [])


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_two_engines_are_in_the_inventory_and_one_dies_alone(
    engine: PrivateEngine, engine_cleanup: None, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_API_URL", engine.url)
    here = created(engine, "web")
    with started_engine() as second:
        there = created(second, "web")
        DockerHost.objects.create(name="site-b", url=second.url)
        followers.tend()
        wait_until(lambda: present("web", "local") and present("web", "site-b"), what="both inventories")
        assert (host_of_reference(here).name, host_of_reference(there).name) == ("local", "site-b")
        second.power_cut()
        site = DockerHost.objects.filter(name="site-b")
        wait_until(lambda: site.get().reachable is False, what="the note that it does not answer")
        created(engine, "later")
        wait_until(lambda: present("later", "local"), what="the other one going on")
        assert present("web", "site-b"), "what a dead Engine had is not gone"
        second.begin()
        created(second, "later")
        wait_until(lambda: present("later", "site-b"), what="the dead one's return")
        assert site.get().reachable is True
        followers.join(seconds=10)
