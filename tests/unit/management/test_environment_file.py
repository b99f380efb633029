"""What a shell reads back is what was written, nobody else reads it, and a half-written file is never seen."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers_app.management.launch import environment_file
from containers_app.management.launch.failures import CannotStart

AWKWARD = 'it\'s "quoted" $HOME `id` \\ ; & | # * %41 \t é'


def read_by_a_shell(path: Path, name: str) -> str:
    done = subprocess.run(
        ["sh", "-c", f'. "$0"; printf %s "${name}"', path], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_a_shell_reads_back_the_value(tmp_path: Path) -> None:
    path = tmp_path / "demo.env"
    environment_file.write(path, {"MYCO_URL": "http://127.0.0.1:8000", "VALUE": AWKWARD, "EMPTY": ""})
    assert read_by_a_shell(path, "VALUE") == AWKWARD
    assert read_by_a_shell(path, "EMPTY") == ""
    assert read_by_a_shell(path, "MYCO_URL") == "http://127.0.0.1:8000"


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(st.characters(exclude_characters="\0"))))
def test_parse_gives_what_was_rendered(values: dict[str, str]) -> None:
    assert environment_file.parse(environment_file.render(values)) == values


def test_the_file_is_its_owners_only_whatever_the_mask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        environment_file.write(tmp_path / "demo.env", {"MYCO_API_KEY": "k"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "demo.env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["demo.env"]


def test_it_replaces_a_file_that_others_could_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.env"
    path.write_text("OLD=1\n")
    path.chmod(0o644)
    environment_file.write(path, {"NEW": "2"})
    assert path.read_text() == "NEW=2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_leftover_of_a_killed_start_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".demo.env.{os.getpid()}").write_text("half")
    environment_file.write(tmp_path / "demo.env", {"A": "1"})
    assert environment_file.read(tmp_path / "demo.env") == {"A": "1"}


def test_a_folder_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"demo\.env cannot be written"):
        environment_file.write(tmp_path / "missing" / "demo.env", {"A": "1"})


@pytest.mark.parametrize("content", ["", "A='half", "no assignment here\n"])
def test_a_file_that_is_none_gives_no_values(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo.env").write_text(content)
    assert environment_file.read(tmp_path / "demo.env") == {}


def test_an_absent_file_gives_no_values(tmp_path: Path) -> None:
    assert environment_file.read(tmp_path / "demo.env") == {}


def test_a_start_takes_the_file_away_and_knows_its_values(tmp_path: Path) -> None:
    path, previous = tmp_path / "demo.env", tmp_path / "demo.env.previous"
    environment_file.write(path, {"MYCO_API_KEY": "first"})
    assert environment_file.set_aside(path, previous) == {"MYCO_API_KEY": "first"}
    assert not path.exists()


def test_values_outlive_a_start_that_never_became_ready(tmp_path: Path) -> None:
    path, previous = tmp_path / "demo.env", tmp_path / "demo.env.previous"
    environment_file.write(path, {"MYCO_API_KEY": "first"})
    environment_file.set_aside(path, previous)
    assert environment_file.set_aside(path, previous) == {"MYCO_API_KEY": "first"}


def test_the_newest_ready_start_counts(tmp_path: Path) -> None:
    path, previous = tmp_path / "demo.env", tmp_path / "demo.env.previous"
    environment_file.write(previous, {"MYCO_API_KEY": "first"})
    environment_file.write(path, {"MYCO_API_KEY": "second"})
    assert environment_file.set_aside(path, previous) == {"MYCO_API_KEY": "second"}
    assert stat.S_IMODE(previous.stat().st_mode) == 0o600
