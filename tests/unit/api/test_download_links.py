"""The life of a link: made in somebody's name, used once, resumed for a while, and then nothing to anybody."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from containers_app.audit import ledger
from containers_app.models import ApiKey, Backup, DownloadLink
from containers_app.models.backups import BackupState
from containers_app.operations import links
from containers_app.operations.links import LONGEST_SECONDS, RESUME_SECONDS
from tests import recipes
from tests.unit.archives.samples import Member, tar_of
from tests.written_sets import written_set

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("backup_root")]
CONTENT = tar_of([Member("etc/hosts", b"127.0.0.1 localhost"), Member("big", b"x" * 100_000)])
DatabaseDown = Callable[[str], AbstractContextManager[None]]
RESUMED = {"Range": "bytes=1000-"}


@pytest.fixture
def backup(groups: None) -> Backup:
    return written_set(rootfs=CONTENT)


def ask_link(client: Client, backup: Backup, **body: Any) -> Any:
    return client.post(f"/api/backups/{backup.pk}/links", body, content_type="application/json")


def address_of(client: Client, backup: Backup, **body: Any) -> str:
    """The new link's path."""
    answer = ask_link(client, backup, **body)
    assert answer.status_code == 201, answer.content
    return "/download/" + str(answer.json()["url"]).rpartition("/download/")[2]


def get(address: str, ip: str = "192.0.2.7", **headers: str) -> Any:
    """As somebody who has nothing but the link."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().get(address, headers=names, REMOTE_ADDR=ip)


def body_of(answer: Any) -> bytes:
    assert answer.status_code in (200, 206), answer.content
    return b"".join(answer.streaming_content)


def later(seconds: float) -> float:
    """Seconds since 1970, so much from now."""
    return time.time() + seconds


def actions() -> list[str]:
    return list(ledger.entries().order_by("id").values_list("action", flat=True))


def test_a_link_gives_the_part_to_whoever_has_it(operator: Client, backup: Backup):
    made = ask_link(operator, backup, expiresInSeconds=600).json()
    assert set(made) == {"id", "url", "part", "path", "expiresAt"}
    assert (made["part"], made["path"]) == ("web.tar", None)
    answer = get("/download/" + made["url"].rpartition("/")[2])
    assert body_of(answer) == CONTENT
    assert answer["Content-Disposition"] == 'attachment; filename="web.tar"'
    assert answer["Content-Security-Policy"].startswith("sandbox")


def test_a_link_to_a_path_gives_that_alone(operator: Client, backup: Backup):
    assert body_of(get(address_of(operator, backup, path="etc/hosts"))) == b"127.0.0.1 localhost"
    folder = body_of(get(address_of(operator, backup, part="web.tar", path="etc")))
    assert b"127.0.0.1 localhost" in folder
    assert len(folder) < 10_000


def test_a_link_works_once(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    assert body_of(get(address)) == CONTENT
    assert get(address).status_code == 404
    assert get(address, Range="bytes=0-").status_code == 404


def test_a_link_dies_at_its_time(operator: Client, backup: Backup):
    address = address_of(operator, backup, expiresInSeconds=60)
    with time_machine.travel(later(61), tick=False):
        assert get(address).status_code == 404
    assert body_of(get(address)) == CONTENT


def test_a_part_that_broke_off_is_resumed_from_the_same_address(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    first = body_of(get(address, Range="bytes=0-999"))
    rest = get(address, **RESUMED)
    assert (rest.status_code, first + body_of(rest)) == (206, CONTENT)
    assert body_of(get(address, Range="bytes=50000-")) == CONTENT[50000:]


def test_another_address_resumes_nothing(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    body_of(get(address))
    assert get(address, ip="192.0.2.8", **RESUMED).status_code == 404


def test_after_a_while_nothing_is_resumed(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    body_of(get(address))
    with time_machine.travel(later(RESUME_SECONDS + 1), tick=False):
        assert get(address, **RESUMED).status_code == 404


def test_a_part_is_resumed_past_the_end_of_its_link(operator: Client, backup: Backup):
    address = address_of(operator, backup, expiresInSeconds=60)
    body_of(get(address))
    with time_machine.travel(later(120), tick=False):
        assert get(address, **RESUMED).status_code == 206


@pytest.mark.parametrize("header", ["bytes=-5", "bytes=0-5", "bytes=5-2", "bytes=1-2,3-4", "lines=1-", ""])
def test_what_asks_for_the_beginning_is_no_resumption(operator: Client, backup: Backup, header: str):
    address = address_of(operator, backup)
    body_of(get(address))
    again = get(address, Range=header)
    assert again.status_code == (404 if header != "bytes=-5" else 206)


def test_a_file_of_a_part_cannot_be_resumed(operator: Client, backup: Backup):
    address = address_of(operator, backup, path="big")
    body_of(get(address))
    assert get(address, **RESUMED).status_code == 404


def test_of_two_at_once_one_gets_it(operator: Client, backup: Backup, monkeypatch: pytest.MonkeyPatch):
    address = address_of(operator, backup)
    look = links._usable

    def slow(use: Any) -> Any:
        row = look(use)
        DownloadLink.objects.update(used_at=F("created_at"), used_from="somebody else")
        return row

    monkeypatch.setattr(links, "_usable", slow)
    assert get(address).status_code == 404
    assert "backup.link_used" not in actions()


def test_a_look_at_a_link_does_not_use_it(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    assert Client().head(address).status_code == 200
    assert Client().options(address).status_code == 200
    assert Client().post(address).status_code == 405
    assert body_of(get(address)) == CONTENT
    assert Client().head(address).status_code == 404


def test_every_link_that_opens_nothing_has_one_answer(operator: Client, backup: Backup):
    used, expired, revoked = (address_of(operator, backup) for _ in range(3))
    body_of(get(used))
    DownloadLink.objects.filter(used_at=None).update(expires_at=F("created_at"))
    token = used.rpartition("/")[2]
    forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), token.partition(".")[0], "x", "x.y", "%F0%9F%98%80"]
    addresses = [used, expired, revoked, *(f"/download/{text}" for text in forged)]
    answers = [get(address) for address in addresses]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert answers[0].json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    "change",
    [
        lambda: User.objects.update(is_active=False),
        lambda: User.groups.through.objects.all().delete(),
        lambda: ApiKey.objects.update(revoked_at=F("created_at")),
        lambda: ApiKey.objects.update(scopes=["read"]),
        lambda: ApiKey.objects.update(expires_at=F("created_at")),
    ],
    ids=["inactive", "no group", "revoked", "no scope", "expired"],
)
def test_a_link_is_worth_no_more_than_who_made_it(operator: Client, backup: Backup, change: Callable[[], object]):
    address = address_of(operator, backup)
    change()
    assert get(address).status_code == 404
    assert DownloadLink.objects.get().used_at is None


def test_a_link_to_a_backup_that_is_not_whole_any_more_says_so_and_stays(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    Backup.objects.update(state=BackupState.CORRUPT)
    answer = get(address)
    assert (answer.status_code, answer.json()["code"]) == (409, "BACKUP_UNUSABLE")
    Backup.objects.update(state=BackupState.COMPLETE)
    assert body_of(get(address)) == CONTENT


def test_the_row_knows_neither_the_token_nor_the_address_of_its_user(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    body_of(get(address))
    row = DownloadLink.objects.values().get()
    secret = address.rpartition("/")[2].partition(".")[0]
    assert row["digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(row)
    assert "192.0.2.7" not in repr(row)


def test_making_and_using_a_link_is_in_the_ledger_under_who_made_it(operator: Client, backup: Backup):
    address = address_of(operator, backup)
    secret = address.rpartition("/")[2].partition(".")[0]
    body_of(get(address))
    body_of(get(address, **RESUMED))
    made, used, resumed = (json.loads(entry.payload) for entry in ledger.entries().order_by("id"))
    assert [entry["action"] for entry in (made, used, resumed)] == ["backup.link", *["backup.link_used"] * 2]
    assert [entry["source"]["channel"] for entry in (made, used, resumed)] == ["api", "link", "link"]
    assert {entry["actor"]["id"] for entry in (made, used, resumed)} == {str(User.objects.get().pk)}
    assert {entry["details"]["link"] for entry in (made, used, resumed)} == {str(DownloadLink.objects.get().pk)}
    assert resumed["details"]["asked_range"] == "bytes=1000-"
    assert secret not in repr(list(ledger.entries().values()))


def test_without_the_ledger_no_link_is_made_and_none_is_used_up(
    operator: Client, backup: Backup, database_down: DatabaseDown
):
    address = address_of(operator, backup)
    with database_down("audit"):
        assert ask_link(operator, backup).status_code == 503
        assert get(address).status_code == 503
    assert DownloadLink.objects.count() == 1
    assert body_of(get(address)) == CONTENT


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"expiresInSeconds": 59}, 400, "expiresInSeconds"),
        ({"expiresInSeconds": LONGEST_SECONDS + 1}, 400, "expiresInSeconds"),
        ({"expiresInSeconds": True}, 400, "expiresInSeconds"),
        ({"expiresInSeconds": "600"}, 400, "expiresInSeconds"),
        ({"expiresInSeconds": 60.5}, 400, "expiresInSeconds"),
        ({"part": 1}, 400, "part"),
        ({"path": ["etc"]}, 400, "path"),
        ({"path": "100%"}, 400, "path"),
        ({"nope": 1}, 400, "nope"),
        ({"part": "other.tar"}, 404, "part"),
    ],
)
def test_a_wish_that_cannot_be_had_is_refused_by_its_field(
    operator: Client, backup: Backup, body: dict[str, Any], status: int, field: str
):
    answer = ask_link(operator, backup, **body)
    assert answer.status_code == status
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not DownloadLink.objects.exists()


def test_no_link_is_made_to_what_is_not_there(operator: Client, backup: Backup):
    assert ask_link(operator, backup, path="etc/nothing").status_code == 404
    assert not DownloadLink.objects.exists()


def test_links_that_are_over_for_long_are_forgotten(operator: Client, backup: Backup):
    address_of(operator, backup, expiresInSeconds=60)
    with time_machine.travel(later(31 * 24 * 3600), tick=False):
        ApiKey.objects.update(expires_at=F("expires_at") + (F("expires_at") - F("created_at")))
        address_of(operator, backup)
    assert DownloadLink.objects.count() == 1


def test_an_auditor_makes_no_link(backup: Backup, with_key: Callable[..., Client]):
    assert ask_link(with_key(recipes.auditor()), backup).status_code == 403
    assert not DownloadLink.objects.exists()
