"""The document of a plan: what would be created, how it differs from the source, and what stands in the way."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from containers_app.specs.clone_networks import PlanWarning
from containers_app.specs.clone_volumes import VolumePlan
from containers_app.specs.collisions import Collision
from containers_app.specs.container import ClonePlan
from containers_app.specs.engine import LABEL_PREFIX

HIDDEN = "[hidden]"
# Here an empty list is not the default: nothing is masked.
_MEANT_EMPTY = ("MaskedPaths", "ReadonlyPaths")


@dataclass(frozen=True, kw_only=True)
class PlanDocument:
    """A plan for people and programs; nothing in it is secret. `hash` is what a later run may be bound to."""

    hash: str
    name: str
    create: Mapping[str, Any]
    diff: tuple[Mapping[str, Any], ...]
    collisions: tuple[Collision, ...]
    warnings: tuple[PlanWarning, ...]
    volumes: tuple[VolumePlan, ...] = ()

    def body(self) -> dict[str, Any]:
        """As answers and rows have it."""
        return {
            "hash": self.hash,
            "name": self.name,
            "create": dict(self.create),
            "diff": [dict(entry) for entry in self.diff],
            "collisions": [collision.document() for collision in self.collisions],
            "volumes": [volume.document() for volume in self.volumes],
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
) -> PlanDocument:
    """Describe a plan; `equal` is the plan of the clone without any change, `named` whether its name was asked for."""
    body, source = plan.create.body(), equal.create.body()
    return PlanDocument(
        hash=_hash(plan, body, volumes, collisions, key=key, named=named),
        name=plan.name,
        create=shown(body),
        diff=tuple(_differences("", shown(source), shown(body), source, body)),
        collisions=collisions,
        warnings=warnings,
        volumes=volumes,
    )


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A create request without what people keep secrets in: the environment as names, of commands the first word."""
    host = dict(body.get("HostConfig") or {})
    log = host.get("LogConfig") or {}
    if log.get("Config"):
        host["LogConfig"] = {**log, "Config": dict.fromkeys(log["Config"], HIDDEN)}
    if host.get("Mounts"):
        host["Mounts"] = [_shown_mount(mount) for mount in host["Mounts"]]
    labels = {key: value for key, value in (body.get("Labels") or {}).items() if not key.startswith(LABEL_PREFIX)}
    health = body.get("Healthcheck")
    every = {
        **body,
        "Env": [str(entry).partition("=")[0] for entry in body.get("Env") or []],
        **{name: _first_word(body[name]) for name in ("Cmd", "Entrypoint") if body.get(name)},
        **({"Healthcheck": {**health, "Test": _first_word(health.get("Test") or [])}} if health else {}),
        "Labels": labels,
        "HostConfig": {key: value for key, value in host.items() if value or key in _MEANT_EMPTY},
    }
    return {key: value for key, value in every.items() if value}


def _shown_mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    if not driver.get("Options"):
        return dict(mount)
    hidden = {**driver, "Options": dict.fromkeys(driver["Options"], HIDDEN)}
    return {**mount, "VolumeOptions": {**mount["VolumeOptions"], "DriverConfig": hidden}}


def _first_word(words: list[str]) -> list[str]:
    return words if len(words) < 2 else [words[0], f"[{len(words) - 1} more, hidden]"]


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


def _hash(
    plan: ClonePlan,
    body: Mapping[str, Any],
    volumes: tuple[VolumePlan, ...],
    collisions: tuple[Collision, ...],
    *,
    key: bytes,
    named: bool,
) -> str:
    """Keyed, because the request holds short secrets: whoever has the hash alone must not be able to try values.

    The name and what is made of it count only where it was asked for: a default name is another one each time.
    """
    labels = {name: value for name, value in (body.get("Labels") or {}).items() if not name.startswith(LABEL_PREFIX)}
    material = {
        "source": plan.source_id,
        "image": plan.image_id,
        "name": plan.name if named else None,
        "create": {**body, "Labels": labels} if named else _without_name({**body, "Labels": labels}, volumes),
        "after": [[join.network_id, join.endpoint.body()] for join in plan.connect_after],
        "leave": list(plan.disconnect_after),
        "volumes": [[volume.source, volume.treatment] for volume in volumes],
        "collisions": sorted([collision.kind, collision.subject] for collision in collisions),
    }
    text = json.dumps(material, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _without_name(body: dict[str, Any], volumes: tuple[VolumePlan, ...]) -> str:
    text = json.dumps(body, sort_keys=True)
    for volume in volumes:
        if volume.target:
            text = text.replace(volume.target, f"<new volume of {volume.source}>")
    return text
