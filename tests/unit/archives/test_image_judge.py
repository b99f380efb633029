"""An image out of a stranger's backup: the expected one alone, and without a name."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from containers_app.archives.image_judge import ImageJudge
from containers_app.archives.judge import judged
from containers_app.errors import ArchiveInvalid
from tests.unit.archives.hostile import link
from tests.unit.archives.samples import Member, tar_of

CONFIG = b'{"architecture": "amd64"}'
HEX = hashlib.sha256(CONFIG).hexdigest()
OTHER = "9" * 64


def manifest(**more: Any) -> Member:
    entry = {"Config": f"{HEX}.json", "RepoTags": None, "Layers": ["layer.tar"], **more}
    return Member("manifest.json", json.dumps([entry]).encode())


def index(**more: Any) -> Member:
    described = {"digest": f"sha256:{OTHER}", "annotations": {}, **more}
    return Member("index.json", json.dumps({"manifests": [described]}).encode())


CONFIGURATION = Member(f"{HEX}.json", CONFIG)
BLOB = Member(f"blobs/sha256/{HEX}", CONFIG)


def blob(content: bytes) -> tuple[str, Member]:
    """A document of an OCI layout, and its digest in hex."""
    name = hashlib.sha256(content).hexdigest()
    return name, Member(f"blobs/sha256/{name}", content)


# A store of images by manifests: the image's id is that of an index or a manifest, which leads to the configuration.
MANIFEST_HEX, MANIFEST_BLOB = blob(json.dumps({"config": {"digest": f"sha256:{HEX}"}}).encode())
INDEX_HEX, INDEX_BLOB = blob(json.dumps({"manifests": [{"digest": f"sha256:{MANIFEST_HEX}"}]}).encode())


def sent(*members: Member, image: str = HEX) -> bytes:
    tar = tar_of(members)
    blocks = (tar[start : start + 700] for start in range(0, len(tar), 700))
    return b"".join(judged(blocks, ImageJudge(f"sha256:{image}", plain_bytes=len(tar))))


@pytest.mark.parametrize(
    "members",
    [
        (CONFIGURATION, manifest()),
        (CONFIGURATION, manifest(RepoTags=[]), Member("repositories", b"{}")),
        (BLOB, MANIFEST_BLOB, index(digest=f"sha256:{MANIFEST_HEX}"), manifest(Config=f"blobs/sha256/{HEX}")),
        (BLOB, index(digest=f"sha256:{HEX}")),
    ],
    ids=["as Docker wrote it", "with nothing named", "as an OCI layout too", "an OCI layout alone"],
)
def test_an_honest_image_passes_byte_by_byte(members: tuple[Member, ...]) -> None:
    assert sent(*members) == tar_of(members)


@pytest.mark.parametrize("image", [MANIFEST_HEX, INDEX_HEX], ids=["a manifest", "an index"])
def test_an_id_may_be_that_of_what_leads_to_the_configuration(image: str) -> None:
    listed = index(digest=f"sha256:{image}"), manifest(Config=f"blobs/sha256/{HEX}")
    members = (BLOB, MANIFEST_BLOB, INDEX_BLOB, *listed)
    assert sent(*members, image=image) == tar_of(members)
    evil = manifest(Config=f"blobs/sha256/{OTHER}")
    with pytest.raises(ArchiveInvalid, match="another image"):
        sent(BLOB, MANIFEST_BLOB, INDEX_BLOB, listed[0], evil, image=image)


REFUSED = {
    "a name": ((CONFIGURATION, manifest(RepoTags=["nginx:latest"])), "brings names"),
    "a name of old": ((CONFIGURATION, manifest(), Member("repositories", b'{"nginx": {"latest": "x"}}')), "names"),
    "a name of containerd": (
        (BLOB, manifest(), index(annotations={"io.containerd.image.name": "docker.io/library/nginx:latest"})),
        "brings names",
    ),
    "a name of OCI": ((BLOB, manifest(), index(annotations={"org.opencontainers.image.ref.name": "v1"})), "names"),
    "another image": ((CONFIGURATION, manifest(Config=f"{OTHER}.json")), "another image"),
    "another image beside": ((BLOB, index(digest=f"sha256:{HEX}"), manifest(Config=f"{OTHER}.json")), "another image"),
    "another image in the other list": ((BLOB, index(), manifest(Config=f"blobs/sha256/{HEX}")), "another image"),
    "a lie about what leads there": (
        (BLOB, Member(f"blobs/sha256/{OTHER}", MANIFEST_BLOB.content), index(), manifest(Config=f"{HEX}.json")),
        "another image",
    ),
    "two images": (
        (CONFIGURATION, Member("manifest.json", json.dumps([{"Config": HEX}] * 2).encode())),
        "more than one",
    ),
    "no list": ((CONFIGURATION, Member("manifest.json", b"{}")), "no list"),
    "no JSON": ((CONFIGURATION, Member("manifest.json", b"[")), "not JSON"),
    "no object": ((CONFIGURATION, Member("manifest.json", b"[1]")), "objects"),
    "nothing": ((CONFIGURATION,), "another image"),
    "a lie about the digest": ((Member(f"{HEX}.json", b"{}"), manifest()), "another digest"),
    "a link in its place": ((CONFIGURATION, link("manifest.json", "other")), "no file"),
    "a way around": ((CONFIGURATION, manifest(), link("x", "."), Member("x/manifest.json", b"[]")), "leads through"),
    "two lists": ((CONFIGURATION, manifest(), manifest(RepoTags=["nginx:latest"])), "stands twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_take_a_name_or_is_another_image_is_refused_before_its_last_byte(case: str) -> None:
    members, words = REFUSED[case]
    tar, passed = tar_of(members), bytearray()
    with pytest.raises(ArchiveInvalid, match=words):
        for block in judged(iter([tar[:512], tar[512:]]), ImageJudge(f"sha256:{HEX}", plain_bytes=len(tar))):
            passed += block
    assert len(passed) < len(tar)
