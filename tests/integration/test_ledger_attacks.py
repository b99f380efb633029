"""The ledger is really attacked, on both databases, by somebody who may do everything in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.attack_matrix import ATTACKS, CHECKS, table
from tests.machine import PROJECT

PROGRAM = Path(__file__).with_name("ledger_attacks.py")
Results = dict[str, dict[str, bool]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What each check found of each attack; all of them in one process, since its start is what takes time."""
    url = request.getfixturevalue("make_shared_database")() if request.param == "postgresql" else ""
    folder = tmp_path_factory.mktemp(request.param)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")]),
        "MYCO_DATA_DIR": str(folder / "data"),
        "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
        "MYCO_AUDIT_GUARDS": "true",
        "MYCO_DATABASE_URL": "",
        "MYCO_AUDIT_DATABASE_URL": url,
    }
    (folder / "data").mkdir()
    done = subprocess.run(
        [sys.executable, PROGRAM, folder], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found: Results = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_found_by_those_who_can_find_it(results: Results, name: str) -> None:
    assert results[name] == ATTACKS[name].cells()


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_is_found_with_the_checkpoint_that_the_auditor_kept(results: Results, name: str) -> None:
    assert results[name][CHECKS[-1]]


def test_the_page_for_auditors_has_this_table() -> None:
    assert table() in (PROJECT / "docs" / "how-to" / "audit.md").read_text()
