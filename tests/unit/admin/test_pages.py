"""Every page of the console: who may see it, that reading changes nothing, and that foreign text stays text."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from model_bakery import baker

from containers_app.audit import ledger, verbs
from containers_app.models import ApiKey, Backup, Container, Operation, State
from tests import recipes

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("groups")]
HOSTILE = "<script>alert(1)</script>\u202eevil"
LISTS = [
    "containers_app_container",
    "containers_app_operation",
    "containers_app_backup",
    "containers_app_dockerhost",
    "audit_entry",
    "containers_app_apikey",
    "auth_user",
]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rows() -> dict[str, int | str]:
    """One row of each kind, with text that a container chose."""
    container = recipes.container(name=HOSTILE, labels={"note": HOSTILE}, environment_names=["PASSWORD"], image=HOSTILE)
    recipes.container(engine_id="b" * 64, name=HOSTILE, stack="shop", service=HOSTILE, image=HOSTILE)
    operation = recipes.operation(target_name=HOSTILE, state=State.FAILED, error_message=HOSTILE, outcome_index=1)
    backup = baker.make(
        Backup,
        operation=operation,
        host=container.host,
        container=container,
        container_engine_id=container.engine_id,
        container_name=HOSTILE,
        state="complete",
        size_bytes=1024,
        sha256="b" * 64,
        duration_seconds=1.5,
        created_at=timezone.now(),
    )
    key = ApiKey.objects.issue(user=recipes.person("owner"), name="key", scopes=["read"], expires_in_days=1).row
    ledger.event(
        action="auth.login", actor=ledger.Actor(type="user", id="1", label=HOSTILE), source=ledger.Source(channel="ui")
    )
    return {
        "containers_app_container": container.pk,
        "containers_app_operation": str(operation.pk),
        "containers_app_backup": str(backup.pk),
        "containers_app_dockerhost": container.host.pk,
        "audit_entry": ledger.entries().get().pk,
        "containers_app_apikey": key.pk,
        "auth_user": key.user_id,
    }


def addresses(rows: dict[str, int | str]) -> list[str]:
    lists = [reverse(f"admin:{name}_changelist") for name in LISTS]
    pages = [reverse(f"admin:{name}_change", args=[rows[name]]) for name in LISTS]
    acts = [
        reverse(f"admin:containers_app_container_{act}") + "?ids=" + str(rows["containers_app_container"])
        for act in ("clone", "back_up", "start", "stop", "restart", "remove")
    ]
    stacks = [
        reverse("admin:coverage"),
        reverse("admin:stacks"),
        *(reverse(f"admin:{name}", args=["local", "shop"]) for name in ("stack", "stack_clone")),
    ]
    backups = [
        reverse(f"admin:containers_app_backup_{act}", args=[rows["containers_app_backup"]])
        for act in ("hold", "remove")
    ]
    others = [reverse(f"admin:containers_app_{name}") for name in ("apikey_issue", "backup_orphans")]
    return [reverse("admin:index"), *stacks, *lists, *pages, *acts, *backups, *others]


def _changes() -> int:
    """How many entries are of no read."""
    reads = [name for name, verb in verbs.ALL.items() if verb.is_read]
    return ledger.entries().exclude(action__in=reads).count()


def test_reading_every_page_as_a_superuser_changes_nothing(rows: dict[str, int | str]) -> None:
    client = signed_in(recipes.administrator())
    User.objects.filter(username="adam").update(is_superuser=True)
    before = (Operation.objects.count(), ApiKey.objects.count(), _changes())
    for address in addresses(rows):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert b"<script>alert(1)" not in answer.content, address
        assert "\u202e" not in answer.content.decode(), address
        assert b"style=" not in answer.content, address
    assert (Operation.objects.count(), ApiKey.objects.count(), _changes()) == before
    looks = ledger.entries().filter(action__startswith="audit.view").values_list("action", flat=True)
    assert set(looks) == {"audit.view", "audit.view_entry"}


def test_a_stranger_sees_no_page(rows: dict[str, int | str]) -> None:
    client = signed_in(recipes.stranger())
    for address in addresses(rows)[1:]:
        assert client.get(address).status_code == 403, address


def test_nobody_is_sent_to_sign_in(client: Client, rows: dict[str, int | str]) -> None:
    for address in addresses(rows):
        assert client.get(address).status_code == 302, address


def test_an_auditor_reads_and_acts_on_nothing(rows: dict[str, int | str]) -> None:
    client = signed_in(recipes.auditor())
    assert client.get(reverse("admin:audit_entry_changelist")).status_code == 200
    assert client.post(reverse("admin:containers_app_container_clone"), {"confirmed": "1"}).status_code == 403
    operation = reverse("admin:containers_app_operation_cancel", args=[rows["containers_app_operation"]])
    assert client.post(operation).status_code == 403
    assert client.post(reverse("admin:containers_app_apikey_issue")).status_code == 403


def test_an_operator_sees_his_own_entries_of_the_ledger(rows: dict[str, int | str]) -> None:
    olga = recipes.operator()
    actor = ledger.Actor(type="user", id=str(olga.pk))
    ledger.event(action="auth.logout", actor=actor, source=ledger.Source(channel="ui"))
    own = ledger.entries().get(action="auth.logout")
    client = signed_in(olga)
    listed = client.get(reverse("admin:audit_entry_changelist"))
    assert {row.actor_id for row in [shown["entry"] for shown in listed.context["rows"]]} == {str(olga.pk)}
    assert client.get(reverse("admin:audit_entry_change", args=[own.pk])).status_code == 200
    assert client.get(reverse("admin:audit_entry_change", args=[rows["audit_entry"]])).status_code == 404
    assert reverse("admin:audit_entry_changelist") in client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("name", ["audit_entry", "containers_app_operation", "containers_app_backup"])
def test_records_are_read_only_even_for_superusers(rows: dict[str, int | str], name: str) -> None:
    user = recipes.administrator()
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    client = signed_in(User.objects.get(pk=user.pk))
    page = reverse(f"admin:{name}_change", args=[rows[name]])
    assert client.post(page, {"payload": "forged"}).status_code == 403
    assert client.post(reverse(f"admin:{name}_delete", args=[rows[name]]), {"post": "yes"}).status_code == 403
    assert client.get(reverse(f"admin:{name}_add")).status_code == 403


def test_an_act_is_shown_first_and_done_when_confirmed(rows: dict[str, int | str]) -> None:
    client = signed_in(recipes.operator())
    address = reverse("admin:containers_app_container_back_up")
    Container.objects.update(name="web")
    wish = {"ids": str(rows["containers_app_container"]), "name": "web.tar", "reason": "before the upgrade"}
    wish |= {"contents": "rootfs", "consistency": "live", "compression": "none"}
    shown = client.post(address, wish)
    assert b"What will happen" in shown.content
    assert not Operation.objects.filter(channel="ui").exists()
    done = client.post(address, {**wish, "confirmed": "1"})
    operation = Operation.objects.get(channel="ui")
    assert done["Location"] == reverse("admin:containers_app_operation_change", args=[operation.pk])
    expected = {"container": "a" * 64, "name": "web.tar", "path": None, "contents": ["rootfs"]}
    assert {name: operation.params[name] for name in expected} == expected


def test_a_path_outside_the_roots_is_an_error_of_its_field(rows: dict[str, int | str]) -> None:
    client = signed_in(recipes.operator())
    wish = {"ids": str(rows["containers_app_container"]), "path": "/etc", "confirmed": "1", "contents": "rootfs"}
    wish |= {"consistency": "live", "compression": "none"}
    answer = client.post(reverse("admin:containers_app_container_back_up"), wish)
    assert b"options.path" in answer.content
    assert not Operation.objects.filter(channel="ui").exists()


def test_a_key_is_shown_once_and_revoked_by_a_mark(rows: dict[str, int | str]) -> None:
    client = signed_in(recipes.administrator())
    wish = {"user": str(rows["auth_user"]), "name": "ci", "scopes": ["read"], "expires_in_days": "5"}
    answer = client.post(reverse("admin:containers_app_apikey_issue"), wish)
    row = ApiKey.objects.get(name="ci")
    assert f"myco_{row.prefix}_".encode() in answer.content
    assert "no-store" in answer["Cache-Control"]
    client.post(reverse("admin:containers_app_apikey_revoke", args=[row.pk]))
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_an_administrator_cannot_reach_up_to_a_superuser() -> None:
    root = User.objects.create_superuser("root", password="correct horse battery staple")
    client = signed_in(recipes.administrator())
    assert client.get(reverse("admin:auth_user_password_change", args=[root.pk])).status_code == 403
    change = reverse("admin:auth_user_change", args=[root.pk])
    assert client.post(change, {"username": "root", "is_active": ""}).status_code == 403
