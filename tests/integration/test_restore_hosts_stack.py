"""A backup restored on another Docker host than the one that it is of, which may be gone for good."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.clone_bench import explained, volume_folder, word
from tests.integration.restore_bench import back_up, refusal, restore
from tests.integration.stack import Stack, embedded
from tests.integration.test_clone_hosts_stack import Site, own_image, second, site
from tests.trees import snapshot

pytest_plugins = ["tests.integration.stack_fixture"]
pytestmark = [pytest.mark.slow, embedded]
__all__ = ["second", "site"]


def inspect_on(site: Site, container: str) -> dict[str, Any]:
    return dict(site.docker.api.inspect_container(container))


def test_files_volumes_and_networks_come_back_on_another_host(stack: Stack, site: Site) -> None:
    network = word()
    stack.docker.networks.create(network)
    source, _ = own_image(stack, network=network)
    backup = back_up(stack, source, contents=["rootfs", "config", "volumes"], consistency="pause")
    body = restore(stack, backup, host=site.name, start=True)
    found = inspect_on(site, body["newId"])
    assert (found["Name"], found["State"]["Running"]) == (f"/{source.name}", True)
    assert list(found["NetworkSettings"]["Networks"]) == [network]
    assert snapshot(volume_folder(site.engine, source.name)) == snapshot(volume_folder(stack.engine, source.name))
    assert site.docker.containers.get(body["newId"]).exec_run(["cat", "/etc/motd"]).output == b"new\n"
    assert [tree["equal"] for tree in body["proof"]["content"]] == [True, True]
    assert [field for field, reason in explained(body).items() if reason is None] == []


def test_an_image_of_the_backup_is_loaded_on_another_host(stack: Stack, site: Site) -> None:
    source, tag = own_image(stack)
    backup = back_up(stack, source, contents=["config", "volumes", "image"], consistency="pause")
    body = restore(stack, backup, host=site.name)
    found = inspect_on(site, body["newId"])
    assert found["Config"]["Image"] == tag
    assert found["Image"] == stack.docker.images.get(tag).id


def test_an_unknown_host_is_refused(stack: Stack) -> None:
    backup = back_up(stack, stack.source(), contents=["config"])
    assert refusal(stack, backup, host="nowhere")[:2] == (400, "INVALID_REQUEST")
