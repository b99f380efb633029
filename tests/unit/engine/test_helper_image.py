"""The helper's image as bytes; tests/integration has what an Engine makes of it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from containers_app.engine import helper_image
from containers_app.errors import EngineError


def layer() -> tarfile.TarFile:
    with tarfile.open(fileobj=io.BytesIO(helper_image._built().archive)) as archive:
        member = archive.extractfile("layer.tar")
        assert member is not None
        return tarfile.open(fileobj=io.BytesIO(member.read()))


def test_the_same_programs_make_the_same_bytes() -> None:
    first, second = helper_image._built(), helper_image._built()
    assert first.archive == second.archive
    assert first.reference == f"mycodocker/helper:{first.content_hash[:12]}"
    assert "archive" not in repr(first)


def test_it_holds_the_programs_their_libraries_and_nothing_that_belongs_to_somebody() -> None:
    members = {member.name: member for member in layer()}
    assert {"usr/bin/tar", "usr/bin/cp", "tmp", "source", "target"} <= set(members)
    assert any(name.endswith("encodings/utf_8.py") for name in members)
    assert any(Path(name).name.startswith("ld-") for name in members)
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}
    assert not [name for name in members if name.startswith(("etc/", "home/", "var/"))]


def test_every_folder_stands_before_what_is_in_it() -> None:
    seen = {"."}
    for member in layer():
        assert str(Path(member.name).parent) in seen
        seen.add(member.name)


def test_the_configuration_names_the_layer_and_the_content() -> None:
    built = helper_image._built()
    with tarfile.open(fileobj=io.BytesIO(built.archive)) as archive:
        (entry,) = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        configuration = json.loads(archive.extractfile(entry["Config"]).read())  # type: ignore[union-attr]
    assert entry["RepoTags"] == [built.reference]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{built.content_hash}"]
    assert configuration["config"]["Labels"] == {"org.mycodocker.helper": built.content_hash}


@pytest.mark.parametrize("engine", ["linux/s390x", "windows/amd64", "/"])
def test_an_engine_of_another_kind_is_refused_with_the_setting_that_helps(engine: str) -> None:
    with pytest.raises(EngineError, match="MYCO_HELPER_IMAGE"):
        helper_image._check_platform(engine)


def test_a_program_that_is_not_gnus_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tar").write_text("#!/bin/sh\n")
    (tmp_path / "tar").chmod(0o755)
    monkeypatch.setattr(helper_image, "_SEARCH_PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"no GNU tar.*MYCO_HELPER_IMAGE"):
        helper_image._built()


class Shelf:
    """An Engine that has one image under the helper's name."""

    def __init__(self, image: dict[str, Any]) -> None:
        self._image = image

    def image(self, reference: str) -> dict[str, Any]:
        return self._image


def shelved(**changed: Any) -> tuple[Any, helper_image.HelperImage]:
    built = helper_image._built()
    config = {"Env": list(built.environment), "Labels": {"org.mycodocker.helper": built.content_hash}}
    layers = changed.pop("layers", [f"sha256:{built.content_hash}"])
    return Shelf({"Id": "sha256:x", "Config": {**config, **changed}, "RootFS": {"Layers": layers}}), built


def test_the_very_content_is_taken() -> None:
    assert helper_image._found(*shelved()) == "sha256:x"


@pytest.mark.parametrize(
    "changed",
    [
        {"layers": ["sha256:" + "0" * 64]},
        {"layers": []},
        {"Env": ["PATH=/usr/bin", "LD_PRELOAD=/source/evil.so"]},
        {"Volumes": {"/tmp": {}}},
    ],
)
def test_an_image_that_only_has_the_name_and_the_label_is_not_run(changed: dict[str, Any]) -> None:
    assert helper_image._found(*shelved(**changed)) is None
