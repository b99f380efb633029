"""Adds an index for each filter of the auditor's lists, on PostgreSQL while entries are written."""

from django.db import migrations, models

OLD = (
    "audit_entry_time",
    "audit_entry_action",
    "audit_entry_actor",
    "audit_entry_object",
    "audit_entry_outcome",
    "audit_entry_operation",
    "audit_entry_request",
    "audit_entry_ticket",
)
NEW = (
    models.Index(fields=["time", "id"], name="audit_entry_time"),
    models.Index(fields=["shard", "time", "id"], name="audit_entry_shard"),
    models.Index(fields=["action", "time", "id"], name="audit_entry_action"),
    models.Index(fields=["category", "time", "id"], name="audit_entry_category"),
    models.Index(fields=["outcome", "time", "id"], name="audit_entry_outcome"),
    models.Index(fields=["actor_id", "time", "id"], name="audit_entry_actor"),
    models.Index(fields=["object_id", "time", "id"], name="audit_entry_object"),
    models.Index(fields=["object_name", "time", "id"], name="audit_entry_object_name"),
    models.Index(fields=["host", "time", "id"], name="audit_entry_host"),
    models.Index(fields=["channel", "time", "id"], name="audit_entry_channel"),
    models.Index(fields=["operation_id", "time", "id"], name="audit_entry_operation"),
    models.Index(fields=["request_id", "time", "id"], name="audit_entry_request"),
    models.Index(fields=["ticket", "time", "id"], name="audit_entry_ticket"),
)


class AddIndexApart(migrations.AddIndex):
    """Adds an index that holds no writer up, in place of one of that name: an older one, or one that broke off."""

    atomic = False

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if schema_editor.connection.vendor != "postgresql":
            schema_editor.execute(f"DROP INDEX IF EXISTS {self.index.name}")
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        # It takes longer over millions of entries than any statement of the product may.
        schema_editor.execute("SET statement_timeout = 0")
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.index.name}")
        schema_editor.add_index(model, self.index, concurrently=True)
        schema_editor.execute("RESET statement_timeout")


class Migration(migrations.Migration):
    # What is built beside the writers is built in no transaction. Begun again, it does all of it again.
    atomic = False

    dependencies = [
        ("audit", "0004_auditor_pages"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveIndex(model_name="entry", name=name) for name in OLD]
        ),
        *(AddIndexApart(model_name="entry", index=index) for index in NEW),
    ]
