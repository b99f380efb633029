"""What a drill measures and compares, as it is stored, also where it failed; never a byte of what was printed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from containers_app.errors import DrillFailed
from containers_app.specs.isolation import Isolated
from containers_app.specs.stack import Member
from containers_app.workflows.context import Context
from containers_app.workflows.restore_making import RestoredContainer, RestoreProof
from containers_app.workflows.set_reader import SetReader

_ADVICE = "Nothing of the drill is left: restore the backup under another name, start it, and look there"


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One set, and the container that is to be made of it, under a name of the drill's own."""

    files: SetReader
    member: Member
    isolated: Isolated
    name: str


@dataclass(frozen=True, kw_only=True)
class Booted:
    """What was made of a set, and compared with it. `whole`: nothing of its data is missing."""

    opened: Opened
    restored: RestoredContainer = field(repr=False)
    proof: RestoreProof
    whole: bool

    @property
    def id(self) -> str:
        """The container's 64-hex id."""
        return self.restored.id

    @property
    def same_content(self) -> bool:
        """Whether every tree is what the set has."""
        return all(tree["equal"] for tree in self.proof.content)


class Evidence:
    """Begins when the first byte of a set is read. `rpo_seconds`: the age of the oldest set then."""

    def __init__(self, context: Context) -> None:
        self._context, self._begun = context, time.monotonic()
        self._steps: list[dict[str, Any]] = []
        self._health: list[dict[str, Any]] = []
        self._came_up_seconds: float | None = None
        self.rpo_seconds = 0.0
        self.booted: list[Booted] = []

    @contextmanager
    def step(self, name: str, *, stage: bool = True) -> Iterator[None]:
        """Measure what is inside; one that fails is measured too. Without `stage` it names its own stages."""
        if stage:
            self._context.stage(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self._steps.append({"name": name, "seconds": round(time.monotonic() - begun, 3)})

    def add_health(self, name: str, verdict: str) -> None:
        """Say by what a container is up: the Engine's word, or the command's exit code."""
        self._health.append({"container": name, "verdict": verdict})

    def came_up(self) -> None:
        """Everything is up: the recovery ends here, the drill does not."""
        self._came_up_seconds = round(time.monotonic() - self._begun, 3)

    @property
    def rto_seconds(self) -> float | None:
        """From the first byte to the last container's health; None as long as that is not reached."""
        return self._came_up_seconds

    def document(self, *, passed: bool) -> dict[str, Any]:
        """As answers and rows have it."""
        return {
            "passed": passed,
            "rtoSeconds": self.rto_seconds,
            "rpoSeconds": self.rpo_seconds,
            "steps": list(self._steps),
            "health": list(self._health),
            "content": [dict(tree) for entry in self.booted for tree in entry.proof.content],
            "configuration": self._configuration(),
        }

    def failed(self, message: str) -> DrillFailed:
        """The error that ends the drill, with all that is known."""
        return DrillFailed(f"{message}. {_ADVICE}", proof=self.document(passed=False))

    def _configuration(self) -> dict[str, Any]:
        """Of all containers together; what the isolation changes stands beside what nobody asked for."""
        documents = [(entry.opened.name, entry.proof.configuration.document()) for entry in self.booted]
        differences = [
            {**found, "container": name} for name, document in documents for found in document["differences"]
        ]
        return {
            "equal": not differences,
            "comparedFields": sum(document["comparedFields"] for _, document in documents),
            "differences": differences,
            "leftOut": sorted({name for _, document in documents for name in document["leftOut"]}),
        }


def missing_from(opened: Opened, *, lacking: tuple[str, ...], empty: tuple[str, ...]) -> Mapping[str, str]:
    """What of the container's data is in no part of its set, in words by the code of the warning."""
    kinds = (
        ("SECRETS_MISSING", lacking, "the backup has only the names, no values, of"),
        ("VOLUME_WITHOUT_CONTENT", empty, "the backup has no content, so they were empty, of the volumes"),
        ("BIND_LEFT_OUT", opened.isolated.left_out, "the backup has no content, so nothing was mounted, for"),
    )
    return {code: f"{opened.member.name}: {words} {', '.join(names)}." for code, names, words in kinds if names}
