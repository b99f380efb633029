"""The evidence pack as an operation: for who may see what it tells, all or nothing, and honest without its PDF."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import Permission
from pypdf import PdfReader
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.audit.ledger import Source
from containers_app.errors import AuditUnavailable, InvalidRequest
from containers_app.models import Operation
from containers_app.operations.backup_contents import Reader
from containers_app.operations.ledger_exports import download_export, read_export
from containers_app.workflows.evidence_pack import document, pack
from containers_app.workflows.evidence_pack.document import NoPdf
from tests import recipes
from tests.unit.operations.conftest import outcomes_of
from tests.unit.operations.keeping_bench import run
from tests.unit.workflows.evidence_bench import Bench

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root", "bench"),
]
PARAMS: dict[str, Any] = {"format": "evidence", "since": "", "until": "", "filter": {}}


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    """A data folder of the test's own; the folder of exports in it."""
    settings.MYCODOCKER = {**settings.MYCODOCKER, "data_directory": str(tmp_path)}
    return tmp_path / "exports"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(pack, "pdf_of", lambda html: b"%PDF")
    return Bench(tmp_path, monkeypatch)


def made(**fields: Any) -> Operation:
    user = fields.pop("user", None) or recipes.auditor()
    return run("ledgerExport", {**PARAMS, **fields}, user=user)


def test_an_auditor_gets_the_whole_pack(folder: Path) -> None:
    user = recipes.auditor()
    row = made(user=user)
    assert (row.state, outcomes_of(row), row.warnings) == ("succeeded", ["success"], [])
    found = download_export(Reader(asker=recipes.asker(user), source=Source(channel="api")), row.pk)
    with zipfile.ZipFile(io.BytesIO(b"".join(found.pieces))) as archive:
        assert archive.testzip() is None
        assert {"evidence.html", "evidence.pdf", "evidence.json", "bundle.zip"} <= set(archive.namelist())
    result = row.result or {}
    assert (result["entries"], result["fileName"]) == (1, f"ledger-{row.pk}.evidence.zip")
    assert [path.name for path in folder.iterdir()] == [result["fileName"]]


def test_without_the_libraries_it_is_partial_and_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(html: str) -> NoReturn:
        raise NoPdf("install the libraries with 'bin/install-packages reports'")

    monkeypatch.setattr(pack, "pdf_of", refuse)
    row = made()
    assert (row.state, outcomes_of(row)) == ("partial", ["success"])
    assert [entry["code"] for entry in row.warnings] == ["NO_PDF"]
    assert "bin/install-packages reports" in row.warnings[0]["message"]
    with zipfile.ZipFile(folder / (row.result or {})["fileName"]) as archive:
        names = set(archive.namelist())
    assert ("evidence.pdf" in names, {"evidence.html", "evidence.json", "bundle.zip"} <= names) == (False, True)


@pytest.mark.parametrize("permission", pack.PERMISSIONS)
def test_who_may_not_see_all_that_it_tells_gets_none(permission: str, folder: Path) -> None:
    user = recipes.stranger()
    wanted = {*pack.PERMISSIONS, "containers_app.export_ledger"} - {permission}
    for one in Permission.objects.select_related("content_type"):
        if f"{one.content_type.app_label}.{one.codename}" in wanted:
            user.user_permissions.add(one)
    row = made(user=user)
    assert (row.state, row.error_code, permission in row.error_message) == ("failed", "PERMISSION_DENIED", True)
    assert not folder.exists()


@pytest.mark.parametrize("make", [recipes.operator, recipes.stranger])
def test_a_stranger_gets_none(make: Callable[[], Any], folder: Path) -> None:
    row = made(user=make())
    assert (row.state, row.error_code) == ("failed", "PERMISSION_DENIED")
    assert not folder.exists()


def test_a_full_storage_in_the_middle_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    row = made()
    assert (row.state, row.error_code, list(folder.iterdir())) == ("failed", "STORAGE_FULL", [])


def test_a_ledger_that_goes_away_in_the_middle_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AuditUnavailable("the ledger does not answer")

    monkeypatch.setattr(pack, "anchored", refuse)
    row = made()
    assert (row.state, row.error_code, list(folder.iterdir())) == ("failed", "AUDIT_UNAVAILABLE", [])


def test_a_template_that_fails_is_a_bug_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "TEMPLATE", "no/such.html")
    row = made()
    assert (row.state, list(folder.iterdir())) == ("errored", [])


def test_its_wish_is_in_the_ledger_with_its_goals() -> None:
    params = read_export({"format": "evidence", "since": "2026-10-01", "rtoGoalSeconds": 900, "rpoGoalSeconds": 86400})
    assert (params.goals.rto_seconds, params.goals.rpo_seconds) == (900, 86400)
    row = made(rto_goal_seconds=900)
    assert (row.state, ledger.entries().filter(phase="outcome").count()) == ("succeeded", 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"format": "evidence", "filter": {"actor": "7"}}, "filter"),
        ({"format": "csv", "rtoGoalSeconds": 5}, "rtoGoalSeconds"),
        ({"format": "evidence", "rtoGoalSeconds": 0}, "rtoGoalSeconds"),
        ({"format": "evidence", "rpoGoalSeconds": "5"}, "rpoGoalSeconds"),
        ({"format": "evidence", "rpoGoalSeconds": 10**12}, "rpoGoalSeconds"),
        ({"period": "next-month"}, "period"),
        ({"period": 5}, "period"),
        ({"period": "last-month", "since": "2026-01-01"}, "period"),
    ],
)
def test_a_wrong_wish_names_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_export(body)
    assert caught.value.field == field


@pytest.mark.reports
def test_the_pdf_is_the_page_in_print(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "pdf_of", document.pdf_of)
    row = made(user=recipes.auditor("<b>aude</b>"))
    with zipfile.ZipFile(folder / (row.result or {})["fileName"]) as archive:
        pages = PdfReader(io.BytesIO(archive.read("evidence.pdf"))).pages
        digest = hashlib.sha256(archive.read("bundle.zip")).hexdigest()
    text = "".join(page.extract_text() for page in pages).replace("\n", "")
    assert all(
        words in text for words in (digest, "What this does not prove", "<b>aude</b>", "Refused and failed attempts")
    )
