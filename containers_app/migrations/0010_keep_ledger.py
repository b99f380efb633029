"""Adds the permissions to hold the ledger, and to take personal data and old payloads out of it."""

from typing import Any

from django.db import migrations

from containers_app.models.access import ensure_groups


def give_permission(apps: Any, schema_editor: Any) -> None:
    ensure_groups(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("containers_app", "0009_export_ledger"),
    ]

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
                    ("backup_bind", "Can back up folders of a Docker host"),
                    ("run_hook", "Can have a backup run a command of one's own in a container"),
                    ("verify_backup", "Can verify a backup"),
                    ("restore_backup", "Can restore a backup"),
                    ("drill_backup", "Can drill the restore of a backup"),
                    ("download_backup", "Can download a backup"),
                    ("pin_backup", "Can pin a backup"),
                    ("remove_backup", "Can delete a backup"),
                    ("hold_backup", "Can hold a backup and release it"),
                    ("export_ledger", "Can export the audit ledger"),
                    ("hold_ledger", "Can put the audit ledger on hold and release it"),
                    ("erase_ledger", "Can erase personal data from the audit ledger, and prune it"),
                ),
            },
        ),
        migrations.RunPython(give_permission, migrations.RunPython.noop),
    ]
