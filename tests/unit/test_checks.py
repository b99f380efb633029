from __future__ import annotations

import pytest
from pytest_django import Settings

from containers_app.checks import secrets_are_not_served


@pytest.mark.parametrize("changes", [{"backup_roots": ("/srv/static/b",)}, {"tls_root": "/srv/static"}])
def test_secrets_in_the_folder_of_static_files_are_an_error(settings: Settings, changes: dict[str, object]) -> None:
    settings.STATIC_ROOT = "/srv/static"
    settings.MYCODOCKER = {**settings.MYCODOCKER, "backup_roots": ("/srv/backups",), "tls_root": "/srv/static-not"}
    assert secrets_are_not_served(None) == []
    settings.MYCODOCKER = {**settings.MYCODOCKER, **changes}
    assert [error.id for error in secrets_are_not_served(None)] == ["myco.E002"]
