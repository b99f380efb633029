"""Engines of a test's own with a compose project on them: they keep what they are asked for and what they are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from containers_app.errors import ContainerNotFound, EngineError, ImageNotFound
from containers_app.specs.engine import ContainerSummary, EngineVersion, Holding, NetworkSummary
from containers_app.workflows.context import ChildTarget, Done, Facts
from tests.unit.specs.inspects import IMAGE_ID, Inspect, inspected

LABEL = "com.docker.compose."
SECRET = "hunter2-very-secret"


def id_of(name: str) -> str:
    return hashlib.sha256(f"test {name}".encode()).hexdigest()


def labels(service: str, **more: str) -> dict[str, str]:
    own = {"project": "shop", "service": service, "container-number": "1", "oneoff": "False", **more}
    return {LABEL + key.replace("_", "-") if key != "depends_on" else LABEL + key: value for key, value in own.items()}


def container(
    service: str,
    *,
    name: str = "",
    networks: Inspect | None = None,
    config: Inspect | None = None,
    host: Inspect | None = None,
    label: dict[str, str] | None = None,
    **top: Any,
) -> Inspect:
    """A stopped container of `shop`; `networks` are endpoints by network, with the ids that `network` gives."""
    name = name or f"shop-{service}-1"
    ends = {key: {"NetworkID": id_of(key), **raw} for key, raw in (networks or {}).items()}
    mode = next(iter(ends), "none")
    return inspected(
        config={"Hostname": id_of(name)[:12], "Labels": {**labels(service), **(label or {})}, **(config or {})},
        host={"NetworkMode": mode, **(host or {})},
        networks=ends,
        **{"Id": id_of(name), "Name": f"/{name}", **top},
    )


def network(key: str, *, name: str = "", subnet: str = "", ours: bool = True, **more: Any) -> Inspect:
    name = name or f"shop_{key}"
    own = {LABEL + "project": "shop", LABEL + "network": key} if ours else {}
    pools = [{"Subnet": subnet}] if subnet else []
    plain = {"Driver": "bridge", "Options": {}, "IPAM": {"Driver": "default", "Config": pools}}
    return {"Id": id_of(name), "Name": name, "Labels": own, **plain, **more}


def volume(key: str, *, name: str = "", ours: bool = True, **more: Any) -> Inspect:
    own = {LABEL + "project": "shop", LABEL + "volume": key} if ours else {}
    return {"Name": name or f"shop_{key}", "Driver": "local", "Options": None, "Labels": own, **more}


def mounted(name: str, path: str, **more: Any) -> Inspect:
    return {"Type": "volume", "Name": name, "Destination": path, "RW": True, "Mode": "z", **more}


def port(container_port: int, host_port: str, address: str = "") -> Inspect:
    return {f"{container_port}/tcp": [{"HostIp": address, "HostPort": host_port}]}


class Reader:
    """What only looks. An unknown id is an error, as on an Engine."""

    def __init__(self, *containers: Inspect, networks: Any = (), volumes: Any = (), api: str = "1.45") -> None:
        self.api, self.engine = api, "26.1.5"
        self.there = {str(entry["Id"]): entry for entry in containers}
        self.raw_networks = {str(raw["Id"]): raw for raw in networks}
        self.raw_volumes = {str(raw["Name"]): raw for raw in volumes}
        self.held: list[Holding] = []
        self.asked: list[str] = []

    def version(self) -> EngineVersion:
        return EngineVersion(engine=self.engine, api=self.api, platform="linux/amd64")

    def project(self, name: str) -> tuple[str, ...]:
        wanted = {LABEL + "project": name, LABEL + "oneoff": "False"}
        return tuple(key for key, raw in self.there.items() if wanted.items() <= raw["Config"]["Labels"].items())

    def inspect(self, identifier: str) -> Inspect:
        self.asked.append(identifier)
        if identifier not in self.there:
            raise ContainerNotFound("no such container")
        return self.there[identifier]

    def containers(self) -> tuple[ContainerSummary, ...]:
        plain: Inspect = {"image": "i", "image_id": IMAGE_ID, "state": "", "status": "", "created_epoch_seconds": 0}
        return tuple(ContainerSummary(id=key, name=raw["Name"][1:], **plain) for key, raw in self.there.items())

    def holdings(self) -> tuple[Holding, ...]:
        own = [Holding(id=key, name=raw["Name"][1:], running=False) for key, raw in self.there.items()]
        return (*own, *self.held)

    def networks(self) -> tuple[NetworkSummary, ...]:
        return tuple(
            NetworkSummary(
                id=key,
                name=raw["Name"],
                driver=raw["Driver"],
                subnets=tuple(pool["Subnet"] for pool in raw["IPAM"]["Config"]),
            )
            for key, raw in self.raw_networks.items()
        )

    def network(self, identifier: str) -> Inspect:
        self.asked.append(identifier)
        if identifier not in self.raw_networks:
            raise EngineError("no such network")
        return dict(self.raw_networks[identifier])

    def volumes(self) -> dict[str, Inspect]:
        return dict(self.raw_volumes)

    def image(self, reference: str) -> Inspect:
        self.asked.append(reference)
        if reference not in ("image:1", IMAGE_ID):
            raise ImageNotFound("no such image")
        return {"Id": IMAGE_ID, "Config": {}}


class Engine(Reader):
    """One that makes things as well. `sent` is everything it was told to make, in its order."""

    def __init__(self, *containers: Inspect, **more: Any) -> None:
        super().__init__(*containers, **more)
        self.sent: list[tuple[str, str, Any]] = []

    def create_network(self, name: str, **settings: Any) -> str:
        self.sent.append(("network", name, settings))
        pools = (settings["addressing"] or {}).get("Config") or []
        self.raw_networks[id_of(name)] = {**network("", name=name), "IPAM": {"Config": pools}}
        return id_of(name)

    def create_volume(self, name: str, **settings: Any) -> None:
        self.sent.append(("volume", name, settings))
        self.raw_volumes[name] = {"Name": name, **settings}

    def create(self, create: Any, name: str) -> str:
        body = create.body()
        self.sent.append(("container", name, body))
        host = body["HostConfig"]
        for entry in host.get("VolumesFrom") or []:
            assert entry.partition(":")[0] in self.there, "who gives volumes is there first"
        if str(host.get("NetworkMode")).startswith("container:"):
            assert host["NetworkMode"].partition(":")[2] in self.there, "who lends its network is there first"
        endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        by_name = {raw["Name"]: key for key, raw in self.raw_networks.items()}
        self.there[id_of(name)] = {
            "Id": id_of(name),
            "Name": f"/{name}",
            "Image": IMAGE_ID,
            "Created": "2026-02-12T03:20:00Z",
            "State": {"Status": "created", "Running": False},
            "Config": {key: value for key, value in body.items() if key not in ("HostConfig", "NetworkingConfig")},
            "HostConfig": host,
            "NetworkSettings": {
                "Networks": {key: {**raw, "NetworkID": by_name[key]} for key, raw in endpoints.items()}
            },
            "Mounts": self._mounts(name, body),
        }
        return id_of(name)

    def connect(self, network_id: str, identifier: str, endpoint: Any) -> None:
        body = endpoint.body()
        self.sent.append(("join", self.raw_networks[network_id]["Name"], body))
        endpoints = self.there[identifier]["NetworkSettings"]["Networks"]
        endpoints[self.raw_networks[network_id]["Name"]] = {**body, "NetworkID": network_id}

    def _mounts(self, name: str, body: Any) -> list[Inspect]:
        host = body["HostConfig"]
        found: dict[str, Inspect] = {}
        for entry in host.get("VolumesFrom") or []:
            found |= {mount["Destination"]: mount for mount in self.there[entry.partition(":")[0]]["Mounts"]}
        for path in body.get("Volumes") or {}:
            found.setdefault(path, mounted(id_of(f"{name}{path}"), path))
        for bind in host.get("Binds") or []:
            source, path = bind.split(":")[:2]
            found[path] = mounted(source, path)
        for mount in host.get("Mounts") or []:
            found[mount["Target"]] = mounted(mount["Source"], mount["Target"])
        return list(found.values())


class Context:
    """An operation's context whose Engine is `engine`, and `other` that of the host `other`."""

    def __init__(self, engine: Any, *, other: Any = None, may: bool = True, key: bytes = b"k") -> None:
        self._engine, self._other, self._may, self._key = engine, other, may, key
        self.stages: list[str] = []
        self.warnings: list[tuple[str, str]] = []
        self.children: list[tuple[ChildTarget, Any]] = []
        self.described: list[Done] = []
        self.undo: list[Any] = []
        self.token = 1

    @property
    def facts(self) -> Facts:
        self.token += 1
        return Facts(
            operation_id=f"o{self.token}",
            lease_token=self.token,
            host_id=1,
            host_name="local",
            plan_key=self._key,
            may=lambda permission: self._may,
        )

    def gateway(self, host_name: str | None = None) -> AbstractContextManager[Any]:
        return nullcontext(self._other if host_name == "other" else self._engine)

    def stage(self, name: str, *, undo: Any = None, plan: Any = None) -> None:
        self.stages.append(name)
        self.undo += [undo] if undo else []

    def remember_undo(self, step: Any) -> None:
        self.undo.append(step)

    def checkpoint(self) -> None:
        """Nothing stops a test."""

    def warn(self, code: str, message: str) -> None:
        self.warnings.append((code, message))

    def begin_children(self, targets: Sequence[ChildTarget]) -> tuple[str, ...]:
        self.children.extend((target, target.params) for target in targets)
        return tuple(str(number) for number in range(1, len(self.children) + 1))

    def describe_child(self, child_id: str, part: Done) -> None:
        self.described.append(part)
