"""A container is protected by its label, or because the product runs in it; /proc tells which one that is."""

from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.protection import own_container_id, protection

OWN, OTHER = "a" * 64, "b" * 64
OUTSIDE = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n"
FILES = "500 480 254:0 {folder}/{name} /etc/{name} rw,relatime - ext4 /dev/vda rw\n"
DOCKER, PODMAN = f"/var/lib/docker/containers/{OWN}", f"/containers/storage/overlay-containers/{OWN}/userdata"


def inspect(identifier: str = OTHER, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"Id": identifier, "Config": {"Labels": labels}}


@pytest.mark.parametrize("folder", [DOCKER, PODMAN, DOCKER.removeprefix("/var/lib")])
@pytest.mark.parametrize("name", ["hostname", "hosts", "resolv.conf"])
def test_the_files_that_an_engine_binds_name_the_container(folder: str, name: str) -> None:
    mountinfo = OUTSIDE + FILES.format(folder=folder, name=name)
    assert own_container_id(mountinfo=mountinfo, control_groups="0::/\n") == OWN


@pytest.mark.parametrize(
    "groups",
    [
        f"12:pids:/docker/{OWN}\n0::/\n",
        f"0::/system.slice/docker-{OWN}.scope\n",
        f"0::/kubepods/burstable/pod1/cri-containerd-{OWN}.scope",
    ],
)
def test_else_the_control_group_does(groups: str) -> None:
    assert own_container_id(mountinfo=OUTSIDE, control_groups=groups) == OWN


def test_another_containers_files_that_are_mounted_somewhere_tell_nothing() -> None:
    mountinfo = OUTSIDE + f"500 480 254:0 /var/lib/docker/containers/{OTHER}/hostname /mnt/hostname rw - ext4 x rw\n"
    assert own_container_id(mountinfo=mountinfo, control_groups="0::/\n") == ""


@pytest.mark.parametrize(
    "groups", ["", "0::/\n", "4:memory:/process_api/06cbe06bf6f4a38928e5234e2b6cbc50\n", "0::/user.slice\n"]
)
def test_outside_of_a_container_there_is_no_id(groups: str) -> None:
    assert own_container_id(mountinfo=OUTSIDE, control_groups=groups) == ""


def test_the_products_own_container_is_protected_and_the_others_are_not() -> None:
    assert "itself" in protection(inspect(OWN), own_id=OWN)
    assert protection(inspect(OTHER), own_id=OWN) == ""
    assert protection(inspect(""), own_id="") == ""


@pytest.mark.parametrize(
    ("value", "is_protected"), [("true", True), ("True", True), ("false", False), ("", False), ("1", False)]
)
def test_the_label_says_true_to_protect(value: str, is_protected: bool) -> None:
    found = protection(inspect(labels={"org.mycodocker.protected": value}), own_id="")
    assert bool(found) is is_protected
    assert ("org.mycodocker.protected" in found) is is_protected


def test_a_container_without_labels_or_configuration_is_free() -> None:
    assert protection(inspect(labels=None), own_id=OWN) == ""
    assert protection({"Id": OTHER}, own_id=OWN) == ""
