"""The three groups, with their permissions."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from containers_app.models.access import ensure_groups


def make_groups(apps: Any, schema_editor: Any) -> None:
    """Groups are rows, so a migration makes them."""
    ensure_groups(apps)


class Migration(migrations.Migration):
    """Data only; taking it back leaves the groups."""

    dependencies = [
        ("containers_app", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
