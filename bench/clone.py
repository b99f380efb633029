"""How long clones take through the endpoint, beside the two raw calls to the Engine that they cannot do without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import docker

from bench.product import IMAGE, Product, checked

CLONES, STACKS, BEFORE, MEMBERS = 60, 10, 5, 5
_PROJECT = "com.docker.compose.project"


@dataclass(frozen=True, kw_only=True)
class Clones:
    """Seconds of each round of one interleaved run.

    `endpoint`: from the request to its answer; `workflow`: from the worker's claim to the operation's end; `raw`:
    `GET /containers/{id}/json` and `POST /containers/create` over the socket. `least`: the same, and the calls without
    which no clone is proved: what the image is, and what was made. `stack` clones a project of five, and `members` is
    the sum of the raw calls for each of them.
    """

    setup: str
    endpoint: tuple[float, ...]
    workflow: tuple[float, ...]
    raw: tuple[float, ...]
    least: tuple[float, ...]
    stack: tuple[float, ...]
    members: tuple[float, ...]


def measure(product: Product, *, setup: str) -> Clones:
    """Clone one container, and a project of five, again and again; the first rounds are not counted."""
    with closing(docker.APIClient(product.engine_url, version="auto")) as engine, _sources(engine) as sources:
        single = [_single(product, engine, sources[0]) for _ in range(BEFORE + CLONES)][BEFORE:]
        stacks = [_stack(product, engine, sources, number) for number in range(1 + STACKS)][1:]
    endpoint, workflow, raw, least = (tuple(column) for column in zip(*single, strict=True))
    stack, members = (tuple(column) for column in zip(*stacks, strict=True))
    return Clones(setup=setup, endpoint=endpoint, workflow=workflow, raw=raw, least=least, stack=stack, members=members)


@contextmanager
def _sources(engine: docker.APIClient) -> Iterator[list[str]]:
    """Five stopped containers of one project."""
    made = [
        engine.create_container(
            IMAGE,
            name=f"bench-member-{number}-1",
            environment=["A=1", "B=2"],
            labels={
                _PROJECT: "bench",
                "com.docker.compose.service": f"member-{number}",
                "com.docker.compose.container-number": "1",
                "com.docker.compose.oneoff": "False",
            },
        )["Id"]
        for number in range(MEMBERS)
    ]
    try:
        yield made
    finally:
        for identifier in made:
            engine.remove_container(identifier, force=True, v=True)


def _single(product: Product, engine: docker.APIClient, source: str) -> tuple[float, float, float, float]:
    raw_seconds, raw_id = _timed(lambda: _raw(engine, source))
    least_seconds, least_id = _timed(lambda: _least(engine, source))
    body = {"action": "clone", "containerId": source}
    seconds, answer = _timed(lambda: checked(product.session.post(f"{product.url}/api/docker/containers", json=body)))
    operation = checked(product.session.get(f"{product.url}/api/operations/{answer['operationId']}"))
    for identifier in (raw_id, least_id, str(answer["newId"])):
        engine.remove_container(identifier, force=True, v=True)
    workflow_seconds = _moment(operation["finishedAt"]) - _moment(operation["startedAt"])
    return seconds, workflow_seconds, raw_seconds, least_seconds


def _stack(product: Product, engine: docker.APIClient, sources: list[str], number: int) -> tuple[float, float]:
    raw = [_timed(lambda source=source: _raw(engine, source)) for source in sources]
    body = {"project": "bench", "newProject": f"copy{number}"}
    seconds, answer = _timed(lambda: checked(product.session.post(f"{product.url}/api/stacks/clone", json=body)))
    members: Any = answer["containers"]
    for identifier in (*(made for _, made in raw), *(member["newId"] for member in members)):
        engine.remove_container(identifier, force=True, v=True)
    return seconds, sum(seconds for seconds, _ in raw)


def _raw(engine: docker.APIClient, source: str) -> str:
    """The naive way: what was inspected is sent back."""
    inspect = engine.inspect_container(source)
    body = {**inspect["Config"], "Labels": {}, "HostConfig": inspect["HostConfig"]}
    url = f"{engine.base_url}/v{engine.api_version}/containers/create"
    return str(engine.post(url, json=body).json()["Id"])


def _least(engine: docker.APIClient, source: str) -> str:
    engine.inspect_image(IMAGE)
    made = _raw(engine, source)
    engine.inspect_container(made)
    return made


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = act()
    return time.perf_counter() - begun, result


def _moment(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
