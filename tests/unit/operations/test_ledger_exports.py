"""An export is all or nothing, for its owner only, in the ledger when asked for and fetched, and goes after a time."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from containers_app.audit import exports, ledger
from containers_app.audit.ledger import Source
from containers_app.conf import load
from containers_app.errors import AuditUnavailable, Hidden, InvalidRequest, NotFound, PermissionDenied
from containers_app.models import Operation
from containers_app.operations.backup_contents import Reader
from containers_app.operations.ledger_exports import download_export, is_there, read_export, sweep_exports
from containers_app.workflows import ledger_export
from tests import recipes
from tests.unit.audit.test_bundle import Signer
from tests.unit.operations.conftest import outcomes_of
from tests.unit.operations.keeping_bench import run

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]
API = Source(channel="api")


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    """A data folder of the test's own; the folder of exports in it."""
    settings.MYCODOCKER = {**settings.MYCODOCKER, "data_directory": str(tmp_path)}
    return tmp_path / "exports"


def export(**params: Any) -> Operation:
    user = recipes.auditor(f"aude-{uuid4().hex[:6]}")
    return run("ledgerExport", {"format": "jsonl", "since": "", "until": "", "filter": {}, **params}, user=user)


def reader(user: Any) -> Reader:
    return Reader(asker=recipes.asker(user), source=API)


def content_of(row: Operation, user: Any) -> bytes:
    found = download_export(reader(user), row.pk)
    content = b"".join(found.pieces)
    assert found.size_bytes == len(content)
    return content


def test_an_auditor_gets_what_was_asked_for_with_its_hash(folder: Path) -> None:
    row = export()
    result = row.result or {}
    content = content_of(row, recipes.auditor())
    assert (row.state, outcomes_of(row)) == ("succeeded", ["success"])
    assert (result["entries"], result["format"]) == (content.count(b"\n"), "jsonl")
    assert (result["sizeBytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (result["firstEntry"], result["lastEntry"]) == (f"{timezone.now().year}/0",) * 2


def test_the_file_is_for_its_owner_only(folder: Path) -> None:
    export()
    (path,) = folder.iterdir()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)


@pytest.mark.parametrize("form", ["csv", "ocsf"])
def test_the_other_forms_are_written_too(form: str) -> None:
    assert (export(format=form).result or {})["fileName"].endswith(form.replace("ocsf", "ocsf.jsonl"))


def test_a_bundle_needs_a_checkpoint_and_says_so(folder: Path) -> None:
    row = export(format="bundle")
    assert (row.state, row.error_code) == ("failed", "INVALID_REQUEST")
    assert "no signed checkpoint" in row.error_message
    assert list(folder.iterdir()) == []


def test_a_bundle_is_a_zip_file_and_says_what_is_not_signed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer()
    ledger.event(action="auth.login", actor=ledger.Actor(type="system"), source=API)
    signer.sizes[timezone.now().year] = 1
    monkeypatch.setattr(ledger_export, "newest_checkpoint", signer)
    row = export(format="bundle")
    assert (row.state, (row.result or {})["notSigned"]) == ("succeeded", 1)
    assert row.warnings[0]["code"] == "NOT_SIGNED_YET"
    with zipfile.ZipFile(folder / (row.result or {})["fileName"]) as archive:
        assert archive.testzip() is None


def test_a_filter_and_a_period_are_kept_in_the_ledger() -> None:
    row = export(filter={"verb": "no.such"}, since="2026-01-01T00:00:00+00:00")
    assert ((row.result or {})["entries"], (row.result or {})["firstEntry"]) == (0, "")


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"object": "h-1"}, 1),
        ({"object": "site-b"}, 1),
        ({"q": "CHG-1"}, 1),
        ({"host": "elsewhere"}, 1),
        ({"category": "config"}, 1),
        ({"phase": "event", "actorType": "system"}, 2),
        ({"denied": "true"}, 1),
        ({"reads": "true", "shard": "1999"}, 0),
        ({"denied": "true", "verb": "config.host_changed"}, 0),
    ],
)
def test_an_export_takes_the_filters_of_the_list(chosen: dict[str, str], found: int) -> None:
    about: Any = {"actor": ledger.Actor(type="system"), "source": API}
    subject = ledger.Subject(type="host", id="h-1", name="site-b", host="elsewhere")
    ledger.event(**about, action="config.host_changed", subject=subject, ticket="CHG-1")
    ledger.event(**about, action="authz.denied", outcome="denied")
    params = read_export({"format": "jsonl", "filter": chosen})
    assert (export(filter=dict(params.filter)).result or {})["entries"] == found


def test_a_filter_that_is_off_is_none() -> None:
    assert read_export({"filter": {"denied": "false", "reads": "true"}}).filter == {"reads": "true"}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"mark": "flagged"}, "'filter.mark' is not for an export"),
        ({"period": "7d"}, "'filter.period' is not for an export"),
        ({"verb": "no.such"}, "'filter.verb' must be a verb"),
        ({"outcome": "bad"}, "'filter.outcome' must be one of"),
        ({"shard": "26"}, "'filter.shard' must be a year"),
        ({"denied": "yes"}, "'filter.denied' must be true or false"),
        ({"host": "a\nb"}, "'filter.host' must be printable"),
        ({"host": ""}, "'filter.host' is required"),
        ({"who": "x"}, "unknown field 'filter.who'"),
    ],
)
def test_a_filter_that_no_file_can_have_is_refused_by_its_name(chosen: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        read_export({"filter": chosen})


def test_what_fails_in_the_middle_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    row = export()
    assert (row.state, row.error_code, outcomes_of(row)) == ("failed", "STORAGE_FULL", ["failure"])
    assert list(folder.iterdir()) == []


def test_an_export_leaves_the_reserve_of_the_disk_free(folder: Path, settings: Settings) -> None:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "backup_reserve_bytes": 1 << 62}
    row = export()
    assert (row.state, row.error_code, outcomes_of(row)) == ("failed", "STORAGE_FULL", ["failure"])
    assert row.error_message.startswith("The folder of the export needs ")
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_goes_after_an_hour_and_what_is_being_written_stays(folder: Path) -> None:
    row = export()
    left = folder / "ledger-x.zip.part"
    left.write_bytes(b"half")
    assert sweep_exports(load()) == 0
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False):
        assert (sweep_exports(load()), left.exists(), is_there(row)) == (1, False, True)


def test_a_ledger_that_goes_away_in_the_middle_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AuditUnavailable("the ledger does not answer")

    monkeypatch.setattr(exports, "in_pieces", refuse)
    row = export()
    assert (row.state, row.error_code) == ("failed", "AUDIT_UNAVAILABLE")
    assert list(folder.iterdir()) == []


def test_an_asker_who_lost_the_right_gets_nothing(folder: Path) -> None:
    row = run("ledgerExport", {"format": "jsonl"}, user=recipes.operator())
    assert (row.state, row.error_code) == ("failed", "PERMISSION_DENIED")
    assert not folder.exists()


def test_each_download_is_in_the_ledger_before_its_first_byte(break_ledger: Callable[[], Any]) -> None:
    row, user = export(), recipes.auditor()
    content_of(row, user)
    (told,) = ledger.entries().filter(action="audit.download")
    assert (told.object_id, told.actor_id) == (str(row.pk), str(user.pk))
    break_ledger()
    with pytest.raises(AuditUnavailable):
        download_export(reader(user), row.pk)


@pytest.mark.parametrize(("make", "error"), [(recipes.operator, PermissionDenied), (recipes.stranger, Hidden)])
def test_who_may_not_export_may_not_fetch_one(make: Callable[[], Any], error: type[Exception]) -> None:
    row = export()
    with pytest.raises(error):
        download_export(reader(make()), row.pk)


def test_the_id_of_another_operation_is_no_export() -> None:
    other = recipes.operation()
    with pytest.raises(NotFound):
        download_export(reader(recipes.auditor()), other.pk)


def test_an_export_that_failed_has_no_file() -> None:
    row = export(format="bundle")
    assert not is_there(row)
    with pytest.raises(NotFound, match="not finished, or it failed"):
        download_export(reader(recipes.auditor()), row.pk)


def test_a_file_goes_after_its_time_and_the_record_stays(folder: Path) -> None:
    row = export()
    assert (sweep_exports(load()), is_there(row)) == (0, True)
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=False):
        assert sweep_exports(load()) == 1
    assert list(folder.iterdir()) == []
    with pytest.raises(NotFound, match="MYCO_EXPORT_DAYS"):
        download_export(reader(recipes.auditor()), row.pk)


def test_a_sweep_without_exports_finds_nothing() -> None:
    assert sweep_exports(load()) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"format": "pdf"}, "format"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-30T12:00:00"}, "since"),
        ({"since": 5}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "until"),
        ({"until": "9999-12-31"}, "until"),
        ({"filter": []}, "filter"),
        ({"filter": {"who": "x"}}, "filter.who"),
        ({"filter": {"actor": 7}}, "filter.actor"),
        ({"filter": {"actor": ""}}, "filter.actor"),
        ({"filter": {"actor": "a\x00"}}, "filter.actor"),
    ],
)
def test_a_wrong_wish_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_export(body)
    assert caught.value.field == field


def test_the_last_day_belongs_to_the_period_and_a_moment_is_exact() -> None:
    days = read_export({"since": "2026-11-01", "until": "2026-11-30"})
    assert (days.since, days.until) == ("2026-11-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00")
    moment = read_export({"until": "2026-11-30T13:00:00+01:00", "filter": {"actor": "7"}})
    assert (moment.until, moment.since, moment.format) == ("2026-11-30T12:00:00+00:00", "", "bundle")
    assert moment.selection().words() == {
        "since": None,
        "until": "2026-11-30T12:00:00.000000Z",
        "filter": {"actor": "7"},
    }
