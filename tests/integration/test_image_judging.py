"""What each Engine saves passes the judge of images, and what the judge refuses moves no name on an Engine."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from containers_app.archives.image_judge import ImageJudge
from containers_app.archives.judge import judged
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import ArchiveInvalid
from tests.engine_fixture import SAMPLE_IMAGE
from tests.integration.laboratory import Laboratory

pytestmark = pytest.mark.engine
SIZE_BYTES = 2**30


def saved(gateway: EngineGateway, image_id: str) -> Iterator[bytes]:
    with gateway.save_image(image_id) as stream:
        while block := stream.read(65536):
            yield block


def with_name(archive: bytes, name: str) -> bytes:
    """The same image, which brings a name."""
    changed = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=changed, mode="w") as new:
        for member in old:
            content = old.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            if member.name == "manifest.json":
                content = json.dumps([{**entry, "RepoTags": [name]} for entry in json.loads(content)]).encode()
                member.size = len(content)
            new.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return changed.getvalue()


def test_what_an_engine_saves_by_an_id_passes_and_with_a_name_it_is_refused(
    lab: Laboratory, gateway: EngineGateway
) -> None:
    docker: Any = lab.client
    image_id = str(gateway.image(SAMPLE_IMAGE)["Id"])
    archive = b"".join(judged(saved(gateway, image_id), ImageJudge(image_id, plain_bytes=SIZE_BYTES)))
    holder = docker.containers.create(SAMPLE_IMAGE)
    victim, other = "victim:1", holder.commit("victim", "1").id
    holder.remove()
    try:
        hostile = with_name(archive, victim)
        with pytest.raises(ArchiveInvalid, match="brings names"):
            gateway.load_image(judged(iter([hostile]), ImageJudge(image_id, plain_bytes=SIZE_BYTES)))
        assert gateway.image(victim)["Id"] == other
    finally:
        docker.images.remove(victim)
