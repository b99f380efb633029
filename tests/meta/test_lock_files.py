"""The lock files: complete, hashed, and silent about where packages come from."""

from __future__ import annotations

import re

import pytest

from tests.machine import PROJECT

PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)


def lock(name: str) -> str:
    return (PROJECT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_a_lock_file_names_no_index_and_no_path(name: str) -> None:
    assert re.findall(r"://|--index|--extra-index|--find-links|--trusted|(?<=\s)/", lock(name)) == []


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_every_pin_has_a_hash(name: str) -> None:
    pins = re.split(r"\n(?=[a-z0-9])", lock(name))[1:]
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_developers_lock_holds_the_whole_runtime() -> None:
    assert set(PIN.findall(lock("runtime"))) <= set(PIN.findall(lock("dev")))
