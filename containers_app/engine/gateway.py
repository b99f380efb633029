"""What the product may ask of an Engine: reading for everybody, changing only with a receipt of the ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from containers_app.engine.helper_verbs import HelperVerbs
from containers_app.engine.images import ImageVerbs
from containers_app.engine.networks import NetworkVerbs
from containers_app.engine.streams import ByteStream, EventStream
from containers_app.engine.transport import EngineConnection, container_id, name_segment, network_id
from containers_app.engine.volumes import VolumeVerbs
from containers_app.errors import ContainerNotFound, EngineError, ImageNotFound
from containers_app.specs.container import CreateRequest
from containers_app.specs.engine import OPERATION_LABEL, ContainerSummary, EngineVersion, NetworkSummary
from containers_app.specs.network import EndpointSpec
from containers_app.specs.receipt import Receipt
from containers_app.specs.reference import check_engine_name, choose, is_full_id

# A float holds today's epoch to a quarter of a microsecond, an Engine compares nanoseconds.
_CLOCK_STEP_SECONDS = 1e-6
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,511}", re.ASCII)


class EngineReader:
    """Everything that only looks. One connection, for one thread; `open_reader` opens and closes it."""

    def __init__(self, connection: EngineConnection) -> None:
        self._connection = connection

    @property
    def api(self) -> str:
        """The API version in use, for example `1.41`."""
        return self._connection.api

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

    def resolve(self, reference: str) -> ContainerSummary:
        """The one container that the reference means; see `specs.reference.choose` for the rule and what it raises."""
        return choose(reference, self.containers())

    def inspect(self, identifier: str) -> dict[str, Any]:
        """The Engine's JSON for a container, by full id. It holds environment values. Raises ContainerNotFound."""
        return self._object(f"/containers/{container_id(identifier)}/json", subject="container")

    def network(self, id_or_name: str) -> dict[str, Any]:
        """The Engine's JSON for a network. Raises EngineError when there is none."""
        return self._object(f"/networks/{name_segment(id_or_name)}", subject="network")

    def data_root(self) -> str:
        """The folder on the Engine's host below which it keeps everything."""
        return str(self._object("/info", subject="engine").get("DockerRootDir", ""))

    def networks(self) -> tuple[NetworkSummary, ...]:
        """All networks: the only way to see that one name stands for two of them."""
        return tuple(
            NetworkSummary(id=str(raw.get("Id", "")), name=str(raw.get("Name", "")), driver=str(raw.get("Driver", "")))
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
        """Container events from a moment on, or from now; the stream waits without a limit and can be aborted.

        Events of that very moment come again: better twice than never.
        """
        parameters = {"filters": json.dumps({"type": ["container"]})}
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


class EngineGateway(VolumeVerbs, NetworkVerbs, ImageVerbs, HelperVerbs, EngineReader):
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
        self._connection.json("POST", f"/networks/{network_id(network)}/connect", subject="network", body=body)

    def disconnect(self, network: str, container: str) -> None:
        """Take a container out of a network, both by full id."""
        body = {"Container": container_id(container), "Force": True}
        self._connection.json("POST", f"/networks/{network_id(network)}/disconnect", subject="network", body=body)

    def pause(self, container: str) -> None:
        """Freeze a running container. Raises EngineError when it is not running, or frozen already."""
        self._connection.json("POST", f"/containers/{container_id(container)}/pause", subject="container")

    def unpause(self, container: str) -> None:
        """Let a frozen container go on. Raises EngineError when it is not frozen."""
        self._connection.json("POST", f"/containers/{container_id(container)}/unpause", subject="container")

    def remove(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes; one that is gone, or going, is fine."""
        path = f"/containers/{container_id(container)}"
        try:
            self._connection.json("DELETE", path, subject="container", parameters={"force": "1", "v": "1"})
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
        """The container's file system as the Engine's tar stream; leaving the context closes the connection."""
        limits = self._connection.limits
        response = self._connection.stream(
            f"/containers/{container_id(container)}/export", subject="container", read_seconds=limits.stall_seconds
        )
        with response:
            yield ByteStream(response, self._connection.endpoint, limits)


def _id_of(answer: object) -> str:
    identifier = str(answer.get("Id", "")) if isinstance(answer, dict) else ""
    if not is_full_id(identifier):
        raise EngineError("The Engine's answer names no container.")
    return identifier


def _summary(raw: Mapping[str, Any]) -> ContainerSummary:
    """One entry of `GET /containers/json`; a name with a second slash is an alias by a link, not the container's."""
    names = [str(name).removeprefix("/") for name in raw.get("Names") or []]
    own = [name for name in names if "/" not in name] or names or [""]
    return ContainerSummary(
        id=str(raw.get("Id", "")),
        name=own[0],
        image=str(raw.get("Image", "")),
        image_id=str(raw.get("ImageID", "")),
        state=str(raw.get("State", "")),
        status=str(raw.get("Status", "")),
        created_epoch_seconds=int(raw.get("Created", 0)),
        labels=dict(raw.get("Labels") or {}),
    )
