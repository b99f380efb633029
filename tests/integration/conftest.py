"""The laboratory of clones, on each Engine version there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.specs.endpoint import Endpoint
from tests.engine_fixture import PrivateEngine

pytest.register_assert_rewrite("tests.integration.laboratory")

from tests.integration.laboratory import RECEIPT, Laboratory  # noqa: E402  (its assertions are to explain themselves)


@pytest.fixture
def lab(any_engine: PrivateEngine, tmp_path: Path) -> Iterator[Laboratory]:
    # The Engine's own API version, because older ones report a container in older words.
    with contextlib.closing(docker.DockerClient(any_engine.url, version="auto")) as client:
        laboratory = Laboratory(client, any_engine, tmp_path)
        yield laboratory
        laboratory.sweep()


@pytest.fixture
def gateway(any_engine: PrivateEngine) -> Iterator[EngineGateway]:
    with open_gateway(Endpoint.parse(any_engine.url), EngineLimits(), RECEIPT) as opened:
        yield opened
