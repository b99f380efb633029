"""Personal values go and stay gone; the entries and what they prove do not change, and a hold stops it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from containers_app.audit import erasure, guards, holds, ledger, removing
from containers_app.audit.erasure import Target, erase, find
from containers_app.audit.models import Disclosure, Entry
from containers_app.audit.record import Actor, Source
from containers_app.errors import AuditUnavailable, InvalidRequest, LedgerHeld, NotFound
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
End = Callable[..., int]
pytestmark = pytest.mark.django_db(databases=["audit"])

BOB = Actor(type="user", id="8", label="bob@example.org", auth="session")
ROOT: dict[str, Any] = {"actor": Actor(type="user", id="1", label="root"), "source": Source(channel="cli")}
REASON = "a request of 30 November"


@pytest.fixture
def two_people(begin: Begin, end: End) -> int:
    """Alice does two things, Bob one from the same address; the guards are there. Returns the shard."""
    guards.install()
    for _ in range(2):
        end(begin(reason="because Alice said so").operation_id, error_message="/home/alice is full")
    return begin(actor=BOB).shard


def payloads() -> list[str]:
    return list(Entry.objects.order_by("leaf_index").values_list("payload", flat=True))


def last() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payloads()[-1])
    return found


@pytest.mark.parametrize(
    ("target", "kinds"),
    [
        (
            Target(by="actor", value="7"),
            {"actor_label": 4, "error_message": 2, "reason": 2, "source_ip": 4, "source_user_agent": 4},
        ),
        (Target(by="label", value="bob@example.org"), {"actor_label": 1}),
        (Target(by="address", value="192.0.2.7"), {"source_ip": 5}),
        (Target(by="address", value="2.0.2.7"), {}),
        (Target(by="label", value="BOB@example.org"), {}),
        (Target(by="label", value="%"), {}),
        (Target(by="actor", value="1"), {}),
    ],
)
def test_it_says_before_what_would_go(two_people: int, target: Target, kinds: dict[str, int]) -> None:
    found = find(target)
    assert (found.kinds, found.values) == (kinds, sum(kinds.values()))


def test_the_values_of_one_person_go_and_nothing_else(two_people: int) -> None:
    before = payloads()
    erase(Target(by="actor", value="7"), **ROOT, reason=REASON)
    assert payloads()[:5] == before
    shown = ledger.disclosed_all(Entry.objects.order_by("leaf_index")[:5])
    assert [one["actor"]["label"] for one in shown] == ["erased"] * 4 + ["bob@example.org"]
    assert shown[1]["error"]["message"] == shown[0]["reason"] == shown[0]["source"]["ip"] == "erased"
    assert shown[4]["source"]["ip"] == "192.0.2.7"
    assert find(Target(by="actor", value="7")).values == 0
    assert ledger.self_check(two_people).is_clean


def test_the_ledger_tells_of_it_without_the_value(two_people: int) -> None:
    erase(Target(by="address", value="192.0.2.7"), **ROOT, reason=REASON, ticket="CHG-9")
    intent, outcome = (json.loads(text) for text in payloads()[-2:])
    assert (intent["action"], intent["phase"], intent["ticket"]) == ("privacy.erase", "intent", "CHG-9")
    assert intent["params"] == {"by": "address", "values": 5, "kinds": {"source_ip": 5}}
    assert (outcome["outcome"], outcome["details"]["erased"]) == ("success", 5)
    assert outcome["intent"]["leaf_index"] == 5
    assert "192.0.2.7" not in json.dumps([intent, outcome])
    assert REASON not in json.dumps([intent, outcome])
    assert ledger.disclosed(Entry.objects.get(leaf_index=5))["reason"] == REASON


def test_it_goes_in_pieces(two_people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROWS_AT_ONCE", "_IDS_AT_ONCE"):
        monkeypatch.setattr(erasure, name, 2)
    erase(Target(by="address", value="192.0.2.7"), **ROOT, reason=REASON)
    erase(Target(by="actor", value="7"), **ROOT, reason=REASON)
    assert set(Disclosure.objects.values_list("kind", "text").filter(text__contains="192.0.2.7")) == set()
    assert find(Target(by="actor", value="7")).values == 0


def test_a_failure_in_the_middle_is_told_and_the_rest_can_be_erased(
    two_people: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def failing(commitments: list[str], using: str) -> int:
        calls.append(len(commitments))
        if len(calls) == 2:
            raise AuditUnavailable("the disk is gone")
        return removing.delete_disclosures(commitments, using)

    monkeypatch.setattr(erasure, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(erasure, "delete_disclosures", failing)
    with pytest.raises(AuditUnavailable):
        erase(Target(by="address", value="192.0.2.7"), **ROOT, reason=REASON)
    assert (last()["outcome"], last()["details"]) == ("failure", {"erased": 3})
    assert find(Target(by="address", value="192.0.2.7")).values == 2
    assert erase(Target(by="address", value="192.0.2.7"), **ROOT, reason=REASON).values == 2


def test_without_the_record_nothing_is_erased(two_people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: Any) -> None:
        raise AuditUnavailable("no")

    monkeypatch.setattr(ledger, "intent", away)
    with pytest.raises(AuditUnavailable):
        erase(Target(by="actor", value="7"), **ROOT, reason=REASON)
    assert find(Target(by="actor", value="7")).values == 16


@pytest.mark.parametrize(("value", "reason"), [("7", ""), ("99", REASON)])
def test_a_reason_and_something_to_erase_are_needed(two_people: int, value: str, reason: str) -> None:
    before = len(payloads())
    with pytest.raises(InvalidRequest):
        erase(Target(by="actor", value=value), **ROOT, reason=reason)
    assert len(payloads()) == before


@pytest.mark.parametrize(("by", "value"), [("name", "x"), ("actor", "")])
def test_a_target_is_one_of_the_known_ways_and_not_empty(by: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match="actor, address, label"):
        Target(by=by, value=value)


def test_a_hold_stops_an_erasure_until_it_is_released(two_people: int) -> None:
    hold = holds.place(**ROOT, reason="a lawsuit", ticket="CASE-1")
    with pytest.raises(LedgerHeld, match="1 legal hold is"):
        erase(Target(by="actor", value="7"), **ROOT, reason=REASON)
    other = holds.place(**ROOT, reason="another one")
    holds.release(hold.id, **ROOT, reason="settled")
    with pytest.raises(LedgerHeld):
        erase(Target(by="actor", value="7"), **ROOT, reason=REASON)
    holds.release(other.id, **ROOT, reason="settled too")
    assert erase(Target(by="actor", value="7"), **ROOT, reason=REASON).values == 16


def test_a_hold_that_comes_in_between_stops_it_too(two_people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "check_not_held", lambda: None)
    holds.place(**ROOT, reason="a lawsuit")
    with pytest.raises(LedgerHeld):
        erase(Target(by="actor", value="7"), **ROOT, reason=REASON)
    assert (last()["outcome"], last()["error"]["code"]) == ("failure", "LEDGER_HELD")
    assert find(Target(by="actor", value="7")).values == 16


def test_holds_are_listed_with_who_and_why() -> None:
    first = holds.place(**ROOT, reason="a lawsuit", ticket="CASE-1")
    holds.place(actor=BOB, source=Source(channel="ui"), reason="an audit")
    holds.release(first.id, actor=BOB, source=Source(channel="ui"), reason="settled")
    newest, oldest = holds.holds()
    assert (newest.is_active, newest.placed.by, newest.placed.reason) == (True, "bob@example.org", "an audit")
    assert (oldest.placed.by, oldest.placed.ticket, oldest.is_active) == ("root", "CASE-1", False)
    assert oldest.released is not None
    assert (oldest.released.by, oldest.released.reason) == ("bob@example.org", "settled")


def test_a_hold_is_released_once_and_only_where_there_is_one() -> None:
    hold = holds.place(**ROOT, reason="a lawsuit")
    holds.release(hold.id, **ROOT, reason="settled")
    with pytest.raises(InvalidRequest, match="released already"):
        holds.release(hold.id, **ROOT, reason="again")
    with pytest.raises(NotFound):
        holds.release("0190a000-0000-7000-8000-00000000dead", **ROOT, reason="x")
    with pytest.raises(InvalidRequest, match="'reason'"):
        holds.place(**ROOT, reason="")
