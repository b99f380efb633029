"""`docker compose` of the test machine, and a clone of one service of a project."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from tests.compose_fixture import Compose
from tests.engine_fixture import SAMPLE_IMAGE

PROJECT_FILE = f"""
services:
  web:
    image: {SAMPLE_IMAGE}
    pull_policy: never
    stop_grace_period: 1s
    depends_on: [data]
    environment: {{TOKEN: "a$$b"}}
    networks: {{front: {{aliases: [www]}}}}
    volumes: [kept:/kept]
  data:
    image: {SAMPLE_IMAGE}
    pull_policy: never
    stop_grace_period: 1s
    networks: [front]
networks: {{front: {{}}}}
volumes: {{kept: {{}}}}
"""


@pytest.fixture
def project_file(tmp_path: Path) -> Path:
    file = tmp_path / "compose.yaml"
    file.write_text(PROJECT_FILE)
    return file


def test_compose_starts_a_project_and_finds_it_by_its_labels(
    compose: Compose, docker_client: docker.DockerClient, project_file: Path
) -> None:
    compose.run("shop", project_file, "up", "--detach")

    lines = compose.by_labels("shop", "ps", "--format", "json").splitlines()
    assert sorted(json.loads(line)["Name"] for line in lines) == ["shop-data-1", "shop-web-1"]
    labels = docker_client.api.inspect_container("shop-web-1")["Config"]["Labels"]
    assert labels["com.docker.compose.project"] == "shop"

    compose.by_labels("shop", "down", "--volumes")
    assert docker_client.containers.list(all=True) == []
    assert docker_client.volumes.list() == []


def test_the_complaint_of_compose_is_repeated(compose: Compose, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("services: 3")
    with pytest.raises(RuntimeError, match="services must be a mapping"):
        compose.run("broken", file, "config")
