"""Entries as JSONL, CSV and OCSF: all of them, in order, with nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from containers_app.audit import ledger, selection
from containers_app.audit.exports import CSV_COLUMNS, write_entries
from containers_app.audit.merkle import leaf_hash
from containers_app.audit.models import Entry
from containers_app.audit.ocsf import VERSION
from containers_app.audit.record import Actor, Source, Subject
from containers_app.audit.selection import Selection
from containers_app.specs.receipt import Receipt

Begin = Callable[..., Receipt]
End = Callable[..., int]
pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture
def recorded(begin: Begin, end: End) -> None:
    for number in range(3):
        receipt = begin(ticket=f"CHG-{number}")
        end(receipt.operation_id, outcome="failure", error_code="CLONE_FAILED", error_message="=1+1")


def export(form: str, **chosen: Any) -> tuple[str, Any]:
    target = io.BytesIO()
    written = write_entries(target, Selection(**chosen), form=form)
    return target.getvalue().decode(), written


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_jsonl_is_the_stored_text_and_hashes_to_the_leaves(recorded: None) -> None:
    text, written = export("jsonl")
    leaves = [leaf_hash(line.encode()).hex() for line in text.splitlines()]
    assert leaves == list(Entry.objects.order_by("leaf_index").values_list("leaf_hash", flat=True))
    (year,) = set(Entry.objects.values_list("shard", flat=True))
    assert (written.entries, written.first, written.last) == (6, f"{year}/0", f"{year}/5")


def test_nothing_is_lost_between_pieces(recorded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = export("jsonl")
    monkeypatch.setattr(selection, "ROWS_AT_ONCE", 2)
    assert export("jsonl") == whole


def test_a_filter_and_a_period_choose(recorded: None) -> None:
    assert export("jsonl", equal={"ticket": "CHG-1"})[1].entries == 1
    later = Entry.objects.order_by("leaf_index")[2].time
    assert export("jsonl", since=later)[1].entries == 4
    assert export("jsonl", until=later)[1].entries == 2
    assert export("jsonl", since=later, until=later) == ("", export("jsonl", since=later, until=later)[1])


def test_csv_has_names_places_and_hashes(recorded: None) -> None:
    text, _ = export("csv")
    found = rows(text)
    assert len(found) == 6
    assert list(found[0]) == ["shard", "leaf_index", "leaf_hash", *CSV_COLUMNS]
    assert (found[0]["actor"], found[0]["address"], found[0]["object"]) == ("alice@example.org", "192.0.2.7", "web-1")
    assert text.endswith("\r\n")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "=a,b"])
def test_no_cell_is_a_formula(name: str, begin: Begin) -> None:
    begin(subject=Subject(type="container", name=name))
    assert rows(export("csv")[0])[0]["object"] == f"'{name}"


def test_a_negative_reading_of_other_cells_stays(begin: Begin, end: End) -> None:
    end(begin().operation_id, size_bytes=0)
    assert rows(export("csv")[0])[1]["size_bytes"] == "0"


def test_an_erased_value_reads_erased(recorded: None, tamper: Callable[..., None]) -> None:
    tamper("DELETE FROM audit_disclosure")
    assert {row["actor"] for row in rows(export("csv")[0])} == {"erased"}
    assert all("ip" not in event["src_endpoint"] for event in events())


def events(**chosen: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in export("ocsf", **chosen)[0].splitlines()]


def test_ocsf_has_what_its_class_requires(recorded: None) -> None:
    for event, entry in zip(events(), Entry.objects.order_by("leaf_index"), strict=True):
        assert (event["class_uid"], event["category_uid"]) == (6003, 6)
        assert event["type_uid"] == 600300 + event["activity_id"]
        assert event["metadata"]["version"] == VERSION
        assert event["metadata"]["sequence"] == entry.leaf_index
        assert event["metadata"]["uid"] == json.loads(entry.payload)["id"]
        assert event["time"] == int(entry.time.timestamp() * 1000)
        assert event["unmapped"]["leaf_hash"] == entry.leaf_hash
        assert event["actor"]["user"]["name"] == "alice@example.org"
        assert event["src_endpoint"] == {"name": "api", "ip": "192.0.2.7"}
        assert event["api"]["operation"] == "container.clone"
        assert event["resources"][0]["name"] == "web-1"


def test_ocsf_tells_an_intent_from_its_end(recorded: None) -> None:
    intent, outcome = events()[:2]
    assert (intent["status_id"], intent["activity_name"], intent["unmapped"]["phase"]) == (0, "Create", "intent")
    assert (outcome["status_id"], outcome["status_code"], outcome["status_detail"]) == (2, "CLONE_FAILED", "=1+1")


def test_ocsf_of_what_has_no_member_there_says_other(alice: Actor, origin: Source) -> None:
    ledger.event(action="authz.denied", actor=alice, source=origin, outcome="denied")
    (event,) = events()
    assert (event["activity_id"], event["activity_name"], event["severity"]) == (99, "denied", "Medium")
    assert "resources" not in event


def test_what_is_recorded_meanwhile_is_not_in_it(recorded: None, begin: Begin) -> None:
    target, asked = io.BytesIO(), []

    def record_more() -> None:
        asked.append(begin())

    assert write_entries(target, Selection(), form="jsonl", checkpoint=record_more).entries == 6
    assert len(asked) == 1


def test_an_empty_ledger_is_an_empty_file_with_a_header() -> None:
    assert export("jsonl")[0] == ""
    assert export("csv")[0].count("\r\n") == 1
