"""How far a container is protected: its mounts beside what the newest usable backup of it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from containers_app.specs.engine import LABEL_PREFIX

NO_BACKUP_LABEL = LABEL_PREFIX + "no-backup"
PROTECTED, PARTLY, STALE, UNUSABLE, NEVER, EXCLUDED = "protected", "partly", "stale", "unusable", "never", "excluded"
STATES = (PROTECTED, PARTLY, STALE, UNUSABLE, NEVER, EXCLUDED)
# The parts that every container needs; values of the environment belong to a configuration.
_NEEDED = ("rootfs", "config")
_MOUNTS = ("volume", "bind")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A volume (by name) or a folder of the host that a container uses at `target`.

    `counts`: without it a backup is not whole. A folder that the container cannot write, and a socket, do not count.
    """

    kind: str
    name: str
    target: str
    counts: bool


@dataclass(frozen=True, kw_only=True)
class NewestSet:
    """The newest usable backup. `parts`: kind and name of each file; `whole`: its making told of nothing missing.

    `chosen`: patterns left files of volumes or folders out; None: not known. `encrypted`: every file of it is.
    """

    backup: str
    created_at: datetime
    whole: bool
    parts: frozenset[tuple[str, str]]
    encrypted: bool
    chosen: bool | None
    verified_at: datetime | None
    proven_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One of STATES, and what the newest usable backup has not: mounts, and `lacks` of the kinds of its parts."""

    state: str
    missing: tuple[Place, ...] = ()
    lacks: tuple[str, ...] = ()


def judge(
    mounts: Iterable[Mapping[str, Any]],
    labels: Mapping[str, str],
    newest: NewestSet | None,
    *,
    had_backups: bool,
    stale_before: datetime,
) -> Judgement:
    """How far the container with these mounts and labels is protected. What is old and not whole is called old."""
    missing = () if newest is None else tuple(place for place in places(mounts) if _key(place) not in newest.parts)
    lacks = () if newest is None else _lacking(newest)
    return Judgement(
        state=_state(labels, newest, missing, lacks, had_backups=had_backups, stale_before=stale_before),
        missing=missing,
        lacks=lacks,
    )


def places(mounts: Iterable[Mapping[str, Any]]) -> list[Place]:
    """What of the mounts holds content that outlives the container, each once."""
    found: dict[tuple[str, str], Place] = {}
    for mount in mounts:
        kind, name = str(mount.get("type", "")), str(mount.get("name") or "")
        if kind == "bind":
            name = str(mount.get("source") or "")
        if kind not in _MOUNTS or not name:
            continue
        counts = kind == "volume" or (not mount.get("readOnly") and not name.endswith(".sock"))
        place = Place(kind=kind, name=name, target=str(mount.get("target", "")), counts=counts)
        known = found.get((kind, name))
        if known is None or (counts and not known.counts):
            found[kind, name] = place
    return list(found.values())


def stale_before(now: datetime, *, days: float) -> datetime:
    """The moment before which a backup is too old."""
    return now - timedelta(days=days)


def _state(
    labels: Mapping[str, str],
    newest: NewestSet | None,
    missing: Sequence[Place],
    lacks: Sequence[str],
    *,
    had_backups: bool,
    stale_before: datetime,
) -> str:
    if str(labels.get(NO_BACKUP_LABEL, "")).lower() == "true":
        return EXCLUDED
    if newest is None:
        return UNUSABLE if had_backups else NEVER
    if newest.created_at < stale_before:
        return STALE
    whole = newest.whole and not lacks and not any(place.counts for place in missing)
    return PROTECTED if whole else PARTLY


def _lacking(newest: NewestSet) -> tuple[str, ...]:
    kinds = {kind for kind, _ in newest.parts}
    lacks = [kind for kind in _NEEDED if kind not in kinds]
    return (*lacks, "secrets") if "config" in kinds and "secrets" not in kinds else tuple(lacks)


def _key(place: Place) -> tuple[str, str]:
    return place.kind, place.name
