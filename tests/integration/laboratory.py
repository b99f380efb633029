"""A bench to make source containers of every kind on, clone them and compare: on each Engine version there is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from containers_app.engine.facts import clone_facts
from containers_app.engine.gateway import EngineGateway
from containers_app.specs.container import ClonePlan, build_clone
from containers_app.specs.engine import OPERATION_LABEL, TOKEN_LABEL
from containers_app.specs.fidelity import Difference, prove
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE, PrivateEngine

RECEIPT = Receipt(operation_id="fidelity", shard=0, leaf_index=0, leaf_hash="0" * 64)
SECONDS_TO_ANSWER = 30

Body = dict[str, Any]


class Refused(Exception):
    """The Engine does not do what was asked of it."""


class Laboratory:
    """Makes source containers by raw Engine JSON, so that no library's defaults hide what an Engine does."""

    def __init__(self, client: docker.DockerClient, engine: PrivateEngine, folder: Path) -> None:
        self.client = client
        self.engine = engine
        self.folder = folder
        self.api = tuple(int(part) for part in client.api.api_version.split("."))
        self.word = "f" + uuid.uuid4().hex[:8]
        self.octet = 20 + uuid.uuid4().int % 200
        self.containers: list[str] = []
        self.networks: list[str] = []
        self.images: list[str] = []
        self.volumes: list[str] = []

    def post(self, path: str, body: Body | None = None, **parameters: str) -> Any:
        api = self.client.api
        url = f"{api.base_url}/v{api.api_version}{path}"
        answer = api.post(url, params=parameters, json=body, timeout=SECONDS_TO_ANSWER)
        if answer.status_code >= 400:
            raise Refused(answer.json().get("message", answer.text))
        return answer.json() if answer.content else None

    def container(
        self, body: Body | None = None, *, name: str = "source", start: bool = False, **parameters: str
    ) -> str:
        """A container with a name that only this test uses, unless a parameter gives another."""
        asked = {"Image": SAMPLE_IMAGE, **(body or {})}
        wanted = {"name": f"{self.word}-{name}", **parameters}
        identifier = str(self.post("/containers/create", asked, **wanted)["Id"])
        self.containers.append(identifier)
        if start:
            self.start(identifier)
        return identifier

    def start(self, identifier: str) -> None:
        self.post(f"/containers/{identifier}/start")

    def network(self, name: str, *, subnet: int, **settings: Any) -> str:
        """A network, 10.<octet>.<subnet>.0/24; a name may be used twice where the Engine lets it."""
        pool = {"Config": [{"Subnet": f"10.{self.octet}.{subnet}.0/24"}]}
        asked = {"Name": f"{self.word}-{name}", "IPAM": pool, **settings}
        identifier = str(self.post("/networks/create", asked)["Id"])
        self.networks.append(identifier)
        return identifier

    def join(self, network: str, container: str, endpoint: Body | None = None) -> None:
        self.post(f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint or {}})

    def leave(self, network: str, container: str) -> None:
        self.post(f"/networks/{network}/disconnect", {"Container": container, "Force": True})

    def image(self, tag: str, *changes: str, **settings: Any) -> str:
        """The sample image with Dockerfile lines such as `VOLUME /data`, or with settings that no such line has."""
        repository = f"mycodocker/{self.word}"
        self.images.append(f"{repository}:{tag}")
        base = self.container(settings, name=f"base-{tag}")
        self.client.api.commit(base, repository=repository, tag=tag, changes="\n".join(changes))
        self.client.api.remove_container(base)
        return self.images[-1]

    def volume(self, name: str) -> str:
        self.volumes.append(f"{self.word}-{name}")
        self.client.volumes.create(self.volumes[-1])
        return self.volumes[-1]

    def host_folder(self, name: str) -> str:
        path = self.folder / name
        path.mkdir()
        return str(path)

    def inspect(self, identifier: str) -> Body:
        return dict(self.client.api.inspect_container(identifier))

    def sweep(self) -> None:
        for identifier in reversed(self.containers):
            self._forgiving(self.client.api.remove_container, identifier, v=True, force=True)
        for network in self.networks:
            self._forgiving(self.client.api.remove_network, network)
        for volume in self.volumes:
            self._forgiving(self.client.api.remove_volume, volume)
        for image in self.images:
            self._forgiving(self.client.api.remove_image, image, force=True)

    @staticmethod
    def _forgiving(call: Callable[..., Any], *arguments: str, **options: bool) -> None:
        try:
            call(*arguments, **options)
        except docker.errors.APIError as error:
            # Gone already, or going by itself.
            if error.status_code not in (404, 409):
                raise


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of source: how it is made, and what makes it special.

    `api` is the first Engine API that has what it is about, `until` the last. `kernel` says that a machine or an Engine
    may be unable to make or to start it, which is then a reason, not a failure. `starts` is false where neither source
    nor clone can start, and `restless` where the source changes by itself.
    """

    make: Callable[[Laboratory], str]
    api: tuple[int, int] = (1, 41)
    until: tuple[int, int] | None = None
    kernel: bool = False
    starts: bool = True
    restless: bool = False

    @property
    def name(self) -> str:
        return self.make.__name__


class Kinds(list[Kind]):
    """The kinds of one module: each is a function under `@kinds.add(...)`."""

    def add(self, **settings: Any) -> Callable[[Callable[[Laboratory], str]], Callable[[Laboratory], str]]:
        def keep(make: Callable[[Laboratory], str]) -> Callable[[Laboratory], str]:
            self.append(Kind(make=make, **settings))
            return make

        return keep

    @property
    def every(self) -> pytest.MarkDecorator:
        """Parametrises a test with each of them."""
        return pytest.mark.parametrize("kind", self, ids=lambda kind: kind.name)


def source_of(kind: Kind, lab: Laboratory) -> str:
    """A source of this kind; skips, with the reason, where the Engine has no such thing."""
    if lab.api < kind.api or (kind.until and lab.api > kind.until):
        pytest.skip(f"not applicable: API {'.'.join(map(str, lab.api))} does not have it")
    try:
        return kind.make(lab)
    except Refused as refused:
        if kind.kernel:
            pytest.skip(f"not applicable: {refused}")
        raise


def make_clone(gateway: EngineGateway, lab: Laboratory, source: Body) -> tuple[str, ClonePlan]:
    """What a workflow does with a plan, without its clean-up."""
    labels = {OPERATION_LABEL: "fidelity", TOKEN_LABEL: "1"}
    plan = build_clone(source, clone_facts(gateway, source), name=f"{lab.word}-clone", labels=labels)
    identifier = gateway.create(plan.create, plan.name)
    lab.containers.append(identifier)
    for network in plan.disconnect_after:
        gateway.disconnect(network, identifier)
    for join in plan.connect_after:
        gateway.connect(join.network_id, identifier, join.endpoint)
    return identifier, plan


def check_clone(kind: Kind, lab: Laboratory, gateway: EngineGateway) -> None:
    """Clone a source of this kind: it equals its source before and after its start, and the source is untouched."""
    source_id = source_of(kind, lab)
    source = lab.inspect(source_id)

    clone_id, plan = make_clone(gateway, lab, source)

    clone = lab.inspect(clone_id)
    assert unexplained(source, clone, plan) == ()
    assert clone["Image"] == plan.image_id == source["Image"]
    assert not clone["State"]["Running"]
    assert clone["Config"]["Labels"][OPERATION_LABEL] == "fidelity"
    assert at_rest(lab.inspect(source_id), kind) == at_rest(source, kind)
    if kind.starts:
        if source["State"]["Running"]:
            # What it holds (ports, addresses) is needed; one that goes away by itself may be gone by now.
            lab.client.api.remove_container(source_id, force=True)
        start_clone(kind, lab, source_id, clone_id)
        assert unexplained(source, lab.inspect(clone_id), plan) == ()


def unexplained(source: Body, clone: Body, plan: ClonePlan) -> tuple[Difference, ...]:
    return prove(source, clone, expected=plan.expected_differences).unexplained


def start_clone(kind: Kind, lab: Laboratory, source_id: str, clone_id: str) -> None:
    try:
        lab.start(clone_id)
    except Refused:
        if not kind.kernel:
            raise
        # Then it must be for what the source would be refused as well.
        with pytest.raises(Refused):
            lab.start(source_id)


def at_rest(inspect: Body, kind: Kind) -> Body:
    """An inspect without the health log, which grows by itself, and with its mounts and links in one order."""
    moment = ("State", "RestartCount", "NetworkSettings", "ResolvConfPath") if kind.restless else ()
    state = {key: value for key, value in inspect["State"].items() if key != "Health"}
    host = {**inspect["HostConfig"], "Links": sorted(inspect["HostConfig"]["Links"] or [])}
    steady = {
        **inspect,
        "State": state,
        "HostConfig": host,
        "Mounts": sorted(inspect["Mounts"], key=lambda mount: mount["Destination"]),
    }
    return {key: value for key, value in steady.items() if key not in moment}
