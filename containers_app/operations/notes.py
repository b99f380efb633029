"""Which acts are refused without a reason or a ticket, by the settings: one place for every way in."""

from __future__ import annotations

from containers_app.conf import load
from containers_app.errors import InvalidRequest
from containers_app.operations.kinds import KINDS

EVERYTHING = "all"
# Acts that take notes and are no operations.
FURTHER = frozenset(
    (
        *("config.host_added", "config.host_changed", "config.host_removed"),
        *("backup.pinned", "backup.unpinned", "backup.held", "backup.released"),
        *("audit.hold_placed", "audit.hold_released", "audit.prune", "privacy.erase"),
        *("audit.accept_rollback", "audit.rotate_key"),
    )
)
_WORDS = {"reason": "it says why, and is kept in the ledger", "ticket": "it names the change, such as CHG-1234"}


def known_names() -> frozenset[str]:
    """What the two settings may name: kinds of operations, verbs of the ledger that take notes, and `all`."""
    return FURTHER | {EVERYTHING} | set(KINDS) | {kind.action for kind in KINDS.values()}


def needed_notes(verb: str) -> tuple[str, ...]:
    """Of `reason` and `ticket`, those without which this verb of the ledger is refused."""
    names = {EVERYTHING, verb} | {kind.name for kind in KINDS.values() if kind.action == verb}
    conf = load()
    wanted = {"reason": conf.require_reason, "ticket": conf.require_ticket}
    return tuple(note for note, named in wanted.items() if names & named)


def check_notes(verb: str, *, reason: str, ticket: str) -> None:
    """Raise InvalidRequest that names the note which is missing."""
    given = {"reason": reason, "ticket": ticket}
    for note in needed_notes(verb):
        if not given[note].strip():
            raise InvalidRequest(f"'{note}' is required for {verb}: {_WORDS[note]}", field=note)
