from __future__ import annotations

from typing import Any

import pytest

from containers_app.specs.secret_texts import secret_texts

SECRET = "hunter2"


@pytest.mark.parametrize(
    "body",
    [
        {"Env": [SECRET]},
        {"Labels": {"token": SECRET}},
        {"Healthcheck": {"Test": ["CMD", SECRET]}},
        {"Entrypoint": ["program"], "Cmd": [SECRET]},
        {"Entrypoint": None, "Cmd": ["sh", "-c", SECRET]},
        {"HostConfig": {"LogConfig": {"Type": "splunk", "Config": {"splunk-token": SECRET}}}},
        {"HostConfig": {"Mounts": [{"VolumeOptions": {"DriverConfig": {"Options": {"o": SECRET}}}}]}},
        {"HostConfig": {"DeviceRequests": [{"Options": {"key": SECRET}}]}},
        {"HostConfig": {"StorageOpt": {"x": SECRET}, "Annotations": {"y": "z"}}},
        {"NetworkingConfig": {"EndpointsConfig": {"net": {"DriverOpts": {"key": SECRET}}}}},
        {"EndpointConfig": {"DriverOpts": {"key": SECRET}}},
        {"IPAM": {"Driver": "default", "Options": {"key": SECRET}}},
    ],
)
def test_what_may_be_secret_is_among_them(body: dict[str, Any]) -> None:
    assert SECRET in secret_texts(body)


def test_the_program_and_what_everybody_may_know_are_not() -> None:
    labels = {"com.docker.compose.project": "shop", "org.mycodocker.operation": "1"}
    body = {
        "Image": "nginx",
        "Labels": labels,
        "Entrypoint": ["nginx"],
        "Hostname": "web",
        "HostConfig": {"Binds": ["data:/data"]},
    }
    assert secret_texts(body) == ()
