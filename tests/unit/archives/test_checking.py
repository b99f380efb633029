"""A set is read back as a whole, and of each file it is said whether it is what was recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from containers_app.archives import checking
from containers_app.archives.checking import Reading, Verdict, check_manifest, check_parts, read_manifest, worst
from containers_app.archives.manifest import LIMIT_BYTES, Manifest, Part
from containers_app.archives.stores.local import LocalStore, Location
from containers_app.errors import ArchiveInvalid, Cancelled, StorageError
from containers_app.specs.encoding import Encoding
from tests.stored_sets import edited, flip, tar, write_set
from tests.unit.archives.encoded import each_real_encoding, encode

AGREES: Callable[[Manifest], bool] = lambda manifest: True  # noqa: E731 - one word for one answer


@pytest.fixture
def manifest(root: Path) -> Manifest:
    return write_set(root)


@pytest.fixture
def folder(store: LocalStore) -> Location:
    return store.locate(None, "web.tar")


def verdicts(store: LocalStore, folder: Location, parts: Any) -> list[str]:
    return [verdict.verdict for verdict in check_parts(store, folder, parts, Reading())]


def test_a_whole_set_is_intact_and_every_byte_of_it_was_read(
    store: LocalStore, folder: Location, manifest: Manifest
) -> None:
    told: list[int] = []
    reading = Reading(report=told.append)
    found = check_parts(store, folder, manifest.parts, reading)
    total = sum(part.stored_bytes for part in manifest.parts)
    assert [verdict.verdict for verdict in found] == ["intact"] * 3
    assert [verdict.bytes_read for verdict in found] == [part.stored_bytes for part in manifest.parts]
    assert [verdict.decoded for verdict in found] == [True, True, True]
    assert (reading.bytes_done, told[-1]) == (total, total)
    assert worst(found) == "intact"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_flipped_bit_anywhere_is_found_in_the_part_that_has_it(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest, number: int
) -> None:
    path = root / manifest.parts[number].path
    for position in (0, 700, -1):
        flip(path, position)
        assert_only_this_one_is_corrupt(store, folder, manifest, number)
        flip(path, position)
    assert verdicts(store, folder, manifest.parts) == ["intact"] * 3


def assert_only_this_one_is_corrupt(store: LocalStore, folder: Location, manifest: Manifest, number: int) -> None:
    expected = ["intact"] * 3
    expected[number] = "corrupt"
    assert verdicts(store, folder, manifest.parts) == expected


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"\0", lambda content: b""])
def test_another_size_is_corrupt_without_reading(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest, change: Callable[[bytes], bytes]
) -> None:
    path = root / "web.tar"
    path.write_bytes(change(path.read_bytes()))
    (first, *_) = check_parts(store, folder, manifest.parts, Reading())
    assert (first.verdict, first.bytes_read) == ("corrupt", 0)
    assert "were recorded" in first.message


@pytest.mark.parametrize(
    "make", [lambda path: None, Path.mkdir, lambda path: path.symlink_to("/etc/passwd"), os.mkfifo]
)
def test_what_is_no_file_is_missing_and_counts_before_what_is_corrupt(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest, make: Callable[[Path], None]
) -> None:
    (root / "web.tar").unlink()
    make(root / "web.tar")
    flip(root / manifest.parts[1].path)
    found = check_parts(store, folder, manifest.parts, Reading())
    assert [verdict.verdict for verdict in found] == ["missing", "corrupt", "intact"]
    assert worst(found) == "missing"


def test_bytes_that_were_recorded_and_are_no_tar_are_corrupt(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest
) -> None:
    cut = tar("cut", 3)[:1024]
    (root / "web.tar").write_bytes(cut)
    assert verdicts(store, folder, [described(manifest.parts[0], cut)]) == ["corrupt"]


def test_another_number_of_members_is_corrupt(store: LocalStore, folder: Location, manifest: Manifest) -> None:
    assert verdicts(store, folder, [replace(manifest.parts[0], members=4)]) == ["corrupt"]


@each_real_encoding
def test_a_compressed_part_is_compared_inside_too_and_an_encrypted_one_as_it_is_stored(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest, encoding: Encoding
) -> None:
    content = tar("web", 50)
    part = encoded(root, manifest.parts[0], content, encoding)
    (found,) = check_parts(store, folder, [replace(part, members=50)], Reading())
    assert (found.verdict, found.bytes_read) == ("intact", part.stored_bytes), found.message
    assert found.decoded is not encoding.encrypted
    other_content = replace(part, members=50, sha256="1" * 64)
    other_members = replace(part, members=51)
    expected = "intact" if encoding.encrypted else "corrupt"
    assert verdicts(store, folder, [other_content, other_members]) == [expected] * 2
    flip(root / part.path, part.stored_bytes // 2)
    assert verdicts(store, folder, [part]) == ["corrupt"]


def encoded(root: Path, part: Part, content: bytes, encoding: Encoding) -> Part:
    """The part as it is stored when it is encoded."""
    stored, _ = encode(content, encoding)
    (root / part.path).write_bytes(stored)
    own: dict[str, Any] = {
        "codec": encoding.codec,
        "encryption": "age" if encoding.encrypted else None,
        "size_bytes": len(content),
    }
    return replace(described(part, stored), sha256=hashlib.sha256(content).hexdigest(), **own)


def test_a_part_that_decompresses_to_more_than_was_recorded_is_corrupt(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest
) -> None:
    part = encoded(root, manifest.parts[0], bytes(50 * 2**20), Encoding(codec="zstd"))
    assert verdicts(store, folder, [replace(part, size_bytes=1024, members=None)]) == ["corrupt"]


def described(part: Part, content: bytes) -> Part:
    """The part as if this had been stored."""
    sha256, size = hashlib.sha256(content).hexdigest(), len(content)
    return replace(part, sha256=sha256, stored_sha256=sha256, size_bytes=size, stored_bytes=size)


def test_a_wish_to_stop_stops_between_two_reads(
    store: LocalStore, folder: Location, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "READ_BYTES", 512)
    asked: list[int] = []

    def checkpoint() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Cancelled("stop")

    reading = Reading(checkpoint=checkpoint)
    with pytest.raises(Cancelled):
        check_parts(store, folder, manifest.parts, reading)
    assert reading.bytes_done == 1024


def test_the_memory_does_not_grow_with_a_part(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    read = os.read

    def note(descriptor: int, size_bytes: int) -> bytes:
        sizes.append(size_bytes)
        return read(descriptor, size_bytes)

    monkeypatch.setattr(os, "read", note)
    large = bytes(5 * checking.READ_BYTES + 1)
    (root / "web.tar").write_bytes(large)
    assert verdicts(store, folder, [replace(described(manifest.parts[0], large), members=None)]) == ["intact"]
    assert set(sizes) == {checking.READ_BYTES}


def test_the_kernel_is_told_to_forget_a_file_before_it_is_read(
    store: LocalStore, folder: Location, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    read = os.read
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: told.append("forget"))

    def note(descriptor: int, size_bytes: int) -> bytes:
        told.append("read")
        return read(descriptor, size_bytes)

    monkeypatch.setattr(os, "read", note)
    check_parts(store, folder, manifest.parts[:1], Reading())
    assert (told[0], told[-1], set(told[1:-1])) == ("forget", "forget", {"read"})


def test_a_storage_that_is_not_there_is_no_verdict(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest
) -> None:
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(StorageError):
        check_parts(store, folder, manifest.parts, Reading())
    with pytest.raises(StorageError):
        check_manifest(store, folder.manifest, AGREES)


def of_manifest(store: LocalStore, folder: Location, agrees: Callable[[Manifest], bool] = AGREES) -> Verdict:
    return check_manifest(store, folder.manifest, agrees)


def test_a_manifest_is_read_strictly_and_compared(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest
) -> None:
    path = root / "web.tar.manifest.json"
    assert of_manifest(store, folder).verdict == "intact"
    assert of_manifest(store, folder).bytes_read == path.stat().st_size
    assert of_manifest(store, folder, lambda found: found.host == "elsewhere").verdict == "corrupt"
    edited(path, unknown=1)
    assert of_manifest(store, folder).verdict == "corrupt"
    path.unlink()
    assert of_manifest(store, folder).verdict == "missing"


def test_a_manifest_that_is_too_large_is_read_up_to_the_limit_only(
    root: Path, store: LocalStore, folder: Location, manifest: Manifest
) -> None:
    with (root / "web.tar.manifest.json").open("wb") as file:
        file.truncate(2**40)
    assert of_manifest(store, folder).bytes_read == LIMIT_BYTES + 1
    with pytest.raises(ArchiveInvalid, match="more than"):
        read_manifest(store, folder.manifest)
