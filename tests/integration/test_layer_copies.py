"""Writable layers of real containers: copied as folders where that is possible, committed where not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from containers_app.engine.connection import EngineLimits, open_gateway
from containers_app.engine.gateway import EngineGateway
from containers_app.engine.layers import LayerTree, layer_obstacle
from containers_app.engine.trees import Copied, TreeSize, TreeTask, copy_tree, run_tasks, tree_proof
from containers_app.specs.endpoint import Endpoint
from containers_app.specs.receipt import Receipt
from tests.engine_fixture import SAMPLE_IMAGE
from tests.trees import CAPABILITY, access_list, snapshot

OPAQUE = "trusted.overlay.opaque"
LISTING = """find / -xdev ! -path /etc/hosts ! -path /etc/hostname ! -path /etc/resolv.conf ! -path /etc/mtab \
  ! -path /.dockerenv ! -path "/dev*" ! -path "/proc*" ! -path "/sys*" \
  -exec stat -c "%n %f %u %g %Y %h" {} + | sort"""
RECEIPT = Receipt(operation_id="operation-1", shard=0, leaf_index=0, leaf_hash="0" * 64)
CHANGES = """
echo changed > /etc/passwd; ln /etc/passwd /etc/hard; rm /bin/zcat; rm -rf /var/www; mkdir -p /var/www/new
echo hi > /var/www/new/file; rm -rf /home; mkdir /home; mv /usr/bin/env /moved; chown 77:88 /etc/group
chmod 4711 /bin/busybox; mkfifo /fifo; mknod /device c 1 3; echo x > "/new
line"; echo 10.0.0.1 other >> /etc/hosts; touch -d @1234567890 /etc/group /bin/busybox
"""


@pytest.fixture
def gateway(engine_endpoint: Endpoint, engine_cleanup: None) -> Iterator[EngineGateway]:
    with open_gateway(engine_endpoint, EngineLimits(), RECEIPT) as opened:
        yield opened


def created(client: docker.DockerClient, name: str, **options: Any) -> str:
    settings = client.api.create_host_config(binds=["data:/mounted/here"])
    made = client.api.create_container(
        SAMPLE_IMAGE, ["/bin/idle"], name=name, working_dir="/work", host_config=settings, **options
    )
    return str(made["Id"])


def upper_of(client: docker.DockerClient, container: str) -> Path:
    return Path(client.api.inspect_container(container)["GraphDriver"]["Data"]["UpperDir"])


def run(client: docker.DockerClient, container: str, script: str) -> str:
    command = client.api.exec_create(container, ["/bin/sh", "-c", script])
    return str(client.api.exec_start(command["Id"]).decode())


@pytest.fixture
def source(docker_client: docker.DockerClient) -> str:
    """A stopped container that changed, added and deleted files of all kinds."""
    container = created(docker_client, "source", hostname="first")
    docker_client.api.start(container)
    run(docker_client, container, CHANGES)
    docker_client.api.stop(container, timeout=5)
    upper = upper_of(docker_client, container)
    os.setxattr(upper / "etc/group", "user.u", b"1")
    os.setxattr(upper / "etc/group", "trusted.t", b"2")
    os.setxattr(upper / "etc/group", "system.posix_acl_access", access_list(1000))
    os.setxattr(upper / "bin/busybox", "security.capability", CAPABILITY)
    return container


@pytest.fixture
def target(docker_client: docker.DockerClient) -> str:
    return created(docker_client, "target", hostname="second")


def copy_layer(gateway: EngineGateway, source: str, target: str) -> Copied:
    return copy_tree(gateway, source=LayerTree(container=source), target=LayerTree(container=target))


@pytest.mark.parametrize("attribute", ["trusted.overlay.redirect", "trusted.overlay.metacopy"])
def test_a_layer_with_files_kept_elsewhere_is_seen(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: str, attribute: str
) -> None:
    task = TreeTask(verb="measure", source=LayerTree(container=source))
    assert [TreeSize.of(end).elsewhere for end in run_tasks(gateway, [task])] == [0]
    os.setxattr(upper_of(docker_client, source) / "etc", attribute, b"/elsewhere")
    assert [TreeSize.of(end).elsewhere for end in run_tasks(gateway, [task])] == [1]


def without_bookkeeping(tree: dict[bytes, tuple[Any, ...]]) -> dict[bytes, tuple[Any, ...]]:
    """The overlay's own notes left out, and which whiteouts are links of one."""
    kept = {}
    for path, (mode, numbers, size, attributes, first, content, link) in tree.items():
        shown = {name: attributes[name] for name in attributes if name == OPAQUE or "overlay" not in name}
        kept[path] = (mode, numbers, size, shown, None if mode == "0o20000" else first, content, link)
    return kept


def test_a_copied_layer_is_the_same_and_the_image_stays(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: str, target: str
) -> None:
    assert not copy_layer(gateway, source, target).changed
    trees = [snapshot(upper_of(docker_client, name)) for name in (source, target)]
    assert without_bookkeeping(trees[0]) == without_bookkeeping(trees[1])
    proofs = [tree_proof(gateway, LayerTree(container=name)) for name in (source, target)]
    assert proofs[0].same_as(proofs[1])
    assert gateway.inspect(target)["Image"] == gateway.inspect(source)["Image"]
    assert gateway.labelled("operation-1") == ()


def test_a_clone_with_a_copied_layer_starts_and_shows_the_same_files(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: str, target: str
) -> None:
    copy_layer(gateway, source, target)
    before = tree_proof(gateway, LayerTree(container=target))
    docker_client.api.start(source)
    docker_client.api.start(target)
    assert run(docker_client, target, LISTING) == run(docker_client, source, LISTING)
    assert run(docker_client, target, "cat /etc/passwd /var/www/new/file") == "changed\nhi\n"
    assert run(docker_client, target, "ls /bin/zcat /var/www/index.html").count("No such") == 2
    assert run(docker_client, target, "hostname; cat /etc/hostname") == "second\nsecond\n"
    assert "other" not in run(docker_client, target, "cat /etc/hosts")
    assert sorted(map(str, docker_client.api.diff(target))) == sorted(map(str, docker_client.api.diff(source)))
    assert tree_proof(gateway, LayerTree(container=target)).same_as(before)


def test_a_layer_of_a_running_and_of_a_paused_container_is_copied(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: str, target: str
) -> None:
    docker_client.api.start(source)
    gateway.pause(source)
    assert not copy_layer(gateway, source, target).changed
    assert gateway.inspect(source)["State"]["Status"] == "paused"
    gateway.unpause(source)
    assert not copy_layer(gateway, source, target).changed
    assert gateway.inspect(source)["State"]["Status"] == "running"


def test_a_commit_keeps_files_owners_and_deletions(
    gateway: EngineGateway, docker_client: docker.DockerClient, source: str
) -> None:
    image = gateway.commit(source, pause=False)
    container = str(docker_client.api.create_container(image, ["/bin/idle"])["Id"])
    docker_client.api.start(container)
    shown = run(docker_client, container, "stat -c '%u %g %Y' /etc/group; ls /bin/zcat 2>&1")
    assert "77 88 1234567890\n" in shown
    assert "No such" in shown


UPPER = "/var/lib/docker/overlay2/" + "a" * 64 + "/diff"


class Root:
    def data_root(self) -> str:
        return "/var/lib/docker"


@pytest.mark.parametrize(
    ("driver", "upper", "possible"),
    [
        ("overlay2", UPPER, True),
        ("overlay2", None, False),
        ("overlay2", "/etc", False),
        ("overlay2", UPPER + "/../../x", False),
        ("overlay2", UPPER.replace("docker", "other"), False),
        ("overlay2", UPPER.replace("/var/lib/docker", "/var/lib/docker/../.."), False),
        ("overlay2", UPPER + "\n", False),
        ("overlay2", UPPER.replace("a" * 64, "a" * 63 + "/"), False),
        ("vfs", UPPER, False),
        ("overlayfs", UPPER, False),
    ],
)
def test_only_a_folder_of_the_engines_own_is_ever_mounted(driver: str, upper: str | None, possible: bool) -> None:
    inspected = {"Driver": driver, "GraphDriver": {"Data": {"UpperDir": upper}}}
    reader: Any = Root()
    assert (layer_obstacle(reader, inspected) is None) is possible
