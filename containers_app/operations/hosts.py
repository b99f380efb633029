"""From a host's row to its Engine: addresses come from the environment, never from the database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from containers_app.archives.stores.local import LocalStore
from containers_app.conf import Conf
from containers_app.engine.connection import EngineLimits
from containers_app.errors import InvalidRequest
from containers_app.models import DockerHost
from containers_app.specs.endpoint import Endpoint, endpoint_candidates


def local_endpoint() -> Endpoint:
    """The Engine that DOCKER_API_URL, DOCKER_HOST, the local socket or the documented default names."""
    exists = lambda path: Path(path).exists()  # noqa: E731 - one word for one question
    return endpoint_candidates(os.environ, platform=sys.platform, exists=exists)[0]


def endpoint_of(host: DockerHost) -> Endpoint:
    """The host's address."""
    return local_endpoint()


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


def host_named(name: str) -> DockerHost:
    """The registered host of this name. Raises InvalidRequest (field `options.host`)."""
    host = DockerHost.objects.filter(name=name).first()
    if host is None:
        raise InvalidRequest("'options.host' must be the name of a registered Docker host", field="options.host")
    return host


def local_host() -> DockerHost:
    """The row of the host that the environment names, made at the first call."""
    host, _ = DockerHost.objects.get_or_create(name=DockerHost.LOCAL)
    return host
