"""Which entry of the ledger stands in which table of the report, and what is read out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from containers_app.audit.evidence import Told
from containers_app.audit.exports import value_at

Path = tuple[str, ...]
_RESULT: Final = ("details", "result")


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table: the actions that it is about (with a mark at its end: all that begin so), and its own columns.

    A column has a heading and a path in the payload. `wish` columns are read out of the intent; `told` ones are found
    out by who fills the table.
    """

    name: str
    title: str
    actions: tuple[str, ...] = ()
    own: Mapping[str, tuple[str, Path]] = field(default_factory=dict)
    wish: Mapping[str, tuple[str, Path]] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def columns(self) -> dict[str, str]:
        """The name of each column with its heading."""
        own = {name: heading for name, (heading, _) in {**self.own, **self.wish}.items()}
        return {**_BEGIN, **own, **self.told, **_END}

    def takes(self, action: str) -> bool:
        """Whether entries of this action stand here."""
        return any(action == one or (one.endswith((".", "_")) and action.startswith(one)) for one in self.actions)


_BEGIN: Final[Mapping[str, str]] = {
    "time": "Time (UTC)",
    "action": "Action",
    "object": "Object",
    "host": "Host",
    "outcome": "Outcome",
}
_END: Final[Mapping[str, str]] = {
    "error": "Error",
    "who": "Who",
    "reason": "Reason",
    "ticket": "Ticket",
    "leaf": "Entry",
    "intent": "Asked in entry",
    "leafHash": "Leaf hash",
}
# Who, from where and why: the intent has it, where there is one; the worker wrote the outcome.
_ASKED: Final[Mapping[str, Path]] = {"who": ("actor", "label"), "reason": ("reason",), "ticket": ("ticket",)}
_DETAILS: Final = {"details": ("Details", ("details",))}
_BEFORE_AFTER: Final = {"before": ("Before", ("details", "before")), "after": ("After", ("details", "after"))}

DENIED: Final = Section(
    name="denied",
    title="Refused and failed attempts",
    own={
        "channel": ("Way", ("source", "channel")),
        "address": ("Address", ("source", "ip")),
        "suppressed": ("And so many more", ("suppressed",)),
    },
    note="Floods are counted together: an entry stands for itself and for as many more as it says.",
)
UNKNOWN: Final = Section(
    name="unknown",
    title="Unknown outcomes, and operations without an end in the period",
    actions=("operation.fenced",),
    own=_DETAILS,
    told={"ended": "Ended in entry"},
    note="An intent without any end means that it still ran, or that nobody saw how it ended.",
)
OTHER: Final = Section(name="other", title="Everything else", own=_DETAILS)
SECTIONS: Final = (
    Section(
        name="backups",
        title="Backups made and failed",
        actions=("container.backup", "stack.backup", "backup.adopt"),
        own={
            "file": ("File", (*_RESULT, "backupFile")),
            "where": ("Where", (*_RESULT, "backupPath")),
            "sizeBytes": ("Size (bytes)", (*_RESULT, "sizeBytes")),
            "grade": ("Consistency", (*_RESULT, "consistencyGrade")),
            "sha256": ("SHA-256 of the first file", (*_RESULT, "sha256")),
        },
        wish={"encryption": ("Encryption asked for", ("params", "encoding", "encryption"))},
        note="Of a stack there is one entry for all of it and one for each container.",
    ),
    Section(
        name="verifications",
        title="Verifications of backups",
        actions=("backup.verify", "backup.found_"),
        own={"file": ("File", (*_RESULT, "backupFile")), "bytesRead": ("Bytes read", (*_RESULT, "bytesRead"))},
        note="What begins with backup.found_ was found without a verification, by a look at the files.",
    ),
    Section(
        name="drills",
        title="Restore drills",
        actions=("backup.drill",),
        own={
            "rtoMilliseconds": ("RTO attained (ms)", (*_RESULT, "rtoSeconds")),
            "rpoMilliseconds": ("RPO attained (ms)", (*_RESULT, "rpoSeconds")),
            "proven": ("Whole backup proven", (*_RESULT, "proven")),
        },
        told={"rtoGoal": "RTO goal", "rpoGoal": "RPO goal"},
    ),
    Section(
        name="restores",
        title="Restores",
        actions=("backup.restore", "stack.restore"),
        own={"newName": ("Restored as", (*_RESULT, "newName"))},
        wish={"mode": ("Mode", ("params", "mode"))},
    ),
    Section(
        name="clones",
        title="Clones",
        actions=("container.clone", "stack.clone"),
        own={"newName": ("New name", (*_RESULT, "newName"))},
    ),
    Section(
        name="deletions",
        title="Deletions",
        actions=("backup.delete", "container.remove"),
        own={"file": ("File", (*_RESULT, "backupFile")), "stateBefore": ("State before", (*_RESULT, "stateBefore"))},
    ),
    Section(
        name="retention",
        title="Keeping, holding and pruning",
        actions=(
            *("backup.pinned", "backup.unpinned", "backup.held", "backup.released", "retention.", "system.retention"),
            *("audit.prune", "audit.pruned", "audit.hold_", "privacy."),
        ),
        own=_BEFORE_AFTER,
    ),
    Section(
        name="plans",
        title="Changes of backup plans",
        actions=("plan.", "config.plan_"),
        own=_BEFORE_AFTER,
        note="This version keeps no backup plans of its own: backups are asked for by people and by keys.",
    ),
    Section(name="configuration", title="Changes of the configuration", actions=("config.",), own=_BEFORE_AFTER),
    Section(name="access", title="Changes of users, passwords, groups and keys", actions=("access.",), own=_DETAILS),
    Section(
        name="signIns",
        title="Sign-ins and sign-outs",
        actions=("auth.",),
        own={"channel": ("Way", ("source", "channel")), "address": ("Address", ("source", "ip"))},
    ),
    Section(
        name="reads",
        title="What was read, downloaded and exported",
        actions=(
            *("backup.browse", "backup.compare", "backup.download", "backup.link", "backup.link_used"),
            *("audit.download", "audit.export", "audit.verify"),
            *("audit.view", "audit.view_entry", "audit.view_proof"),
        ),
        own={"channel": ("Way", ("source", "channel")), "address": ("Address", ("source", "ip"))},
    ),
    Section(
        name="unattributed",
        title="Engine events that no operation explains",
        actions=("engine.",),
        own=_DETAILS,
        note="Somebody used the Engine and not this product, or may have while its events were lost.",
    ),
    Section(
        name="lifecycle",
        title="Starts, stops, cancellations and tests of connections",
        actions=("container.", "operation.cancel", "host.test"),
    ),
    Section(
        name="ledger",
        title="What happened to the ledger itself",
        actions=("audit.",),
        own=_DETAILS,
        note="New shards, changed keys, losses that an administrator accepted, reviews and saved views.",
    ),
    Section(name="system", title="The product itself", actions=("system.",), own=_DETAILS),
)
EVERY: Final = (*SECTIONS, DENIED, UNKNOWN, OTHER)


def section_of(told: Told) -> Section:
    """The table of an entry that no end names."""
    payload = told.payload
    action = str(payload.get("action", ""))
    if payload.get("phase") == "intent":
        return UNKNOWN
    if payload.get("phase") == "event" and _is_refused(payload):
        return DENIED
    return next((one for one in (UNKNOWN, *SECTIONS) if one.takes(action)), OTHER)


def row_of(told: Told, section: Section) -> dict[str, Any]:
    """The values of its columns."""
    payload, intent = told.payload, told.intent
    asked = intent.payload if intent else payload
    return {
        "time": payload.get("time"),
        "action": payload.get("action"),
        "object": value_at(payload, ("object", "name")) or value_at(payload, ("object", "id")),
        "host": value_at(payload, ("object", "host")),
        "outcome": outcome_of(payload),
        **{name: value_at(payload, path) for name, (_, path) in section.own.items()},
        **{name: value_at(asked, path) for name, (_, path) in section.wish.items()},
        "error": _error(payload),
        **{name: value_at(asked, path) for name, path in _ASKED.items()},
        "leaf": told.place,
        "intent": intent.place if intent else "",
        "leafHash": told.leaf_hash,
        "ended": told.ended,
    }


def outcome_of(payload: Mapping[str, Any]) -> str:
    """How it ended, in one word: what was incomplete is no success, and what only made a plan is none either."""
    if payload.get("phase") == "intent":
        return "not ended"
    if value_at(payload, (*_RESULT, "dryRun")) is True:
        return "dry run"
    partial = payload.get("outcome") == "success" and value_at(payload, ("details", "state")) == "partial"
    return "partial" if partial else str(payload.get("outcome", "damaged"))


def _is_refused(payload: Mapping[str, Any]) -> bool:
    failed_sign_in = value_at(payload, ("category",)) == "auth" and payload.get("outcome") != "success"
    return payload.get("outcome") == "denied" or payload.get("category") == "authz" or failed_sign_in


def _error(payload: Mapping[str, Any]) -> str:
    words = [str(value_at(payload, ("error", name))) for name in ("code", "message")]
    return ": ".join(word for word in words if word)
