"""Exports of the ledger in the console: for auditors, with the same rules and records as through the interface."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from containers_app.models import Operation
from containers_app.operations import runner
from containers_app.specs.period import named
from tests import recipes

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups"),
]
PAGE = "/admin/audit/entry/exports/"
CSV = {"format": "csv", "since": "", "until": "", "reason": "", "ticket": ""}


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    """A broker that takes every message, and a data folder of the test's own."""
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)
    settings.MYCODOCKER = {**settings.MYCODOCKER, "data_directory": str(tmp_path)}


@pytest.fixture
def aude() -> Client:
    return signed_in(recipes.auditor())


def asked(client: Client, **fields: str) -> Operation:
    assert client.post(PAGE, {**CSV, **fields}).status_code == 302
    return Operation.objects.get(kind="ledgerExport")


def test_an_auditor_asks_and_downloads(aude: Client) -> None:
    row = asked(aude, since="2020-01-01", until="2099-12-31", ticket="C-1", **{"only-verb": "audit.export"})
    assert ">Download<" not in aude.get(PAGE).content.decode()
    runner.run(row.pk)
    page = aude.get(PAGE).content.decode()
    address = reverse("admin:audit_entry_export", args=[row.pk])
    assert (address in page, "1 entries" in page) == (True, True)
    answer = aude.get(address)
    assert b"".join(answer).startswith(b"shard,leaf_index,leaf_hash,")
    assert answer["Content-Disposition"].startswith("attachment")
    told = list(ledger.entries().filter(action__startswith="audit.").order_by("id").values_list("action", "ticket"))
    assert told == [("audit.export", "C-1"), ("audit.export", ""), ("audit.download", "")]


def test_the_list_leads_there_with_its_filters(aude: Client) -> None:
    ledger_page = reverse("admin:audit_entry_changelist")
    filters = "?verb=auth.login&denied=true&host=site-b&ticket=C-7&period=24h"
    html = aude.get(ledger_page + filters).content.decode()
    (address,) = re.findall(rf'href="({PAGE}[^"]*)">Export these<', html)
    form = aude.get(address.replace("&amp;", "&")).context["form"]
    assert form.only.chosen == {"verb": "auth.login", "denied": "true", "host": "site-b", "ticket": "C-7"}
    assert (form["since"].value()[:2], form["ticket"].value(), form["period"].value()) == ("20", None, None)


def test_the_marks_of_auditors_are_no_filter_of_an_export(aude: Client) -> None:
    html = aude.get(f"{PAGE}?mark=flagged&denied=false").content.decode()
    assert ("this filter is left out" in html, "Only some entries:" in html) == (True, False)


def test_several_filters_hold_together(aude: Client) -> None:
    only = {"only-verb": "audit.export", "only-denied": "on", "only-shard": "2026", "only-q": "web"}
    row = asked(aude, since="2026-01-01T10:00:00Z", **only)
    assert row.params["filter"] == {"verb": "audit.export", "denied": "true", "shard": "2026", "q": "web"}
    assert row.params["since"] == "2026-01-01T10:00:00+00:00"


def test_the_ledgers_page_leads_there_for_who_may(aude: Client) -> None:
    ledger_page = reverse("admin:audit_entry_changelist")
    assert PAGE in aude.get(ledger_page).content.decode()
    assert PAGE not in signed_in(recipes.operator()).get(ledger_page).content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"since": "2026-02-01", "until": "2026-01-01"}, "must be later"),
        ({"since": "yesterday"}, "must be a day like"),
        ({"only-verb": "no.such"}, "filter.verb"),
        ({"only-shard": "26"}, "filter.shard"),
        ({"format": "pdf"}, "not one of the available choices"),
        ({"period": "last-month", "since": "2026-01-01"}, "instead of"),
        ({"format": "evidence", "only-actor": "7"}, "not for an evidence pack"),
        ({"format": "evidence", "rto_goal": "0"}, "rtoGoalSeconds"),
        ({"rpo_goal": "60"}, "for the format"),
    ],
)
def test_a_wrong_form_says_why_and_runs_nothing(fields: dict[str, str], words: str, aude: Client) -> None:
    page = aude.post(PAGE, {**CSV, **fields})
    assert (page.status_code, words in page.content.decode()) == (200, True)
    assert not Operation.objects.exists()


@pytest.mark.parametrize("make", [recipes.operator, recipes.stranger])
def test_nobody_else_exports_or_downloads(make: Callable[[], User], aude: Client) -> None:
    row = asked(aude)
    runner.run(row.pk)
    other = signed_in(make())
    for answer in (other.get(PAGE), other.post(PAGE, CSV), other.get(f"{PAGE}{row.pk}/")):
        assert answer.status_code in (302, 403)
    assert Operation.objects.count() == 1
    assert not ledger.entries().filter(action="audit.download").exists()


def test_a_file_that_is_not_there_is_a_404(aude: Client) -> None:
    assert aude.get(f"{PAGE}{asked(aude).pk}/").status_code == 404
    assert aude.get(f"{PAGE}{recipes.operation().pk}/").status_code == 404


def test_a_ledger_that_is_away_is_said_and_nothing_runs(aude: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> NoReturn:
        raise AuditUnavailable("the ledger does not answer")

    monkeypatch.setattr(ledger, "intent", refuse)
    assert "the ledger does not answer" in aude.post(PAGE, CSV).content.decode()
    assert not Operation.objects.exists()


def test_an_evidence_pack_is_asked_for_by_the_name_of_a_period(aude: Client) -> None:
    row = asked(aude, format="evidence", period="last-quarter", rto_goal="900", rpo_goal="86400", reason="audit")
    since, until = named("last-quarter", datetime.now(UTC).date())
    wanted = {"format": "evidence", "since": since.isoformat(), "until": until.isoformat(), "rto_goal_seconds": 900}
    assert {name: row.params[name] for name in wanted} == wanted
    assert ("Last quarter" in aude.get(PAGE).content.decode(), row.reason) == (True, "audit")
