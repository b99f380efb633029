"""A backup is read only as it was written: a byte, a file or a manifest that is another one is refused."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from containers_app.archives.codecs import Keys
from containers_app.archives.manifest import ContainerIdentity, Manifest, Part
from containers_app.archives.stores.local import LocalStore
from containers_app.archives.writer import CHUNK_BYTES
from containers_app.errors import BackupUnusable, InvalidRequest, StorageError
from containers_app.models import Backup
from containers_app.models.backups import BackupState
from containers_app.specs.saved import SavedConfiguration
from containers_app.workflows.set_reader import SetReader, open_set
from tests import recipes
from tests.unit.archives.samples import Member, tar_of

pytestmark = pytest.mark.django_db(databases=["default", "audit"])
ROOTFS = b"x" * (CHUNK_BYTES + 7)
SAVED = SavedConfiguration(container={"Id": "a" * 64, "Config": {"Env": ["TOKEN=secret"]}})
CONFIG, SECRETS = (json.dumps(document).encode() for document in SAVED.documents())
CONTENTS = {"rootfs": ROOTFS, "config": CONFIG, "secrets": SECRETS}


def described(kind: str, content: bytes) -> Part:
    digest = hashlib.sha256(content).hexdigest()
    sizes: Any = {"size_bytes": len(content), "stored_bytes": len(content), "sha256": digest, "stored_sha256": digest}
    return Part(kind=kind, name=kind, path=f"web.tar.{kind}", members=1 if kind == "rootfs" else None, **sizes)


def context_of(folder: Path) -> Any:
    return SimpleNamespace(store=LocalStore([str(folder)]), checkpoint=lambda: None)


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    """A set of three parts on the storage, and its row."""
    parts = tuple(described(kind, content) for kind, content in CONTENTS.items())
    identity = ContainerIdentity(id="a" * 64, name="web", image="web:1", image_id="sha256:1", platform="linux/amd64")
    manifest = Manifest(
        product_version="0",
        operation_id="o",
        created_at="2026-02-12T03:20:00.000Z",
        container=identity,
        host="local",
        engine_version="26",
        api_version="1.45",
        consistency_grade="live",
        parts=parts,
    )
    for kind, content in CONTENTS.items():
        (tmp_path / f"web.tar.{kind}").write_bytes(content)
    (tmp_path / "web.tar.manifest.json").write_bytes(manifest.to_bytes())
    made = recipes.backup(path=str(tmp_path / "web.tar"), manifest_name="web.tar.manifest.json")
    made.parts.all().delete()
    for number, part in enumerate(parts):
        row = made.parts.model.of(made, number, part)
        row.save()
    return made


def opened(backup: Backup, folder: Path) -> SetReader:
    return open_set(context_of(folder), str(backup.pk), Keys())


def read(files: SetReader, kind: str) -> bytes:
    part = files.part(kind)
    assert part is not None
    with files.opened(part) as source:
        return b"".join(source.blocks(lambda block: None))


def test_what_was_written_is_read(backup: Backup, tmp_path: Path) -> None:
    files = opened(backup, tmp_path)
    assert read(files, "rootfs") == ROOTFS
    assert files.configuration() == SAVED
    files.check(files.manifest.parts)


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "cut": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_end_comes_after_other_bytes_than_were_written(change: str, backup: Backup, tmp_path: Path) -> None:
    files = opened(backup, tmp_path)
    path = tmp_path / "web.tar.rootfs"
    path.write_bytes(CHANGES[change](ROOTFS))
    taken = io.BytesIO()
    part = files.part("rootfs")
    assert part is not None
    with files.opened(part) as source, pytest.raises(BackupUnusable, match="web.tar.rootfs"):
        for block in source.blocks(lambda block: None):
            taken.write(block)
    with pytest.raises(BackupUnusable, match="web.tar.rootfs"):
        files.check((part,))


@pytest.mark.parametrize("kind", ["config", "secrets"])
def test_a_configuration_that_was_altered_is_not_understood_but_refused(
    kind: str, backup: Backup, tmp_path: Path
) -> None:
    path = tmp_path / f"web.tar.{kind}"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(BackupUnusable, match=kind):
        opened(backup, tmp_path).configuration()


def test_a_manifest_is_the_one_that_was_written(backup: Backup, tmp_path: Path) -> None:
    path = tmp_path / "web.tar.manifest.json"
    whole = path.read_bytes()
    for altered in (whole.replace(b'"secrets"', b'"volume"', 1), whole[:-9], b"{}", b"\xff"):
        path.write_bytes(altered)
        with pytest.raises(BackupUnusable, match="manifest"):
            opened(backup, tmp_path)
    path.unlink()
    with pytest.raises(BackupUnusable, match="manifest"):
        opened(backup, tmp_path)


def test_a_file_that_is_missing_is_named(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "web.tar.secrets").unlink()
    with pytest.raises(BackupUnusable, match="web.tar.secrets"):
        opened(backup, tmp_path).configuration()


@pytest.mark.parametrize("state", [BackupState.MISSING, BackupState.CORRUPT, BackupState.DELETED])
def test_what_is_known_not_to_be_whole_is_not_opened(state: BackupState, backup: Backup, tmp_path: Path) -> None:
    Backup.objects.update(state=state)
    with pytest.raises(BackupUnusable, match=str(state)):
        opened(backup, tmp_path)


def test_a_backup_that_is_gone_or_elsewhere_is_not_opened(backup: Backup, tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable):
        open_set(context_of(tmp_path), "0190a000-0000-7000-8000-00000000dead", Keys())
    with pytest.raises(StorageError, match="backup roots"):
        open_set(context_of(tmp_path / "other"), str(backup.pk), Keys())


def test_without_configuration_no_container_can_be_made(backup: Backup, tmp_path: Path) -> None:
    files = opened(backup, tmp_path)
    object.__setattr__(files.manifest, "parts", files.parts("rootfs"))
    with pytest.raises(InvalidRequest, match="configuration"):
        files.configuration()


@pytest.mark.parametrize(
    ("kind", "encryption", "refused"),
    [("adopt", "age", True), ("adopt", None, False), ("backup", "age", False)],
    ids=["a stranger's that had no key", "a stranger's that was judged", "our own"],
)
def test_what_could_not_be_judged_before_is_judged_on_its_way(
    backup: Backup, tmp_path: Path, kind: str, encryption: str | None, refused: bool
) -> None:
    files = opened(backup, tmp_path)
    files.backup.operation.kind = kind
    archive = tar_of([Member("a", b"x" * 2000), Member("../escape", b"x")])
    part = replace(described("rootfs", archive), encryption=encryption)
    blocks, passed = iter([archive[:512], archive[512:]]), bytearray()
    with pytest.raises(BackupUnusable, match="web.tar.rootfs is not restored") if refused else nullcontext():
        for block in files.harmless(part, blocks):
            passed += block
    assert len(passed) < len(archive) if refused else passed == archive
