"""Test a Docker host: does its Engine answer, and what is it."""

from __future__ import annotations

from dataclasses import dataclass

from containers_app.workflows.context import Context, Done


@dataclass(frozen=True, kw_only=True)
class HostTestParams:
    """`host`: the host's name."""

    host: str


def test_host(context: Context, params: HostTestParams) -> Done:
    """Greet the Engine, which tells its versions. Raises EngineUnavailable when it does not answer."""
    context.stage("ask the Engine")
    with context.gateway() as gateway:
        return Done(result={"host": params.host, "engineVersion": gateway.engine, "apiVersion": gateway.api})
