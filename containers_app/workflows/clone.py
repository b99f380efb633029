"""Clone: the same configuration under a new name, created and not started; the source is never touched."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from containers_app.engine.facts import clone_facts
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import EngineError, PermissionDenied
from containers_app.models import DockerHost
from containers_app.specs.container import ClonePlan, build_clone
from containers_app.specs.engine import OPERATION_LABEL, TOKEN_LABEL
from containers_app.specs.privilege import host_powers
from containers_app.workflows import inventory
from containers_app.workflows.context import Context, Done
from containers_app.workflows.undo import remove_labelled

_PRIVILEGED = "containers_app.clone_privileged"


@dataclass(frozen=True, kw_only=True)
class CloneParams:
    """`container`: id, id prefix or name as the client wrote it. `name`: the new name, or None for the default."""

    container: str
    name: str | None = None
    confirm_privileged: bool = False


def clone(context: Context, params: CloneParams) -> Done:
    """Create the clone by the published contract: configuration only, same image, not started.

    Raises the Engine's errors, PermissionDenied for a source with host power, NameTaken; then nothing is left behind.
    """
    context.stage("resolve the container")
    with context.gateway() as gateway:
        summary = gateway.resolve(params.container)
        context.pin_target(summary.id, summary.name, lock=False)
        source = gateway.inspect(summary.id)
        _check_power(context, gateway, source, confirmed=params.confirm_privileged)
        name = params.name or f"{summary.name}-clone-{time.time_ns() // 1_000_000}"
        plan = _plan(context, gateway, source, name)
        context.stage("create the clone")
        context.remember_undo(remove_labelled(context.facts.operation_id))
        new_id = _create(context, gateway, plan)
        context.stage("check the clone")
        _check_source(gateway, summary.id, source)
        inventory.refresh(DockerHost.objects.get(pk=context.facts.host_id), gateway, new_id)
    return Done(result=_result(params, new_id, name))


def _check_power(context: Context, gateway: EngineGateway, source: dict[str, Any], *, confirmed: bool) -> None:
    """A clone has its source's power over the host, so it needs its own permission and an explicit word."""
    powers = host_powers(source, gateway.volumes())
    if not powers:
        return
    reasons = "; ".join(powers)
    if not context.facts.may(_PRIVILEGED):
        raise PermissionDenied(
            f"the container holds power over its host, and its clone would too ({reasons}): ask an administrator"
        )
    if not confirmed:
        raise PermissionDenied(
            f"the container holds power over its host, and its clone would too ({reasons}): "
            "confirm with 'confirmPrivileged': true"
        )
    context.warn("HOST_POWER", f"the clone holds power over its host, as its source does: {reasons}")


def _plan(context: Context, gateway: EngineGateway, source: dict[str, Any], name: str) -> ClonePlan:
    labels = {OPERATION_LABEL: context.facts.operation_id, TOKEN_LABEL: str(context.facts.lease_token)}
    plan = build_clone(source, clone_facts(gateway, source), name=name, labels=labels)
    for warning in plan.warnings:
        context.warn(warning.code, warning.message)
    return plan


def _create(context: Context, gateway: EngineGateway, plan: ClonePlan) -> str:
    """Create, by the image's id if its tag moved in between; then leave and join networks."""
    new_id = gateway.create(plan.create, plan.name)
    if gateway.inspect(new_id)["Image"] != plan.image_id:
        gateway.remove(new_id)
        plan = plan.by_image_id()
        new_id = gateway.create(plan.create, plan.name)
    for network_id in plan.disconnect_after:
        gateway.disconnect(network_id, new_id)
    for join in plan.connect_after:
        context.checkpoint()
        gateway.connect(join.network_id, new_id, join.endpoint)
    return new_id


def _check_source(gateway: EngineGateway, source_id: str, before: dict[str, Any]) -> None:
    """The source must be as it was: same start, same configuration."""
    after = gateway.inspect(source_id)
    if _configuration(before) != _configuration(after):
        raise EngineError("the source's configuration changed while it was cloned: try again")


def _configuration(inspect: dict[str, Any]) -> tuple[Any, ...]:
    """What must stay as it was; an Engine lists links in any order."""
    host = {**inspect["HostConfig"], "Links": sorted(inspect["HostConfig"].get("Links") or [])}
    return inspect["Created"], inspect["Config"], host


def _result(params: CloneParams, new_id: str, name: str) -> dict[str, Any]:
    """The published body."""
    return {
        "success": True,
        "message": "Container cloned successfully",
        "action": "clone",
        "sourceId": params.container,
        "newId": new_id,
        "newName": name,
    }
