"""Folders, downloads, links and comparisons: the right bytes for the right people, and none before the ledger knows."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from containers_app.audit import ledger
from containers_app.models import Backup
from containers_app.models.backups import BackupState
from containers_app.specs.encoding import Encoding
from tests import recipes
from tests.unit.archives.samples import Member, sparse_member, tar_of
from tests.written_sets import file_of, written_set

pytestmark = [pytest.mark.django_db(databases=["default", "audit"]), pytest.mark.usefixtures("backup_root")]
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
HOSTILE_NAME = "<script>\u202egpj\n\"';.html"
ROOTFS = tar_of(
    [
        Member("./", typeflag=tarfile.DIRTYPE),
        Member("./etc", typeflag=tarfile.DIRTYPE),
        Member("./etc/hosts", b"127.0.0.1 localhost", owner=7, seconds=1700000000.25),
        Member("./etc/empty"),
        Member("./etc/100%", b"percent"),
        Member(f"./etc/{HOSTILE_NAME}", b"hostile"),
        Member("./etc/mtab", typeflag=tarfile.SYMTYPE, target="/proc/mounts"),
        Member("./etc/again", typeflag=tarfile.LNKTYPE, target="./etc/hosts"),
        Member("./big", bytes(range(256)) * 8192),
    ]
)
Configured = Callable[..., None]
DatabaseDown = Callable[[str], AbstractContextManager[None]]
MakeClient = Callable[..., Client]


@pytest.fixture(autouse=True)
def cache(settings: Settings) -> Path:
    """The folder of opened indexes, empty."""
    folder = Path(settings.MYCODOCKER["data_directory"], "indexes")
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture
def backup(groups: None) -> Backup:
    return written_set(rootfs=ROOTFS)


@pytest.fixture
def auditor(groups: None, with_key: MakeClient) -> Client:
    return with_key(recipes.auditor())


def files(client: Client, backup: Backup, **query: str) -> Any:
    return client.get(f"/api/backups/{backup.pk}/files", query)


def content(client: Client, backup: Backup, query: dict[str, str] | None = None, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(f"/api/backups/{backup.pk}/content", query or {}, headers=names)


def body_of(answer: Any) -> bytes:
    assert answer.status_code in (200, 206), answer.content
    return b"".join(answer.streaming_content)


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def events(action: str) -> list[dict[str, Any]]:
    """What the ledger has of this action, oldest first."""
    return [json.loads(entry.payload) for entry in ledger.entries().filter(action=action).order_by("id")]


# Folders.


def test_a_folder_is_listed_with_all_that_is_known_of_its_entries(operator: Client, backup: Backup):
    body = files(operator, backup, path="/etc/").json()
    assert (body["part"], body["path"], body["next"]) == ("web.tar", "/etc/", None)
    found = {entry["name"]: entry for entry in body["results"]}
    assert list(found) == sorted(found, key=str.encode)
    assert found["hosts"] == {
        "name": "hosts",
        "path": "etc/hosts",
        "kind": "file",
        "sizeBytes": 19,
        "mode": "0644",
        "uid": 7,
        "gid": found["hosts"]["gid"],
        "modifiedAt": "2023-11-14T22:13:20.250000Z",
        "target": None,
        "sha256": hashlib.sha256(b"127.0.0.1 localhost").hexdigest(),
    }
    assert (found["mtab"]["kind"], found["mtab"]["target"]) == ("symlink", "/proc/mounts")
    assert (found["again"]["kind"], found["again"]["target"]) == ("hardlink", "etc/hosts")


def test_the_root_is_the_folder_of_who_names_none(operator: Client, backup: Backup):
    assert [entry["path"] for entry in files(operator, backup).json()["results"]] == ["big", "etc"]


@pytest.mark.parametrize("limit", ["1", "2", "4", "200"])
def test_pages_of_a_folder_are_the_whole_of_it(operator: Client, backup: Backup, limit: str):
    names, answer = [], files(operator, backup, path="etc", limit=limit)
    while True:
        page = answer.json()
        assert len(page["results"]) <= int(limit)
        names += [entry["name"] for entry in page["results"]]
        if page["next"] is None:
            break
        answer = operator.get(page["next"])
    whole = [entry["name"] for entry in files(operator, backup, path="etc").json()["results"]]
    assert names == whole
    assert len(set(names)) == 6


NAMES = [b"not-utf8-\xff\xfe", b"100%25", b"new\nline", b"a b+c&d=e", "\u20ac".encode(), b"-rf", b"'\"<>"]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_name_is_it_can_be_asked_for_as_it_was_answered(operator: Client, groups: None, name: bytes):
    backup = written_set(rootfs=tar_of([Member(name.decode("utf-8", "surrogateescape"), name)]))
    (entry,) = files(operator, backup).json()["results"]
    answer = content(operator, backup, {"path": entry["path"]})
    assert body_of(answer) == name
    assert answer["Content-Disposition"].startswith("attachment; filename")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"path": "nothing"}, 404, "NOT_FOUND"),
        ({"path": "etc/hosts"}, 404, "NOT_FOUND"),
        ({"path": "../etc"}, 404, "NOT_FOUND"),
        ({"part": "web.tar.volume-1-x.tar"}, 404, "NOT_FOUND"),
        ({"part": "../../etc/passwd"}, 404, "NOT_FOUND"),
        ({"part": "web.tar.index"}, 409, "INDEX_MISSING"),
        ({"path": "100%"}, 400, "INVALID_REQUEST"),
        ({"path": "a%00b"}, 400, "INVALID_REQUEST"),
        ({"after": "%"}, 400, "INVALID_REQUEST"),
        ({"limit": "0"}, 400, "INVALID_REQUEST"),
        ({"limit": "201"}, 400, "INVALID_REQUEST"),
        ({"path": "a" * 12289}, 400, "INVALID_REQUEST"),
        ({"nope": "1"}, 400, "INVALID_REQUEST"),
    ],
)
def test_what_is_no_folder_is_refused_in_words(
    operator: Client, backup: Backup, query: dict[str, str], status: int, code: str
):
    assert refusal(files(operator, backup, **query)) == (status, code)
    assert events("backup.browse") == []


def test_a_path_as_long_as_any_can_be_asked_for(operator: Client, backup: Backup):
    assert refusal(files(operator, backup, path="%FF" * 4096)) == (404, "NOT_FOUND")


def test_a_set_of_a_release_without_indexes_says_so(operator: Client, backup: Backup):
    backup.parts.filter(kind="index").delete()
    assert refusal(files(operator, backup)) == (409, "INDEX_MISSING")
    assert body_of(content(operator, backup)) == ROOTFS


def test_a_changed_index_is_not_believed(operator: Client, backup: Backup):
    path = file_of(backup, "index")
    path.write_bytes(bytes(path.stat().st_size))
    assert refusal(files(operator, backup)) == (409, "BACKUP_UNUSABLE")


# What is stored.


def test_a_part_is_downloaded_as_it_is_stored_and_nothing_renders_it(operator: Client, backup: Backup):
    answer = content(operator, backup)
    assert body_of(answer) == ROOTFS
    assert answer["Content-Length"] == str(len(ROOTFS))
    assert answer["ETag"] == f'"{hashlib.sha256(ROOTFS).hexdigest()}"'
    assert answer["Content-Disposition"] == 'attachment; filename="web.tar"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["Accept-Ranges"] == "bytes"
    assert "no-store" in answer["Cache-Control"]


SIZE = len(ROOTFS)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=0-", 0, SIZE),
        (f"bytes={SIZE - 3}-{SIZE + 100}", SIZE - 3, SIZE),
        ("bytes=1000000-1000009", 1000000, 1000010),
    ],
)
def test_a_range_is_exactly_those_bytes(operator: Client, backup: Backup, asked: str, start: int, end: int):
    answer = content(operator, backup, Range=asked)
    assert body_of(answer) == ROOTFS[start:end]
    assert answer.status_code == 206
    assert answer["Content-Length"] == str(end - start)
    assert answer["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=" + ",".join(["0-1"] * 1000), "nonsense"])
def test_what_is_not_one_range_gets_the_whole(operator: Client, backup: Backup, asked: str):
    answer = content(operator, backup, Range=asked)
    assert body_of(answer) == ROOTFS
    assert (answer.status_code, answer.get("Content-Range")) == (200, None)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=-0"])
def test_a_range_past_the_end_is_unsatisfiable(operator: Client, backup: Backup, asked: str):
    answer = content(operator, backup, Range=asked)
    assert (answer.status_code, answer["Content-Range"], answer.content) == (416, f"bytes */{SIZE}", b"")


def test_a_range_of_another_version_gets_the_whole(operator: Client, backup: Backup):
    etag = content(operator, backup)["ETag"]
    assert content(operator, backup, Range="bytes=1-2", If_Range=etag).status_code == 206
    assert content(operator, backup, Range="bytes=1-2", If_Range='"another"').status_code == 200


def test_head_tells_the_size_and_disregards_ranges(operator: Client, backup: Backup):
    answer = operator.head(f"/api/backups/{backup.pk}/content", headers={"Range": "bytes=0-0"})
    assert (answer.status_code, answer["Content-Length"], answer.getvalue()) == (200, str(SIZE), b"")


FRONT_SERVERS = {"nginx:/protected": ("X-Accel-Redirect", "/protected"), "apache": ("X-Sendfile", "")}


@pytest.mark.parametrize("setting", FRONT_SERVERS)
def test_a_front_server_that_can_sends_the_file(operator: Client, backup: Backup, configured: Configured, setting: str):
    configured(sendfile=setting)
    answer = content(operator, backup, Range="bytes=0-0")
    header, prefix = FRONT_SERVERS[setting]
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer[header] == prefix + backup.path
    assert answer["Content-Disposition"] == 'attachment; filename="web.tar"'
    assert len(events("backup.download")) == 1


# One file, one folder.


@pytest.mark.parametrize(
    "encoding", [Encoding(), Encoding(codec="zstd"), Encoding(codec="gzip")], ids=["plain", "zstd", "gzip"]
)
def test_a_file_and_a_folder_come_out_of_a_part_however_it_is_stored(operator: Client, encoding: Encoding):
    backup = written_set(rootfs=ROOTFS, encoding=encoding)
    answer = content(operator, backup, {"path": "big"})
    assert body_of(answer) == bytes(range(256)) * 8192
    assert answer["Content-Length"] == str(256 * 8192)
    folder = content(operator, backup, {"path": "etc"})
    assert folder["Content-Type"] == "application/x-tar"
    assert folder["Content-Disposition"] == 'attachment; filename="etc.tar"'
    with tarfile.open(fileobj=io.BytesIO(body_of(folder))) as archive:
        assert "etc/hosts" in [name.removeprefix("./") for name in archive.getnames()]
        hosts = archive.extractfile(archive.getmembers()[1])
        assert hosts is not None
        assert hosts.read() == b"127.0.0.1 localhost"


def test_the_root_is_a_tar_of_everything(operator: Client, backup: Backup):
    answer = content(operator, backup, {"path": ""})
    assert answer["Content-Disposition"] == 'attachment; filename="web.tar"'
    with tarfile.open(fileobj=io.BytesIO(body_of(answer))) as archive:
        assert len(archive.getmembers()) == 9


def test_a_range_of_a_file_in_a_part_is_the_whole_file(operator: Client, backup: Backup):
    answer = content(operator, backup, {"path": "etc/hosts"}, Range="bytes=0-0")
    assert (answer.status_code, answer["Accept-Ranges"], body_of(answer)) == (200, "none", b"127.0.0.1 localhost")


def test_an_empty_file_is_empty(operator: Client, backup: Backup):
    answer = content(operator, backup, {"path": "etc/empty"})
    assert (answer["Content-Length"], body_of(answer)) == ("0", b"")


def test_a_sparse_file_has_its_holes_back(operator: Client, groups: None):
    member = sparse_member(b"sparse", 10, text=b"1\n4\n3\n", data=b"abc")
    backup = written_set(rootfs=member + bytes(1024))
    (entry,) = files(operator, backup).json()["results"]
    assert (entry["sizeBytes"], entry["sha256"]) == (10, None)
    assert body_of(content(operator, backup, {"path": "sparse"})) == b"\0\0\0\0abc\0\0\0"


def test_a_link_has_no_content_but_a_hard_link_has(operator: Client, backup: Backup):
    assert refusal(content(operator, backup, {"path": "etc/mtab"})) == (404, "NOT_FOUND")
    assert body_of(content(operator, backup, {"path": "etc/again"})) == b"127.0.0.1 localhost"


def test_a_hostile_name_says_nothing_to_a_browser(operator: Client, backup: Backup):
    (path,) = [
        entry["path"] for entry in files(operator, backup, path="etc").json()["results"] if "script" in entry["name"]
    ]
    answer = content(operator, backup, {"path": path})
    assert body_of(answer) == b"hostile"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="_script__gpj%0A___.html"'


def test_a_file_that_was_altered_on_the_storage_is_never_complete(operator: Client, backup: Backup):
    path = file_of(backup)
    path.write_bytes(ROOTFS.replace(b"127.0.0.1 localhost", b"127.0.0.1 lXcalhost"))
    assert refusal(content(operator, backup, {"path": "etc/hosts"})) == (409, "BACKUP_UNUSABLE")


# Encryption.


def test_an_encrypted_part_is_downloaded_whole_and_its_files_are_not_listed(operator: Client, groups: None):
    backup = written_set(rootfs=ROOTFS, encoding=Encoding(recipients=(RECIPIENT,)))
    assert refusal(files(operator, backup)) == (409, "INDEX_ENCRYPTED")
    assert refusal(content(operator, backup, {"path": "etc/hosts"})) == (409, "INDEX_ENCRYPTED")
    assert body_of(content(operator, backup)) == file_of(backup).read_bytes()


def test_a_server_with_the_key_lists_and_opens_what_is_encrypted_for_it(
    operator: Client, groups: None, configured: Configured
):
    backup = written_set(rootfs=ROOTFS, encoding=Encoding(codec="zstd", recipients=(RECIPIENT,)))
    configured(age_identity=f"# of this server\n{IDENTITY}\n")
    assert len(files(operator, backup).json()["results"]) == 2
    assert body_of(content(operator, backup, {"path": "etc/hosts"})) == b"127.0.0.1 localhost"


@pytest.mark.parametrize("encoding", [{"recipients": (RECIPIENT,)}, {"passphrase": "correct horse battery"}])
def test_another_key_of_the_server_opens_nothing(operator: Client, groups: None, configured: Configured, encoding: Any):
    configured(age_identity=str(pyrage.x25519.Identity.generate()))
    backup = written_set(rootfs=ROOTFS, encoding=Encoding(**encoding))
    answer = files(operator, backup)
    assert refusal(answer) == (409, "INDEX_ENCRYPTED")
    assert "AGE-SECRET-KEY" not in answer.content.decode()


# States and people.


@pytest.mark.parametrize("state", [BackupState.CORRUPT, BackupState.MISSING, BackupState.DELETED])
@pytest.mark.parametrize("route", ["files", "content", "compare", "links"])
def test_nothing_is_given_out_of_a_backup_that_is_not_whole(
    operator: Client, backup: Backup, state: BackupState, route: str
):
    Backup.objects.update(state=state)
    address = f"/api/backups/{backup.pk}/{route}" + (f"?with={backup.pk}" if route == "compare" else "")
    answer = operator.post(address, {}, content_type="application/json") if route == "links" else operator.get(address)
    assert refusal(answer) == (409, "BACKUP_UNUSABLE")
    assert state.value in answer.json()["detail"]


def test_a_partial_backup_can_be_read(operator: Client, backup: Backup):
    Backup.objects.update(state=BackupState.PARTIAL)
    assert body_of(content(operator, backup)) == ROOTFS


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(ROOTFS[:-512])])
def test_a_file_that_is_gone_or_cut_is_refused_before_the_ledger_says_that_it_was_read(
    operator: Client, backup: Backup, damage: Callable[[Path], None]
):
    damage(file_of(backup))
    assert refusal(content(operator, backup)) == (409, "BACKUP_UNUSABLE")
    assert events("backup.download") == []


def test_a_link_in_the_place_of_the_file_is_not_followed(operator: Client, backup: Backup, tmp_path: Path):
    path = file_of(backup)
    (tmp_path / "other").write_bytes(ROOTFS)
    path.unlink()
    path.symlink_to(tmp_path / "other")
    assert refusal(content(operator, backup)) == (409, "BACKUP_UNUSABLE")


@pytest.mark.parametrize("route", ["files", "content", "links", "compare"])
def test_a_stranger_cannot_tell_whether_there_is_a_backup(backup: Backup, with_key: MakeClient, route: str):
    client = with_key(recipes.stranger())
    answers = [
        client.generic("POST" if route == "links" else "GET", f"/api/backups/{identifier}/{route}?with={backup.pk}")
        for identifier in (backup.pk, "0190a000-0000-7000-8000-00000000dead")
    ]
    if route in ("files", "compare"):
        assert {answer.status_code for answer in answers} <= {400, 404}
    assert answers[0].content == answers[1].content


def test_an_auditor_browses_and_downloads_nothing(auditor: Client, backup: Backup):
    assert files(auditor, backup).status_code == 200
    assert refusal(content(auditor, backup)) == (403, "PERMISSION_DENIED")
    assert refusal(content(auditor, backup, {"path": "etc/hosts"})) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(("scope", "route"), [("read", "content"), ("download", "files"), ("read", "links")])
def test_a_key_needs_the_scope(backup: Backup, with_key: MakeClient, scope: str, route: str):
    client = with_key(recipes.operator(), scope)
    answer = client.generic("POST" if route == "links" else "GET", f"/api/backups/{backup.pk}/{route}")
    assert refusal(answer) == (403, "PERMISSION_DENIED")


# The ledger.


def test_each_read_is_in_the_ledger_with_who_and_what(operator: Client, backup: Backup):
    files(operator, backup, path="etc")
    body_of(content(operator, backup, Range="bytes=0-9"))
    body_of(content(operator, backup, {"path": "etc/hosts"}))
    (browsed,) = events("backup.browse")
    whole, one = events("backup.download")
    assert browsed["details"] == {"part": "web.tar", "path": "etc"}
    assert whole["details"] == {"part": "web.tar", "asked_range": "bytes=0-9"}
    assert one["details"] == {"part": "web.tar", "path": "etc/hosts"}
    assert {entry["object"]["id"] for entry in (browsed, whole, one)} == {str(backup.pk)}
    assert {entry["actor"]["id"] for entry in (browsed, whole, one)} == {str(User.objects.get(username="olga").pk)}


@pytest.mark.parametrize("query", [{}, {"path": "etc/hosts"}, {"path": "etc"}])
def test_without_the_ledger_not_one_byte_goes_out(
    operator: Client, backup: Backup, database_down: DatabaseDown, query: dict[str, str]
):
    with database_down("audit"):
        assert refusal(content(operator, backup, query)) == (503, "AUDIT_UNAVAILABLE")
        assert refusal(files(operator, backup)) == (503, "AUDIT_UNAVAILABLE")
        compared = operator.get(f"/api/backups/{backup.pk}/compare", {"with": str(backup.pk)})
        assert refusal(compared) == (503, "AUDIT_UNAVAILABLE")


# Comparisons.


def compared(client: Client, later: Backup, earlier: Backup, **query: str) -> Any:
    return client.get(f"/api/backups/{later.pk}/compare", {"with": str(earlier.pk), **query})


@pytest.fixture
def pair(groups: None) -> tuple[Backup, Backup]:
    """An earlier and a later backup."""
    before = [Member("gone", b"1"), Member("same", b"2"), Member("changed", b"3"), Member("d/gone", b"4")]
    after = [Member("same", b"2"), Member("changed", b"33"), Member("new", b"5"), Member("d/not-utf8-\udcff", b"6")]
    return written_set(name="a.tar", rootfs=tar_of(before)), written_set(name="b.tar", rootfs=tar_of(after))


def test_a_comparison_says_what_is_new_changed_and_deleted(operator: Client, pair: tuple[Backup, Backup]):
    earlier, later = pair
    body = compared(operator, later, earlier).json()
    assert (body["part"], body["with"], body["next"]) == ("b.tar", "a.tar", None)
    assert [(row["path"], row["change"], row["what"]) for row in body["results"]] == [
        ("changed", "changed", ["content"]),
        ("gone", "deleted", []),
        ("new", "new", []),
        ("d/gone", "deleted", []),
        ("d/not-utf8-%FF", "new", []),
    ]
    (event,) = events("backup.compare")
    assert event["details"] == {"part": "b.tar", "earlier": str(earlier.pk)}


@pytest.mark.parametrize("most_pairs", [2, 100])
def test_pages_of_a_comparison_are_the_whole_of_it(
    operator: Client, pair: tuple[Backup, Backup], monkeypatch: pytest.MonkeyPatch, most_pairs: int
):
    monkeypatch.setattr("containers_app.operations.backup_contents.MOST_COMPARED", most_pairs)
    earlier, later = pair
    found, answer = [], compared(operator, later, earlier, limit="2")
    while True:
        page = answer.json()
        assert len(page["results"]) <= 2
        found += [row["path"] for row in page["results"]]
        if page["next"] is None:
            break
        answer = operator.get(page["next"])
    assert found == ["changed", "gone", "new", "d/gone", "d/not-utf8-%FF"]


def test_a_backup_is_compared_part_by_part(operator: Client, groups: None):
    old, new = (
        written_set(name=f"{name}.tar", volumes={"data": tar_of([Member(name)]), "more": tar_of([Member("m")])})
        for name in ("a", "b")
    )
    body = compared(operator, new, old, part="b.tar.volume-2-more.tar").json()
    assert (body["with"], body["results"]) == ("a.tar.volume-2-more.tar", [])
    only = written_set(name="c.tar", volumes={"other": tar_of([Member("o")])})
    assert refusal(compared(operator, new, only)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("query", ["", "?with=", "?with=x", "?with=1&with=2"])
def test_a_comparison_needs_another_backup(operator: Client, backup: Backup, query: str):
    assert refusal(operator.get(f"/api/backups/{backup.pk}/compare{query}")) == (400, "INVALID_REQUEST")
