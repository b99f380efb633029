"""What stands on the first page: what the report is about, what proves it, and what nothing here proves."""

from __future__ import annotations

import json
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO, Any, Final

from containers_app import VERSION
from containers_app.audit.canonical import timestamp
from containers_app.audit.evidence import asked
from containers_app.audit.exports import value_at
from containers_app.audit.ledger import SelfCheck, self_check
from containers_app.audit.published import Anchored, last_outside_anchor
from containers_app.audit.selection import Selection
from containers_app.audit.values import printable
from containers_app.conf import Conf
from containers_app.workflows.evidence_pack.gathering import Gathered

TITLE: Final = "Evidence of container backups"
_ALWAYS: Final = (
    "That what was recorded is what happened: who has all power over the machine of the product can make it record "
    "something else.",
    "Tables that say 'from the database' have rows as they are now. Rows can be edited, and no entry proves them.",
    "A checkpoint proves something only with a key that you got by another way, and finds a history that was replaced "
    "as a whole only with a checkpoint that you kept before.",
    "This report is not signed. Check its rows against the entries in bundle.zip, which verify.py proves: a row's "
    "entry is at that place there, and its leaf hash is SHA-256 of a zero byte and the line.",
)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The checkpoint of a shard as the bundle has it, and what the self-check of the shard found."""

    shard: int
    origin: str
    size: int
    note: str
    vkey: str
    check: SelfCheck

    def document(self) -> dict[str, Any]:
        """As the report says it."""
        return {
            "shard": self.shard,
            "origin": self.origin,
            "size": self.size,
            "root": b64decode(self.note.splitlines()[2]).hex(),
            "note": self.note,
            "vkey": self.vkey,
            "selfCheck": {
                "clean": self.check.is_clean,
                "entries": self.check.size,
                "checkpoints": self.check.checkpoints,
                "problems": [printable(problem) for problem in self.check.problems],
            },
        }


@dataclass(frozen=True, kw_only=True)
class Cover:
    """The first page. `newer` are the entries that no checkpoint has yet, `pruned` those that are gone, by shard."""

    conf: Conf
    selection: Selection
    made_at: datetime
    asked: Mapping[str, Any]
    outside: Anchored | None
    signatures: tuple[Signature, ...]
    newer: int
    pruned: Mapping[int, int]
    gathered: Gathered
    bundle_sha256: str

    def document(self) -> dict[str, Any]:
        """The facts as programs read them."""
        return {
            "title": TITLE,
            "instance": {"name": self.conf.environment_name, "url": self.conf.public_url, "version": VERSION},
            **{name: value for name, value in self.selection.words().items() if name != "filter"},
            "timeZone": "UTC",
            "madeAt": timestamp(self.made_at),
            "asked": dict(self.asked),
            "entries": self.gathered.entries,
            "intentsCited": self.gathered.cited,
            "pruned": {str(shard): count for shard, count in self.pruned.items()},
            "refusedAttempts": self.gathered.refused,
            "notSigned": self.newer,
            "goals": asdict(self.gathered.goals),
            "checkpoints": [one.document() for one in self.signatures],
            "lastOutsideAnchor": _anchor(self.outside),
            "bundle": {"file": "bundle.zip", "sha256": self.bundle_sha256},
            "unproven": list(self.unproven()),
        }

    def unproven(self) -> Iterator[str]:
        """What nothing here proves, in plain words."""
        yield from _ALWAYS
        if self.newer:
            yield f"{self.newer} entries are newer than the checkpoint: they are not in this report."
        if self.outside is None:
            yield "No checkpoint ever left this machine: who has all of it can have rewritten everything."
        for shard, count in self.pruned.items():
            yield f"{count} entries of shard {shard} were pruned: what they told is gone, and none of it is in here."
        if self.selection.until and self.selection.until > self.made_at:
            yield "The period was not over when this was made: it ends with the newest checkpoint."
        for one in self.signatures:
            if not one.check.is_clean:
                yield f"The self-check of {one.origin} found damage: what is said from it may be false."


def signatures_of(bundle: IO[bytes], *, checkpoint: Callable[[], None]) -> tuple[tuple[Signature, ...], int]:
    """The checkpoints in a bundle, each shard checked now; and how many entries are newer. Raises AuditUnavailable."""
    with zipfile.ZipFile(bundle) as archive:
        shards = json.loads(archive.read("manifest.json"))["shards"]
        texts = [[archive.read(f"{one['shard']}/{name}").decode() for name in ("checkpoint", "vkey")] for one in shards]
    found = []
    for one, (note, vkey) in zip(shards, texts, strict=True):
        checkpoint()
        signed = {name: one[name] for name in ("shard", "origin", "size")}
        found.append(Signature(**signed, note=note, vkey=vkey.strip(), check=self_check(one["shard"])))
    return tuple(found), sum(one["newer"] for one in shards)


def asked_in(operation_id: str) -> dict[str, Any]:
    """Who asked for the report, and why, as its intent in the ledger says. Raises AuditUnavailable."""
    told = asked(operation_id)
    if told is None:
        return {}
    paths = {"by": ("actor", "label"), "reason": ("reason",), "ticket": ("ticket",), "at": ("time",)}
    values = {name: value_at(told.payload, path) for name, path in paths.items()}
    return {**values, "leaf": told.place, "leafHash": told.leaf_hash, "operation": operation_id}


def anchored() -> Anchored | None:
    """The last checkpoint that left this machine. Raises AuditUnavailable."""
    return last_outside_anchor()


def pages_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts as the first page shows them; `jsonSha256` besides is the hash of the file for programs."""
    anchor, instance, who = document["lastOutsideAnchor"], document["instance"], document["asked"]
    facts = {
        "Product": f"MycoDocker {instance['version']}, {instance['name'] or 'no name'}, {instance['url']}",
        "Period": f"{document['since'] or 'the first entry'} to {document['until'] or 'the newest checkpoint'}",
        "Time zone": "UTC. The beginning belongs to the period, the end does not.",
        "Made": document["madeAt"],
        "Asked for by": f"{who.get('by', 'unknown')} (entry {who.get('leaf', 'unknown')})",
        "Reason, ticket": " / ".join(str(who.get(name) or "none") for name in ("reason", "ticket")),
        "Entries of the period": _counted(document),
        "Refused and failed attempts": document["refusedAttempts"],
        "Goals of restores": _goals(document["goals"]),
        "Last anchor outside": "none" if anchor is None else "{at}, {kind} {target}, {size} entries".format(**anchor),
        "The same for programs": f"evidence.json, SHA-256 {document['jsonSha256']}",
        "Entries with their proof": f"bundle.zip, SHA-256 {document['bundle']['sha256']}",
    }
    shown = {name: printable(str(value), _LONGEST) for name, value in facts.items()}
    checkpoints = [{**one, "checked": _checked(one["selfCheck"])} for one in document["checkpoints"]]
    return {**document, "facts": shown.items(), "checkpoints": checkpoints}


_LONGEST: Final = 2_000


def _counted(document: Mapping[str, Any]) -> str:
    cited = document["intentsCited"]
    words = f"{document['entries']}: {cited} intents whose ends name them, and one row of a table below for each other"
    return f"{words}. {document['notSigned']} newer entries are not signed yet."


def _goals(goals: Mapping[str, int | None]) -> str:
    said = {"RTO": goals["rto_seconds"], "RPO": goals["rpo_seconds"]}
    return ", ".join(f"{name} {'not given' if value is None else f'{value} s'}" for name, value in said.items())


def _checked(found: Mapping[str, Any]) -> str:
    verdict = "nothing is wrong" if found["clean"] else "DAMAGED"
    return f"{verdict}: {found['entries']} entries and {found['checkpoints']} checkpoints were recomputed"


def _anchor(outside: Anchored | None) -> dict[str, Any] | None:
    return None if outside is None else {**asdict(outside), "at": timestamp(outside.at)}
