"""A reason or a ticket that the settings require is asked for at every way in, and its lack names the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.audit.erasure import Target
from containers_app.audit.ledger import Source
from containers_app.audit.pruning import OldShard
from containers_app.audit.verbs import ALL as VERBS
from containers_app.checks import required_notes_are_of_known_acts
from containers_app.errors import InvalidRequest
from containers_app.models import Backup, Operation
from containers_app.operations import ledger_keeping
from containers_app.operations.authority import Asker
from containers_app.operations.keeping import pin
from containers_app.operations.kinds import KINDS, VERIFY
from containers_app.operations.notes import FURTHER, check_notes, needed_notes
from containers_app.operations.registering import Author
from containers_app.operations.submit import Request, submit
from containers_app.operations.verifications import VERIFIER
from containers_app.workflows.verify import VerifyParams
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
CLONE_BODY = {"action": "clone", "containerId": "web", "options": {}}


@pytest.fixture
def require(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function: require a reason, or a ticket, for what is named. No broker is asked."""
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)

    def change(**named: str) -> None:
        values = {f"require_{note}": frozenset(names.split(",")) for note, names in named.items()}
        settings.MYCODOCKER = {**settings.MYCODOCKER, **values}

    return change


Require = Callable[..., None]


def verification(asker: Asker, reason: str = "") -> Request:
    row = recipes.backup()
    params = VerifyParams(backup=str(row.pk), name=row.file_name)
    return Request(kind=VERIFY, params=params, host=row.host, asker=asker, source=Source(channel="api"), reason=reason)


@pytest.mark.parametrize("named", ["verify", "backup.verify", "all", "clone,verify"])
def test_a_kind_is_named_by_itself_by_its_verb_or_with_all(require: Require, named: str) -> None:
    require(reason=named)
    assert needed_notes("backup.verify") == ("reason",)


@pytest.mark.parametrize("verb", sorted({*FURTHER, *(kind.action for kind in KINDS.values())}))
def test_all_means_every_act_that_takes_notes(require: Require, verb: str) -> None:
    require(reason="all", ticket="all")
    with pytest.raises(InvalidRequest, match="'ticket' is required") as caught:
        check_notes(verb, reason="because", ticket=" ")
    assert caught.value.field == "ticket"
    check_notes(verb, reason="because", ticket="CHG-1")


def test_a_wish_without_its_reason_leaves_nothing_behind(require: Require) -> None:
    require(reason="verify")
    operator = Asker(user=recipes.operator())
    with pytest.raises(InvalidRequest, match="'reason' is required for backup.verify"):
        submit(verification(operator))
    assert not Operation.objects.filter(kind="verify").exists()
    assert not ledger.entries().filter(action="backup.verify").exists()
    assert submit(verification(operator, reason="because")).operation.reason == "because"


def test_what_the_product_asks_for_by_itself_needs_no_reason(require: Require) -> None:
    require(reason="all", ticket="all")
    assert submit(verification(VERIFIER)).operation.kind == "verify"


def test_backups_are_not_kept_without_a_reason_that_is_required(require: Require) -> None:
    require(reason="backup.pinned")
    row: Backup = recipes.backup()
    by = Author(asker=Asker(user=recipes.operator()), source=Source(channel="api"))
    with pytest.raises(InvalidRequest, match="'reason'"):
        pin(row, by)
    row.refresh_from_db()
    assert not row.pinned


@pytest.mark.parametrize("verb", sorted(FURTHER))
def test_what_can_be_named_is_a_verb_of_the_ledger(verb: str) -> None:
    assert verb in VERBS


def test_nothing_is_done_to_the_ledger_without_a_ticket_that_is_required(
    require: Require, with_key: Callable[..., Client]
) -> None:
    by = Author(asker=Asker(user=recipes.administrator()), source=Source(channel="api"), reason="an order of the court")
    hold = ledger_keeping.place_hold(by)
    require(ticket="all")
    old = OldShard(shard=2020, size=1, left=1, exported="")
    for act in (
        lambda: ledger_keeping.place_hold(by),
        lambda: ledger_keeping.release_hold(hold.id, by),
        lambda: ledger_keeping.erase(Target(by="label", value="adam"), by),
        lambda: ledger_keeping.prune(old, by, without_export=True),
    ):
        with pytest.raises(InvalidRequest, match="'ticket' is required"):
            act()
    answer = with_key(recipes.administrator("anna")).post(
        "/api/ledger/holds", json.dumps({"reason": "x"}), content_type="application/json"
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "ticket")
    assert [one.id for one in ledger_keeping.all_holds(by.asker)] == [hold.id]
    assert ledger_keeping.release_hold(hold.id, replace(by, ticket="CHG-1")).released


@pytest.mark.parametrize("page", ["admin:audit_entry_holds", "admin:audit_entry_erase"])
def test_the_forms_of_the_ledger_show_a_ticket_as_required(require: Require, page: str) -> None:
    require(ticket="audit.hold_placed,privacy.erase")
    client = Client()
    client.force_login(recipes.administrator())
    shown = client.get(reverse(page)).content.decode()
    (field,) = (part for part in shown.split("<") if part.startswith("input") and 'name="ticket"' in part)
    assert " required" in field


def test_the_published_endpoint_says_which_field_is_missing(require: Require, with_key: Callable[..., Client]) -> None:
    require(ticket="clone")
    recipes.container(name="web")
    client = with_key(recipes.operator())
    answer = client.post("/api/docker/containers", json.dumps(CLONE_BODY), content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_REQUEST"
    assert "'ticket' is required" in answer.json()["error"]


def test_the_terminal_says_which_option_is_missing(require: Require, capsys: pytest.CaptureFixture[str]) -> None:
    require(ticket="verify")
    row = recipes.backup()
    with pytest.raises(SystemExit):
        call_command("verify", str(row.pk), "--json", "--wait", "0")
    assert "--ticket is required" in json.loads(capsys.readouterr().out)["error"]
    assert not Operation.objects.filter(kind="verify").exists()


def test_a_form_shows_the_field_as_required(require: Require) -> None:
    require(reason="clone")
    client, row = Client(), recipes.container(name="web")
    client.force_login(recipes.operator())
    page = client.get(reverse("admin:containers_app_container_clone") + f"?ids={row.pk}").content.decode()
    (field,) = (part for part in page.split("<") if part.startswith("input") and 'name="reason"' in part)
    assert " required" in field


def test_a_button_leads_to_a_page_that_asks_for_the_reason(require: Require) -> None:
    require(reason="verify")
    client, row = Client(), recipes.backup()
    client.force_login(recipes.operator())
    address = reverse("admin:containers_app_backup_verify", args=[row.pk])
    page = client.post(address, {})
    assert page.status_code == 200
    assert b'name="reason"' in page.content
    assert not Operation.objects.filter(kind="verify").exists()
    assert client.post(address, {"reason": "an audit"}).status_code == 302
    assert Operation.objects.get(kind="verify").reason == "an audit"


@pytest.mark.parametrize(("named", "problems"), [("all,clone,backup.held", 0), ("clonne", 1)])
def test_a_setting_that_names_nothing_stops_the_start(require: Require, named: str, problems: int) -> None:
    require(reason=named)
    found: list[Any] = required_notes_are_of_known_acts(None)
    assert [one.id for one in found] == ["myco.E004"] * problems
