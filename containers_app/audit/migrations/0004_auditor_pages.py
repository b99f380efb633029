"""Adds what auditors said of entries."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_permit"),
    ]

    operations = [
        migrations.CreateModel(
            name="Review",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("entry_id", models.BigIntegerField()),
                ("entry_time", models.DateTimeField()),
                ("kind", models.CharField(max_length=8)),
                ("said_in", models.IntegerField()),
                ("said_at", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "ledger review",
                "ordering": ("-id",),
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
        migrations.AddIndex(
            model_name="review",
            index=models.Index(fields=["kind", "entry_time", "entry_id"], name="audit_review_kind"),
        ),
        migrations.AddIndex(
            model_name="review",
            index=models.Index(fields=["entry_id", "kind", "id"], name="audit_review_entry"),
        ),
    ]
