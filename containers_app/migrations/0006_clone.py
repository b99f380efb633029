# What a clone remembers beside its result.

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("containers_app", "0005_backup_checked")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="parent",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="containers_app.operation",
            ),
        ),
        migrations.AddField(
            model_name="operation",
            name="sealed",
            field=models.TextField(
                blank=True, default="", help_text="Write-only values, encrypted; emptied when the operation is over."
            ),
            preserve_default=False,
        ),
        migrations.AddField(model_name="operation", name="plan", field=models.JSONField(null=True)),
        migrations.AddField(model_name="operation", name="proof", field=models.JSONField(null=True)),
    ]
