"""A verification of the ledger: shards recomputed, one verdict over all of them, and what entries say of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from containers_app.audit.erasure import erased_so_far
from containers_app.audit.inspection import MOST_PROBLEMS, known_shards
from containers_app.audit.models import Head
from containers_app.audit.recomputing import SelfCheck, self_check
from containers_app.audit.router import ALIAS

ACTION: Final = "audit.verify"
Verdict = Literal["verified", "tampered", "cannot verify"]
VERDICTS: Final[tuple[str, ...]] = get_args(Verdict)
# How many problems an entry of the ledger keeps.
MOST_TOLD: Final = 10
Watch = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to verify: every shard, or one; `quick` as in `self_check`; with `vkeys` only these keys count.

    More `processes` make it quicker, where the process may start some.
    """

    shard: int | None = None
    quick: bool = False
    vkeys: tuple[str, ...] = ()
    processes: int = 1

    def shards(self) -> list[int]:
        """Those that there are, oldest first. Raises `AuditUnavailable`."""
        return [shard for shard in known_shards() if self.shard in (None, shard)]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a verification found; `erased` are personal values that are gone, by `acts` that the ledger has."""

    wanted: Wanted
    checks: tuple[SelfCheck, ...]
    erased: int
    acts: int

    @property
    def verdict(self) -> Verdict:
        """One for all shards: the worst. Without a shard nothing can be said."""
        if any(check.problems for check in self.checks):
            return "tampered"
        return "verified" if self.checks and not self.unknown else "cannot verify"

    @property
    def unknown(self) -> int:
        """How many checkpoints are signed by none of the keys that were to be trusted."""
        return sum(check.unknown for check in self.checks)

    @property
    def size(self) -> int:
        """How many entries were read."""
        return sum(check.size for check in self.checks)

    @property
    def problems(self) -> list[str]:
        """The first 100, each with its shard."""
        return [f"shard {one.shard}: {text}" for one in self.checks for text in one.problems][:MOST_PROBLEMS]

    def told(self) -> dict[str, Any]:
        """What answers show; an entry keeps it with the first problems only, see `kept`."""
        return {
            "verdict": self.verdict,
            "quick": self.wanted.quick,
            "shard": self.wanted.shard,
            "ownKeys": len(self.wanted.vkeys),
            "entries": self.size,
            "erasedValues": self.erased,
            "shards": [_told(check) for check in self.checks],
            "problems": self.problems,
        }


def kept(told: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry of the ledger keeps of `told`."""
    problems = list(told.get("problems") or ())
    return {**told, "problems": problems[:MOST_TOLD], "moreProblems": max(0, len(problems) - MOST_TOLD)}


def verify(wanted: Wanted, *, watch: Watch = lambda entries, size_bytes: None) -> Verification:
    """Recompute what is wanted. `watch` is told as in `self_check`, and may stop it. Raises `AuditUnavailable`."""
    how: dict[str, Any] = {"quick": wanted.quick, "vkeys": wanted.vkeys, "processes": wanted.processes}
    checks = tuple(self_check(shard, **how, watch=watch) for shard in wanted.shards())
    erased, acts = erased_so_far()
    return Verification(wanted=wanted, checks=checks, erased=erased, acts=acts)


def entries_in(shards: Iterable[int]) -> int:
    """How many entries these shards have now. Raises django.db.Error."""
    return sum(Head.objects.using(ALIAS).filter(shard__in=list(shards)).values_list("size", flat=True))


@dataclass(frozen=True, kw_only=True)
class Verified:
    """An earlier verification, as its entry tells. `is_whole`: every shard with its columns, by the keys of its own."""

    entry: int
    verdict: str
    time: datetime
    is_whole: bool

    @property
    def age_seconds(self) -> float:
        """How long ago that was."""
        return (datetime.now(UTC) - self.time).total_seconds()


def read(entry: int, time: datetime, payload: str) -> Verified | None:
    """What an entry tells of a verification; None for one that did not come to a verdict."""
    try:
        details = json.loads(payload)["details"]
        found = details.get("result", details)
        verdict, is_part = found["verdict"], found["quick"] or found["shard"] is not None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if verdict not in VERDICTS:
        return None
    return Verified(entry=entry, verdict=verdict, time=time, is_whole=not is_part)


def still_tampered(newest_first: Iterable[Verified]) -> Verified | None:
    """The last one that found damage, unless a later one of all shards with all columns found none."""
    for one in newest_first:
        if one.verdict == "tampered":
            return one
        if one.verdict == "verified" and one.is_whole:
            return None
    return None


def _told(check: SelfCheck) -> dict[str, Any]:
    return {
        "shard": check.shard,
        "size": check.size,
        "root": check.root,
        "checkpoints": check.checkpoints,
        "unknownCheckpoints": check.unknown,
        "lostCheckpoints": check.lost,
        "pruned": check.pruned,
    }
