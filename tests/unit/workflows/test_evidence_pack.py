"""The evidence pack: true counts, each row on its leaf, nothing cut off in silence, nothing claimed without a proof."""

from __future__ import annotations

import csv
import hashlib
import io
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from containers_app.audit.appending import writable
from containers_app.audit.bundle import NothingSigned
from containers_app.audit.evidence import Told
from containers_app.audit.ledger import Subject
from containers_app.audit.models import Anchoring, Disclosure, Entry, SignedCheckpoint
from containers_app.audit.selection import Selection
from containers_app.models import ApiKey
from containers_app.workflows.evidence_pack.sections import section_of
from tests import recipes
from tests.unit.audit.test_verifier import Auditor
from tests.unit.workflows.evidence_bench import (
    FACES,
    FORMULA,
    MARKUP,
    NOVEMBER,
    REORDERED,
    SAVED,
    WISH,
    Bench,
    Clock,
    Pack,
    begin,
    done,
    end,
    event,
)

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
EVENTS = (
    *("auth.login", "access.user_changed", "config.host_changed", "backup.pinned", "backup.download", "audit.view"),
    *("engine.unattributed", "backup.found_corrupt", "audit.rotate_key", "system.start", "audit.hold_placed"),
    *("backup.found_complete", "audit.view_entry", "privacy.erase", "engine.events_lost"),
)
# What these say makes sense of its own to who verifies, so they are not among all sorts.
PECULIAR = ("operation.fenced", "audit.accept_rollback")
OPERATIONS = (
    *("container.backup", "backup.verify", "backup.drill", "backup.restore", "container.clone", "backup.delete"),
    *("container.stop", "audit.export"),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("containers_app.workflows.evidence_pack.pack.pdf_of", lambda html: b"%PDF")
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def all_sorts(clock: Clock) -> None:
    """One of each in November, and others around it."""
    clock.at(30, month=10)
    early = begin("container.backup", "early")
    done("container.backup", "october")
    clock.at(3)
    end(early, "container.backup", "early", result=SAVED)
    for action in OPERATIONS:
        done(action, result=SAVED)
    for action in EVENTS:
        event(action)
    event("authz.denied", outcome="denied", error_code="PERMISSION_DENIED", suppressed=4)
    event("auth.login_failed", outcome="failure", error_code="LOGIN_FAILED")
    done("container.backup", "lost", outcome="unknown")
    late = begin("container.backup", "late")
    begin("container.backup", "open")
    clock.at(1, month=12)
    end(late, "container.backup", "late")


def leaf_of(pack: Pack, place: str) -> bytes:
    """The leaf hash at a place of the bundle, from the line itself or as it is withheld."""
    shard, _, index = place.partition("/")
    line = pack.bundle().read(f"{shard}/entries.jsonl").splitlines()[int(index)]
    return b64decode(line[1:]) if line[:1] == b"#" else hashlib.sha256(b"\x00" + line).digest()


def test_each_entry_of_the_period_stands_in_one_table_or_is_named_by_its_end(all_sorts: None, bench: Bench) -> None:
    pack = bench.pack()
    rows = [row["leaf"] for table in pack.facts["tables"] for row in table["rows"] if "leafHash" in row]
    twice = sorted(place for place in set(rows) if rows.count(place) > 1)
    lost = next(row["leaf"] for row in pack.rows("backups") if row["object"] == "lost")
    assert twice == [lost]  # an unknown outcome stands among the backups and among the unknown
    assert len(set(rows)) + pack.cover["intentsCited"] == pack.cover["entries"] == pack.written.entries
    assert sum(row["entries"] for row in pack.rows("actions")) == pack.cover["entries"]
    assert sum(row["all"] for row in pack.rows("summary")) == len(set(rows))
    november = Entry.objects.filter(time__gte=NOVEMBER.since, time__lt=NOVEMBER.until)
    assert pack.cover["entries"] == november.count()


def test_each_row_names_a_leaf_that_the_bundle_proves(all_sorts: None, bench: Bench, tmp_path: Path) -> None:
    pack, auditor = bench.pack(), Auditor(tmp_path)
    rows = [row for table in pack.facts["tables"] for row in table["rows"] if row.get("leafHash")]
    assert len(rows) > 20
    assert [row for row in rows if leaf_of(pack, row["leaf"]).hex() != row["leafHash"]] == []
    found = auditor.check(pack.read("bundle.zip"), vkey=bench.signer.vkeys())
    assert (found["code"], found["problems"]) == (0, []), found["why"]
    assert hashlib.sha256(pack.read("bundle.zip")).hexdigest() == pack.cover["bundle"]["sha256"]
    assert hashlib.sha256(pack.read("evidence.json")).hexdigest() in pack.text("evidence.html")


@pytest.mark.parametrize("action", [*OPERATIONS, *EVENTS, *PECULIAR])
def test_each_action_has_the_table_that_it_is_looked_for_in(action: str, clock: Clock, bench: Bench) -> None:
    tables = {
        "container.backup": "backups",
        "backup.verify": "verifications",
        "backup.found_corrupt": "verifications",
        "backup.drill": "drills",
        "backup.restore": "restores",
        "container.clone": "clones",
        "backup.delete": "deletions",
        "container.stop": "lifecycle",
        "audit.export": "reads",
        "audit.view": "reads",
        "backup.download": "reads",
        "auth.login": "signIns",
        "access.user_changed": "access",
        "config.host_changed": "configuration",
        "backup.pinned": "retention",
        "engine.unattributed": "unattributed",
        "engine.events_lost": "unattributed",
        "audit.rotate_key": "ledger",
        "system.start": "system",
        "operation.fenced": "unknown",
        "backup.found_complete": "verifications",
        "audit.hold_placed": "retention",
        "audit.view_entry": "reads",
        "audit.accept_rollback": "ledger",
        "privacy.erase": "retention",
    }
    if action in OPERATIONS:
        done(action)
    else:
        event(action)
    assert bench.pack().row(tables[action], "action", "leaf") == (
        action,
        "2026/1" if action in OPERATIONS else "2026/0",
    )


@pytest.mark.parametrize(
    ("action", "section"), [("plan.changed", "plans"), ("config.plan_added", "plans"), ("new.thing", "other")]
)
def test_an_action_of_a_later_version_has_a_table_too(action: str, section: str) -> None:
    payload = {"phase": "event", "outcome": "success", "action": action, "category": "config"}
    assert section_of(Told(place="2026/0", leaf_hash="", payload=payload)).name == section


def test_pruned_entries_stand_on_the_first_page(clock: Clock, bench: Bench) -> None:
    event("auth.login")
    event("auth.login")
    writable(Entry).filter(leaf_index=0).update(payload="")
    pack = bench.pack()
    assert (pack.cover["pruned"], pack.cover["entries"], len(pack.rows("signIns"))) == ({"2026": 1}, 1, 1)
    assert any(words.startswith("1 entries of shard 2026 were pruned") for words in pack.cover["unproven"])


def test_a_backup_has_what_its_intent_and_its_end_say(clock: Clock, bench: Bench) -> None:
    done("container.backup", result={**SAVED, "consistencyGrade": "paused"})
    row = bench.pack().row("backups")
    assert isinstance(row, dict)
    assert {name: row[name] for name in ("object", "host", "outcome", "where", "sizeBytes", "grade", "encryption")} == {
        "object": "web",
        "host": "local",
        "outcome": "success",
        "where": "/backups",
        "sizeBytes": 4096,
        "grade": "paused",
        "encryption": "age",
    }
    assert [row[name] for name in ("who", "reason", "ticket", "intent")] == ["olga", "monthly", "C-1", "2026/0"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "success"),
        ({"state": "partial"}, "partial"),
        ({"result": {"dryRun": True}}, "dry run"),
        ({"outcome": "failure", "state": "failed", "error_code": "STORAGE_FULL", "error_message": "full"}, "failure"),
        ({"outcome": "error"}, "error"),
        ({"outcome": "unknown"}, "unknown"),
    ],
)
def test_only_what_succeeded_whole_counts_as_a_success(
    fields: dict[str, Any], word: str, clock: Clock, bench: Bench
) -> None:
    done("container.clone", **fields)
    pack = bench.pack()
    counted = next(row for row in pack.rows("summary") if row["table"] == "Clones")
    assert (counted[word], counted["all"]) == (1, 1)
    row = pack.rows("clones")[0]
    assert (row["outcome"], row["error"]) == (word, "STORAGE_FULL: full" if word == "failure" else "")


def test_an_end_names_an_intent_from_before_the_period_and_its_reason(all_sorts: None, bench: Bench) -> None:
    pack = bench.pack()
    row = next(row for row in pack.rows("backups") if row["object"] == "early")
    assert (row["intent"], row["reason"]) == ("2026/0", "monthly")
    assert not [row for row in pack.rows("backups") if row["object"] in ("october", "late")]


def test_what_did_not_end_in_the_period_is_said(all_sorts: None, bench: Bench) -> None:
    found = {row["object"]: (row["outcome"], row["ended"]) for row in bench.pack().rows("unknown")}
    last = Entry.objects.order_by("-id").values_list("leaf_index", flat=True)[0]
    assert found == {
        "late": ("not ended", f"2026/{last}"),
        "open": ("not ended", ""),
        "lost": ("unknown", ""),
    }


@pytest.mark.parametrize(
    ("result", "goals", "judged"),
    [
        ({"rtoSeconds": 60_000, "rpoSeconds": 7_200_000}, {"rto_seconds": 60, "rpo_seconds": 7199}, ("met", "missed")),
        ({"rtoSeconds": 60_001, "rpoSeconds": 0}, {"rto_seconds": 60, "rpo_seconds": 1}, ("missed", "met")),
        ({"rtoSeconds": 60_000, "rpoSeconds": 1}, {}, ("", "")),
        ({}, {"rto_seconds": 60}, ("not attained", "")),
    ],
)
def test_drills_are_compared_with_the_goals(
    result: dict[str, int], goals: dict[str, int], judged: tuple[str, str], clock: Clock, bench: Bench
) -> None:
    done("backup.drill", result=result)
    assert bench.pack(NOVEMBER, operation_id="none", **goals).row("drills", "rtoGoal", "rpoGoal") == judged


def test_a_drill_that_failed_attains_no_goal(clock: Clock, bench: Bench) -> None:
    done("backup.drill", outcome="failure", result={"rtoSeconds": 1, "rpoSeconds": 1})
    assert bench.pack(rto_seconds=60).row("drills", "rtoGoal", "outcome") == ("not attained", "failure")


def test_refused_attempts_are_counted_with_those_that_a_flood_left_out(all_sorts: None, bench: Bench) -> None:
    pack = bench.pack()
    assert [row["action"] for row in pack.rows("denied")] == ["authz.denied", "auth.login_failed"]
    assert pack.cover["refusedAttempts"] == 6


def test_erased_values_read_erased_and_their_leaf_stays(clock: Clock, bench: Bench) -> None:
    done("backup.delete")
    writable(Disclosure).all().delete()
    pack = bench.pack()
    assert pack.row("deletions", "who", "reason", "ticket") == ("erased", "erased", "C-1")
    assert pack.cover["checkpoints"][0]["selfCheck"]["clean"] is True


def test_a_long_table_is_whole_in_the_files_and_the_page_says_so(clock: Clock, bench: Bench) -> None:
    for number in range(205):
        event("auth.login", subject=Subject(type="user", id=str(number)))
    pack, words = bench.pack(), "The first 200 of 205 rows; all 205 are in tables/signIns.csv and in evidence.json"
    assert words in pack.text("evidence.html")
    assert (len(pack.rows("signIns")), pack.tables()["signIns"]["count"]) == (205, 205)
    table = list(csv.DictReader(io.StringIO(pack.text("tables/signIns.csv"))))
    assert [row["object"] for row in table] == [str(number) for number in range(205)]
    assert pack.text("evidence.html").count('<td dir="auto">auth.login</td>') == 200 + 1  # and once in the counts


@pytest.mark.parametrize("name", [MARKUP, FORMULA, REORDERED, FACES])
def test_a_hostile_name_is_text_everywhere(name: str, clock: Clock, bench: Bench) -> None:
    done("container.backup", name, wish={**WISH, "reason": name})
    recipes.container(name=name, image=name)
    pack = bench.pack()
    html, table = pack.text("evidence.html"), pack.text("tables/inventory.csv")
    assert "<script" not in html
    assert "\u202e" not in html + table + pack.text("evidence.json")
    (cell,) = (row["container"] for row in csv.DictReader(io.StringIO(table)))
    assert not cell.startswith("=")
    shown = {MARKUP: "&lt;script&gt;x", FORMULA: "=cmd|&#x27;/C", REORDERED: "a\\u202egnp.exe", FACES: FACES}[name]
    assert html.count(shown) >= 4


def test_the_page_fetches_nothing_and_runs_nothing(all_sorts: None, bench: Bench) -> None:
    html = bench.pack().text("evidence.html")
    assert "default-src 'none'" in html
    assert not [word for word in ("src=", "href=", "url(", "@import", "<script", "<link") if word in html]


def test_entries_that_are_not_signed_are_left_out_and_counted(all_sorts: None, bench: Bench) -> None:
    bench.signer.sizes[2026] = 5
    pack = bench.pack()
    newer = Entry.objects.count() - 5
    assert (pack.cover["notSigned"], pack.written.newer) == (newer, newer)
    assert any(words.startswith(f"{newer} entries are newer") for words in pack.cover["unproven"])
    assert {row["leaf"] for row in pack.rows("backups")} == {"2026/3"}


def test_damage_stands_on_the_first_page(clock: Clock, bench: Bench) -> None:
    done("container.backup")
    pack = bench.pack()
    assert not any("self-check" in words for words in pack.cover["unproven"])
    writable(Entry).filter(leaf_index=0).update(actor_id="somebody else")
    pack = bench.pack()
    assert pack.cover["checkpoints"][0]["selfCheck"]["problems"] == ["entry 0: actor_id is not what the payload says"]
    assert "DAMAGED" in pack.text("evidence.html")
    assert any("The self-check of test/audit/2026 found damage" in words for words in pack.cover["unproven"])


def test_an_end_whose_intent_was_changed_names_none(clock: Clock, bench: Bench) -> None:
    done("container.backup")
    payload = Entry.objects.get(leaf_index=0).payload.replace('"C-1"', '"C-2"')
    writable(Entry).filter(leaf_index=0).update(payload=payload)
    pack = bench.pack()
    assert pack.row("backups", "intent", "ticket") == ("", "")
    assert pack.row("unknown", "object", "ticket", "ended") == ("web", "C-2", "")


def test_a_clock_that_went_back_is_said(clock: Clock, bench: Bench) -> None:
    clock.at(5)
    event("auth.login")
    clock.at(4)
    event("auth.login")
    assert bench.pack().row("clock", "leaf", "time") == ("2026/1", "2026-11-04T12:00:00.000000Z")


def test_who_asked_and_why_stands_on_the_first_page_with_its_entry(clock: Clock, bench: Bench) -> None:
    identifier = begin("audit.export", wish={"reason": "yearly audit", "ticket": "AUD-9"})
    cover = bench.pack(operation_id=identifier).cover
    assert [cover["asked"][name] for name in ("by", "reason", "ticket", "leaf")] == [
        *("olga", "yearly audit", "AUD-9", "2026/0")
    ]


def test_people_and_keys_are_listed_without_secrets(clock: Clock, bench: Bench) -> None:
    event("auth.login")
    key = recipes.key_of(recipes.auditor(), "ledger", "export")
    pack = bench.pack()
    listed = pack.row("keys", "prefix", "owner", "scopes", "alive")
    assert listed == (key.split("_")[1], "aude", ["ledger", "export"], True)
    assert pack.row("users", "name", "groups", "superuser") == ("aude", ["auditors"], False)
    rights = {row["name"]: row for row in pack.rows("groups")}["auditors"]
    assert (rights["members"], "audit.view_entry" in rights["rights"]) == (1, True)
    whole = b"".join(pack.read(name) for name in pack.archive.namelist())
    assert key.encode() not in whole
    assert ApiKey.objects.get().digest.encode() not in whole


def test_containers_are_listed_by_how_they_are_protected(clock: Clock, bench: Bench) -> None:
    event("auth.login")
    recipes.backup(container=recipes.container(), created_at=datetime.now(UTC) - timedelta(days=30))
    recipes.container(name="bare", engine_id="b" * 64)
    pack = bench.pack()
    states = {row["state"]: row["containers"] for row in pack.rows("coverage")}
    assert [states[name] for name in ("stale", "never", "protected", "all containers")] == [1, 1, 0, 2]
    assert "As of now" in pack.tables()["coverage"]["note"]
    assert "not proven" in pack.tables()["inventory"]["source"]


def test_checkpoints_times_without_one_and_anchors_are_listed(clock: Clock, bench: Bench) -> None:
    event("auth.login")
    begun = datetime(2026, 11, 2, tzinfo=UTC)
    about: dict[str, Any] = {"shard": 2026, "size": 1, "root": "00" * 32}
    for moment in (begun - timedelta(days=2), begun, begun + timedelta(seconds=5), begun + timedelta(days=60)):
        row = SignedCheckpoint(**about, origin="test/audit/2026", vkey="k", note="note\n", signed_at=moment)
        writable(SignedCheckpoint).bulk_create([row])
    target: dict[str, Any] = {"kind": "syslog", "target": "logs", "is_done": False, "error": "away"}
    writable(Anchoring).bulk_create([Anchoring(**about, **target, at=begun)])
    pack = bench.pack()
    assert [row["signedAt"][:19] for row in pack.rows("checkpoints")] == ["2026-11-02T00:00:00", "2026-11-02T00:00:05"]
    assert pack.row("gaps", "seconds") == (2 * 86_400,)
    assert pack.row("anchors", "done", "error") == (False, "away")


def test_a_period_without_entries_is_an_answer(all_sorts: None, bench: Bench) -> None:
    pack = bench.pack(Selection(since=datetime(2027, 1, 1, tzinfo=UTC)))
    assert (pack.cover["entries"], pack.written.first) == (0, "")
    assert pack.cover["until"] is None


def test_without_a_checkpoint_there_is_no_pack(bench: Bench) -> None:
    with pytest.raises(NothingSigned):
        bench.pack()
