"""Adds what a signed tree needs: stored subtrees (also of the entries that are there), checkpoints, anchors."""

from django.db import migrations, models

from containers_app.audit.appending import LOCK_NUMBER
from containers_app.audit.merkle import Frontier
from containers_app.audit.tree import STEP

ROWS_AT_ONCE = 2_000


def hold_writers_off(apps, schema_editor):
    """Take the ledger's lock until the end: an entry in between would have no subtree. SQLite holds it since BEGIN."""
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_NUMBER])


def store_subtrees(apps, schema_editor):
    """Compute the subtrees of the entries that were recorded before there were any."""
    alias = schema_editor.connection.alias
    entries = apps.get_model("audit", "Entry").objects.using(alias)
    for shard in apps.get_model("audit", "Head").objects.using(alias).values_list("shard", flat=True):
        leaves = entries.filter(shard=shard).order_by("leaf_index").values_list("leaf_hash", flat=True)
        rows = apps.get_model("audit", "Subtree").objects.using(alias)
        _store(rows, shard, leaves.iterator(ROWS_AT_ONCE))


def _store(rows, shard, leaves):
    frontier = Frontier()
    for leaf in map(bytes.fromhex, leaves):
        completed = frontier.completed(leaf)
        for level in range(STEP, len(completed), STEP):
            number, root = frontier.size >> level, completed[level].hex()
            rows.bulk_create([rows.model(shard=shard, level=level, number=number, root=root)])
        frontier = frontier.append(leaf)


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(hold_writers_off, migrations.RunPython.noop),
        migrations.CreateModel(
            name="Standing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.CharField(max_length=8)),
                ("told", models.TextField()),
                ("since", models.DateTimeField()),
            ],
            options={
                "verbose_name": "ledger standing",
                "ordering": ("-id",),
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Anchoring",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("kind", models.CharField(max_length=16)),
                ("target", models.CharField(max_length=255)),
                ("shard", models.IntegerField()),
                ("size", models.BigIntegerField()),
                ("root", models.CharField(max_length=64)),
                ("is_done", models.BooleanField()),
                ("error", models.CharField(blank=True, max_length=255)),
                ("receipt", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "ledger anchoring",
                "ordering": ("-id",),
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["kind", "is_done", "id"], name="audit_anchoring_last")],
            },
        ),
        migrations.CreateModel(
            name="SignedCheckpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("shard", models.IntegerField()),
                ("origin", models.CharField(max_length=255)),
                ("size", models.BigIntegerField()),
                ("root", models.CharField(max_length=64)),
                ("vkey", models.CharField(max_length=400)),
                ("note", models.TextField()),
                ("signed_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "ledger checkpoint",
                "db_table": "audit_checkpoint",
                "ordering": ("-id",),
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["shard", "id"], name="audit_checkpoint_shard")],
            },
        ),
        migrations.CreateModel(
            name="Subtree",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("shard", models.IntegerField()),
                ("level", models.SmallIntegerField()),
                ("number", models.BigIntegerField()),
                ("root", models.CharField(max_length=64)),
            ],
            options={
                "verbose_name": "ledger subtree",
                "abstract": False,
                "default_permissions": ("view",),
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("shard", "level", "number"), name="audit_subtree_position")
                ],
            },
        ),
        migrations.RunPython(store_subtrees, migrations.RunPython.noop),
    ]
