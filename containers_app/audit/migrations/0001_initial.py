"""Creates the ledger: entries, the head of each shard, and the disclosures beside them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Head",
            fields=[
                ("shard", models.IntegerField(primary_key=True, serialize=False)),
                ("size", models.BigIntegerField()),
                ("frontier", models.TextField()),
            ],
            options={
                "verbose_name": "ledger head",
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Disclosure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("commitment", models.CharField(max_length=43)),
                ("kind", models.CharField(max_length=32)),
                ("text", models.TextField()),
            ],
            options={
                "verbose_name": "ledger disclosure",
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("commitment",), name="audit_disclosure_commitment")],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("shard", models.IntegerField()),
                ("leaf_index", models.BigIntegerField()),
                ("payload", models.TextField()),
                ("leaf_hash", models.CharField(max_length=64)),
                ("time", models.DateTimeField()),
                ("phase", models.CharField(max_length=8)),
                ("action", models.CharField(max_length=64)),
                ("category", models.CharField(max_length=16)),
                ("outcome", models.CharField(blank=True, max_length=8)),
                ("actor_type", models.CharField(max_length=16)),
                ("actor_id", models.CharField(blank=True, max_length=128)),
                ("object_type", models.CharField(blank=True, max_length=32)),
                ("object_id", models.CharField(blank=True, max_length=128)),
                ("object_name", models.CharField(blank=True, max_length=256)),
                ("host", models.CharField(blank=True, max_length=128)),
                ("operation_id", models.CharField(blank=True, max_length=64)),
                ("request_id", models.CharField(blank=True, max_length=128)),
                ("channel", models.CharField(max_length=16)),
                ("ticket", models.CharField(blank=True, max_length=128)),
            ],
            options={
                "verbose_name": "ledger entry",
                "verbose_name_plural": "ledger entries",
                "ordering": ("-id",),
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["time"], name="audit_entry_time"),
                    models.Index(fields=["action", "id"], name="audit_entry_action"),
                    models.Index(fields=["actor_id", "id"], name="audit_entry_actor"),
                    models.Index(fields=["object_id", "id"], name="audit_entry_object"),
                    models.Index(fields=["outcome", "id"], name="audit_entry_outcome"),
                    models.Index(fields=["operation_id"], name="audit_entry_operation"),
                    models.Index(fields=["request_id"], name="audit_entry_request"),
                    models.Index(fields=["ticket", "id"], name="audit_entry_ticket"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("shard", "leaf_index"), name="audit_entry_position"),
                    models.UniqueConstraint(
                        condition=models.Q(("phase", "intent")), fields=("operation_id",), name="audit_entry_one_intent"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("phase", "outcome")),
                        fields=("operation_id",),
                        name="audit_entry_one_outcome",
                    ),
                ],
            },
        ),
    ]
