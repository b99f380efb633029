"""Adds the permit by which the guards let an erasure or a pruning through."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_signer"),
    ]

    operations = [
        migrations.CreateModel(
            name="Permit",
            fields=[("act", models.CharField(max_length=8, primary_key=True, serialize=False))],
            options={
                "verbose_name": "ledger permit",
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
    ]
