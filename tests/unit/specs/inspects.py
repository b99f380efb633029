"""A plain inspect to start from, and the facts of a plain Engine."""

from __future__ import annotations

import copy
from typing import Any

from containers_app.specs.container import CloneFacts
from containers_app.specs.engine import NetworkSummary

Inspect = dict[str, Any]

SOURCE_ID = "0123456789ab" + "0" * 52
CLONE_ID = "fedcba987654" + "0" * 52
IMAGE_ID = "sha256:" + "1" * 64
BRIDGE = NetworkSummary(id="b" * 64, name="bridge", driver="bridge")
FRONT = NetworkSummary(id="f" * 64, name="front", driver="bridge")
BACK = NetworkSummary(id="a" * 64, name="back", driver="bridge")


def inspected(
    *, config: Inspect | None = None, host: Inspect | None = None, networks: Inspect | None = None, **top: Any
) -> Inspect:
    """An inspect of a stopped container on the default bridge, with changes."""
    plain: Inspect = {
        "Id": SOURCE_ID,
        "Name": "/source",
        "Image": IMAGE_ID,
        "State": {"Running": False},
        "Config": {
            "Hostname": SOURCE_ID[:12],
            "Domainname": "",
            "Image": "image:1",
            "Env": ["A=1"],
            "Cmd": ["/bin/idle"],
            "Entrypoint": None,
            "Labels": {},
            "Volumes": None,
            **(config or {}),
        },
        "HostConfig": {
            "NetworkMode": "default",
            "Binds": None,
            "Links": None,
            "ContainerIDFile": "",
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Privileged": False,
            "Runtime": "runc",
            **(host or {}),
        },
        "NetworkSettings": {"Networks": {"bridge": endpoint(BRIDGE)} if networks is None else networks},
        "Mounts": [],
        **top,
    }
    return copy.deepcopy(plain)


def endpoint(network: NetworkSummary, **changes: Any) -> Inspect:
    return {"NetworkID": network.id, "EndpointID": "", "IPAddress": "", "MacAddress": "", "Aliases": None, **changes}


def facts(**changes: Any) -> CloneFacts:
    plain: Inspect = {
        "api": "1.41",
        "engine": "20.10.24",
        "reference_image_id": IMAGE_ID,
        "image_exists": True,
        "networks": (BRIDGE, FRONT, BACK),
    }
    return CloneFacts(**{**plain, **changes})
