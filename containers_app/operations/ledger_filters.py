"""What filters of the ledger can be, and how the ledger itself keeps them: whom somebody looked for is personal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

from containers_app.audit.record import ActorType, Channel, Outcome, Phase
from containers_app.audit.searching import MARKS
from containers_app.audit.verbs import ALL as VERBS
from containers_app.audit.verbs import Category
from containers_app.operations.secrets import hashed
from containers_app.specs.presets import PRESETS

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "verb": tuple(sorted(VERBS)),
    "category": get_args(Category),
    "outcome": get_args(Outcome),
    "channel": get_args(Channel),
    "phase": get_args(Phase),
    "actorType": get_args(ActorType),
    "mark": MARKS,
    "period": tuple(PRESETS),
}
# What anybody may write into them can be a name or an address of a person.
_FREE: Final = frozenset(("actor", "object", "host", "operation", "request", "ticket", "q"))


def told_filters(given: Mapping[str, str]) -> dict[str, str]:
    """Checked filters as an entry of the ledger may keep them for good: free text as keyed hashes."""
    return {name: value if _is_plain(name, value) else hashed(value, of="filters") for name, value in given.items()}


def _is_plain(name: str, value: str) -> bool:
    return value in CHOICES[name] if name in CHOICES else name not in _FREE
