"""The data folder is the owner's only, and one that cannot be used is named in a sentence."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from containers_app.management.launch.failures import CannotStart
from containers_app.management.launch.places import Places


def test_every_folder_is_its_owners_only(tmp_path: Path) -> None:
    loose = tmp_path / "var"
    loose.mkdir(mode=0o755)
    places = Places(loose)
    places.prepare()
    folders = [loose, places.run, places.log, places.broker_data, places.previous_demo_env.parent]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(CannotStart, match="too long for a socket"):
        Places(Path("/tmp") / ("a" * 100)).prepare()


@pytest.mark.parametrize("name", ["a ;b", "a\nb", "100%"])
def test_a_path_that_the_configuration_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotStart, match="MYCO_DATA_DIR"):
        Places(tmp_path / name).prepare()


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(CannotStart, match="cannot be used"):
        Places(tmp_path / "var").prepare()
