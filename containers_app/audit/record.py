"""What is said in an entry: the values callers hand over, and the one payload form they become."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

from containers_app import VERSION
from containers_app.audit import verbs
from containers_app.audit.canonical import (
    MOST_PAYLOAD_BYTES,
    Json,
    Unrecordable,
    canonical,
    canonical_payload,
    moment_of,
    timestamp,
)
from containers_app.audit.commitments import Commitment, commit
from containers_app.audit.values import printable, recordable
from containers_app.specs.receipt import Receipt

FORMAT_VERSION: Final = 1
MOST_ROLES: Final = 32

ActorType = Literal["user", "service", "key", "schedule", "system", "anonymous"]
Authentication = Literal["session", "key", "none"]
Channel = Literal["ui", "api", "cli", "link", "worker", "scheduler", "engine"]
Phase = Literal["intent", "outcome", "event"]
Outcome = Literal["success", "failure", "denied", "error", "unknown"]

# Where an entry holds a commitment: the member's path without its `_c`, and the disclosure's name.
COMMITTED: Final[dict[tuple[str, ...], str]] = {
    ("actor", "label"): "actor_label",
    ("source", "ip"): "source_ip",
    ("source", "user_agent"): "source_user_agent",
    ("error", "message"): "error_message",
    ("reason",): "reason",
}

_OBJECT_TYPE: Final = re.compile(r"[a-z_]{0,32}", re.ASCII)
_OPERATION_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class OnBehalf:
    """For whom somebody else acts, by an id that names nobody."""

    type: ActorType
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts. `id` never changes and names nobody by itself; `label` (a name, an address) can be erased later.

    `on_behalf_of` is whose wish it was, where somebody else acts: a link's maker, the asker of what was never begun.
    """

    type: ActorType
    id: str = ""
    label: str = field(default="", repr=False)
    roles: tuple[str, ...] = ()
    auth: Authentication = "none"
    key_prefix: str = ""
    on_behalf_of: OnBehalf | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The way the request came in. Address and user agent can be erased later."""

    channel: Channel
    ip: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is acted on, by copied names: `host` is the id of the Docker host it is on."""

    type: str = ""
    id: str = ""
    name: str = ""
    host: str = ""


NOTHING: Final = Subject()


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing to record; what is empty is left out of the entry."""

    phase: Phase
    action: str
    actor: Actor
    source: Source
    subject: Subject = NOTHING
    operation_id: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    outcome: Outcome | None = None
    error_code: str = ""
    error_message: str = field(default="", repr=False)
    duration_ms: int | None = None
    size_bytes: int | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    reason: str = field(default="", repr=False)
    ticket: str = ""
    late: bool = False
    suppressed: int = 0
    intent: Receipt | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The form a fact is stored in: the leaf, and the disclosures that stand beside it."""

    payload: str
    disclosures: tuple[Commitment, ...]


def compose(fact: Fact, moment: datetime) -> Recorded:
    """Return the payload of `fact` at `moment`.

    Raises `Unrecordable` for values without a place in the ledger, and for an intent over the size cap. What has
    happened already must be recorded all the same: there `details` over the cap give way to their size and digest.
    """
    _check(fact)
    disclosures: list[Commitment] = []
    members = _members(fact, moment, disclosures)
    if fact.phase != "intent" and len(canonical(members)) > MOST_PAYLOAD_BYTES:
        omitted = canonical(members["details"])
        digest = hashlib.sha256(omitted).hexdigest()
        members["details"] = {"omitted_bytes": len(omitted), "omitted_sha256": digest}
    return Recorded(payload=canonical_payload(members), disclosures=tuple(disclosures))


def projection(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of `models.Entry` that are copies of members of `payload`."""
    actor, source, subject = payload["actor"], payload["source"], payload.get("object", {})
    return {
        "time": moment_of(payload["time"]),
        "phase": payload["phase"],
        "action": payload["action"],
        "category": payload["category"],
        "outcome": payload.get("outcome", ""),
        "actor_type": actor["type"],
        "actor_id": actor.get("id", ""),
        "object_type": subject.get("type", ""),
        "object_id": subject.get("id", ""),
        "object_name": subject.get("name", ""),
        "host": subject.get("host", ""),
        "operation_id": payload.get("operation_id", ""),
        "request_id": source.get("request_id", ""),
        "channel": source["channel"],
        "ticket": payload.get("ticket", ""),
    }


def _check(fact: Fact) -> None:
    if fact.action not in verbs.ALL:
        raise Unrecordable(f"{fact.action!r} is no verb of the registry: add it to audit/verbs.py.")
    if (fact.operation_id or fact.phase != "event") and not _OPERATION_ID.fullmatch(fact.operation_id):
        raise Unrecordable("An operation id is 1 to 64 letters, digits and hyphens.")
    if not _OBJECT_TYPE.fullmatch(fact.subject.type):
        raise Unrecordable("The type of an object is 32 small letters and underscores at most.")
    _check_one_of(fact.actor.type, ActorType)
    _check_one_of(fact.actor.on_behalf_of.type if fact.actor.on_behalf_of else "system", ActorType)
    _check_one_of(fact.actor.auth, Authentication)
    _check_one_of(fact.source.channel, Channel)
    if fact.phase != "intent":
        _check_one_of(fact.outcome, Outcome)


def _check_one_of(value: object, allowed: Any) -> None:
    if value not in get_args(allowed):
        raise Unrecordable(f"{value!r} is not one of {', '.join(get_args(allowed))}.")


def _members(fact: Fact, moment: datetime, disclosures: list[Commitment]) -> dict[str, Json]:
    def committed(path: tuple[str, ...], value: str) -> dict[str, Json]:
        if not value:
            return {}
        commitment = commit(COMMITTED[path], printable(value))
        disclosures.append(commitment)
        return {f"{path[-1]}_c": commitment.digest}

    return {
        "v": FORMAT_VERSION,
        "id": str(uuid.uuid4()),
        "time": timestamp(moment),
        "phase": fact.phase,
        "action": fact.action,
        "category": verbs.ALL[fact.action].category,
        "actor": _actor(fact.actor) | committed(("actor", "label"), fact.actor.label),
        "source": _source(fact.source)
        | committed(("source", "ip"), fact.source.ip)
        | committed(("source", "user_agent"), fact.source.user_agent),
        **_present(object=_object(fact.subject), operation_id=fact.operation_id),
        **_result(fact),
        **_present(
            error=_present(code=printable(fact.error_code)) | committed(("error", "message"), fact.error_message)
        ),
        **committed(("reason",), fact.reason),
    }


def _actor(actor: Actor) -> dict[str, Json]:
    roles = [printable(role, 150) for role in sorted(actor.roles)[:MOST_ROLES]]
    return {"type": actor.type, "auth": actor.auth} | _present(
        id=printable(actor.id, 128),
        roles=roles,
        key_prefix=printable(actor.key_prefix, 128),
        on_behalf_of=_on_behalf_of(actor.on_behalf_of),
    )


def _on_behalf_of(other: OnBehalf | None) -> dict[str, Json]:
    return {} if other is None else {"type": other.type} | _present(id=printable(other.id, 128))


def _source(source: Source) -> dict[str, Json]:
    return {"channel": source.channel, "app": VERSION} | _present(request_id=printable(source.request_id, 128))


def _object(subject: Subject) -> dict[str, Json]:
    return _present(
        type=subject.type,
        id=printable(subject.id, 128),
        name=printable(subject.name, 256),
        host=printable(subject.host, 128),
    )


def _result(fact: Fact) -> dict[str, Json]:
    members = _present(
        params=recordable(fact.params),
        outcome=fact.outcome or "",
        details=recordable(fact.details),
        ticket=printable(fact.ticket, 128),
        late=fact.late,
        suppressed=fact.suppressed,
        intent=_intent(fact.intent),
    )
    measured = {"duration_ms": fact.duration_ms, "size_bytes": fact.size_bytes}
    return members | {name: value for name, value in measured.items() if value is not None}


def _intent(receipt: Receipt | None) -> dict[str, Json]:
    if receipt is None:
        return {}
    return {"shard": receipt.shard, "leaf_index": receipt.leaf_index, "leaf_hash": receipt.leaf_hash}


def _present(**members: Json) -> dict[str, Json]:
    return {name: value for name, value in members.items() if value}
