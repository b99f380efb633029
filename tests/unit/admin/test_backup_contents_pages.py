"""The pages of what is in backups: who sees which button, that foreign names stay text, and that reads are recorded."""

from __future__ import annotations

import re
import tarfile
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from containers_app.audit import ledger
from containers_app.models import Backup, DownloadLink
from containers_app.models.backups import BackupState
from containers_app.specs.encoding import Encoding
from tests import recipes
from tests.unit.archives.samples import Member, tar_of
from tests.written_sets import file_of, written_set

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"]),
    pytest.mark.usefixtures("groups", "backup_root"),
]
HOSTILE = '"><script>alert(1)<!--\u202egpj'
ROOTFS = tar_of(
    [
        Member("etc", typeflag=tarfile.DIRTYPE),
        Member("etc/hosts", b"localhost"),
        Member(f"etc/{HOSTILE}", typeflag=tarfile.DIRTYPE),
        Member(f"etc/{HOSTILE}/inner", b"inner"),
        Member("etc/link", typeflag=tarfile.SYMTYPE, target=HOSTILE),
        Member("etc/old", seconds=-1e11),
    ]
)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in(recipes.operator())


@pytest.fixture
def backup() -> Backup:
    return written_set(rootfs=ROOTFS)


def address(backup: Backup, page: str, query: str = "") -> str:
    return reverse(f"admin:containers_app_backup_{page}", args=[backup.pk]) + query


def own_page(backup: Backup) -> str:
    return reverse("admin:containers_app_backup_change", args=[backup.pk])


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return str(answer.content.decode())


def links_in(page: str, word: str) -> list[str]:
    """Where the links go whose address has this word."""
    return [unescape(found) for found in re.findall(r'href="([^"]+)"', page) if word in found]


def actions() -> list[str]:
    reads = ledger.entries().filter(action__startswith="backup.").order_by("id")
    assert {entry.channel for entry in reads} <= {"ui"}
    return [entry.action for entry in reads]


def test_an_operator_walks_from_the_backup_to_a_file_and_downloads_it(operator: Client, backup: Backup):
    (files,) = links_in(text_of(operator.get(own_page(backup))), "/files/")
    (folder,) = [link for link in links_in(text_of(operator.get(files)), "/files/") if "path=" in link]
    listed = text_of(operator.get(folder))
    (file,) = [link for link in links_in(listed, "/content/") if "hosts" in link]
    answer = operator.get(file)
    assert b"".join(answer) == b"localhost"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert actions() == ["backup.browse", "backup.browse", "backup.download"]


def test_foreign_names_are_text_and_can_be_followed(operator: Client, backup: Backup):
    page = text_of(operator.get(address(backup, "files", "?path=etc")))
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "style=" not in page
    (folder,) = [link for link in links_in(page, "/files/") if "script" in link]
    inner = text_of(operator.get(folder))
    assert "inner" in inner
    assert "<script>alert" not in inner


def test_a_time_beyond_the_calendar_is_still_shown(operator: Client, backup: Backup):
    page = text_of(operator.get(address(backup, "files", "?path=etc")))
    assert "1970" in page


def test_a_large_folder_comes_in_pages(operator: Client):
    backup = written_set(rootfs=tar_of([Member(f"{number:04}") for number in range(250)]))
    page, found = text_of(operator.get(address(backup, "files"))), []
    while True:
        found += re.findall(r"<bdi>(\d{4})</bdi>", page)
        more = [link for link in links_in(page, "/files/") if "after=" in link]
        if not more:
            break
        page = text_of(operator.get(more[0]))
    assert found == [f"{number:04}" for number in range(250)]


def test_files_are_chosen_and_the_form_of_a_restore_has_their_paths(operator: Client, backup: Backup):
    page = operator.get(address(backup, "files", "?path=etc")).content.decode()
    values = [unescape(value) for value in re.findall(r'type="checkbox" name="path" value="([^"]*)"', page)]
    assert "/etc/hosts" in values
    assert all(value.isprintable() for value in values)
    form = operator.get(reverse("admin:containers_app_backup_restore", args=[backup.pk]), {"path": values})
    assert form.context["form"]["paths"].value().splitlines() == values
    assert form.context["form"]["mode"].value() == "path"


def test_who_may_not_restore_chooses_nothing(backup: Backup):
    page = text_of(signed_in(recipes.auditor()).get(address(backup, "files", "?path=etc")))
    assert 'type="checkbox"' not in page


def test_an_auditor_browses_and_sees_no_way_to_download(backup: Backup):
    client = signed_in(recipes.auditor())
    for page in (own_page(backup), address(backup, "files", "?path=etc")):
        text = text_of(client.get(page))
        assert links_in(text, "/content/") == []
        assert "/link/" not in text
    assert client.get(address(backup, "content")).status_code == 403
    assert client.post(address(backup, "link"), {"part": "web.tar"}).status_code == 403
    assert not DownloadLink.objects.exists()


@pytest.mark.parametrize("page", ["files", "content", "compare", "link"])
def test_a_stranger_is_refused_and_nobody_is_sent_to_sign_in(backup: Backup, page: str):
    method = "post" if page == "link" else "get"
    assert getattr(signed_in(recipes.stranger()), method)(address(backup, page)).status_code == 403
    assert getattr(Client(), method)(address(backup, page)).status_code == 302


def test_a_link_is_made_by_a_post_and_shown_once(operator: Client, backup: Backup):
    assert operator.get(address(backup, "link")).status_code == 405
    page = text_of(operator.post(address(backup, "link"), {"part": "web.tar", "path": "etc/hosts"}))
    (token,) = re.findall(r"/download/([\w.-]+)<", page)
    assert b"".join(Client().get(f"/download/{token}")) == b"localhost"
    assert DownloadLink.objects.get().path == "etc/hosts"
    whole = text_of(operator.post(address(backup, "link"), {"part": "web.tar"}))
    assert "/download/" in whole
    assert DownloadLink.objects.filter(path=None).count() == 1


def test_a_link_needs_the_token_against_forged_forms(backup: Backup):
    client = Client(enforce_csrf_checks=True)
    client.force_login(recipes.operator())
    assert client.post(address(backup, "link"), {"part": "web.tar"}).status_code == 403


def test_two_backups_are_chosen_and_compared(operator: Client, backup: Backup):
    later = written_set(name="b.tar", rootfs=tar_of([Member("new", b"n"), Member("etc/hosts", b"changed")]))
    other = written_set(name="c.tar", rootfs=ROOTFS, container_name="db")
    Backup.objects.filter(pk=backup.pk).update(created_at=timezone.now() - timedelta(days=1))
    (choose,) = links_in(text_of(operator.get(own_page(later))), "/compare/")
    page = text_of(operator.get(choose))
    (compare,) = links_in(page, "with=")
    assert str(other.pk) not in page
    shown = text_of(operator.get(compare))
    assert [word for word in ("New", "Changed", "Deleted") if f">{word}<" not in shown.replace("</svg>", ">")] == []
    assert "<script>alert" not in shown
    assert actions() == ["backup.compare"]


def test_backups_that_are_equal_say_so(operator: Client, backup: Backup):
    same = address(backup, "compare", f"?with={backup.pk}")
    assert "Nothing is different." in text_of(operator.get(same))


def test_who_has_no_older_backup_is_told(operator: Client, backup: Backup):
    assert "no older backup" in text_of(operator.get(address(backup, "compare")))


@pytest.mark.parametrize(
    "query", ["?path=nothing", "?part=other", "?path=etc/hosts"], ids=["no path", "no part", "no folder"]
)
def test_what_is_not_there_is_a_404(operator: Client, backup: Backup, query: str):
    assert operator.get(address(backup, "files", query)).status_code == 404


@pytest.mark.parametrize("query", ["?path=100%25", "?after=%25"])
def test_what_no_page_wrote_leads_back_with_a_reason(operator: Client, backup: Backup, query: str):
    answer = operator.get(address(backup, "files", query), follow=True)
    assert answer.redirect_chain == [(own_page(backup), 302)]
    assert "as answers write it" in text_of(answer)


def test_an_encrypted_backup_leads_back_with_a_reason(operator: Client):
    backup = written_set(rootfs=ROOTFS, encoding=Encoding(passphrase="correct horse battery"))
    answer = operator.get(address(backup, "files"), follow=True)
    assert "download the whole part" in text_of(answer)


def test_a_backup_that_is_not_whole_has_no_buttons_and_gives_nothing_out(operator: Client, backup: Backup):
    Backup.objects.update(state=BackupState.CORRUPT)
    page = text_of(operator.get(own_page(backup)))
    assert [links_in(page, word) for word in ("/files/", "/compare/", "/content/")] == [[], [], []]
    assert operator.get(address(backup, "content")).status_code == 302


def test_a_file_that_is_gone_leads_back_with_a_reason(operator: Client, backup: Backup):
    file_of(backup).unlink()
    answer = operator.get(address(backup, "content"), follow=True)
    assert "not on the backup storage" in text_of(answer)
    assert actions() == []
