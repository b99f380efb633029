"""When a backup's file was last looked at."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """One column, empty for what is there already."""

    dependencies = [("containers_app", "0004_hosts")]
    operations = [
        migrations.AddField(
            model_name="backup",
            name="checked_at",
            field=models.DateTimeField(
                help_text="When its file was last looked at; null: not since it was made.", null=True
            ),
        ),
    ]
