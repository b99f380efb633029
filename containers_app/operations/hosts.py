"""From a host's row to its Engine: `local` is what the environment names, the others are what their rows say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from containers_app.archives.stores.local import LocalStore
from containers_app.conf import Conf, load
from containers_app.engine.connection import EngineLimits
from containers_app.errors import EngineUnavailable, InvalidRequest
from containers_app.models import Backup, Container, DockerHost
from containers_app.specs import fields as given
from containers_app.specs.endpoint import Endpoint, endpoint_candidates
from containers_app.specs.host import HostValues, guarded_endpoint
from containers_app.specs.reference import is_full_id


def local_endpoint() -> Endpoint:
    """The Engine that DOCKER_API_URL, DOCKER_HOST, the local socket or the documented default names."""
    exists = lambda path: Path(path).exists()  # noqa: E731 - one word for one question
    return endpoint_candidates(os.environ, platform=sys.platform, exists=exists)[0]


def endpoint_of(host: DockerHost) -> Endpoint:
    """The host's address, by the rules of now. Raises EngineUnavailable for a row that breaks them."""
    if host.is_local:
        return local_endpoint()
    try:
        return registered_endpoint(values_of(host))
    except InvalidRequest as error:
        raise EngineUnavailable(f"The settings of the host '{host.name}' are refused: {error.message}") from error


def values_of(host: DockerHost) -> HostValues:
    """What was chosen for the host."""
    return HostValues(**{field.name: getattr(host, field.name) for field in fields(HostValues)})


def registered_endpoint(values: HostValues) -> Endpoint:
    """The address of a host that is not `local`. Raises InvalidRequest that names the field which breaks a rule."""
    conf = load()
    endpoint = guarded_endpoint(values, tls_root=conf.tls_root, own_ports=conf.own_ports)
    if endpoint.scheme == "unix" and _real(endpoint.address) in {_real(path) for path in conf.own_sockets}:
        raise InvalidRequest("The Engine address is refused, because this is a socket of our own.", field="url")
    if endpoint.tls_directory is not None and not _is_below(endpoint.tls_directory, conf.tls_root):
        raise InvalidRequest("The folder with certificates leads out of MYCO_TLS_ROOT.", field="tlsDirectory")
    return endpoint


def _real(path: str) -> str:
    return os.path.realpath(path)


def _is_below(folder: str, root: str) -> bool:
    """By where links lead: what stands in the root may be a link to elsewhere."""
    return Path(_real(folder)).is_relative_to(_real(root))


def limits(conf: Conf, remaining_seconds: Callable[[], float | None] = lambda: None) -> EngineLimits:
    """The time limits of every Engine call."""
    return EngineLimits(
        connect_seconds=conf.engine_connect_seconds,
        call_seconds=conf.engine_call_seconds,
        stall_seconds=conf.stall_seconds,
        remaining_seconds=remaining_seconds,
    )


def store_of(conf: Conf) -> LocalStore:
    """The backup storage."""
    return LocalStore(conf.backup_roots, reserve_bytes=conf.backup_reserve_bytes)


def host_named(name: str, *, field_name: str = "options.host") -> DockerHost:
    """The registered host of this name. Raises InvalidRequest."""
    host = DockerHost.objects.filter(name=name).first()
    if host is None:
        raise InvalidRequest(f"'{field_name}' must be the name of a registered Docker host", field=field_name)
    return host


def local_host() -> DockerHost:
    """The row of the host that the environment names, made at the first call."""
    host, _ = DockerHost.objects.get_or_create(name=DockerHost.LOCAL)
    return host


def host_of_reference(reference: str) -> DockerHost:
    """The host that a container's reference means: of a full id that one enabled host alone has, that one, else local.

    A name or a prefix may fit containers of several hosts, so it always means `local`.
    """
    if is_full_id(reference):
        rows = Container.objects.present().filter(engine_id=reference, host__enabled=True).select_related("host")[:2]
        if len(rows) == 1:
            return rows[0].host
    return local_host()


def restore_host(backup: Backup, body: Mapping[str, Any]) -> DockerHost:
    """Where a backup is restored: the operation belongs to that host, as the backup's own may be gone for good."""
    name = given.text(body, "host", longest=63)
    return backup.host if name is None else host_named(name, field_name="host")
