"""Access: the three groups, and API keys that are shown once and kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import models
from django.utils import timezone

OPERATORS, AUDITORS, ADMINISTRATORS = "operators", "auditors", "administrators"
_VIEWS = (
    ("containers_app", "dockerhost", "view_dockerhost"),
    ("containers_app", "container", "view_container"),
    ("containers_app", "operation", "view_operation"),
    ("containers_app", "backup", "view_backup"),
)
_ACTS = (
    ("containers_app", "operation", "clone_container"),
    ("containers_app", "operation", "backup_container"),
    ("containers_app", "operation", "cancel_operation"),
    ("containers_app", "operation", "operate_container"),
    ("containers_app", "operation", "remove_container"),
    ("containers_app", "operation", "verify_backup"),
    ("containers_app", "operation", "restore_backup"),
    ("containers_app", "operation", "drill_backup"),
    ("containers_app", "operation", "download_backup"),
    ("containers_app", "operation", "pin_backup"),
)
_LEDGER = (
    ("audit", "entry", "view_entry"),
    ("containers_app", "operation", "export_ledger"),
    ("containers_app", "ledgerview", "share_ledgerview"),
    ("containers_app", "apikey", "view_apikey"),
)
# What auditors alone do: who runs things does not mark them as looked at.
_REVIEW = (("containers_app", "ledgerview", "review_entry"),)
_ADMINISTRATION = (
    ("containers_app", "operation", "clone_privileged"),
    ("containers_app", "operation", "backup_bind"),
    ("containers_app", "operation", "run_hook"),
    ("containers_app", "operation", "remove_backup"),
    ("containers_app", "operation", "hold_backup"),
    ("containers_app", "operation", "hold_ledger"),
    ("containers_app", "operation", "erase_ledger"),
    ("containers_app", "dockerhost", "add_dockerhost"),
    ("containers_app", "dockerhost", "change_dockerhost"),
    ("containers_app", "dockerhost", "test_host"),
    ("containers_app", "apikey", "add_apikey"),
    ("containers_app", "apikey", "revoke_apikey"),
    ("auth", "user", "add_user"),
    ("auth", "user", "change_user"),
    ("auth", "user", "view_user"),
    ("auth", "group", "view_group"),
)
GROUP_PERMISSIONS = {
    OPERATORS: _VIEWS + _ACTS,
    AUDITORS: _VIEWS + _LEDGER + _REVIEW,
    ADMINISTRATORS: _VIEWS + _ACTS + _LEDGER + _ADMINISTRATION,
}


def ensure_groups(registry: Apps) -> None:
    """Make the three groups with their permissions; safe to repeat. `registry`: a migration's, or the running one."""
    permissions = registry.get_model("auth", "Permission").objects
    words = ("content_type__app_label", "content_type__model", "codename", "pk")
    known = {(app_label, model, codename): key for app_label, model, codename, key in permissions.values_list(*words)}
    for group_name, wanted in GROUP_PERMISSIONS.items():
        group, _ = registry.get_model("auth", "Group").objects.get_or_create(name=group_name)
        group.permissions.add(*(known.get(one) or _make_permission(registry, *one) for one in wanted))


def _make_permission(registry: Apps, app_label: str, model: str, codename: str) -> int:
    """What Django makes itself, but only after the last migration."""
    content_type, _ = registry.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label=app_label, model=model
    )
    permission, _ = registry.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename=codename, defaults={"name": f"Can {codename.replace('_', ' ')}"}
    )
    return int(permission.pk)


class Scope(models.TextChoices):
    """What a key may be used for; never more than its owner may do."""

    READ = "read", "Read containers, operations, backups and hosts"
    CLONE = "clone", "Clone containers"
    BACKUP = "backup", "Back up containers"
    RESTORE = "restore", "Restore backups, and drill it"
    VERIFY = "verify", "Verify backups"
    DOWNLOAD = "download", "Download backups"
    KEEP = "keep", "Pin, hold and release backups"
    DELETE = "delete", "Delete backups"
    OPERATE = "operate", "Start, stop and restart containers"
    REMOVE = "remove", "Remove containers"
    CANCEL = "cancel", "Cancel operations"
    HOSTS = "hosts", "Add, change and test Docker hosts"
    LEDGER = "ledger", "Read the audit ledger"
    EXPORT = "export", "Export the audit ledger"
    RETAIN = "retain", "Hold the audit ledger, and erase personal data from it"


@dataclass(frozen=True)
class IssuedKey:
    """A new key: the row, and the only copy of its secret text."""

    row: ApiKey
    text: str = field(repr=False)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Keys by their text."""

    def issue(self, *, user: AbstractBaseUser, name: str, scopes: list[str], expires_in_days: int) -> IssuedKey:
        """Make a key of 256 random bits. Its text, `myco_<prefix>_<secret>`, is in the answer and nowhere else."""
        prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        text = f"myco_{prefix}_{secret}"
        row = self.create(
            user_id=user.pk,
            name=name,
            prefix=prefix,
            digest=ApiKey.digest_of(text),
            scopes=scopes,
            expires_at=timezone.now() + timedelta(days=expires_in_days),
        )
        return IssuedKey(row, text)

    def matching(self, text: str) -> ApiKey | None:
        """The row of this key text, in constant time for its hash; None for any other text, a dead key included."""
        parts = text.split("_", 2)
        if len(parts) != 3 or parts[0] != "myco":
            return None
        row = self.select_related("user").filter(prefix=parts[1]).first()
        digest = row.digest if row else ""
        return row if hmac.compare_digest(digest, ApiKey.digest_of(text)) else None


class ApiKey(models.Model):
    """A key of one user. Revoking keeps the row, so that history keeps its names."""

    TEXT_PREFIX: ClassVar[str] = "myco"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        default_permissions = ("add", "view")
        permissions = (("revoke_apikey", "Can revoke an API key"),)
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @staticmethod
    def digest_of(text: str) -> str:
        """SHA-256 of the key's text, in hex: 256 random bits need no slow hash."""
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def is_alive(self) -> bool:
        """Neither revoked nor expired, and its owner may sign in."""
        return self.revoked_at is None and self.expires_at > timezone.now() and self.user.is_active
