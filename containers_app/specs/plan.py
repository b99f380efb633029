"""The document of a plan: what would be created, how it differs from the source, and what stands in the way."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.specs.clone_mounts import HIDDEN, shown_mount
from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.clone_volumes import VolumePlan, renamed_volumes, volume_prefix
from containers_app.specs.collisions import Collision
from containers_app.specs.container import ClonePlan
from containers_app.specs.engine import LABEL_PREFIX
from containers_app.specs.secret_texts import DRIVER_OPTIONS

# Here an empty list is not the default: nothing is masked.
_MEANT_EMPTY = ("MaskedPaths", "ReadonlyPaths")


@dataclass(frozen=True, kw_only=True)
class PlanDocument:
    """A plan for people and programs; nothing in it is secret.

    `hash` is what a later run may be bound to. `content`: how much is copied, which is no part of the hash.
    """

    hash: str
    name: str
    create: Mapping[str, Any]
    diff: tuple[Mapping[str, Any], ...]
    collisions: tuple[Collision, ...]
    warnings: tuple[PlanWarning, ...]
    volumes: tuple[VolumePlan, ...] = ()
    content: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """As answers and rows have it."""
        return {
            "hash": self.hash,
            "name": self.name,
            "create": dict(self.create),
            "diff": [dict(entry) for entry in self.diff],
            "collisions": [collision.document() for collision in self.collisions],
            "volumes": [volume.document() for volume in self.volumes],
            "content": None if self.content is None else dict(self.content),
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
        }


def plan_document(
    plan: ClonePlan,
    equal: ClonePlan,
    *,
    volumes: tuple[VolumePlan, ...],
    collisions: tuple[Collision, ...],
    warnings: tuple[PlanWarning, ...],
    key: bytes,
    named: bool,
    bound: Mapping[str, Any] | None = None,
) -> PlanDocument:
    """Describe a plan; `equal` is the plan of the clone without any change, `named` whether its name was asked for.

    `bound`: what else was asked for that makes it another plan.
    """
    body, source = plan.create.body(), equal.create.body()
    return PlanDocument(
        hash=_hash(_material(plan, volumes, collisions, named=named, bound=bound or {}), key),
        name=plan.name,
        create=_brief(shown(body)),
        diff=tuple(_differences("", shown(source), shown(body), source, body)),
        collisions=collisions,
        warnings=warnings,
        volumes=volumes,
    )


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A create request without what people keep secrets in: names of the environment and of labels, no commands."""
    host = dict(body.get("HostConfig") or {})
    log = host.get("LogConfig") or {}
    if log.get("Config"):
        host["LogConfig"] = {**log, "Config": dict.fromkeys(log["Config"], HIDDEN)}
    if host.get("Mounts"):
        host["Mounts"] = [shown_mount(mount) for mount in host["Mounts"]]
    health = body.get("Healthcheck")
    told = {
        **body,
        "Env": [str(entry).partition("=")[0] for entry in body.get("Env") or []],
        **{name: _counted(body[name]) for name in ("Cmd", "Entrypoint", "OnBuild", "Shell") if body.get(name)},
        **({"Healthcheck": {**health, "Test": _test(health.get("Test") or [])}} if health else {}),
        "Labels": dict.fromkeys(_foreign_labels(body), HIDDEN),
        "HostConfig": host,
    }
    return {key: _without_options(key, value) for key, value in told.items()}


def _without_options(key: str, value: Any) -> Any:
    """What drivers define may be secret; its names are told."""
    if isinstance(value, Mapping):
        if key in DRIVER_OPTIONS:
            return dict.fromkeys(value, HIDDEN)
        return {inner: _without_options(inner, entry) for inner, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_options(key, entry) for entry in value]
    return value


def _brief(body: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing, so that people can read the rest."""
    host = {key: value for key, value in body["HostConfig"].items() if value or key in _MEANT_EMPTY}
    return {key: value for key, value in {**body, "HostConfig": host}.items() if value}


def _foreign_labels(body: Mapping[str, Any]) -> dict[str, str]:
    """The labels but our own, which tell the operation and so are others each time."""
    return {name: value for name, value in (body.get("Labels") or {}).items() if not name.startswith(LABEL_PREFIX)}


def _counted(words: list[str]) -> list[str]:
    """How many words there are; an emptied entrypoint is one empty word."""
    return words if words == [""] else [f"[{len(words)} hidden]"]


def _test(words: list[str]) -> list[str]:
    kind = words[:1] if words[:1] in (["NONE"], ["CMD"], ["CMD-SHELL"]) else []
    rest = words[len(kind) :]
    return [*kind, *(_counted(rest) if rest else [])]


def _differences(path: str, source: Any, clone: Any, full_source: Any, full_clone: Any) -> Iterator[dict[str, Any]]:
    """Fields that differ, compared in full and told as they may be shown."""
    if full_source == full_clone:
        return
    if isinstance(full_source, Mapping) and isinstance(full_clone, Mapping):
        for name in sorted({*full_source, *full_clone}):
            if not name.startswith(LABEL_PREFIX):
                inner = f"{path}.{name}" if path else name
                sides = [side.get(name) for side in (source, clone, full_source, full_clone)]
                yield from _differences(inner, *sides)
    elif path == "Env":
        yield from _environment(full_source or [], full_clone or [])
    else:
        changed = source == clone
        yield {"field": path, "source": HIDDEN if changed else source, "clone": HIDDEN if changed else clone}


def _environment(source: list[str], clone: list[str]) -> Iterator[dict[str, Any]]:
    left, right = (dict(entry.partition("=")[::2] for entry in entries) for entries in (source, clone))
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name):
            sides = {side: HIDDEN if name in values else None for side, values in (("source", left), ("clone", right))}
            yield {"field": f"Env.{name}", **sides}


def _hash(material: Mapping[str, Any], key: bytes) -> str:
    """Keyed, because the request holds short secrets: whoever has the hash alone must not be able to try values."""
    text = json.dumps(material, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _material(
    plan: ClonePlan,
    volumes: tuple[VolumePlan, ...],
    collisions: tuple[Collision, ...],
    *,
    named: bool,
    bound: Mapping[str, Any],
) -> dict[str, Any]:
    """All that makes a plan this one.

    The name and what is made of it count only where it was asked for: a default name is another one each time.
    """
    body = plan.create.body()
    own = {} if named else _names_by_default(plan, volumes)
    return {
        "source": plan.source_id,
        "image": [plan.image_id, plan.image_to_move, plan.create.platform],
        "name": plan.name if named else None,
        "create": {**body, "Labels": _foreign_labels(body), "HostConfig": renamed_volumes(body["HostConfig"], own)},
        "after": [[join.network_id, join.endpoint.body()] for join in plan.connect_after],
        "leave": list(plan.disconnect_after),
        "volumes": [_volume_material(volume, own) for volume in volumes],
        "collisions": sorted([collision.kind, collision.subject] for collision in collisions),
        "bound": dict(bound),
    }


def _names_by_default(plan: ClonePlan, volumes: tuple[VolumePlan, ...]) -> dict[str, str]:
    """The names of new volumes that hold the clone's, each with a word that stays."""
    made = [volume for volume in volumes if volume.target and volume.target.startswith(volume_prefix(plan.name))]
    return {str(volume.target): f"<{volume.source}>" for volume in made}


def _volume_material(volume: VolumePlan, names: Mapping[str, str]) -> list[Any]:
    facts = volume.facts
    target = names.get(volume.target or "", volume.target)
    kind = [facts.driver, dict(facts.options), dict(facts.labels)]
    return [volume.source, list(volume.destinations), volume.treatment, target, kind]
