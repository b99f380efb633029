"""Exports of the ledger through REST: asked for by auditors, fetched by them, and by nobody else."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.models import Operation
from containers_app.operations import runner
from containers_app.workflows.evidence_pack import pack
from tests import recipes
from tests.unit.api.asking import ASYNC
from tests.unit.workflows.evidence_bench import Bench

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "patient_broker"),
]
EXPORTS = "/api/ledger/exports"
MakeClient = Callable[..., Client]


@pytest.fixture
def aude(with_key: MakeClient, settings: Settings, tmp_path: Path) -> Client:
    settings.MYCODOCKER = {**settings.MYCODOCKER, "data_directory": str(tmp_path)}
    return with_key(recipes.auditor())


def ask(client: Client, body: object, **headers: str) -> Any:
    data = json.dumps(body)
    return client.post(EXPORTS, data=data, content_type="application/json", headers={**ASYNC, **headers})


def content(client: Client, row: Operation) -> Any:
    return client.get(f"{EXPORTS}/{row.pk}/content")


def test_an_export_is_asked_for_made_listed_and_fetched(aude: Client) -> None:
    answer = ask(aude, {"format": "csv", "since": "2020-01-01", "filter": {"verb": "audit.export"}, "ticket": "CHG-7"})
    assert answer.status_code == 202
    row = Operation.objects.get(kind="ledgerExport")
    assert content(aude, row).status_code == 404
    runner.run(row.pk)
    (listed,) = aude.get("/api/operations?kind=ledgerExport").json()["results"]
    assert (listed["state"], listed["result"]["entries"]) == ("succeeded", 1)
    fetched = content(aude, row)
    body = b"".join(fetched)
    assert (fetched.status_code, len(body)) == (200, listed["result"]["sizeBytes"])
    assert f'filename="ledger-{row.pk}.csv"' in fetched["Content-Disposition"]
    assert fetched["Content-Security-Policy"].startswith("sandbox")
    told = list(ledger.entries().order_by("id").values_list("action", "phase", "ticket"))
    assert told == [
        ("audit.export", "intent", "CHG-7"),
        ("audit.export", "outcome", ""),
        ("audit.download", "event", ""),
    ]


def test_what_an_export_is_chosen_by_is_a_keyed_hash_in_the_ledger_where_it_may_name_somebody(aude: Client) -> None:
    chosen = {"object": "alice", "ticket": "Alice", "verb": "auth.login", "host": "alice"}
    assert ask(aude, {"format": "jsonl", "filter": chosen}).status_code == 202
    told = json.loads(ledger.entries().get(phase="intent").payload)["params"]["filter"]
    assert told.pop("verb") == "auth.login"
    assert {value.partition(":")[0] for value in told.values()} == {"hmac"}
    assert Operation.objects.get(kind="ledgerExport").params["filter"] == chosen
    assert not ledger.entries().filter(payload__icontains="alice").exists()


def test_the_answer_at_once_is_complete_once_it_ran(aude: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(operation: Operation) -> bool:
        runner.run(operation.pk)
        return True

    monkeypatch.setattr("containers_app.operations.submit.publish", at_once)
    body = aude.post(EXPORTS, data='{"format": "jsonl"}', content_type="application/json").json()
    assert (body["success"], body["entries"], body["action"]) == (True, 1, "ledgerExport")


def test_a_repetition_with_the_same_key_is_the_same_export(aude: Client) -> None:
    first, second = (ask(aude, {"format": "csv"}, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert ask(aude, {"format": "jsonl"}, **{"Idempotency-Key": "k"}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        *({"format": "pdf"}, {"from": "2026-01-01"}, {"filter": {"who": "x"}}, []),
        *({"period": "last-week"}, {"period": "last-year", "since": "2026-01-01"}, {"rtoGoalSeconds": 60}),
        {"format": "evidence", "filter": {"actor": "7"}},
    ],
)
def test_a_wrong_body_is_refused_and_nothing_runs(body: object, aude: Client) -> None:
    assert ask(aude, body).status_code == 400
    assert not Operation.objects.exists()


def test_an_operator_is_refused_and_the_refusal_is_recorded(operator: Client) -> None:
    assert ask(operator, {"format": "csv"}).status_code == 403
    assert ledger.entries().get().action == "authz.denied"
    assert not Operation.objects.exists()


def test_a_key_that_may_only_read_the_ledger_may_not_export_it(client: Client) -> None:
    key = recipes.key_of(recipes.auditor(), "ledger", "read")
    headers = {"Authorization": f"Bearer {key}", **ASYNC}
    answer = client.post(EXPORTS, data="{}", content_type="application/json", headers=headers)
    assert (answer.status_code, "'export'" in answer.json()["error"]) == (403, True)


def test_an_evidence_pack_is_made_and_fetched(aude: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Bench(tmp_path, monkeypatch)
    monkeypatch.setattr(pack, "pdf_of", lambda html: b"%PDF")
    body = {"format": "evidence", "period": "this-year", "rtoGoalSeconds": 900, "reason": "audit"}
    assert ask(aude, body).status_code == 202
    row = Operation.objects.get(kind="ledgerExport")
    runner.run(row.pk)
    fetched = content(aude, row)
    with zipfile.ZipFile(io.BytesIO(b"".join(fetched))) as archive:
        cover = json.loads(archive.read("evidence.json"))["cover"]
    assert (cover["goals"]["rto_seconds"], cover["asked"]["reason"], cover["asked"]["leaf"][4:]) == (900, "audit", "/0")
    assert f'filename="ledger-{row.pk}.evidence.zip"' in fetched["Content-Disposition"]
