"""Old payloads go by policy and in batches; hashes stay, the ledger tells of it, and every check says "pruned"."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from containers_app.audit import appending, exports, guards, holds, ledger, pruning, removing
from containers_app.audit.models import Disclosure, Entry
from containers_app.audit.pruning import By, OldShard, prune
from containers_app.audit.record import Actor, Source, Subject
from containers_app.audit.selection import Selection
from containers_app.errors import AuditUnavailable, InvalidRequest, LedgerHeld
from containers_app.specs.receipt import Receipt
from tests.unit.audit.test_bundle import Signer, bundle_of, checked, member
from tests.unit.audit.test_verifier import Auditor, all_words

Begin = Callable[..., Receipt]
End = Callable[..., int]
Tamper = Callable[..., None]
pytestmark = pytest.mark.django_db(databases=["default", "audit"])

KEEP_YEARS = 3
OLD = 2020
THIS_YEAR = str(datetime.now(UTC).year)
BY = By(actor=Actor(type="user", id="1", label="root"), source=Source(channel="cli"), reason="three years are over")


@pytest.fixture
def old(begin: Begin, end: End, monkeypatch: pytest.MonkeyPatch) -> OldShard:
    """A shard of seven entries of 2020, one of which stays, and the shard of today; the guards are there."""
    guards.install()
    with monkeypatch.context() as patched:
        patched.setattr(appending, "_now", lambda: datetime(OLD, 5, 1, tzinfo=UTC))
        for _ in range(3):
            end(begin(reason="because").operation_id)
        holds.release(holds.place(actor=BY.actor, source=BY.source, reason="x").id, **acts())
    begin()
    return found()


def acts() -> dict[str, Any]:
    return {"actor": BY.actor, "source": BY.source, "reason": BY.reason}


def found() -> OldShard:
    (one,) = pruning.old_shards(KEEP_YEARS)
    return one


def pruned_rows() -> list[Entry]:
    return list(Entry.objects.filter(shard=OLD, payload="").order_by("leaf_index"))


def run(one: OldShard, **more: Any) -> pruning.Pruned:
    return prune(one, BY, keep_years=KEEP_YEARS, **{"without_export": True, **more})


def test_payloads_and_their_values_go_and_hashes_stay(old: OldShard) -> None:
    before = dict(Entry.objects.filter(shard=OLD).values_list("leaf_index", "leaf_hash"))
    assert (old.size, old.left, old.exported) == (8, 6, "")
    done = run(old)
    assert (done.entries, done.kept) == (6, 2)
    assert done.values == 21  # three values of each of six entries, and three reasons
    assert dict(Entry.objects.filter(shard=OLD).values_list("leaf_index", "leaf_hash")) == before
    row = pruned_rows()[0]
    assert (row.action, row.actor_id, row.object_name, row.operation_id) == ("", "", "", "")
    assert row.time == datetime(OLD, 1, 1, tzinfo=UTC)
    assert not Disclosure.objects.filter(kind="reason", text__contains='"because"').exists()
    assert [hold.is_active for hold in holds.holds()] == [False]


def test_the_ledger_tells_of_it_first_and_last(old: OldShard) -> None:
    run(old)
    begun, ended = (json.loads(row.payload) for row in Entry.objects.order_by("-id")[:2][::-1])
    root = ledger.self_check(OLD).root
    assert begun["action"] == "audit.prune"
    assert begun["details"] == {
        **{"shard": OLD, "start": 0, "end": 8, "root": root},
        "policy": {"keep_years": KEEP_YEARS, "export": "none"},
    }
    assert (ended["action"], ended["details"]) == ("audit.pruned", {"pruned": 6, "values": 21, "kept": 2})
    assert ledger.disclosed(Entry.objects.get(action="audit.prune"))["reason"] == BY.reason


def test_the_self_check_says_pruned_and_not_tampered(old: OldShard) -> None:
    before = ledger.self_check(OLD)
    run(old)
    for quick in (False, True):
        after = ledger.self_check(OLD, quick=quick)
        assert (after.problems, after.root, after.pruned) == ((), before.root, 6)
    assert pruning.old_shards(KEEP_YEARS) == []


def test_a_payload_that_is_gone_without_a_record_is_damage(old: OldShard, tamper: Tamper) -> None:
    tamper("DROP TRIGGER audit_entry_no_update")
    tamper("UPDATE audit_entry SET payload = '' WHERE leaf_index = 3")
    assert "no entry tells that it was pruned" in "\n".join(ledger.self_check(OLD).problems)
    guards.install()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE audit_entry SET leaf_hash = 'ab' WHERE shard = 2020 AND leaf_index = 3", "not the one of the head"),
        ("UPDATE audit_entry SET ticket = 'x' WHERE shard = 2020 AND leaf_index = 3", "ticket is not what"),
        ("UPDATE audit_entry SET payload = 'x' WHERE shard = 2020 AND leaf_index = 3", "stored hash"),
        ("UPDATE audit_entry SET payload = replace(payload, 'because', 'x') WHERE action = 'audit.prune'", ""),
        (
            "UPDATE audit_entry SET payload = replace(payload, '\"end\":8', '\"end\":2') WHERE action = 'audit.prune'",
            "no entry tells",
        ),
    ],
)
def test_what_is_done_to_a_pruned_shard_is_found(old: OldShard, tamper: Tamper, statement: str, finding: str) -> None:
    run(old)
    tamper("DROP TRIGGER audit_entry_no_update")
    tamper(statement)
    assert finding in "\n".join(ledger.self_check(OLD).problems)


def test_killed_in_between_and_run_again_it_ends_the_same(old: OldShard, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def dying(commitments: list[str], using: str) -> int:
        taken.append(len(commitments))
        if len(taken) == 3:
            raise KeyboardInterrupt  # as a kill: nobody can tell of it
        return removing.delete_disclosures(commitments, using)

    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(pruning, "delete_disclosures", dying)
    with pytest.raises(KeyboardInterrupt):
        run(old)
    assert len(pruned_rows()) in (0, 2)
    assert ledger.self_check(OLD).is_clean
    assert guards.missing_guards() == []
    monkeypatch.undo()
    again = found()
    assert again.left == 6 - len(pruned_rows())
    run(again)
    assert (len(pruned_rows()), ledger.self_check(OLD).pruned) == (6, 6)


def test_a_failure_in_between_is_told(old: OldShard, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(commitments: list[str], using: str) -> int:
        raise AuditUnavailable("the disk is gone")

    monkeypatch.setattr(pruning, "delete_disclosures", failing)
    with pytest.raises(AuditUnavailable):
        run(old)
    ended = json.loads(Entry.objects.latest("id").payload)
    assert (ended["action"], ended["outcome"], ended["error"]["code"]) == (
        "audit.pruned",
        "failure",
        "AUDIT_UNAVAILABLE",
    )
    assert pruned_rows() == []


def test_a_hold_stops_it(old: OldShard) -> None:
    holds.place(**acts())
    with pytest.raises(LedgerHeld):
        run(old)
    assert pruned_rows() == []


def test_the_shard_that_is_written_to_and_younger_ones_are_never_pruned(old: OldShard) -> None:
    newest = OldShard(shard=datetime.now(UTC).year, size=1, left=1, exported="x")
    with pytest.raises(InvalidRequest, match="is written to"):
        run(newest)
    assert pruning.old_shards(datetime.now(UTC).year - OLD) == []
    with pytest.raises(InvalidRequest, match="MYCO_LEDGER_KEEP_YEARS"):
        pruning.old_shards(0)


def test_the_last_shard_is_written_to_however_old_it_is(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "_now", lambda: datetime(OLD, 5, 1, tzinfo=UTC))
    begin()
    assert pruning.old_shards(KEEP_YEARS) == []


def test_a_shard_that_does_not_verify_is_kept(old: OldShard, tamper: Tamper) -> None:
    tamper("DROP TRIGGER audit_entry_no_update")
    tamper("UPDATE audit_entry SET payload = replace(payload, 'web-1', 'web-9') WHERE leaf_index = 3")
    with pytest.raises(InvalidRequest, match="does not verify"):
        run(old)


def test_a_reason_is_needed(old: OldShard) -> None:
    with pytest.raises(InvalidRequest, match="'reason'"):
        prune(old, By(actor=BY.actor, source=BY.source, reason=""), keep_years=KEEP_YEARS, without_export=True)


@pytest.mark.parametrize(
    ("params", "details", "covers"),
    [
        ({"format": "bundle"}, {"first": "2020/0", "last": "2020/7"}, True),
        ({"format": "bundle"}, {"result": {"firstEntry": "2019/3", "lastEntry": "2026/0"}}, True),
        ({"format": "bundle"}, {"first": "2020/1", "last": "2020/7"}, False),
        ({"format": "bundle"}, {"first": "2020/0", "last": "2020/6"}, False),
        ({"format": "bundle", "filter": {"actor": "7"}}, {"first": "2020/0", "last": "2020/7"}, False),
        ({"format": "csv"}, {"first": "2020/0", "last": "2020/7"}, False),
    ],
)
def test_a_bundle_of_the_whole_shard_comes_first(
    old: OldShard, params: dict[str, Any], details: dict[str, Any], covers: bool
) -> None:
    with pytest.raises(InvalidRequest, match="no bundle was exported"):
        run(old, without_export=False)
    about: dict[str, Any] = {
        **{"action": "audit.export", "actor": BY.actor, "source": BY.source},
        **{"subject": Subject(type="ledger"), "operation_id": "op-1"},
    }
    ledger.intent(**about, params=params)
    ledger.outcome(**about, outcome="success", details=details)
    assert bool(found().exported) is covers


def test_the_verifier_says_pruned_and_where_it_is_recorded(old: OldShard, tmp_path: Path) -> None:
    signer, auditor = Signer(), Auditor(tmp_path)
    run(old)
    content, written = bundle_of(signer)
    seen = checked(auditor, signer, content)
    assert (seen["code"], seen["problems"]) == (0, [])
    assert "6 entries of 2020 were pruned" in all_words(seen)
    assert f"{datetime.now(UTC).year}/" in all_words(seen)
    assert (written.first, written.entries) == ("2020/6", 6)
    lines = member(content, "2020/entries.jsonl").splitlines()
    assert [line[:1] == b"#" for line in lines] == [True] * 6 + [False] * 2


@pytest.mark.parametrize(
    ("verdict", "quick", "selection"),
    [
        ((2, "--quick does not look"), ["--quick"], {}),
        ((0, "up to 6 entries of 2020 were pruned"), [], {"equal": {"actor": "1"}}),
        ((0, "nothing here records it"), [], {"equal": {"actor": "7"}}),
        ((0, "6 entries of 2020"), [], {"since": datetime(OLD, 1, 1, tzinfo=UTC)}),
        ((2, "ask for all until now"), [], {"until": datetime(OLD, 6, 1, tzinfo=UTC)}),
    ],
)
def test_a_part_of_it_is_verified_where_the_entry_that_records_it_is_there(
    old: OldShard, tmp_path: Path, verdict: tuple[int, str], quick: list[str], selection: dict[str, Any]
) -> None:
    signer, auditor = Signer(), Auditor(tmp_path)
    run(old)
    content, _ = bundle_of(signer, **selection)
    seen = auditor.check(content, *quick, vkey=signer.vkeys())
    assert (seen["code"], seen["problems"]) == (verdict[0], [])
    assert verdict[1] in all_words(seen)


def test_a_bundle_in_the_middle_of_a_pruning_is_verified(
    old: OldShard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer, auditor = Signer(), Auditor(tmp_path)
    taken: list[int] = []

    def dying(commitments: list[str], using: str) -> int:
        taken.append(1)
        if len(taken) == 6:
            raise KeyboardInterrupt
        return removing.delete_disclosures(commitments, using)

    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(pruning, "delete_disclosures", dying)
    with pytest.raises(KeyboardInterrupt):
        run(old)
    assert 0 < len(pruned_rows()) < 6
    content, _ = bundle_of(signer, since=datetime(OLD, 4, 1, tzinfo=UTC))
    assert (checked(auditor, signer, content)["code"], len(pruned_rows())) == (0, 2)


def test_a_bundle_that_claims_a_pruning_that_is_not_recorded_is_found(old: OldShard, tmp_path: Path) -> None:
    signer, auditor = Signer(), Auditor(tmp_path)
    run(old)
    content, _ = bundle_of(signer)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["manifest.json"])
    manifest["shards"] = manifest["shards"][:1]
    manifest["files"] = [one for one in manifest["files"] if not one["path"].startswith(THIS_YEAR)]
    files["manifest.json"] = json.dumps(manifest).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            if not name.startswith(THIS_YEAR):
                archive.writestr(name, text)
    seen = checked(auditor, signer, target.getvalue())
    assert (seen["code"], "nothing here records it" in all_words(seen)) == (1, True)


def test_other_exports_and_lists_say_pruned(old: OldShard) -> None:
    run(old)
    assert ledger.disclosed(pruned_rows()[0]) == {"pruned": True}
    for form in exports.FORMS:
        target = io.BytesIO()
        exports.write_entries(target, Selection(), form=form)
        assert len(target.getvalue().strip().splitlines()) >= Entry.objects.count()
