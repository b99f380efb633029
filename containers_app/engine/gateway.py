"""What the product may ask of an Engine: reading for everybody, changing only with a receipt of the ledger."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

from containers_app.engine.exec_verbs import ExecVerbs
from containers_app.engine.helper_verbs import HelperVerbs
from containers_app.engine.images import ImageVerbs
from containers_app.engine.networks import NetworkVerbs
from containers_app.engine.streams import EVENT_TYPES, ByteStream, EventStream
from containers_app.engine.transport import EngineConnection, container_id, name_segment, network_id
from containers_app.engine.volumes import VolumeVerbs
from containers_app.errors import ArchiveTruncated, ContainerNotFound, EngineError, ImageNotFound
from containers_app.specs.engine import OPERATION_LABEL, ContainerSummary, EngineVersion, Holding, NetworkSummary
from containers_app.specs.network import EndpointSpec
from containers_app.specs.receipt import Receipt
from containers_app.specs.reference import check_engine_name, check_reference, choose, is_full_id, may_be_id
from containers_app.specs.secret_texts import secret_texts
from containers_app.specs.settings import CreateRequest
from containers_app.specs.stack import ONE_OFF_LABEL, PROJECT_LABEL

# A float holds today's epoch to a quarter of a microsecond, an Engine compares nanoseconds.
_CLOCK_STEP_SECONDS = 1e-6
# What a container that says it may take for ever to stop is given.
LONGEST_STOP_SECONDS = 3600
# SystemTime in UTC; the digits after microseconds are more than a date takes.
_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(?=[\d.]*Z)", re.ASCII)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,511}", re.ASCII)


class EngineReader:
    """Everything that only looks. One connection, for one thread; `open_reader` opens and closes it."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    @property
    def api(self) -> str:
        """The API version in use, for example `1.41`."""
        return self._connection.api

    @property
    def engine(self) -> str:
        """The Engine's product version, such as `20.10.24`: from its greeting, for `/version` runs programs."""
        return self._connection.engine or self.version().engine

    def ping(self) -> None:
        """Raises EngineUnavailable when the Engine does not answer."""
        self._connection.negotiate()

    def version(self) -> EngineVersion:
        raw = self._object("/version", subject="engine")
        return EngineVersion(
            engine=str(raw.get("Version", "")),
            api=str(raw.get("ApiVersion", "")),
            platform=f"{raw.get('Os', '')}/{raw.get('Arch', '')}",
        )

    def containers(self) -> tuple[ContainerSummary, ...]:
        """All containers, stopped ones too."""
        return tuple(_summary(raw) for raw in self._list("/containers/json", {"all": "1"}))

    def project(self, name: str) -> tuple[str, ...]:
        """Full ids of a compose project's containers, but for one-off runs."""
        filters = json.dumps({"label": [f"{PROJECT_LABEL}={name}"]})
        listed = self._list("/containers/json", {"all": "1", "filters": filters})
        return tuple(_id_of(raw) for raw in listed if (raw.get("Labels") or {}).get(ONE_OFF_LABEL) != "True")

    def holdings(self) -> tuple[Holding, ...]:
        """What every container holds, from one list."""
        return tuple(_holding(raw) for raw in self._list("/containers/json", {"all": "1"}))

    def find(self, reference: str) -> dict[str, Any]:
        """The Engine's JSON for the one container that the reference means; raises what `choose` raises.

        A name is asked for directly, and counts only if it is the container's own: an Engine would take it for the
        beginning of an id as well. What could be the beginning of an id is looked for in the whole list.
        """
        check_reference(reference)
        if may_be_id(reference):
            return self.inspect(reference if is_full_id(reference) else self.resolve(reference).id)
        try:
            raw = self._container(name_segment(reference))
        except ContainerNotFound:
            raw = {}
        return raw if raw.get("Name") == f"/{reference}" else self.inspect(self.resolve(reference).id)

    def resolve(self, reference: str) -> ContainerSummary:
        """The one container that the reference means; see `specs.reference.choose` for the rule and what it raises."""
        return choose(reference, self.containers())

    def inspect(self, identifier: str) -> dict[str, Any]:
        """The Engine's JSON for a container, by full id. It holds environment values. Raises ContainerNotFound.

        Its mounts come by their places: an Engine lists them in another order each time, which is no change.
        """
        return self._container(container_id(identifier))

    def execs(self, container: str) -> tuple[str, ...]:
        """64-hex ids of what runs in a container beside its own process (`docker exec`, health checks), or will."""
        return tuple(str(found) for found in self.inspect(container).get("ExecIDs") or ())

    def is_starting(self, exec_id: str) -> bool:
        """Whether an exec is between the order to start it and its first instruction. Not, when it is over."""
        try:
            found = self._object(f"/exec/{container_id(exec_id)}/json", subject="container")
        except ContainerNotFound:
            return False
        return bool(found.get("Running")) and not found.get("Pid")

    def _container(self, segment: str) -> dict[str, Any]:
        found = self._object(f"/containers/{segment}/json", subject="container")
        if found.get("Mounts"):
            found["Mounts"] = sorted(found["Mounts"], key=lambda mount: str(mount.get("Destination")))
        return found

    def network(self, id_or_name: str) -> dict[str, Any]:
        """The Engine's JSON for a network. Raises EngineError when there is none."""
        return self._object(f"/networks/{name_segment(id_or_name)}", subject="network")

    def data_root(self) -> str:
        """The folder on the Engine's host below which it keeps everything."""
        return str(self._object("/info", subject="engine").get("DockerRootDir", ""))

    def clock_ahead_seconds(self) -> float:
        """How far the clock of the Engine's host is ahead of ours; 0 where it does not say."""
        text = str(self._object("/info", subject="engine").get("SystemTime", ""))
        found = _SECONDS.match(text)
        return datetime.fromisoformat(found[0] + "+00:00").timestamp() - time.time() if found else 0.0

    def networks(self) -> tuple[NetworkSummary, ...]:
        """All networks: the only way to see that one name stands for two of them."""
        return tuple(
            NetworkSummary(
                id=str(raw.get("Id", "")),
                name=str(raw.get("Name", "")),
                driver=str(raw.get("Driver", "")),
                subnets=tuple(str(pool.get("Subnet", "")) for pool in (raw.get("IPAM") or {}).get("Config") or []),
            )
            for raw in self._list("/networks", {})
        )

    def volume(self, name: str) -> dict[str, Any]:
        """The Engine's JSON for a volume. Raises EngineError when there is none."""
        return self._object(f"/volumes/{name_segment(name)}", subject="volume")

    def volumes(self) -> dict[str, dict[str, Any]]:
        """The Engine's JSON for every volume, by name."""
        raw = self._object("/volumes", subject="volume")
        return {str(volume.get("Name", "")): volume for volume in raw.get("Volumes") or []}

    def image(self, reference_or_id: str) -> dict[str, Any]:
        """The Engine's JSON for an image. Raises ImageNotFound, also for what cannot be an image's name."""
        parts = reference_or_id.split("/")
        if _IMAGE.fullmatch(reference_or_id) is None or any(part in ("", ".", "..") for part in parts):
            raise ImageNotFound("The image's name is not one an Engine could have.")
        return self._object(f"/images/{quote(reference_or_id, safe='/:@')}/json", subject="image")

    @contextmanager
    def events(self, since_epoch_seconds: float | None) -> Iterator[EventStream]:
        """Events of containers, volumes, networks and images, from a moment on or from now.

        The stream waits without a limit and can be aborted.

        Events of that very moment come again: better twice than never.
        """
        parameters = {"filters": json.dumps({"type": list(EVENT_TYPES)})}
        if since_epoch_seconds is not None:
            parameters["since"] = f"{max(since_epoch_seconds - _CLOCK_STEP_SECONDS, 0.0):.9f}"
        limits = self._connection.limits
        response = self._connection.stream(
            "/events", subject="engine", read_seconds=limits.call_seconds, parameters=parameters
        )
        with response:
            yield EventStream(response, self._connection.endpoint)

    def _object(self, path: str, *, subject: str) -> dict[str, Any]:
        answer = self._connection.json("GET", path, subject=subject)
        if not isinstance(answer, dict):
            raise EngineError("The Engine's answer has an unexpected shape.")
        return answer

    def _list(self, path: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        answer = self._connection.json("GET", path, subject="engine", parameters=parameters)
        if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
            raise EngineError("The Engine's answer has an unexpected shape.")
        return answer


class EngineGateway(VolumeVerbs, NetworkVerbs, ImageVerbs, HelperVerbs, ExecVerbs, EngineReader):
    """Everything that changes an Engine or takes files out of it."""

    def __init__(self, connection: EngineConnection, receipt: Receipt) -> None:
        if not isinstance(receipt, Receipt):
            raise TypeError("an Engine is changed only with the ledger's receipt")
        super().__init__(connection)
        self.receipt = receipt

    def create(self, create: CreateRequest, name: str) -> str:
        """Create a container, not started; returns its 64-hex id.

        Raises InvalidRequest, NameTaken, ImageNotFound, EngineError. After EngineUnavailable or TimedOut the container
        may exist all the same: look for it by `labelled`.
        """
        parameters = {"name": check_engine_name(name)}
        if create.platform is not None:
            parameters["platform"] = create.platform
        answer = self._connection.json(
            "POST",
            "/containers/create",
            subject="create",
            parameters=parameters,
            body=create.body(),
            secrets=create.secrets,
        )
        return _id_of(answer)

    def connect(self, network: str, container: str, endpoint: EndpointSpec) -> None:
        """Join a container to a network, both by full id."""
        body = {"Container": container_id(container), "EndpointConfig": endpoint.body()}
        path, secrets = f"/networks/{network_id(network)}/connect", secret_texts(body)
        self._connection.json("POST", path, subject="network", body=body, secrets=secrets)

    def disconnect(self, network: str, container: str) -> None:
        """Take a container out of a network, both by full id."""
        body = {"Container": container_id(container), "Force": True}
        self._connection.json("POST", f"/networks/{network_id(network)}/disconnect", subject="network", body=body)

    def start(self, container: str, *, secrets: tuple[str, ...] = ()) -> bool:
        """Start a container. False when it runs already. Raises PortTaken, and the Engine's other refusals.

        A refusal does not repeat the `secrets`: drivers tell their options when they fail.
        """
        return self._connection.change(f"/containers/{container_id(container)}/start", subject="start", secrets=secrets)

    def stop(self, container: str, *, timeout_seconds: int) -> bool:
        """Ask a container to stop, and kill it after the timeout (-1: never). False when it does not run."""
        return self._halt(container, "stop", timeout_seconds)

    def restart(self, container: str, *, timeout_seconds: int) -> bool:
        """Stop it as `stop` does, and start it. Raises PortTaken, and the Engine's other refusals."""
        return self._halt(container, "restart", timeout_seconds)

    def _halt(self, container: str, verb: str, timeout_seconds: int) -> bool:
        return self._connection.change(
            f"/containers/{container_id(container)}/{verb}",
            subject="start",
            parameters={"t": str(timeout_seconds)},
            patience_seconds=timeout_seconds if timeout_seconds >= 0 else LONGEST_STOP_SECONDS,
        )

    def pause(self, container: str) -> None:
        """Freeze a running container. Raises EngineError when it is not running, or frozen already."""
        self._connection.json("POST", f"/containers/{container_id(container)}/pause", subject="container")

    def unpause(self, container: str) -> None:
        """Let a frozen container go on. Raises EngineError when it is not frozen."""
        self._connection.json("POST", f"/containers/{container_id(container)}/unpause", subject="container")

    def rename(self, container: str, name: str) -> None:
        """Give a container another name. Raises EngineError where the name is taken."""
        parameters = {"name": check_engine_name(name)}
        self._connection.json(
            "POST", f"/containers/{container_id(container)}/rename", subject="container", parameters=parameters
        )

    def remove(self, container: str, *, force: bool = True, volumes: bool = True) -> None:
        """Remove a container; one that is gone, or going, is fine.

        `force`: one that runs is killed, else ContainerRunning is raised. `volumes`: its anonymous volumes go too.
        """
        path = f"/containers/{container_id(container)}"
        parameters = {"force": str(int(force)), "v": str(int(volumes))}
        try:
            self._connection.json("DELETE", path, subject="container", parameters=parameters)
        except ContainerNotFound:
            return
        except EngineError as error:
            if "already in progress" not in error.message:
                raise

    def labelled(self, operation_id: str) -> tuple[str, ...]:
        """Full ids of the containers that an operation made: how an ambiguous create is looked up."""
        filters = json.dumps({"label": [f"{OPERATION_LABEL}={operation_id}"]})
        return tuple(_id_of(raw) for raw in self._list("/containers/json", {"all": "1", "filters": filters}))

    @contextmanager
    def export(self, container: str) -> Iterator[ByteStream]:
        """The container's file system as the Engine's tar stream; leaving the context closes the connection.

        Only the end marker of the tar tells that it is whole: an ArchiveTruncated that leaves the context becomes
        EngineUnavailable where the Engine is gone.
        """
        limits = self._connection.limits
        response = self._connection.stream(
            f"/containers/{container_id(container)}/export",
            subject="container",
            read_seconds=limits.stall_seconds,
            framed=False,
        )
        with response:
            try:
                yield ByteStream(response, self._connection.endpoint, limits)
            except ArchiveTruncated:
                self.ping()
                raise


def _id_of(answer: object) -> str:
    identifier = str(answer.get("Id", "")) if isinstance(answer, dict) else ""
    if not is_full_id(identifier):
        raise EngineError("The Engine's answer names no container.")
    return identifier


def _own_name(raw: Mapping[str, Any]) -> str:
    """A name with a second slash is an alias by a link, not the container's."""
    names = [str(name).removeprefix("/") for name in raw.get("Names") or []]
    own = [name for name in names if "/" not in name] or names or [""]
    return own[0]


def _holding(raw: Mapping[str, Any]) -> Holding:
    """One entry of `GET /containers/json`; a port without a public one is not bound."""
    endpoints = ((raw.get("NetworkSettings") or {}).get("Networks") or {}).values()
    configured = [endpoint.get("IPAMConfig") or {} for endpoint in endpoints]
    addresses = [endpoint.get(key) for endpoint in endpoints for key in ("IPAddress", "GlobalIPv6Address")]
    addresses += [config.get(key) for config in configured for key in ("IPv4Address", "IPv6Address")]
    return Holding(
        id=str(raw.get("Id", "")),
        name=_own_name(raw),
        running=raw.get("State") in ("running", "paused", "restarting"),
        ports=tuple(
            (str(port.get("IP") or ""), int(port["PublicPort"]), str(port.get("Type") or "tcp"))
            for port in raw.get("Ports") or []
            if port.get("PublicPort")
        ),
        addresses=tuple(dict.fromkeys(str(address) for address in addresses if address)),
        macs=tuple(str(endpoint["MacAddress"]).lower() for endpoint in endpoints if endpoint.get("MacAddress")),
    )


def _summary(raw: Mapping[str, Any]) -> ContainerSummary:
    """One entry of `GET /containers/json`."""
    return ContainerSummary(
        id=str(raw.get("Id", "")),
        name=_own_name(raw),
        image=str(raw.get("Image", "")),
        image_id=str(raw.get("ImageID", "")),
        state=str(raw.get("State", "")),
        status=str(raw.get("Status", "")),
        created_epoch_seconds=int(raw.get("Created", 0)),
        labels=dict(raw.get("Labels") or {}),
    )
