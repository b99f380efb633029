"""The published format is the one that is written, and its example checks with nothing of ours."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from containers_app import VERSION
from containers_app.audit.record import (
    COMMITTED,
    Actor,
    ActorType,
    Channel,
    Fact,
    OnBehalf,
    Outcome,
    Phase,
    Source,
    Subject,
    compose,
)
from containers_app.specs.receipt import Receipt

DOCUMENT = Path(__file__).parents[3].joinpath("docs/reference/ledger-format.md").read_text()
PAYLOAD, DISCLOSURE = re.findall(r"```json\n(.*)\n```", DOCUMENT)
LEAF_HASH = re.findall(r"^[0-9a-f]{64}$", DOCUMENT, re.MULTILINE)[0]
EVERYTHING = Fact(
    phase="outcome",
    action="container.clone",
    actor=Actor(
        type="user",
        id="7",
        label="a",
        roles=("b",),
        auth="key",
        key_prefix="c",
        on_behalf_of=OnBehalf(type="user", id="z"),
    ),
    source=Source(channel="api", ip="d", user_agent="e", request_id="f"),
    subject=Subject(type="container", id="g", name="h", host="i"),
    operation_id="j",
    params={"k": 1},
    outcome="failure",
    error_code="L",
    error_message="m",
    duration_ms=1,
    size_bytes=1,
    details={"n": 1},
    reason="o",
    ticket="p",
    late=True,
    suppressed=1,
    intent=Receipt(operation_id="j", shard=2026, leaf_index=0, leaf_hash="q"),
)


def test_the_example_has_the_leaf_hash_that_is_printed() -> None:
    assert hashlib.sha256(b"\x00" + PAYLOAD.encode()).hexdigest() == LEAF_HASH


def test_the_example_is_canonical() -> None:
    rewritten = json.dumps(json.loads(PAYLOAD), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert rewritten == PAYLOAD


def test_the_disclosure_of_the_example_opens_its_commitment() -> None:
    digest = urlsafe_b64encode(hashlib.sha256(DISCLOSURE.encode()).digest()).rstrip(b"=").decode()
    assert json.loads(PAYLOAD)["source"]["ip_c"] == digest


def test_the_example_is_what_the_product_writes() -> None:
    example = json.loads(PAYLOAD)
    example["source"]["app"] = VERSION
    fact = Fact(
        phase="intent",
        action="container.clone",
        actor=Actor(type="user", id="7", label="alice", roles=("operators",), auth="session"),
        source=Source(channel="api", ip="192.0.2.7", request_id="req-1"),
        subject=Subject(type="container", name="web-1", host="local"),
        operation_id=example["operation_id"],
        params={"name": "web-2", "start": True},
        ticket="CHG-1234",
    )
    written = json.loads(compose(fact, datetime(2026, 11, 23, 9, 0, 0, 123_456, tzinfo=UTC)).payload)
    assert without_random(written) == without_random(example)


@pytest.mark.parametrize("member", json.loads(compose(EVERYTHING, datetime.now(UTC)).payload))
def test_every_member_is_in_the_table(member: str) -> None:
    assert re.search(rf"^\|[^|]*`{member}(_c)?[.`]", DOCUMENT, re.MULTILINE)


@pytest.mark.parametrize("choices", [ActorType, Channel, Outcome, Phase])
def test_every_choice_is_in_the_table(choices: Any) -> None:
    for choice in get_args(choices):
        assert f"`{choice}`" in DOCUMENT


@pytest.mark.parametrize("name", COMMITTED.values())
def test_every_kind_of_disclosure_is_named(name: str) -> None:
    assert f"`{name}`" in DOCUMENT


def without_random(payload: dict[str, Any]) -> dict[str, Any]:
    same = {name: value for name, value in payload.items() if name != "id"}
    same["actor"] = {**payload["actor"], "label_c": ""}
    same["source"] = {**payload["source"], "ip_c": ""}
    return same
