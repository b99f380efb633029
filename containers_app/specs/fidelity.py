"""Proof that a clone equals its source: every configuration field compared, each difference named and explained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from containers_app.specs.clone_mounts import as_bind
from containers_app.specs.compared import Compared, Inspect, compare, left_out
from containers_app.specs.shown import ABSENT, printable

_ZEROS = ("0", "false", '""')


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One configuration field that is not equal; values are short texts, secret ones are hidden.

    `reason` says why it may differ; None is a difference that nobody asked for.
    """

    field: str
    source: str
    clone: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class FidelityProof:
    """What was compared and what came of it. Nothing in it is a secret, so it may be stored and shown."""

    compared: tuple[str, ...] = field(repr=False)
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...] = field(repr=False)

    @property
    def equal(self) -> int:
        """How many of the compared fields are equal."""
        return len(self.compared) - len(self.differences)

    @property
    def unexplained(self) -> tuple[Difference, ...]:
        """Empty for a faithful clone."""
        return tuple(found for found in self.differences if found.reason is None)

    def document(self) -> dict[str, Any]:
        """As JSON: `equal` is true only where no field differs, explained or not."""
        return {
            "equal": not self.differences,
            "comparedFields": len(self.compared),
            "differences": [
                {"field": found.field, "source": found.source, "clone": found.clone, "reason": found.reason}
                for found in self.differences
            ],
            "leftOut": list(self.left_out),
        }


def prove(
    source: Inspect, clone: Inspect, *, expected: Mapping[str, str] | None = None, other_engine: bool = False
) -> FidelityProof:
    """Compare two inspects field by field; `other_engine`: the clone is described by another Engine than its source.

    `expected` gives the reason for differences that were asked for or cannot be avoided, by the field's name or the
    name of what it is in: `HostConfig` explains `HostConfig.Memory`, the longest name wins. Left out, as they belong to
    the instance: id, name, times, state, log and host-file paths, generated host name and MAC, endpoint ids and
    addresses given out, names of fresh anonymous volumes, and labels of our own operations.
    """
    reasons = {**_unavoidable(source, clone), **(expected or {})}
    every = sorted(compare(source, clone), key=lambda found: found.name)
    differing = tuple(_difference(found, reasons) for found in every if not found.equal)
    return FidelityProof(
        compared=tuple(found.name for found in every),
        differences=tuple(map(_of_version, differing)) if other_engine else differing,
        left_out=left_out(source, clone),
    )


# What an Engine keeps as it was asked for; others it completes or rounds.
_KEPT = {
    "Config": ("Cmd", "Entrypoint", "Hostname", "User"),
    "HostConfig": ("CpuShares", "CpusetCpus", "Memory", "NanoCpus", "ShmSize"),
}


def unfulfilled(asked: Mapping[str, Any], made: Inspect) -> tuple[Difference, ...]:
    """What a create request asked for and the container does not have, though the Engine took it."""
    config = made["Config"]
    lost = [f"Config.Env.{entry.partition('=')[0]}" for entry in set(asked.get("Env") or []) - set(config["Env"] or [])]
    labels = config.get("Labels") or {}
    lost += [f"Config.Labels.{key}" for key, text in (asked.get("Labels") or {}).items() if labels.get(key) != text]
    for part, names in _KEPT.items():
        wanted = asked if part == "Config" else asked["HostConfig"]
        # An emptied entrypoint is sent as one empty word.
        lost += [f"{part}.{key}" for key in names if wanted.get(key) not in (None, "", 0, [""], made[part].get(key))]
    return tuple(_unlike(field) for field in sorted(lost))


def _unlike(field: str) -> Difference:
    return Difference(field=printable(field), source="[asked for]", clone="[another]", reason=None)


def differences(source: Inspect, clone: Inspect) -> tuple[Difference, ...]:
    """The unexplained differences of two inspects; an empty tuple says that the clone is faithful."""
    return prove(source, clone).unexplained


def _difference(found: Compared, reasons: Mapping[str, str]) -> Difference:
    fitting = [name for name in reasons if found.name == name or found.name.startswith(name.removesuffix(".") + ".")]
    return Difference(
        field=printable(found.name),
        source=found.source,
        clone=found.clone,
        reason=reasons[max(fitting, key=len)] if fitting else None,
    )


def _of_version(found: Difference) -> Difference:
    """A field that only one version of the Engine has says nothing as long as it has its zero value."""
    zero = {found.source, found.clone} <= {ABSENT, *_ZEROS} and ABSENT in (found.source, found.clone)
    unset = found.field == "HostConfig.RestartPolicy" and _says_no(found.source) and _says_no(found.clone)
    if found.reason is None and (zero or unset):
        return replace(found, reason="The two versions of the Engine write the same in other words.")
    return found


def _says_no(shown: str) -> bool:
    """A restart policy that never restarts is named `no`, or in older versions not at all."""
    return shown == ABSENT or json.loads(shown).get("Name") in ("", "no")


def _unavoidable(source: Inspect, clone: Inspect) -> dict[str, str]:
    """Reasons that the two inspects give by themselves."""
    reasons: dict[str, str] = {}
    if clone["Config"].get("Image") == clone.get("Image") == source.get("Image"):
        reasons["Config.Image"] = "The image is named by its id, because the source's reference does not mean it now."
    if _stands_for_lost_containers(source, clone):
        reason = "A container that gave the source volumes is gone or another one now: the clone mounts them itself."
        reasons |= {"HostConfig.Binds": reason, "HostConfig.VolumesFrom": reason}
    return reasons


def _stands_for_lost_containers(source: Inspect, clone: Inspect) -> bool:
    """Whether the clone binds what the source got from containers that it no longer names, and binds nothing else."""
    binds, taken = _lists(clone)
    own, configured = _lists(source)
    mounted = {as_bind(mount) for mount in source.get("Mounts") or []}
    lost = taken != configured and set(taken) <= set(configured)
    return lost and binds[: len(own)] == own and set(binds[len(own) :]) <= mounted


def _lists(inspect: Inspect) -> tuple[list[str], list[str]]:
    host = inspect["HostConfig"]
    return list(host.get("Binds") or []), list(host.get("VolumesFrom") or [])
