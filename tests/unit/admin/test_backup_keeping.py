"""Backups in the console: buttons that say why they are off, forms that confirm, and nothing done by a GET."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.errors import AuditUnavailable
from containers_app.models import Backup, Operation, State
from tests import recipes
from tests.stored_sets import WEB, edited, write_set

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "broker_takes_all", "backup_root"),
]
ORPHANS, ADOPT = "/admin/containers_app/backup/orphans/", "/admin/containers_app/backup/orphans/adopt/"
AT_ONCE = ("verify", "pin", "unpin", "release")
HOSTILE = "<script>alert(1)</script>\u202eevil"


@pytest.fixture
def broker_takes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("containers_app.operations.submit.publish", lambda operation: True)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def adam() -> Client:
    return signed_in(recipes.administrator())


def of(act: str, backup: Backup) -> str:
    return reverse(f"admin:containers_app_backup_{act}", args=[backup.pk])


def page(client: Client, backup: Backup) -> str:
    return client.get(of("change", backup)).content.decode()


def off(html: str) -> dict[str, str]:
    """The buttons that are off, with their reasons."""
    parts = [piece.split("</button>")[0] for piece in html.split('aria-disabled="true"')[1:]]
    words = [piece.rpartition("</svg>")[2].partition("<span")[0] for piece in parts]
    return {word: piece.split('title="')[1].split('"')[0] for word, piece in zip(words, parts, strict=True)}


def test_the_page_shows_parts_states_and_what_may_be_done(adam: Client) -> None:
    backup = recipes.backup(pinned=True, hold_reason="a lawsuit", hold_owner="aude", verified_at=timezone.now())
    recipes.part(backup, 1, kind="volume", name="data", file_name="web.tar.volume-1-data.tar")
    html = page(adam, backup)
    for words in ("web.tar.volume-1-data.tar", "Pinned", "Held", "a lawsuit", "aude", "Take the pin out", "Release"):
        assert words in html, words
    assert set(off(html)) == {"Delete"}
    assert "is held by aude" in off(html)["Delete"]
    listed = adam.get(reverse("admin:containers_app_backup_changelist")).content.decode()
    assert "Pinned" in listed
    assert "Held" in listed


def test_a_hold_that_is_over_is_shown_as_expired(adam: Client) -> None:
    backup = recipes.backup(hold_reason="a lawsuit", hold_until=timezone.now() - timedelta(days=1))
    html = page(adam, backup)
    assert "Hold expired" in html
    assert off(html) == {}


def test_buttons_without_the_permission_are_off_and_say_which_it_is() -> None:
    backup = recipes.backup()
    assert set(off(page(signed_in(recipes.auditor()), backup))) == {
        "Restore",
        "Drill",
        "Verify",
        "Pin",
        "Hold",
        "Delete",
    }
    operator = off(page(signed_in(recipes.operator()), backup))
    assert set(operator) == {"Hold", "Delete"}
    assert "hold_backup" in operator["Hold"]


def test_a_deleted_backup_has_no_button_that_is_on(adam: Client) -> None:
    reasons = off(page(adam, recipes.backup(state="deleted")))
    assert set(reasons) == {"Restore", "Drill", "Verify", "Pin", "Hold", "Delete"}
    assert set(reasons.values()) == {"It was deleted."}


@pytest.mark.parametrize("state", ["corrupt", "missing"])
def test_a_set_that_cannot_be_used_says_so(adam: Client, state: str) -> None:
    assert "It cannot be used." in page(adam, recipes.backup(state=state))


def test_a_verification_leads_to_its_operation(adam: Client) -> None:
    backup = recipes.backup()
    answer = adam.post(of("verify", backup))
    row = Operation.objects.get(kind="verify")
    assert answer["Location"] == reverse("admin:containers_app_operation_change", args=[row.pk])
    assert (row.channel, row.params["backup"]) == ("ui", str(backup.pk))


def test_the_page_of_a_failed_verification_shows_what_was_found(adam: Client) -> None:
    parts = [
        {
            "kind": "rootfs",
            "name": "web",
            "path": HOSTILE,
            "verdict": "corrupt",
            "bytesRead": 7,
            "decoded": False,
            "problem": HOSTILE,
        }
    ]
    row = recipes.operation(
        kind="verify", state=State.FAILED, outcome_index=1, error_code="BACKUP_CORRUPT", result={"parts": parts}
    )
    html = adam.get(reverse("admin:containers_app_operation_change", args=[row.pk])).content.decode()
    for words in ("What was read", "Corrupt", "compared as it is stored", "&lt;script&gt;"):
        assert words in html, words
    assert HOSTILE not in html


def test_a_pin_goes_in_and_out(adam: Client) -> None:
    backup = recipes.backup()
    assert adam.post(of("pin", backup))["Location"] == of("change", backup)
    assert Backup.objects.get().pinned
    adam.post(of("unpin", backup))
    assert not Backup.objects.get().pinned


def test_a_hold_is_begun_by_its_form_and_ended_by_a_button(adam: Client) -> None:
    backup = recipes.backup()
    assert b"cannot be deleted while" in adam.get(of("hold", backup)).content
    refused = adam.post(of("hold", backup), {"reason": "", "until": ""}).content.decode()
    assert "This field is required" in refused
    past = adam.post(of("hold", backup), {"reason": "a lawsuit", "until": "2000-01-01T00:00"}, follow=True)
    assert "must be in the future" in past.content.decode()
    until = (timezone.now() + timedelta(days=30)).replace(second=0, microsecond=0)
    adam.post(of("hold", backup), {"reason": "a lawsuit", "until": f"{until:%Y-%m-%dT%H:%M}", "ticket": "CHG-7"})
    row = Backup.objects.get()
    assert (row.hold_reason, row.hold_owner, row.hold_until) == ("a lawsuit", "adam", until)
    assert ledger.entries().get(action="backup.held").ticket == "CHG-7"
    adam.post(of("release", backup))
    assert Backup.objects.get().hold_reason == ""


def test_a_deletion_needs_the_typed_name(adam: Client) -> None:
    backup = recipes.backup()
    form = adam.get(of("remove", backup)).content.decode()
    assert "cannot be taken back" in form
    wrong = adam.post(of("remove", backup), {"confirm": "web", "confirm_last": "on"}).content.decode()
    assert "Type exactly: web.tar" in wrong
    assert not Operation.objects.filter(kind="deleteBackup").exists()
    answer = adam.post(of("remove", backup), {"confirm": "web.tar", "confirm_last": "on", "reason": "old"})
    row = Operation.objects.get(kind="deleteBackup")
    assert answer["Location"] == reverse("admin:containers_app_operation_change", args=[row.pk])
    assert (row.reason, row.params["confirm"], row.params["confirm_last"]) == ("old", "web.tar", True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pinned": True}, "is pinned"),
        ({"hold_reason": "x", "hold_owner": HOSTILE}, "is held"),
        ({}, "confirmLast"),
    ],
)
def test_what_is_kept_is_said_before_an_operation_is_made(adam: Client, fields: dict[str, str], words: str) -> None:
    backup = recipes.backup(**fields)
    html = adam.post(of("remove", backup), {"confirm": "web.tar"}).content.decode()
    assert words in html
    assert HOSTILE not in html
    assert not Operation.objects.filter(kind="deleteBackup").exists()


def test_the_last_good_backup_of_a_container_that_is_there_has_its_button_off(adam: Client) -> None:
    backup = recipes.backup(container=recipes.container(engine_id=WEB))
    assert "make another one first" in off(page(adam, backup))["Delete"]
    recipes.backup()
    assert off(page(adam, backup)) == {}


@pytest.mark.parametrize("act", AT_ONCE)
def test_reading_changes_nothing(adam: Client, act: str) -> None:
    backup = recipes.backup(hold_reason="x")
    before = Backup.objects.values().get()
    assert adam.get(of(act, backup)).status_code == 405
    assert adam.get(ADOPT).status_code == 405
    assert Backup.objects.values().get() == before
    assert not Operation.objects.filter(kind="verify").exists()


@pytest.mark.parametrize("act", [*AT_ONCE, "hold", "remove"])
def test_a_stranger_is_refused_alike_whether_it_is_there_or_not(act: str) -> None:
    backup = recipes.backup()
    charlie = signed_in(recipes.stranger())
    there = charlie.post(of(act, backup), {"confirm": "web.tar", "reason": "x"})
    nowhere = charlie.post(of(act, backup).replace(str(backup.pk), "0190a000-0000-7000-8000-00000000dead"))
    assert (there.status_code, nowhere.status_code) == (403, 403)
    assert ledger.entries().filter(action="authz.denied").count() == 2
    assert not Operation.objects.filter(kind__in=("verify", "deleteBackup")).exists()


@pytest.mark.parametrize("act", ["hold", "release", "remove"])
@pytest.mark.parametrize("make", [recipes.operator, recipes.auditor])
def test_holds_and_deletions_are_for_administrators(act: str, make: Callable[[], User]) -> None:
    backup = recipes.backup(hold_reason="x")
    answer = signed_in(make()).post(of(act, backup), {"confirm": "web.tar", "reason": "y"})
    assert (answer.status_code, Backup.objects.get().hold_reason) == (403, "x")


def test_a_ledger_that_is_away_is_said_and_nothing_changes(adam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = recipes.backup()

    def refuse(**_: object) -> int:
        raise AuditUnavailable("the ledger does not answer")

    monkeypatch.setattr(ledger, "event", refuse)
    assert "the ledger does not answer" in adam.post(of("pin", backup), follow=True).content.decode()
    assert not Backup.objects.get().pinned


def test_orphans_are_listed_and_adopted(adam: Client, backup_root: Path) -> None:
    far = recipes.host("far")
    write_set(backup_root, host="far")
    write_set(backup_root, "zz.tar")
    edited(backup_root / "zz.tar.manifest.json", unknown=1)
    assert ORPHANS in adam.get(reverse("admin:containers_app_backup_changelist")).content.decode()
    html = adam.get(ORPHANS).content.decode()
    assert html.count("manifest.json</bdi>") == 2
    assert html.count('name="path"') == 1
    answer = adam.post(ADOPT, {"path": f"{backup_root}/web.tar.manifest.json"})
    row = Operation.objects.get(kind="adopt")
    assert (row.host, answer["Location"]) == (far, reverse("admin:containers_app_operation_change", args=[row.pk]))
    bad = adam.post(ADOPT, {"path": "/etc/passwd"}, follow=True).content.decode()
    assert "must be the path of a manifest" in bad


def test_who_sees_the_system_and_makes_no_backups_sees_orphans_with_buttons_off(backup_root: Path) -> None:
    write_set(backup_root)
    aude = signed_in(recipes.auditor())
    assert "backup_container" in aude.get(ORPHANS).content.decode()
    assert aude.post(ADOPT, {"path": f"{backup_root}/web.tar.manifest.json"}).status_code == 403
    for person in (recipes.operator(), recipes.stranger()):
        client = signed_in(person)
        assert client.get(ORPHANS).status_code == 403
        assert client.post(ADOPT, {"path": f"{backup_root}/web.tar.manifest.json"}).status_code == 403
    assert not Operation.objects.filter(kind="adopt").exists()


def test_a_storage_that_does_not_answer_is_said(adam: Client, backup_root: Path) -> None:
    backup_root.parent.mkdir(parents=True, exist_ok=True)
    backup_root.write_text("a file")
    try:
        assert "The storage does not answer" in adam.get(ORPHANS).content.decode()
    finally:
        backup_root.unlink()
