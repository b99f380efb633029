"""What a trial found out, check by check, and which of three endings that makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

DONE, FAILED, CANNOT_TELL = 0, 1, 2


class CannotTell(Exception):
    """A thing could not be looked at, so nothing is said about it; the text says why."""


class Verdict(Enum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at; `detail` says what is wrong, or why nobody can tell."""

    name: str
    verdict: Verdict
    detail: str = ""


@dataclass
class Report:
    """The checks of a trial, in their order."""

    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, problems: list[str]) -> Check:
        """A check that was made: without problems it passed."""
        verdict = Verdict.FAILED if problems else Verdict.PASSED
        return self._keep(Check(name=name, verdict=verdict, detail="; ".join(problems)))

    def unknown(self, name: str, reason: str) -> Check:
        """A check that could not be made."""
        return self._keep(Check(name=name, verdict=Verdict.UNKNOWN, detail=reason))

    def _keep(self, check: Check) -> Check:
        self.checks.append(check)
        return check

    @property
    def exit_code(self) -> int:
        """0 when all passed, 1 when one failed, else 2; without a check nobody can tell."""
        verdicts = {check.verdict for check in self.checks}
        if Verdict.FAILED in verdicts:
            return FAILED
        return DONE if verdicts == {Verdict.PASSED} else CANNOT_TELL

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        rows = [{"name": check.name, "verdict": check.verdict.value, "detail": check.detail} for check in self.checks]
        return {"exitCode": self.exit_code, "checks": rows}
