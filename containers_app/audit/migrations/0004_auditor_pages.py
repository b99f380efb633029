"""Adds an index for each filter of the auditor's lists, and what auditors said of entries."""

from django.db import migrations, models


def wait_for_indexes(apps, schema_editor):
    """An index over millions of entries takes longer than any statement of the product may."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET LOCAL statement_timeout = 0")


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_permit"),
    ]

    operations = [
        migrations.RunPython(wait_for_indexes, migrations.RunPython.noop),
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
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_time",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_action",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_actor",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_object",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_outcome",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_operation",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_request",
        ),
        migrations.RemoveIndex(
            model_name="entry",
            name="audit_entry_ticket",
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["time", "id"], name="audit_entry_time"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["shard", "time", "id"], name="audit_entry_shard"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["action", "time", "id"], name="audit_entry_action"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["category", "time", "id"], name="audit_entry_category"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["outcome", "time", "id"], name="audit_entry_outcome"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["actor_id", "time", "id"], name="audit_entry_actor"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["object_id", "time", "id"], name="audit_entry_object"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["object_name", "time", "id"], name="audit_entry_object_name"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["host", "time", "id"], name="audit_entry_host"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["channel", "time", "id"], name="audit_entry_channel"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["operation_id", "time", "id"], name="audit_entry_operation"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["request_id", "time", "id"], name="audit_entry_request"),
        ),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(fields=["ticket", "time", "id"], name="audit_entry_ticket"),
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
