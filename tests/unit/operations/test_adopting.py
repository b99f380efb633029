"""A set that no record knows gets one from its manifest alone, if every byte is what the manifest says."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from containers_app.archives import checking
from containers_app.archives.index_builder import IndexBuilder
from containers_app.archives.manifest import TAR_KINDS, StackIdentity
from containers_app.models import Backup, BackupPart, Operation, State
from containers_app.models.identifiers import uuid7
from containers_app.operations import progress
from containers_app.operations.backup_checks import check_backups
from containers_app.workflows import adopt as module
from tests import recipes
from tests.stored_sets import CREATED, WEB, edited, flip, manifest_of, names, part_of, stored_set, tar, write_set
from tests.unit.archives.hostile import hard_link, link
from tests.unit.archives.samples import Member, tar_of
from tests.unit.operations.keeping_bench import adopt, delete, state, verify

pytestmark = [
    pytest.mark.django_db(databases=["default", "audit"], transaction=True),
    pytest.mark.usefixtures("groups", "backup_root"),
]


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Engine may be asked."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("an adoption needs no Engine")

    monkeypatch.setattr(progress, "open_gateway", refuse)


@pytest.fixture
def path(backup_root: Path) -> Path:
    """Where the manifest of `web.tar` is, or will be."""
    return backup_root / "web.tar.manifest.json"


def test_an_orphan_gets_the_rows_that_its_manifest_describes(backup_root: Path, path: Path) -> None:
    container = recipes.container(engine_id=WEB)
    manifest = write_set(backup_root, image=True)
    row = adopt(path)
    backup = Backup.objects.get()
    assert (row.state, (row.result or {})["backupId"]) == ("succeeded", str(backup.pk))
    assert [part.as_part() for part in backup.parts.all()] == list(manifest.parts)
    assert (backup.operation, backup.container, backup.host) == (row, container, row.host)
    first = manifest.parts[0]
    assert (backup.path, backup.file_name, backup.manifest_name) == (
        str(backup_root / "web.tar"),
        "web.tar",
        path.name,
    )
    assert (backup.size_bytes, backup.sha256, backup.members) == (first.size_bytes, first.sha256, 3)
    assert backup.stored_bytes == sum(part.stored_bytes for part in manifest.parts)
    assert backup.created_at == datetime.fromisoformat(CREATED)
    assert (backup.state, backup.verified_at is not None, backup.pinned) == ("complete", True, False)
    assert check_backups() == 0
    assert verify(backup).state == "succeeded"


def test_a_set_of_a_stack_is_one_again(backup_root: Path, path: Path) -> None:
    stack = StackIdentity(project="shop", service="web", operation_id=str(uuid7()), members=("web",))
    write_set(backup_root, stack=stack)
    assert adopt(path).state == "succeeded"
    assert Backup.objects.get().stack == "shop"


def test_a_container_that_is_not_known_is_no_obstacle(backup_root: Path, path: Path) -> None:
    write_set(backup_root)
    assert adopt(path).state == "succeeded"
    assert Backup.objects.get().container is None


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((), "complete"),
        (("SECRETS_UNENCRYPTED", "PROTECTED"), "complete"),
        (("BIND_LEFT_OUT",), "partial"),
        (("A_CODE_OF_TOMORROW",), "partial"),
    ],
)
def test_a_set_of_which_something_may_be_missing_is_partial(
    backup_root: Path, path: Path, codes: tuple[str, ...], expected: str
) -> None:
    write_set(backup_root, warnings=codes)
    row = adopt(path)
    assert row.state == (State.PARTIAL if expected == "partial" else State.SUCCEEDED)
    assert check_backups() == 0
    assert state(Backup.objects.get()) == expected


HARMFUL = {
    "a path that leaves the tree": [Member("../escape", b"x")],
    "a member through a link": [link("way", "/etc"), Member("way/passwd", b"x")],
    "one name twice": [Member("a", b"1"), Member("a", b"2")],
    "a hard link out of the tree": [hard_link("a", "../../etc/passwd")],
}


@pytest.mark.parametrize("kind", ["rootfs", "volume"])
@pytest.mark.parametrize("case", HARMFUL)
def test_an_archive_that_could_do_harm_is_not_adopted(backup_root: Path, path: Path, case: str, kind: str) -> None:
    content = tar_of(HARMFUL[case])
    parts = [
        part_of("rootfs", "web", backup_root / "web.tar", tar("web"), members=1),
        part_of(kind, "data", backup_root / "web.tar.x.tar", content, members=len(HARMFUL[case])),
    ]
    path.write_bytes(manifest_of(parts).to_bytes())
    row = adopt(path)
    assert (row.state, row.error_code) == ("failed", "BACKUP_CORRUPT")
    assert "web.tar.x.tar is refused" in row.error_message
    assert not Backup.objects.exists()


@pytest.mark.parametrize("kind", TAR_KINDS)
def test_an_archive_cannot_pass_for_something_that_is_none(backup_root: Path, path: Path, kind: str) -> None:
    write_set(backup_root)
    content = tar_of(HARMFUL["a path that leaves the tree"])
    document = json.loads(path.read_text())
    harmful = part_of("config", "data", backup_root / "web.tar.x.tar", content, members=None)
    document["parts"].append({**json.loads(manifest_of([harmful]).to_bytes())["parts"][0], "kind": kind})
    path.write_text(json.dumps(document))
    row = adopt(path)
    assert (row.state, row.error_code) == ("failed", "BACKUP_CORRUPT")
    assert "members is null" in row.error_message
    assert not Backup.objects.exists()


def index_of(content: bytes, *, lie: str = "") -> bytes:
    """The index of a tar, in which something may be otherwise."""
    with IndexBuilder() as builder:
        builder.feed(content)
        builder.finish()
        if not lie:
            return builder.file.read()
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(builder.file.read())
            copy.flush()
            database = sqlite3.connect(copy.name)
            database.execute(lie)
            database.commit()
            database.close()
            return Path(copy.name).read_bytes()


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        ("", "succeeded"),
        ("UPDATE entries SET sha256 = NULL", "succeeded"),
        ("UPDATE entries SET header_offset = 0 WHERE name = X'31'", "failed"),
        ("UPDATE entries SET name = X'7878' WHERE name = X'31'", "failed"),
        ("DELETE FROM entries WHERE name = X'31'", "failed"),
        ("UPDATE totals SET size_bytes = 1", "failed"),
        ("CREATE VIEW v AS SELECT 1", "failed"),
    ],
    ids=["the truth", "no digests", "another place", "another name", "an entry less", "other totals", "a view"],
)
def test_an_index_counts_only_if_it_says_what_the_archive_does(
    backup_root: Path, path: Path, lie: str, expected: str
) -> None:
    content = tar("web", 3)
    parts = [
        part_of("rootfs", "web", backup_root / "web.tar", content, members=3),
        part_of("index", "web.tar", backup_root / "web.tar.index", index_of(content, lie=lie), members=None),
    ]
    path.write_bytes(manifest_of(parts).to_bytes())
    row = adopt(path)
    assert row.state == expected, row.error_message
    assert Backup.objects.exists() is (expected == "succeeded")
    if expected == "failed":
        assert row.error_code == "BACKUP_CORRUPT"


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ("a second one", {}, "one index too many of web.tar"),
        ("one of nothing", {"name": "other.tar"}, "an index of no archive of this set"),
        ("one of a document", {"name": "web.tar.config.json"}, "an index of no archive of this set"),
        ("a locked one", {"encryption": "age"}, "not encrypted as web.tar is"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_index_stays_unjudged(backup_root: Path, path: Path, case: str, changes: dict[str, Any], words: str) -> None:
    content = tar("web", 3)
    index = part_of("index", "web.tar", backup_root / "web.tar.index", index_of(content), members=None)
    more = part_of("index", "web.tar", backup_root / "web.tar.more.index", index_of(content), members=None)
    parts = [
        part_of("rootfs", "web", backup_root / "web.tar", content, members=3),
        part_of("config", "config", backup_root / "web.tar.config.json", b"{}", members=None),
        *([index] if case == "a second one" else []),
        replace(more, **changes),
    ]
    path.write_bytes(manifest_of(parts).to_bytes())
    row = adopt(path)
    assert (row.state, row.error_code) == ("failed", "BACKUP_CORRUPT")
    assert f"web.tar.more.index is {words}" in row.error_message
    assert not Backup.objects.exists()


@pytest.mark.parametrize("name", ["web.tar", "web.tar.volume-1-data.tar", "web.tar.config.json"])
@pytest.mark.parametrize(("harm", "code"), [(flip, "BACKUP_CORRUPT"), (Path.unlink, "BACKUP_MISSING")])
def test_a_damaged_orphan_is_not_adopted_and_the_finding_says_why(
    backup_root: Path, path: Path, name: str, harm: Callable[[Path], None], code: str
) -> None:
    write_set(backup_root)
    harm(backup_root / name)
    row = adopt(path)
    assert (row.state, row.error_code, (row.result or {})["backupId"]) == ("failed", code, None)
    assert name in row.error_message
    assert not Backup.objects.exists()


HOSTILE: list[dict[str, Any]] = [
    {"unknown": 1},
    {"version": 2},
    {"parts": []},
    {"createdAt": "9999-01-01T00:00:00.000Z"},
    {"container": {"id": WEB, "name": "x" * 256, "image": "", "imageId": "", "platform": ""}},
    {"container": {"id": WEB, "name": "a\0b", "image": "", "imageId": "", "platform": ""}},
    {"container": {"id": "../../etc", "name": "web", "image": "", "imageId": "", "platform": ""}},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: next(iter(changes)))
def test_a_hostile_manifest_is_refused_by_its_words(backup_root: Path, path: Path, changes: dict[str, Any]) -> None:
    write_set(backup_root)
    edited(path, **changes)
    assert adopt(path).error_code == "BACKUP_CORRUPT"
    assert not Backup.objects.exists()


@pytest.mark.parametrize("name", ["../web.tar", "/etc/passwd", "sub/web.tar", ".hidden", "db.tar.manifest.json"])
def test_a_part_cannot_be_a_file_of_another_place_or_a_manifest(backup_root: Path, path: Path, name: str) -> None:
    write_set(backup_root)
    write_set(backup_root, "db.tar")
    document = json.loads(path.read_text())
    document["parts"][0]["path"] = name
    path.write_text(json.dumps(document))
    assert adopt(path).error_code == "BACKUP_CORRUPT"


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b"x" * (2**20 + 1)])
def test_what_is_no_manifest_is_refused(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert adopt(path).error_code == "BACKUP_CORRUPT"


def test_a_set_that_names_the_file_of_another_set_cannot_take_it_along(backup_root: Path) -> None:
    victim = stored_set(backup_root, "db.tar")
    (own, *_) = write_set(backup_root, "evil.tar").parts
    claimed = part_of("volume", "data", backup_root / "db.tar", (backup_root / "db.tar").read_bytes(), members=3)
    path = backup_root / "evil.tar.manifest.json"
    path.write_bytes(manifest_of([own, claimed]).to_bytes())
    assert adopt(path).state == "succeeded"
    row = delete(Backup.objects.get(file_name="evil.tar"), confirm="evil.tar")
    assert (row.result or {})["keptFiles"] == ["db.tar"]
    assert verify(victim).state == "succeeded"


@pytest.mark.parametrize(
    "path",
    [
        "web.tar.manifest.json",
        "/etc/web.tar.manifest.json",
        "{root}/../web.tar.manifest.json",
        "{root}/web.tar",
        "{root}/.manifest.json",
        "{root}/a//web.tar.manifest.json",
        "",
    ],
)
def test_a_path_that_no_orphan_can_have_is_refused(backup_root: Path, path: str) -> None:
    row = adopt(path.format(root=backup_root))
    assert (row.error_code, "'path'" in row.error_message) == ("INVALID_REQUEST", True)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_where_no_manifest_stands_there_is_nothing_to_adopt(path: Path, make: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    assert adopt(path).error_code == "NOT_FOUND"


def test_a_set_that_has_a_row_is_no_orphan(backup_root: Path, path: Path) -> None:
    backup = stored_set(backup_root)
    assert adopt(path).error_code == "NAME_TAKEN"
    assert list(Backup.objects.all()) == [backup]


def test_a_set_that_somebody_adopts_meanwhile_is_adopted_once(
    backup_root: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(backup_root)
    check = checking.check_parts

    def check_while_another_one_adopts(*arguments: Any) -> Any:
        monkeypatch.setattr(module, "check_parts", check)
        assert adopt(path, host=recipes.host("far")).state == "succeeded"
        return check(*arguments)

    monkeypatch.setattr(module, "check_parts", check_while_another_one_adopts)
    row = adopt(path)
    assert (row.state, row.error_code, Backup.objects.count()) == ("failed", "NAME_TAKEN", 1)


@pytest.mark.parametrize("fields", [{"state": State.RUNNING}, {"state": State.FAILED, "undo": [{"action": "x"}]}])
def test_a_set_whose_maker_is_not_over_is_no_orphan(backup_root: Path, path: Path, fields: dict[str, Any]) -> None:
    maker = recipes.operation(**fields)
    write_set(backup_root, operation_id=str(maker.pk))
    assert adopt(path).error_code == "NAME_TAKEN"
    Operation.objects.filter(pk=maker.pk).update(state=State.SUCCEEDED, undo=[])
    assert adopt(path).state == "succeeded"


def test_a_set_whose_deletion_is_not_finished_is_no_orphan(backup_root: Path, path: Path) -> None:
    backup = stored_set(backup_root, state="deleted")
    unfinished = recipes.operation(
        kind="deleteBackup", state=State.FAILED, params={"backup": str(backup.pk)}, undo=[{"action": "remove_set"}]
    )
    assert adopt(path).error_code == "NAME_TAKEN"
    Operation.objects.filter(pk=unfinished.pk).update(undo=[])
    assert adopt(path).state == "succeeded"
    assert sorted(Backup.objects.values_list("state", flat=True)) == ["complete", "deleted"]


@pytest.mark.parametrize("make", [recipes.stranger, recipes.operator, recipes.auditor])
def test_who_does_not_see_the_system_or_makes_no_backups_adopts_nothing(
    backup_root: Path, path: Path, make: Callable[[], Any]
) -> None:
    write_set(backup_root)
    assert adopt(path, user=make()).error_code == "PERMISSION_DENIED"
    assert not BackupPart.objects.exists()
    assert len(names(backup_root)) == 4


def test_a_storage_that_does_not_answer_is_no_verdict(path: Path) -> None:
    assert not path.parent.exists()
    assert adopt(path).error_code == "STORAGE_ERROR"


def test_a_clock_that_is_a_little_ahead_is_no_future(backup_root: Path, path: Path) -> None:
    soon = (timezone.now() + timedelta(hours=1)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    write_set(backup_root, created_at=soon)
    assert adopt(path).state == "succeeded"
    assert Backup.objects.get().created_at <= timezone.now()
