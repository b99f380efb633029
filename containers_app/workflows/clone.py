"""Clone: the same configuration under a new name, with its content where asked; the source is never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from containers_app.engine.gateway import EngineGateway
from containers_app.errors import InvalidRequest
from containers_app.models import DockerHost
from containers_app.specs.overrides import AS_THE_SOURCE, Overrides, read_overrides
from containers_app.workflows import inventory
from containers_app.workflows.admission import check_admission, check_room, may_look
from containers_app.workflows.content import Ends, Pair, carry, prove
from containers_app.workflows.context import Context, Done
from containers_app.workflows.fidelity import proven
from containers_app.workflows.health import start_and_wait
from containers_app.workflows.making import (
    REDIRECTED,
    cloned,
    committed_layer,
    layer_pair,
    make,
    make_from_commit,
    taken_back,
    target_of,
    volume_pairs,
    with_image,
)
from containers_app.workflows.measuring import Measured, measure, trees_of
from containers_app.workflows.planning import Inspect, Prepared, Wish, prepare, with_content
from containers_app.workflows.protected import check_protected
from containers_app.workflows.quiesce import check_quiet, quiet


@dataclass(frozen=True, kw_only=True)
class CloneParams:
    """`container`: id, id prefix or name as the client wrote it. `name`: the new name, or None for the default.

    `dry_run`: plan only. `plan_hash`: do it only if the plan is still that one. `host`: the target host's name, None
    for the source's. `data`: `none`, `volumes` or `all`; `volumes`: `copy`, `empty` or `share` by volume name or mount
    point; `consistency`: `live`, `pause` or `stop` while content is read. `start`: start the clone, and wait up to
    `wait_healthy_seconds` for it to be healthy.
    """

    container: str
    name: str | None = None
    confirm_privileged: bool = False
    confirm_protected: bool = False
    dry_run: bool = False
    plan_hash: str | None = None
    host: str | None = None
    data: str = "none"
    volumes: Mapping[str, str] = field(default_factory=dict)
    consistency: str = "live"
    start: bool = False
    wait_healthy_seconds: int = 0
    overrides: Overrides = AS_THE_SOURCE

    @property
    def is_plain(self) -> bool:
        """Whether this is the published clone and nothing more."""
        changed = self.overrides.raw or self.volumes or self.host or self.moves_content
        return not (self.dry_run or self.plan_hash or self.start or changed)

    @property
    def moves_content(self) -> bool:
        """Whether files are copied, so that it takes its time."""
        return self.data != "none" or "copy" in self.volumes.values() or self.host is not None


@dataclass(frozen=True, kw_only=True)
class Made:
    """The new container as it was made, with the proofs of its content."""

    inspect: Inspect = field(repr=False)
    committed: bool = False
    content: tuple[Mapping[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """Its 64-hex id."""
        return str(self.inspect["Id"])


def recorded_clone(params: CloneParams) -> dict[str, Any]:
    """The params as the row and the ledger keep them: without the overrides' write-only values."""
    kept = {entry.name: getattr(params, entry.name) for entry in fields(params)}
    # As keys, names would be read as the ledger reads keys: `secrets` hidden, and none but ASCII.
    choices = [{"volume": name, "treatment": treatment} for name, treatment in params.volumes.items()]
    return {**kept, "volumes": choices, "overrides": params.overrides.shown}


def reopened_clone(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a row, with the overrides that were sealed."""
    choices = {choice["volume"]: choice["treatment"] for choice in recorded.get("volumes") or []}
    return {**recorded, "volumes": choices, "overrides": read_overrides(sealed)}


def clone(context: Context, params: CloneParams) -> Done:
    """Plan the clone; unless that is all, make it, fill it, prove it, and start it if asked.

    Raises the Engine's errors, PermissionDenied for host power, NameTaken, Collides, PlanChanged; then nothing is left
    behind.
    """
    context.stage("resolve the container")
    with context.gateway() as gateway, target_of(context, params.host, gateway) as target:
        ends = Ends(source=gateway, target=target, host="" if target is gateway else str(params.host))
        source = gateway.find(params.container)
        lock = params.moves_content and not params.dry_run
        context.pin_target(str(source["Id"]), str(source["Name"]).removeprefix("/"), lock=lock)
        check_protected(context, source, confirmed=params.confirm_protected)
        prepared = prepare(context, target, source, _wish(params), origin=gateway if ends.elsewhere else None)
        _check_content(params, prepared)
        if params.dry_run and may_look(context, powers=prepared.powers, collisions=prepared.collisions):
            measured = _measured(context, ends, params, prepared)
            prepared = with_content(prepared, measured.document(), measured.collisions())
        plan = prepared.document.body()
        context.stage("plan", plan=plan)
        if params.dry_run:
            return Done(result={"success": True, "action": "clone", "dryRun": True, "plan": plan})
        check_admission(
            context,
            plan_hash=prepared.document.hash,
            bound_to=params.plan_hash,
            powers=prepared.powers,
            confirmed=params.confirm_privileged,
            collisions=prepared.collisions,
            warnings=prepared.document.warnings,
            start=params.start,
        )
        measured = _measured(context, ends, params, prepared)
        check_room(measured.collisions())
        prepared = with_content(prepared, measured.document(), measured.collisions())
        made = _made(context, ends, params, prepared, measured)
        context.stage("check the clone")
        proof = proven(context, prepared, made.inspect, committed=made.committed)
        up = not params.start or start_and_wait(
            context,
            target,
            made.id,
            what="the clone",
            secrets=prepared.plan.create.secrets,
            wait_seconds=params.wait_healthy_seconds,
        )
        _list(context, target, params, made)
    whole = up and not proof.unexplained and all(document["equal"] for document in made.content)
    return Done(
        result=cloned(params.container, made.id, prepared.plan.name),
        proof={"configuration": proof.document(), "content": [dict(document) for document in made.content]},
        partial=not whole,
    )


def _check_content(params: CloneParams, prepared: Prepared) -> None:
    """Raise InvalidRequest for content that cannot be had, before anything is made."""
    if params.data == "all" and prepared.wish.overrides.image and prepared.plan.image_id != prepared.source["Image"]:
        words = "what a container has written belongs to its image: use 'volumes', or leave 'overrides.image' out"
        raise InvalidRequest(f"'options.data' cannot be 'all' with another image: {words}", field="options.data")
    if params.moves_content:
        check_quiet(prepared.source, params.consistency)


def _measured(context: Context, ends: Ends, params: CloneParams, prepared: Prepared) -> Measured:
    """What there is to copy."""
    trees = trees_of(ends.source, prepared.source, prepared.volumes, layer=params.data == "all")
    images = [prepared.plan.image_id] if ends.elsewhere and prepared.plan.image_to_move else []
    return measure(context, ends, trees, images=images)


def _made(context: Context, ends: Ends, params: CloneParams, prepared: Prepared, measured: Measured) -> Made:
    """Make the clone with its content; how to take it back is written before."""
    prepared = with_image(context, ends, prepared)
    # The row has the plan already, but for what was measured since.
    plan = prepared.document.body() if measured.sizes else None
    context.stage("create the clone", undo=taken_back(context, ends), plan=plan)
    return _filled(context, ends, params, prepared, measured)


def _filled(context: Context, ends: Ends, params: CloneParams, prepared: Prepared, measured: Measured) -> Made:
    """Create the clone and copy what was asked for; the source is quiet only while it is read."""
    made = make(context, ends, prepared)
    layer = layer_pair(ends, prepared.source, made) if params.data == "all" else None
    if layer is None and not volume_pairs(prepared, made):
        return Made(inspect=made)
    if isinstance(layer, Pair) and measured.of(layer.source).elsewhere:
        layer = REDIRECTED
    with quiet(context, ends.source, prepared.source, params.consistency):
        if isinstance(layer, str):
            made = make_from_commit(context, ends, prepared, made, reason=layer)
        pairs = (*((layer,) if isinstance(layer, Pair) else ()), *volume_pairs(prepared, made))
        carried = carry(context, ends, pairs, [measured.of(pair.source).bytes for pair in pairs])
    context.stage("check the content")
    committed = isinstance(layer, str)
    unproved = [committed_layer(prepared.source, made)] if committed else []
    return Made(inspect=made, committed=committed, content=(*unproved, *prove(context, ends, carried)))


def _list(context: Context, target: EngineGateway, params: CloneParams, made: Made) -> None:
    """Put the clone into the inventory; one that was started may have changed, or be gone by now."""
    host = _target_host(context, params)
    if params.start:
        inventory.refresh(host, target, made.id)
    else:
        inventory.remember(host, made.inspect)


def _target_host(context: Context, params: CloneParams) -> DockerHost:
    if params.host is None:
        return DockerHost.objects.get(pk=context.facts.host_id)
    return DockerHost.objects.get(name=params.host)


def _wish(params: CloneParams) -> Wish:
    return Wish(
        name=params.name,
        overrides=params.overrides,
        data=params.data,
        volumes=params.volumes,
        thorough=not params.is_plain,
        bound={"host": params.host, "consistency": params.consistency, "start": params.start},
    )
