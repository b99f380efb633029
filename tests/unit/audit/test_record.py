"""One fact becomes one payload: every member in its place, nothing that is empty, no personal data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from containers_app import VERSION
from containers_app.audit.canonical import MOST_PAYLOAD_BYTES, Unrecordable, canonical
from containers_app.audit.models import Entry
from containers_app.audit.record import COMMITTED, Actor, Fact, OnBehalf, Source, Subject, compose, projection
from containers_app.specs.receipt import Receipt

NOW = datetime(2026, 11, 23, 9, 0, 0, 123_456, tzinfo=UTC)
ALICE = Actor(type="user", id="7", label="Alice Example", roles=("operators", "auditors"), auth="key", key_prefix="k1")
BROWSER = Source(channel="api", ip="192.0.2.7", user_agent="Firefox/140", request_id="req-1")
WEB = Subject(type="container", id="a" * 64, name="web-1", host="local")
LEAST = Fact(
    phase="event", action="auth.login", actor=Actor(type="system"), source=Source(channel="cli"), outcome="success"
)
FULL = Fact(
    phase="outcome",
    action="container.clone",
    actor=ALICE,
    source=BROWSER,
    subject=WEB,
    operation_id="0190-op",
    outcome="failure",
    error_code="NAME_TAKEN",
    error_message="The name web-2 is in use.",
    duration_ms=0,
    size_bytes=12,
    details={"state": "failed"},
    reason="because Bob Example asked",
    ticket="CHG-1",
    late=True,
    suppressed=3,
    intent=Receipt(operation_id="0190-op", shard=2026, leaf_index=4, leaf_hash="ab" * 32),
)


def payload_of(fact: Fact) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(compose(fact, NOW).payload)
    return payload


def test_a_full_fact_has_every_member_in_its_place() -> None:
    recorded = compose(FULL, NOW)
    payload = json.loads(recorded.payload)
    digests = {commitment.name: commitment.digest for commitment in recorded.disclosures}
    assert payload.pop("id").count("-") == 4
    assert payload == {
        "v": 1,
        "time": "2026-11-23T09:00:00.123456Z",
        "phase": "outcome",
        "action": "container.clone",
        "category": "operation",
        "actor": {
            "type": "user",
            "id": "7",
            "auth": "key",
            "key_prefix": "k1",
            "roles": ["auditors", "operators"],
            "label_c": digests["actor_label"],
        },
        "source": {
            "channel": "api",
            "app": VERSION,
            "request_id": "req-1",
            "ip_c": digests["source_ip"],
            "user_agent_c": digests["source_user_agent"],
        },
        "object": {"type": "container", "id": "a" * 64, "name": "web-1", "host": "local"},
        "operation_id": "0190-op",
        "outcome": "failure",
        "error": {"code": "NAME_TAKEN", "message_c": digests["error_message"]},
        "duration_ms": 0,
        "size_bytes": 12,
        "details": {"state": "failed"},
        "reason_c": digests["reason"],
        "ticket": "CHG-1",
        "late": True,
        "suppressed": 3,
        "intent": {"shard": 2026, "leaf_index": 4, "leaf_hash": "ab" * 32},
    }


def test_what_is_empty_is_left_out() -> None:
    payload = payload_of(LEAST)
    assert set(payload) == {"v", "id", "time", "phase", "action", "category", "actor", "source", "outcome"}
    assert payload["actor"] == {"type": "system", "auth": "none"}
    assert payload["source"] == {"channel": "cli", "app": VERSION}


def test_every_personal_value_is_committed_and_none_is_in_the_payload() -> None:
    recorded = compose(FULL, NOW)
    assert {commitment.name for commitment in recorded.disclosures} == set(COMMITTED.values())
    for value in ("Alice Example", "192.0.2.7", "Firefox/140", "Bob Example", "name web-2"):
        assert value not in recorded.payload


def test_no_repr_shows_personal_values() -> None:
    for value in ("Alice Example", "192.0.2.7", "Firefox/140", "Bob Example", "name web-2"):
        assert value not in repr(FULL)


def test_the_payload_is_canonical() -> None:
    payload = compose(FULL, NOW).payload
    assert canonical(json.loads(payload)).decode() == payload


def test_an_entry_says_for_whom_somebody_acted() -> None:
    actor = Actor(type="anonymous", on_behalf_of=OnBehalf(type="user", id="7"))
    assert payload_of(replace(LEAST, actor=actor))["actor"] == {
        "type": "anonymous",
        "auth": "none",
        "on_behalf_of": {"type": "user", "id": "7"},
    }


def test_two_entries_of_one_fact_have_two_ids() -> None:
    assert payload_of(LEAST)["id"] != payload_of(LEAST)["id"]


@given(name=some.text(), identity=some.text(), label=some.text(), message=some.text(), ticket=some.text())
def test_any_text_can_be_recorded_and_fits_its_column(
    name: str, identity: str, label: str, message: str, ticket: str
) -> None:
    fact = replace(
        FULL,
        actor=replace(ALICE, id=identity, label=label, roles=(name,)),
        subject=replace(WEB, name=name * 50, id=identity * 50, host=name),
        source=replace(BROWSER, request_id=identity * 50),
        error_message=message * 50,
        ticket=ticket * 50,
    )
    for column, value in projection(payload_of(fact)).items():
        most = getattr(Entry._meta.get_field(column), "max_length", None)
        assert most is None or len(value) <= most


@pytest.mark.parametrize(
    ("action", "phase", "outcome", "category"),
    [
        ("container.clone", "outcome", "denied", "operation"),
        ("container.clone", "event", "success", "operation"),
        ("auth.login_failed", "event", "denied", "auth"),
        ("authz.denied", "event", "failure", "authz"),
        ("config.host_changed", "event", "success", "config"),
        ("access.key_issued", "event", "success", "access"),
        ("engine.unattributed", "event", "success", "system"),
        ("privacy.erase", "event", "success", "audit"),
    ],
)
def test_the_category_follows_from_the_action(action: str, phase: Any, outcome: Any, category: str) -> None:
    fact = replace(LEAST, action=action, phase=phase, outcome=outcome, operation_id="op")
    assert payload_of(fact)["category"] == category


@pytest.mark.parametrize(
    "changed",
    [
        {"action": "clone"},
        {"action": "Container.clone"},
        {"action": "container.clone\n"},
        {"action": "container.paint"},
        {"operation_id": "../etc"},
        {"operation_id": "a" * 65},
        {"operation_id": "", "phase": "intent"},
        {"operation_id": "", "phase": "outcome"},
        {"outcome": None},
        {"outcome": "fine"},
        {"actor": Actor(type="robot")},  # type: ignore[arg-type]
        {"actor": Actor(type="user", auth="password")},  # type: ignore[arg-type]
        {"actor": Actor(type="user", on_behalf_of=OnBehalf(type="robot"))},  # type: ignore[arg-type]
        {"source": Source(channel="fax")},  # type: ignore[arg-type]
        {"subject": Subject(type="Container!")},
        {"details": {"ratio": 0.5}},
        {"duration_ms": 2**53},
    ],
)
def test_a_fact_that_breaks_the_format_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Unrecordable):
        compose(replace(FULL, **changed), NOW)


def test_an_intent_over_the_cap_is_refused() -> None:
    params = {f"option{number}": "x" * 500 for number in range(150)}
    with pytest.raises(Unrecordable, match=str(MOST_PAYLOAD_BYTES)):
        compose(replace(LEAST, phase="intent", operation_id="op", params=params), NOW)


def test_an_outcome_over_the_cap_is_recorded_with_the_digest_of_its_details() -> None:
    details = {f"warning{number}": "x" * 500 for number in range(150)}
    payload = payload_of(replace(FULL, details=details))
    whole = canonical(details)
    assert payload["details"] == {"omitted_bytes": len(whole), "omitted_sha256": hashlib.sha256(whole).hexdigest()}
    assert payload["outcome"] == "failure"


def test_the_projection_copies_the_payload() -> None:
    assert projection(payload_of(FULL)) == {
        "time": NOW,
        "phase": "outcome",
        "action": "container.clone",
        "category": "operation",
        "outcome": "failure",
        "actor_type": "user",
        "actor_id": "7",
        "object_type": "container",
        "object_id": "a" * 64,
        "object_name": "web-1",
        "host": "local",
        "operation_id": "0190-op",
        "request_id": "req-1",
        "channel": "api",
        "ticket": "CHG-1",
    }
