"""One volume of a backup as a new volume: an existing one is never written to, so nothing can be left half replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.archives.manifest import Part
from containers_app.crypto.sealing import keyed_digest
from containers_app.engine.facts import every_volume
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import InvalidRequest
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.clone_volumes import VolumeFacts
from containers_app.specs.collisions import Collision, free_name
from containers_app.specs.fields import printable
from containers_app.workflows.context import Context
from containers_app.workflows.making import make_volume
from containers_app.workflows.planning import brought_home
from containers_app.workflows.restore_content import Meter, fill_volume, prove_volume
from containers_app.workflows.restore_plan import SavedEngine
from containers_app.workflows.set_reader import SetReader
from containers_app.workflows.undo import remove_labelled


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """The part, the new volume's name, and what it is made like."""

    part: Part
    name: str
    facts: VolumeFacts
    hash: str
    collisions: tuple[Collision, ...]
    warnings: tuple[PlanWarning, ...]

    def document(self) -> dict[str, Any]:
        """As answers and rows have it."""
        part = self.part
        volume = {"source": part.name, "target": self.name, "mountPoints": [], "treatment": "copy"}
        return {
            "hash": self.hash,
            "name": self.name,
            "collisions": [collision.document() for collision in self.collisions],
            "volumes": [volume],
            "parts": [{"kind": part.kind, "name": part.name, "sizeBytes": part.size_bytes}],
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
        }


def plan_volume(
    context: Context,
    target: EngineGateway,
    files: SetReader,
    *,
    wanted: str,
    name: str | None,
    bound: Mapping[str, Any],
) -> VolumePlan:
    """Look at what is there, and plan. Raises InvalidRequest for a volume that the backup has not."""
    places, known = _known(files)
    part = next((part for part in files.parts("volume") if part.name == places.get(wanted, wanted)), None)
    if part is None:
        words = f"the backup has no volume '{printable(wanted)}': name one by its name or its mount point"
        raise InvalidRequest(words, field="volume")
    facts = known.get(part.name, VolumeFacts(name=part.name))
    there, chosen = target.volumes(), name or part.name
    material = {"bound": dict(bound), "part": part.sha256, "name": chosen, "taken": chosen in there}
    return VolumePlan(
        part=part,
        name=chosen,
        facts=facts,
        hash=keyed_digest(json.dumps(material, sort_keys=True).encode(), context.facts.plan_key),
        collisions=tuple(_taken(chosen, there)),
        warnings=(brought_home(part.name, chosen),) if facts.is_elsewhere else (),
    )


def fill_new_volume(
    context: Context, target: EngineGateway, files: SetReader, plan: VolumePlan
) -> tuple[Mapping[str, Any], ...]:
    """Make and fill the volume, and prove it; how to take it back is written before. The proofs."""
    context.stage("check the backup")
    files.check((plan.part,))
    context.stage("fill volume 1", undo=remove_labelled(context.facts.operation_id), plan=plan.document())
    make_volume(target, plan.name, plan.facts, labels=plan.facts.labels)
    meter = Meter(context, (plan.part,))
    restored = fill_volume(context, target, files, plan.part, volume=plan.name, meter=meter)
    context.stage("check the content")
    return (prove_volume(context, target, restored),)


def _known(files: SetReader) -> tuple[dict[str, str], dict[str, VolumeFacts]]:
    """The volumes' names by mount point, and what is known of them; nothing in a backup without configuration."""
    if files.part("config") is None:
        return {}, {}
    saved = files.configuration().without_lacking()
    mounts = [mount for mount in saved.container.get("Mounts") or [] if mount.get("Type") == "volume"]
    places = {str(mount.get("Destination")): str(mount.get("Name")) for mount in mounts}
    return places, every_volume(SavedEngine(saved=saved, manifest=files.manifest))


def _taken(name: str, there: Mapping[str, Any]) -> Iterator[Collision]:
    if name in there:
        message = f"A volume named {name} is there and stays as it is: choose another name."
        yield Collision(
            kind="name", subject=name, message=message, resolution={"name": free_name(name, there)}, blocks="create"
        )
