"""The ledger's tables, which everybody may read and nobody but the ledger may write."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import models
from django.db.models import Q

from containers_app.audit.merkle import Frontier
from containers_app.errors import PermissionDenied

Stored = TypeVar("Stored", bound=models.Model)


class LedgerIsAppendOnly(PermissionDenied):
    """Somebody tried to write to the ledger otherwise than by recording."""


def _refuse(*_arguments: Any, **_named: Any) -> NoReturn:
    raise LedgerIsAppendOnly("The ledger is append-only: record through containers_app.audit.ledger.")


class ReadOnlyQuerySet(models.QuerySet[Stored]):
    """A query set that reads. The ledger itself writes through plain query sets of Django.

    `_insert`, `_update` and `_raw_delete` are what `Model.save_base` (fixtures use it directly) comes down to.
    """

    create = _refuse
    bulk_create = _refuse
    bulk_update = _refuse
    get_or_create = _refuse
    update_or_create = _refuse
    update = _refuse
    delete = _refuse
    _insert = _refuse
    _update = _refuse
    _raw_delete = _refuse


class LedgerModel(models.Model):
    """A row that no instance can save or delete."""

    objects: ClassVar[models.Manager[Any]] = models.Manager.from_queryset(ReadOnlyQuerySet)()

    save = _refuse
    save_base = _refuse
    delete = _refuse

    class Meta:
        abstract = True
        base_manager_name = "objects"
        default_permissions = ("view",)


class Entry(LedgerModel):
    """One leaf of the ledger.

    `payload` is the evidence: canonical JSON, the very bytes that were hashed. Every other column is copied out of it
    for filtering and proves nothing; `ledger.self_check` compares them. `shard` is the UTC year the tree was begun in.
    No column refers to another table: what an entry names may be deleted, the entry stays as it was.
    """

    shard = models.IntegerField()
    leaf_index = models.BigIntegerField()
    payload = models.TextField()
    leaf_hash = models.CharField(max_length=64)

    time = models.DateTimeField()
    phase = models.CharField(max_length=8)
    action = models.CharField(max_length=64)
    category = models.CharField(max_length=16)
    outcome = models.CharField(max_length=8, blank=True)
    actor_type = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=128, blank=True)
    object_type = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=128, blank=True)
    object_name = models.CharField(max_length=256, blank=True)
    host = models.CharField(max_length=128, blank=True)
    operation_id = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    channel = models.CharField(max_length=16)
    ticket = models.CharField(max_length=128, blank=True)

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger entry"
        verbose_name_plural = "ledger entries"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("shard", "leaf_index"), name="audit_entry_position"),
            models.UniqueConstraint(
                fields=("operation_id",), condition=Q(phase="intent"), name="audit_entry_one_intent"
            ),
            models.UniqueConstraint(
                fields=("operation_id",), condition=Q(phase="outcome"), name="audit_entry_one_outcome"
            ),
        )
        # Each filter of a list walks an index of its own, newest first; see `searching`.
        indexes = (
            models.Index(fields=("time", "id"), name="audit_entry_time"),
            models.Index(fields=("shard", "time", "id"), name="audit_entry_shard"),
            models.Index(fields=("action", "time", "id"), name="audit_entry_action"),
            models.Index(fields=("category", "time", "id"), name="audit_entry_category"),
            models.Index(fields=("outcome", "time", "id"), name="audit_entry_outcome"),
            models.Index(fields=("actor_id", "time", "id"), name="audit_entry_actor"),
            models.Index(fields=("object_id", "time", "id"), name="audit_entry_object"),
            models.Index(fields=("object_name", "time", "id"), name="audit_entry_object_name"),
            models.Index(fields=("host", "time", "id"), name="audit_entry_host"),
            models.Index(fields=("channel", "time", "id"), name="audit_entry_channel"),
            models.Index(fields=("operation_id", "time", "id"), name="audit_entry_operation"),
            models.Index(fields=("request_id", "time", "id"), name="audit_entry_request"),
            models.Index(fields=("ticket", "time", "id"), name="audit_entry_ticket"),
        )

    def __str__(self) -> str:
        return f"{self.place} {self.action} {self.phase}"

    @property
    def place(self) -> str:
        """How other entries, files and people name it."""
        return f"{self.shard}/{self.leaf_index}"

    @property
    def is_pruned(self) -> bool:
        """Whether retention took the payload away, and with it what was copied out of it; neither is ever empty."""
        return not self.payload and not self.action


class Head(LedgerModel):
    """Where a shard ends: its number of leaves and the frontier of its tree (`merkle.Frontier`). It only grows."""

    shard = models.IntegerField(primary_key=True)
    size = models.BigIntegerField()
    frontier = models.TextField()

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger head"

    def __str__(self) -> str:
        return f"{self.shard}: {self.size} entries"

    def tree(self) -> Frontier:
        """The tree that ends here. Raises ValueError where this is the end of none."""
        return Frontier.from_text(self.size, self.frontier)

    @property
    def is_of_a_tree(self) -> bool:
        """Whether it has the form of an end."""
        try:
            self.tree()
        except ValueError:
            return False
        return True


class Disclosure(LedgerModel):
    """A value that entries are bound to by `commitment` only; deleting the row erases the value and breaks no proof."""

    commitment = models.CharField(max_length=43)
    kind = models.CharField(max_length=32)
    text = models.TextField()

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger disclosure"
        constraints = (models.UniqueConstraint(fields=("commitment",), name="audit_disclosure_commitment"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.commitment}"


class Subtree(LedgerModel):
    """The root of a perfect subtree of 2^`level` leaves, the `number`-th of its width; see `tree.StoredNodes`."""

    shard = models.IntegerField()
    level = models.SmallIntegerField()
    number = models.BigIntegerField()
    root = models.CharField(max_length=64)

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger subtree"
        constraints = (models.UniqueConstraint(fields=("shard", "level", "number"), name="audit_subtree_position"),)

    def __str__(self) -> str:
        return f"{self.shard}: subtree {self.number} of 2^{self.level} entries"


class SignedCheckpoint(LedgerModel):
    """A checkpoint as the signer published it: `note` is the evidence, `vkey` the key that it signs with now."""

    shard = models.IntegerField()
    origin = models.CharField(max_length=255)
    size = models.BigIntegerField()
    root = models.CharField(max_length=64)
    vkey = models.CharField(max_length=400)
    note = models.TextField()
    signed_at = models.DateTimeField()

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger checkpoint"
        ordering = ("-id",)
        db_table = "audit_checkpoint"
        indexes = (models.Index(fields=("shard", "id"), name="audit_checkpoint_shard"),)

    def __str__(self) -> str:
        return f"{self.origin} {self.size}"


class Standing(LedgerModel):
    """Whether the ledger takes entries: the last row counts. `told` is JSON that says why it changed."""

    state = models.CharField(max_length=8)
    told = models.TextField()
    since = models.DateTimeField()

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger standing"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.state} since {self.since:%Y-%m-%d %H:%M}"


class Anchoring(LedgerModel):
    """One attempt to bring a checkpoint to another place; `receipt` is what came back (a witness' signature)."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=16)
    target = models.CharField(max_length=255)
    shard = models.IntegerField()
    size = models.BigIntegerField()
    root = models.CharField(max_length=64)
    is_done = models.BooleanField()
    error = models.CharField(max_length=255, blank=True)
    receipt = models.TextField(blank=True)

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger anchoring"
        ordering = ("-id",)
        indexes = (models.Index(fields=("kind", "is_done", "id"), name="audit_anchoring_last"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {self.shard}, {self.size} entries"


class Permit(LedgerModel):
    """What the guards let through: a row that lives in the transaction of one removal only, so nobody else sees it."""

    act = models.CharField(max_length=8)

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger permit"

    def __str__(self) -> str:
        return self.act


class Review(LedgerModel):
    """What an auditor said of an entry, so that lists can be narrowed by it; the evidence is an entry `audit.review`.

    `said_at` is the leaf index of that entry in `said_in`, its shard. The last row of an entry counts.
    """

    entry_id = models.BigIntegerField()
    entry_time = models.DateTimeField()
    kind = models.CharField(max_length=8)
    said_in = models.IntegerField()
    said_at = models.BigIntegerField()

    class Meta(LedgerModel.Meta):
        verbose_name = "ledger review"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("kind", "entry_time", "entry_id"), name="audit_review_kind"),
            models.Index(fields=("entry_id", "kind", "id"), name="audit_review_entry"),
        )

    def __str__(self) -> str:
        return f"{self.kind} of entry {self.entry_id}"
