"""Walks the entries of the period once, and puts each into the one table that it belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from containers_app.audit.evidence import Told
from containers_app.workflows.evidence_pack.sections import (
    DENIED,
    EVERY,
    UNKNOWN,
    Section,
    outcome_of,
    row_of,
    section_of,
)
from containers_app.workflows.evidence_pack.tables import COUNTED, LEDGER, Spool, Table

OUTCOMES: Final = ("success", "partial", "dry run", "failure", "error", "denied", "unknown", "not ended")


@dataclass(frozen=True, kw_only=True)
class Goals:
    """What a restore is to attain, in seconds; None: not said."""

    rto_seconds: int | None = None
    rpo_seconds: int | None = None

    def judged(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Whether a drill attained them."""
        passed = row["outcome"] in ("success", "partial")
        return {
            "rtoGoal": _met(row["rtoMilliseconds"], self.rto_seconds, passed=passed),
            "rpoGoal": _met(row["rpoMilliseconds"], self.rpo_seconds, passed=passed),
        }


@dataclass
class Gathered:
    """The tables by the name of their section, and what was counted on the way.

    `entries` is how many were read, from the place `first` to `last`: each stands in one table, or is an intent whose
    end stands in one (`cited`). `results` has the outcomes of each table, `actions` those of each action and phase.
    """

    spool: Spool
    goals: Goals
    entries: int = 0
    first: str = ""
    last: str = ""
    cited: int = 0
    refused: int = 0
    results: dict[str, Counter[str]] = field(default_factory=dict)
    actions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    tables: dict[str, Table] = field(default_factory=dict)
    clock: Table = field(init=False)
    _ends: set[str] = field(default_factory=set)
    _last: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        self.tables = {section.name: _table(section, self.spool) for section in EVERY}
        self.results = {section.name: Counter() for section in EVERY}
        self.clock = Table(
            name="clock",
            title="Times that go back",
            source=LEDGER,
            columns={"leaf": "Entry", "time": "Time (UTC)", "before": "Time of the entry before"},
            spool=self.spool,
            note="Somebody set a clock back, or two machines disagree. The order of the entries is their number.",
        )

    def take(self, told: Told) -> None:
        """Put one entry where it belongs."""
        self.entries, self.first, self.last = self.entries + 1, self.first or told.place, told.place
        outcome, action = outcome_of(told.payload), str(told.payload.get("action", ""))
        self.actions[action, str(told.payload.get("phase", "damaged")), outcome] += 1
        self._watch_the_clock(told)
        if told.is_cited:
            self.cited += 1
            return
        section = section_of(told)
        self._put(told, section, outcome)
        if outcome == "unknown" and section is not UNKNOWN:
            self.tables[UNKNOWN.name].add(row_of(told, UNKNOWN))

    def _put(self, told: Told, section: Section, outcome: str) -> None:
        row = row_of(told, section)
        if "rtoGoal" in section.told:
            row |= self.goals.judged(row)
        self.tables[section.name].add(row)
        self.results[section.name][outcome] += 1
        if section is DENIED:
            self.refused += 1 + _whole(told.payload.get("suppressed"))

    def _watch_the_clock(self, told: Told) -> None:
        shard, time = told.place.partition("/")[0], str(told.payload.get("time", ""))
        if self._last[0] == shard and time < self._last[1]:
            self.clock.add({"leaf": told.place, "time": time, "before": self._last[1]})
        self._last = (shard, time)


def summary_of(gathered: Gathered) -> Table:
    """How many entries stand in each table, by outcome."""
    columns = {"table": "What", **{outcome: outcome.capitalize() for outcome in OUTCOMES}, "all": "All"}
    table = Table(name="summary", title="At a glance", source=COUNTED, columns=columns, spool=gathered.spool)
    for section in EVERY:
        found = gathered.results[section.name]
        table.add({"table": section.title, **{one: found[one] for one in OUTCOMES}, "all": found.total()})
    return table


def actions_of(gathered: Gathered) -> Table:
    """How often each action was recorded, by phase and outcome: their sum is the number of entries."""
    columns = {"action": "Action", "phase": "Phase", "outcome": "Outcome", "entries": "Entries"}
    table = Table(name="actions", title="All entries by action", source=COUNTED, columns=columns, spool=gathered.spool)
    for (action, phase, outcome), count in sorted(gathered.actions.items()):
        table.add({"action": action, "phase": phase, "outcome": outcome, "entries": count})
    return table


def _table(section: Section, spool: Spool) -> Table:
    columns = section.columns
    return Table(name=section.name, title=section.title, source=LEDGER, columns=columns, spool=spool, note=section.note)


def _met(milliseconds: object, goal: int | None, *, passed: bool) -> str:
    if goal is None:
        return ""
    if not passed or not isinstance(milliseconds, int):
        return "not attained"
    return "met" if milliseconds <= goal * 1000 else "missed"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
