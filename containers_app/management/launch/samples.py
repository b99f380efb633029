"""The demonstration's two containers: small, real, and with enough configuration for a clone to prove something."""

from __future__ import annotations

from typing import Any

from containers_app.errors import EngineError
from containers_app.management.launch.engine_calls import Answer, EngineCalls

IMAGE = "mycodocker/sample:1"
WEB, STORE = "myco-sample-web", "myco-sample-db"
NETWORK, VOLUME = "myco-sample", "myco-sample-data"

_LABELS = {"org.example.purpose": "sample of MycoDocker"}
_MEBIBYTE = 1024 * 1024
# One megabyte of its own, so that a backup holds more than the image.
_FILL = "test -e /var/www/data.bin || dd if=/dev/urandom of=/var/www/data.bin bs=1024 count=1024 2>/dev/null"
_SERVE = f"{_FILL}; exec httpd -f -p 80 -h /var/www"
_KEEP = "trap 'exit 0' TERM INT; touch /tmp/ready; while :; do sleep 3600 & wait $!; done"


def ensure(engine: EngineCalls) -> None:
    """Make what is missing of network, volume and containers, and start what is stopped. The image must be there.

    Raises EngineError with the Engine's words, EngineUnavailable.
    """
    if engine.call("GET", f"/networks/{NETWORK}").status == 404:
        _good(engine.call("POST", "/networks/create", body={"Name": NETWORK, "Labels": _LABELS}))
    _good(engine.call("POST", "/volumes/create", body={"Name": VOLUME, "Labels": _LABELS}))
    for name, wanted in ((WEB, web()), (STORE, store())):
        found = engine.call("GET", f"/containers/{name}/json")
        if found.status == 404:
            _good(engine.call("POST", "/containers/create", query={"name": name}, body=wanted))
        if found.status == 404 or not _good(found).json()["State"]["Running"]:
            _good(engine.call("POST", f"/containers/{name}/start"))


def web() -> dict[str, Any]:
    """A web server with environment, labels, a named volume, a published port and a network of its own."""
    return {
        "Image": IMAGE,
        "Cmd": ["/bin/sh", "-c", _SERVE],
        "Env": ["GREETING=hello", "SAMPLE_PASSWORD=not-a-secret"],
        "Labels": {**_LABELS, "org.example.tier": "front"},
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {
            # A server as process 1 would not take the request to stop.
            "Init": True,
            "NetworkMode": NETWORK,
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Mounts": [{"Type": "volume", "Source": VOLUME, "Target": "/data"}],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        },
    }


def store() -> dict[str, Any]:
    """A container with a health check and a memory limit."""
    second = 1_000_000_000
    return {
        "Image": IMAGE,
        "Cmd": ["/bin/sh", "-c", _KEEP],
        "Labels": {**_LABELS, "org.example.tier": "back"},
        "Healthcheck": {"Test": ["CMD-SHELL", "test -e /tmp/ready"], "Interval": 10 * second, "Timeout": 2 * second},
        "HostConfig": {"NetworkMode": NETWORK, "Memory": 32 * _MEBIBYTE, "ReadonlyRootfs": False},
    }


def _good(answer: Answer) -> Answer:
    if not answer.is_good:
        raise EngineError(answer.message())
    return answer
