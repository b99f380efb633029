"""The API describes itself completely, and valid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.unit.api.matrix import MATRIX

pytestmark = pytest.mark.django_db(databases=["default", "audit"])


@pytest.fixture
def description(tmp_path: Path) -> dict[str, dict[str, dict[str, object]]]:
    """The OpenAPI document, validated, without a warning."""
    file = tmp_path / "schema.json"
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", "--file", str(file))
    loaded: dict[str, dict[str, dict[str, object]]] = json.loads(file.read_text())
    return loaded


def test_every_route_of_the_api_is_described(description: dict[str, dict[str, dict[str, object]]]) -> None:
    described = {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}
    own = [row for row in MATRIX if row.route not in ("", "api/schema", "api/docs")]
    plain = {(row.route.split("<")[0], row.method) for row in own}
    assert {(path.split("{")[0].lstrip("/"), method) for path, method in described} == plain
    assert str(description["openapi"]).startswith("3.0")
