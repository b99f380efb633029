"""Saved views of the ledger: a name for a set of filters, for oneself or for all who read the ledger."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class LedgerView(models.Model):
    """One view. `filters` is what stands behind the `?` of the list's address."""

    name = models.CharField(max_length=100)
    filters = models.TextField(blank=True)
    is_shared = models.BooleanField(default=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="ledger_views")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "id")
        default_permissions = ()
        permissions = (
            ("share_ledgerview", "Can share a view of the ledger, and change what others shared"),
            ("review_entry", "Can mark and comment entries of the ledger"),
        )
        constraints = (
            models.UniqueConstraint(fields=("owner", "name"), name="ledger_view_name"),
            models.UniqueConstraint(fields=("name",), condition=Q(is_shared=True), name="ledger_view_shared_name"),
        )

    def __str__(self) -> str:
        return self.name
