from __future__ import annotations

import hashlib
import io
import sqlite3
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyrage
import pytest

from containers_app.archives.codecs import Keys, decoded
from containers_app.archives.index import Index
from containers_app.archives.manifest import Part
from containers_app.archives.stores.local import LocalStore
from containers_app.errors import ArchiveTruncated, NameTaken, StorageError
from containers_app.specs.encoding import Encoding
from containers_app.workflows.context import Facts
from containers_app.workflows.set_writer import SetWriter
from tests.unit.archives.samples import Member, tar_of

MEMBERS = [Member("./", typeflag=tarfile.DIRTYPE), Member("./a", b"one"), Member("./b/c", b"two")]
CONTENT = tar_of(MEMBERS)
IDENTITY = pyrage.x25519.Identity.generate()
ENCODINGS = {
    "": Encoding(),
    ".zst": Encoding(codec="zstd"),
    ".gz": Encoding(codec="gzip"),
    ".zst.age": Encoding(codec="zstd", recipients=(str(IDENTITY.to_public()),)),
}


class Setting:
    """What a set writer asks of its context."""

    def __init__(self, folder: Path) -> None:
        self.root, self.scratch_folder = folder / "backups", folder / "data"
        self.scratch_folder.mkdir()
        self.store = LocalStore([str(self.root)], reserve_bytes=0)
        self.facts = Facts(
            operation_id="operation", lease_token=1, host_id=1, host_name="local", may=bool, plan_key=b""
        )
        self.undo: list[Mapping[str, Any]] = []
        self.warnings: list[tuple[str, str]] = []

    def remember_undo(self, step: Mapping[str, Any]) -> None:
        self.undo.append(step)

    def warn(self, code: str, message: str) -> None:
        self.warnings.append((code, message))

    def progress(self, bytes_done: int, *, bytes_total: int | None = None) -> None:
        pass

    def checkpoint(self) -> None:
        pass

    def writer(self, encoding: Encoding | None = None) -> SetWriter:
        return SetWriter(self, self.store.locate(None, "web.tar"), encoding or Encoding())  # type: ignore[arg-type]

    def plain(self, part: Part) -> bytes:
        """The part's plain bytes."""
        keys = Keys(identities=(str(IDENTITY),))
        with (self.root / part.path).open("rb") as file:
            with decoded(part.codec, part.encryption, file, keys=keys) as source:
                return b"".join(iter(lambda: source.read(65536), b""))

    def index(self, part: Part) -> Index:
        path = self.scratch_folder / "opened"
        path.write_bytes(self.plain(part))
        return Index.open(path)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


@pytest.mark.parametrize("suffix", ENCODINGS)
def test_a_tar_has_its_index_beside_it_stored_as_it_is(setting: Setting, suffix: str):
    files = setting.writer(ENCODINGS[suffix])
    part = files.add_tar("rootfs", "web", io.BytesIO(CONTENT))
    assert files.parts[0] == part
    assert (part.path, part.members, part.sha256) == (f"web.tar{suffix}", 3, hashlib.sha256(CONTENT).hexdigest())
    index = files.parts[1]
    assert (index.kind, index.name, index.path) == ("index", part.path, f"web.tar.index{suffix}")
    assert (index.codec, index.encryption, index.members) == (part.codec, part.encryption, None)
    stored = (setting.root / index.path).read_bytes()
    assert (index.stored_bytes, index.stored_sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    with setting.index(index) as opened:
        assert [entry.name for entry in opened.folder(b"")] == [b"a", b"b"]
        assert opened.entry(b"b/c").sha256 == hashlib.sha256(b"two").digest()


def test_the_index_of_a_volume_is_called_after_its_file(setting: Setting):
    files = setting.writer(Encoding(codec="zstd"))
    files.add_tar("volume", "data", io.BytesIO(CONTENT), label="data")
    files.add_tar("volume", "more", io.BytesIO(CONTENT), label="more")
    assert [part.path for part in files.parts] == [
        "web.tar.volume-1-data.tar.zst",
        "web.tar.volume-1-data.tar.index.zst",
        "web.tar.volume-2-more.tar.zst",
        "web.tar.volume-2-more.tar.index.zst",
    ]


def test_without_digests_an_index_still_has_sizes_and_places(setting: Setting):
    files = setting.writer()
    files.add_tar("rootfs", "web", io.BytesIO(CONTENT), hashed=False)
    with setting.index(files.parts[1]) as opened:
        entry = opened.entry(b"a")
    assert (entry.sha256, entry.size_bytes) == (None, 3)
    assert CONTENT[entry.data_offset or 0 :].startswith(b"one")


def test_how_to_take_an_index_back_is_known_before_it_is_written(setting: Setting):
    setting.writer().add_tar("rootfs", "web", io.BytesIO(CONTENT))
    assert [step["name"] for step in setting.undo] == ["web.tar", "web.tar.index"]


def test_a_tar_that_is_cut_is_neither_published_nor_indexed(setting: Setting):
    files = setting.writer()
    with pytest.raises(ArchiveTruncated):
        files.add_tar("rootfs", "web", io.BytesIO(CONTENT[:-1024]))
    assert files.parts == []
    assert list(setting.root.iterdir()) == []


def test_a_tar_that_cannot_be_indexed_is_kept_with_a_warning(setting: Setting):
    files = setting.writer()
    part = files.add_tar("rootfs", "web", io.BytesIO(tar_of([*MEMBERS, Member("d/" * 2049 + "e", b"deep")])))
    assert files.parts == [part]
    assert part.members == 4
    assert [code for code, _ in setting.warnings] == ["INDEX_LEFT_OUT"]
    assert "4096" in setting.warnings[0][1]


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), sqlite3.OperationalError("disk I/O error")]
)
def test_a_data_folder_that_takes_no_file_is_told(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, failure: Exception
):
    def refuse(**_options: object) -> None:
        raise failure

    monkeypatch.setattr("containers_app.archives.indexing.IndexBuilder", refuse)
    with pytest.raises(StorageError, match="data folder"):
        setting.writer().add_tar("rootfs", "web", io.BytesIO(CONTENT))


def test_nothing_of_an_index_is_left_in_the_data_folder(setting: Setting):
    setting.writer().add_tar("rootfs", "web", io.BytesIO(CONTENT))
    assert list(setting.scratch_folder.iterdir()) == []


@pytest.mark.parametrize("taken", ["web.tar", "web.tar.index", "web.tar.manifest.json"])
def test_a_name_that_is_in_use_is_refused_before_anything_is_read(setting: Setting, taken: str):
    setting.root.mkdir()
    (setting.root / taken).touch()
    with pytest.raises(NameTaken):
        setting.writer().require_free()
