"""Several Docker hosts: their addresses, and who may change them."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from containers_app.models.access import ensure_groups


def give_permissions(apps: Any, schema_editor: Any) -> None:
    """The groups that exist already get the new permissions."""
    ensure_groups(apps)


class Migration(migrations.Migration):
    """Every host that is there is enabled, and its workers read the queue `local`."""

    dependencies = [("containers_app", "0003_lifecycle")]
    operations = [
        migrations.AlterModelOptions(
            name="dockerhost",
            options={
                "default_permissions": ("add", "change", "view"),
                "ordering": ("name",),
                "permissions": (("test_host", "Can test the connection to a Docker host"),),
            },
        ),
        migrations.AddField("dockerhost", "allow_plain", models.BooleanField(default=False)),
        migrations.AddField("dockerhost", "enabled", models.BooleanField(default=True)),
        migrations.AddField("dockerhost", "queue", models.CharField(default="local", max_length=63)),
        migrations.AddField("dockerhost", "tls_directory", models.CharField(blank=True, max_length=255)),
        migrations.AddField("dockerhost", "url", models.CharField(blank=True, max_length=255)),
        migrations.RunPython(give_permissions, migrations.RunPython.noop),
    ]
