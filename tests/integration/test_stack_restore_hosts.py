"""A stack restored on another Docker host than the one that it is of, which may be gone for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack import Stack, embedded
from tests.integration.stack_restoring import CONTENT, SERVICES, SavedProject
from tests.integration.test_clone_hosts_stack import Site, second, site
from tests.machine import require

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, pytest.mark.compose, embedded]
__all__ = ["second", "site"]


@pytest.fixture
def project(stack: Stack, tmp_path: Path) -> Iterator[SavedProject]:
    require("compose")
    made = SavedProject(stack, tmp_path)
    made.back_up(contents=["config", "volumes", "image"])
    yield made
    made.down()


def test_images_networks_and_volumes_come_along_and_the_own_host_keeps_what_it_has(
    project: SavedProject, site: Site
) -> None:
    body = project.restore(host=site.name, start=True, waitHealthySeconds=30)
    assert [entry["newName"] for entry in body["containers"]] == [f"{project.name}-{name}-1" for name in SERVICES]
    assert {tree["equal"] for tree in body["proof"]["content"]} == {True}
    store = site.docker.containers.get(f"{project.name}-store-1")
    assert store.attrs["NetworkSettings"]["Networks"][f"{project.name}_back"]["IPAMConfig"] == {
        "IPv4Address": "172.29.7.9"
    }
    assert store.exec_run([*CONTENT[:2], CONTENT[2].removesuffix(" /layer")]).output == b"7 8 2\nkept\nfresh\n"
    for name, before in project.before.items():
        assert site.docker.containers.get(f"{project.name}-{name}-1").status == "running"
        assert project.inspect(f"{project.name}-{name}-1")["State"]["StartedAt"] == before["State"]["StartedAt"]
