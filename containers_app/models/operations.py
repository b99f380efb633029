"""Operations: the rows that are the truth about every piece of work, from the request to its ledger outcome."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from containers_app.models.access import ApiKey
from containers_app.models.hosts import DockerHost
from containers_app.models.identifiers import uuid7


class State(models.TextChoices):
    """Failed is foreseen and explained to the user; errored is a bug with a reference number."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing changes this state any more."""
        return self not in (State.QUEUED, State.RUNNING)


ACTIVE_STATES = (State.QUEUED, State.RUNNING)


class Operation(models.Model):
    """One piece of work. Every change of `state` is a conditional UPDATE in `operations.transitions`."""

    TERMINAL_STATES: ClassVar[tuple[State, ...]] = tuple(state for state in State if state.is_terminal)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=32)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    host = models.ForeignKey(DockerHost, on_delete=models.PROTECT, related_name="operations")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    params = models.JSONField(default=dict)
    sealed = models.TextField(blank=True, help_text="Write-only values, encrypted; emptied when the operation is over.")
    target_id = models.CharField(
        max_length=64, blank=True, help_text="The container's 64-hex id, pinned by the worker."
    )
    target_name = models.CharField(max_length=255, blank=True)
    target_lock = models.CharField(max_length=160, null=True, unique=True)

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    actor = models.CharField(max_length=255)
    channel = models.CharField(max_length=16)
    reason = models.CharField(max_length=500, blank=True)
    ticket = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    principal = models.CharField(max_length=64, blank=True)
    idempotency_key = models.CharField(max_length=255, null=True)
    request_digest = models.CharField(max_length=64, blank=True)

    stage = models.CharField(max_length=64, blank=True)
    stages = models.JSONField(default=list)
    bytes_done = models.BigIntegerField(default=0)
    bytes_total = models.BigIntegerField(null=True)
    warnings = models.JSONField(default=list)
    plan = models.JSONField(null=True)
    proof = models.JSONField(null=True)
    result = models.JSONField(null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=1000, blank=True)
    error_trace = models.TextField(blank=True, help_text="For staff: a bug's traceback, frames without values.")

    lease_token = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=255, blank=True)
    undo = models.JSONField(default=list, help_text="Steps that put the world back, written before the effect.")
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_reason = models.CharField(max_length=500, blank=True)

    intent_shard = models.IntegerField()
    intent_index = models.BigIntegerField()
    intent_hash = models.CharField(max_length=64)
    outcome_index = models.BigIntegerField(null=True)

    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (
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
            ("export_ledger", "Can export the audit ledger"),
            ("hold_ledger", "Can put the audit ledger on hold and release it"),
            ("erase_ledger", "Can erase personal data from the audit ledger, and prune it"),
        )
        constraints = (
            models.UniqueConstraint(fields=("principal", "idempotency_key"), name="idempotency_key_once"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="operation_state_known"),
        )
        indexes = (
            models.Index(fields=("state", "lease_until")),
            models.Index(fields=("host", "target_id")),
            models.Index(fields=("principal", "state")),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.target_name}".strip()

    @property
    def is_finished(self) -> bool:
        """Terminal, and its outcome is in the ledger: only then an answer may say so."""
        return State(self.state).is_terminal and self.outcome_index is not None

    @property
    def visible_state(self) -> str:
        """The state that answers show: running until the ledger has the outcome."""
        return State.RUNNING if State(self.state).is_terminal and self.outcome_index is None else self.state
