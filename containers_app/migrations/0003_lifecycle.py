"""The permissions to operate and to remove containers, and the groups that have them."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from containers_app.models.access import ensure_groups


def give_permissions(apps: Any, schema_editor: Any) -> None:
    """Groups that exist already get them too."""
    ensure_groups(apps)


class Migration(migrations.Migration):
    """Taking it back leaves the permissions with the groups."""

    dependencies = [("containers_app", "0002_groups")]
    operations = [
        migrations.AlterModelOptions(
            name="operation",
            options={
                "default_permissions": ("view",),
                "ordering": ("-id",),
                "permissions": (
                    ("clone_container", "Can clone a container"),
                    ("clone_privileged", "Can clone a container that holds power over its host"),
                    ("backup_container", "Can back up a container"),
                    ("cancel_operation", "Can cancel an operation"),
                    ("operate_container", "Can start, stop and restart a container"),
                    ("remove_container", "Can remove a container"),
                ),
            },
        ),
        migrations.RunPython(give_permissions, migrations.RunPython.noop),
    ]
