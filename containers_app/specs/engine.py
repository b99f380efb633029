"""What the product keeps of the Engine's answers: small frozen values, so that no caller depends on raw JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LABEL_PREFIX = "org.mycodocker."
OPERATION_LABEL = LABEL_PREFIX + "operation"
TOKEN_LABEL = LABEL_PREFIX + "token"


@dataclass(frozen=True, kw_only=True)
class EngineVersion:
    """`engine` is the product version (`20.10.24`), `api` the highest API it speaks, `platform` `os/architecture`."""

    engine: str
    api: str
    platform: str


@dataclass(frozen=True, kw_only=True)
class ContainerSummary:
    """One container as the Engine lists it.

    `id` is 64 hex digits, `name` has no leading slash, `image` is the reference it was made from, `image_id` starts
    with `sha256:`, `state` is the Engine's word (`running`, `exited`, ...), `status` its sentence for people.
    Labels stay out of the repr: people keep secrets in them.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    status: str
    created_epoch_seconds: int
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What one container keeps others from having: its name, and while it runs its ports, addresses and MACs.

    `ports` are (host address, host port, protocol) as bound; `addresses` has those given out and those configured.
    """

    id: str
    name: str
    running: bool
    ports: tuple[tuple[str, int, str], ...] = ()
    addresses: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetworkSummary:
    """One network of the Engine; two may share a name."""

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """Something happened to a container, a volume, a network or an image (`type`), whose id is `object_id`.

    `action` is the Engine's verb alone (`start`, `die`, `exec_create`): an exec's command line may hold a secret, so of
    it there is `command_sha256`, in hex. `detail` is kept for `health_status` only. `container_id` is of the container
    that it happened to, or because of: a network is connected to one. `operation_id` is of our label, if it has one.
    """

    action: str
    container_id: str
    name: str
    image: str
    at_epoch_seconds: float
    detail: str = ""
    type: str = "container"
    object_id: str = ""
    operation_id: str = ""
    command_sha256: str = ""
