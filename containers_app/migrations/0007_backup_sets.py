"""Backups become sets of files; those that exist are sets of one."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from containers_app.models.access import ensure_groups


def describe_files(apps: Any, schema_editor: Any) -> None:
    """Each backup that exists has one part: its plain tar."""
    parts = apps.get_model("containers_app", "BackupPart").objects
    for row in apps.get_model("containers_app", "Backup").objects.select_related("container").iterator():
        row.manifest_name, row.stored_bytes = f"{row.file_name}.manifest.json", row.size_bytes
        row.stack = row.container.stack if row.container else ""
        row.save(update_fields=("manifest_name", "stored_bytes", "stack"))
        parts.create(
            backup=row,
            number=0,
            kind="rootfs",
            name=row.container_name,
            file_name=row.file_name,
            codec="none",
            size_bytes=row.size_bytes,
            stored_bytes=row.size_bytes,
            sha256=row.sha256,
            stored_sha256=row.sha256,
            members=row.members,
        )


def give_permissions(apps: Any, schema_editor: Any) -> None:
    """Groups that exist already get them too."""
    ensure_groups(apps)


class Migration(migrations.Migration):
    """Taking it back leaves the permissions with the groups."""

    dependencies = [
        ("containers_app", "0006_clone"),
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
                ),
            },
        ),
        migrations.AddField(
            model_name="backup",
            name="hold_owner",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name="backup",
            name="hold_reason",
            field=models.CharField(blank=True, help_text="Legal hold: why it must not be deleted.", max_length=500),
        ),
        migrations.AddField(
            model_name="backup",
            name="hold_until",
            field=models.DateTimeField(help_text="Null: until it is released.", null=True),
        ),
        migrations.AddField(
            model_name="backup",
            name="manifest_name",
            field=models.CharField(default="", max_length=255),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="backup",
            name="note",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="backup",
            name="pinned",
            field=models.BooleanField(default=False, help_text="Kept until somebody takes the pin out."),
        ),
        migrations.AddField(
            model_name="backup",
            name="proven_at",
            field=models.DateTimeField(help_text="When a restore drill of it last passed.", null=True),
        ),
        migrations.AddField(
            model_name="backup",
            name="quiet_seconds",
            field=models.FloatField(default=0.0),
        ),
        migrations.AddField(
            model_name="backup",
            name="stack",
            field=models.CharField(blank=True, help_text="The compose project of its container.", max_length=255),
        ),
        migrations.AddField(
            model_name="backup",
            name="stored_bytes",
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="backup",
            name="verified_at",
            field=models.DateTimeField(help_text="When every byte of it was last read and compared.", null=True),
        ),
        migrations.AlterField(
            model_name="backup",
            name="members",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="backup",
            name="state",
            field=models.CharField(
                choices=[
                    ("complete", "Complete"),
                    ("partial", "Partial"),
                    ("missing", "Missing"),
                    ("corrupt", "Corrupt"),
                    ("deleted", "Deleted"),
                ],
                default="complete",
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="BackupPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveSmallIntegerField()),
                ("kind", models.CharField(max_length=16)),
                ("name", models.CharField(max_length=4096)),
                ("file_name", models.CharField(max_length=255)),
                ("codec", models.CharField(max_length=8)),
                ("encryption", models.CharField(blank=True, max_length=8)),
                ("size_bytes", models.BigIntegerField()),
                ("stored_bytes", models.BigIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("stored_sha256", models.CharField(max_length=64)),
                ("members", models.BigIntegerField(null=True)),
                (
                    "backup",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="parts", to="containers_app.backup"
                    ),
                ),
            ],
            options={
                "ordering": ("number",),
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("backup", "number"), name="part_once_per_backup")],
            },
        ),
        migrations.AddIndex(
            model_name="backuppart",
            index=models.Index(fields=["file_name", "kind"], name="containers__file_na_4a1985_idx"),
        ),
        migrations.RunPython(describe_files, migrations.RunPython.noop),
        migrations.RunPython(give_permissions, migrations.RunPython.noop),
    ]
