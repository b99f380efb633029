from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it publishes no types

from containers_app.archives import manifest as module
from containers_app.errors import ArchiveInvalid
from tests.unit.archives.samples import part_of, sample_manifest, with_part

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/manifest-v1.schema.json").read_bytes())
DIGEST, OTHER_DIGEST = "ab" * 32, "cd" * 32


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(SCHEMA)


counts = st.integers(0, 2**63 - 1)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.text(st.characters(codec="utf-8"), max_size=80)
names = texts.filter(bool)
file_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", fullmatch=True)


@st.composite
def parts(draw: st.DrawFn) -> module.Part:
    size_bytes, sha256 = draw(counts), draw(digests)
    plain = draw(st.booleans())
    kind = draw(st.sampled_from(module.PART_KINDS))
    return module.Part(
        kind=kind,
        name=draw(names),
        path=draw(file_names),
        codec="none" if plain else draw(st.sampled_from(("gzip", "zstd"))),
        encryption=None if plain else draw(st.sampled_from((None, "age"))),
        size_bytes=size_bytes,
        stored_bytes=size_bytes if plain else draw(counts),
        sha256=sha256,
        stored_sha256=sha256 if plain else draw(digests),
        members=draw(counts if kind in module.TAR_KINDS else st.one_of(st.none(), counts)),
    )


warnings = st.builds(module.ManifestWarning, code=st.from_regex(r"[A-Z][A-Z0-9_]{0,30}", fullmatch=True), message=texts)
moments = st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z")
manifests = st.builds(
    module.Manifest,
    product_version=names,
    operation_id=names,
    created_at=moments,
    container=st.builds(module.ContainerIdentity, id=digests, name=names, image=texts, image_id=texts, platform=texts),
    host=texts,
    engine_version=texts,
    api_version=texts,
    consistency_grade=st.sampled_from(module.CONSISTENCY_GRADES),
    parts=st.lists(parts(), min_size=1, max_size=3, unique_by=lambda part: part.path).map(tuple),
    warnings=st.lists(warnings, max_size=3).map(tuple),
)


@given(manifest=manifests)
def test_it_reads_what_it_writes_and_the_schema_accepts_it(schema: Draft202012Validator, manifest: module.Manifest):
    content = manifest.to_bytes()
    assert module.Manifest.from_bytes(content) == manifest
    schema.validate(json.loads(content))


def test_the_bytes_are_canonical():
    content = sample_manifest().to_bytes()
    document = json.loads(content)
    assert content.endswith(b'"version":1,"warnings":' + content.rsplit(b'"warnings":')[1])
    assert content == (json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()
    assert "büro".encode() in content


def test_the_published_fields_are_these():
    document = json.loads(sample_manifest().to_bytes())
    part = document["parts"][0]
    assert document | {"parts": []} == {
        "format": "mycodocker-backup",
        "version": 1,
        "productVersion": "1.0.0",
        "operationId": "0192f0c1-7a3b-7cde-8f01-23456789abcd",
        "createdAt": "2026-02-12T03:20:00.000Z",
        "container": {
            "id": "ab" * 32,
            "name": "web",
            "image": "nginx:1",
            "imageId": "sha256:" + "cd" * 32,
            "platform": "linux/amd64",
        },
        "host": {"name": "büro"},
        "engine": {"version": "28.5.1", "apiVersion": "1.51"},
        "consistencyGrade": "live",
        "warnings": [{"code": "LIVE_COPY", "message": "The container ran while it was copied."}],
        "parts": [],
    }
    assert set(part) == set(SCHEMA["$defs"]["part"]["required"])
    assert (part["kind"], part["codec"], part["encryption"], part["sizeBytes"]) == ("rootfs", "none", None, 7)


def test_other_parts_can_stand_beside_the_first(schema: Draft202012Validator):
    first = part_of(b"content")
    manifest = sample_manifest(
        first,
        replace(first, kind="config", path="web.json", members=None),
        replace(
            first,
            kind="volume",
            name="data",
            path="web.data.tar.zst.age",
            codec="zstd",
            encryption="age",
            stored_bytes=9,
        ),
    )
    schema.validate(json.loads(manifest.to_bytes()))
    assert module.Manifest.from_bytes(manifest.to_bytes()) == manifest


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The sample manifest's bytes after a change of its document."""
    document = json.loads(sample_manifest().to_bytes())
    change(document)
    return json.dumps(document).encode()


def without_members(kind: str) -> Callable[[dict[str, Any]], object]:
    """Makes the first part one of this kind, and an unknown number of its entries."""
    return lambda document: document["parts"][0].update(kind=kind, members=None)


REFUSED_BY_BOTH: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda document: document.update(format="other"),
    "a newer version": lambda document: document.update(version=2),
    "a version as text": lambda document: document.update(version="1"),
    "a version that is true": lambda document: document.update(version=True),
    "an unknown key": lambda document: document.update(extra=1),
    "an unknown key in a part": lambda document: document["parts"][0].update(extra=1),
    "an unknown key in the container": lambda document: document["container"].update(env=["SECRET=1"]),
    "an unknown key in the host": lambda document: document["host"].update(extra=1),
    "an unknown key in the engine": lambda document: document["engine"].update(extra=1),
    "an unknown key in a warning": lambda document: document["warnings"][0].update(extra=1),
    "a missing key": lambda document: document.pop("operationId"),
    "a part without hash": lambda document: document["parts"][0].pop("sha256"),
    "no parts": lambda document: document.update(parts=[]),
    "parts that are no list": lambda document: document.update(parts={}),
    "a part that is no object": lambda document: document.update(parts=["web.tar"]),
    "a container that is null": lambda document: document.update(container=None),
    "an unknown kind": lambda document: document["parts"][0].update(kind="database"),
    "an unknown codec": lambda document: document["parts"][0].update(codec="rot13"),
    "an unknown encryption": lambda document: document["parts"][0].update(encryption="none"),
    "a codec that is null": lambda document: document["parts"][0].update(codec=None),
    "an unknown grade": lambda document: document.update(consistencyGrade="perfect"),
    "a grade that is a list": lambda document: document.update(consistencyGrade=["live"]),
    "a size as text": lambda document: document["parts"][0].update(sizeBytes="7"),
    "a negative size": lambda document: document["parts"][0].update(sizeBytes=-1),
    "a size with a fraction": lambda document: document["parts"][0].update(sizeBytes=7.5),
    "a size over the limit": lambda document: document["parts"][0].update(sizeBytes=2**63),
    **{f"a {kind} without members": without_members(kind) for kind in module.TAR_KINDS},
    "members that are true": lambda document: document["parts"][0].update(members=True),
    "a path with folders": lambda document: document["parts"][0].update(path="../etc/passwd"),
    "a hidden path": lambda document: document["parts"][0].update(path=".x"),
    "a hash in capitals": lambda document: document["parts"][0].update(sha256="AB" * 32),
    "a short id": lambda document: document["container"].update(id="abcdef"),
    "an empty name": lambda document: document["container"].update(name=""),
    "a text that is too long": lambda document: document["container"].update(image="x" * 4097),
    "a warning code in small letters": lambda document: document["warnings"][0].update(code="live"),
    "a local time": lambda document: document.update(createdAt="2026-02-12T03:20:00.000+01:00"),
    "a time without milliseconds": lambda document: document.update(createdAt="2026-02-12T03:20:00Z"),
    "a time in other digits": lambda document: document.update(createdAt="٢026-02-12T03:20:00.000Z"),
}


@pytest.mark.parametrize("change", REFUSED_BY_BOTH.values(), ids=REFUSED_BY_BOTH)
def test_it_refuses_what_the_schema_refuses(schema: Draft202012Validator, change: Callable[[dict[str, Any]], object]):
    content = edited(change)
    assert not schema.is_valid(json.loads(content))
    with pytest.raises(ArchiveInvalid, match="The manifest is invalid") as caught:
        module.Manifest.from_bytes(content)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(createdAt="2026-02-30T03:20:00.000Z"),
        lambda document: document["parts"].append(document["parts"][0]),
        lambda document: document["parts"][0].update(storedBytes=8),
        lambda document: document["parts"][0].update(storedSha256="0" * 64),
        lambda document: document["container"].update(image="\ud800"),
        lambda document: document["container"].update(id="ab" * 32 + "\n"),
    ],
)
def test_it_refuses_what_no_schema_can_say(change: Callable[[dict[str, Any]], object]):
    with pytest.raises(ArchiveInvalid):
        module.Manifest.from_bytes(edited(change))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"version":' + b"1" * 5000 + b"}",
        b'{"version":NaN}',
        b'{"format":"mycodocker-backup","format":"mycodocker-backup"}',
        b" " * (module.LIMIT_BYTES + 1),
        sample_manifest().to_bytes().replace(b'"name":"web"', b'"name":"web","name":"other"', 1),
        sample_manifest().to_bytes() + b"{}",
        "{}".encode("utf-16"),
    ],
)
def test_it_refuses_what_is_no_manifest(content: bytes):
    with pytest.raises(ArchiveInvalid, match="The manifest is invalid"):
        module.Manifest.from_bytes(content)


@given(content=st.one_of(st.binary(max_size=200), st.from_type(dict).map(repr).map(str.encode)))
def test_arbitrary_bytes_are_refused_with_its_own_error(content: bytes):
    with pytest.raises(ArchiveInvalid):
        module.Manifest.from_bytes(content)


@pytest.mark.parametrize(
    "manifest",
    [
        replace(sample_manifest(), parts=()),
        replace(sample_manifest(), consistency_grade="perfect"),
        replace(sample_manifest(), host="\udcff"),
        with_part(sample_manifest(), path="a/b"),
        with_part(sample_manifest(), members=-1),
        with_part(sample_manifest(), stored_sha256=OTHER_DIGEST),
        with_part(sample_manifest(), kind="other"),
    ],
)
def test_what_could_not_be_read_is_not_written(manifest: module.Manifest):
    with pytest.raises(ArchiveInvalid):
        manifest.to_bytes()
