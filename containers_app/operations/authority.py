"""Who asks, and what they may do: a user alone, or a user through an API key that can only narrow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django.contrib.auth.models import AnonymousUser, User

from containers_app.audit import denials
from containers_app.audit.ledger import Actor, Source
from containers_app.errors import MycoError
from containers_app.models import ApiKey, Operation
from containers_app.operations.kinds import KINDS

COMMAND = "command"
# What parts of the product ask for by themselves, and nothing else.
# `command` is whoever runs the product's commands on its machine: what operators may, and no power over hosts.
_ACTS_OF_COMMANDS = (
    *("clone_container", "backup_container", "restore_backup", "verify_backup", "pin_backup", "export_ledger"),
    *("hold_ledger", "erase_ledger"),
)
SYSTEMS: Mapping[str, frozenset[str]] = {
    "verifier": frozenset({"containers_app.verify_backup"}),
    "ledger verifier": frozenset({"audit.view_entry"}),
    COMMAND: frozenset(f"containers_app.{act}" for act in (*_ACTS_OF_COMMANDS, "remove_container")),
}
_SYSTEM_PRINCIPAL = "system:"


@dataclass(frozen=True, kw_only=True)
class Asker:
    """A user, and the key that was used if any; or, with nobody as the user, one of SYSTEMS.

    `at_terminal`: a command names the user, who has neither signed in nor sent a key.
    """

    user: User | AnonymousUser
    api_key: ApiKey | None = field(default=None, repr=False)
    system: str = ""
    at_terminal: bool = False

    @property
    def principal(self) -> str:
        """One word for quotas and idempotency: keys of one user are apart."""
        if self.system:
            return _SYSTEM_PRINCIPAL + self.system
        return f"key:{self.api_key.pk}" if self.api_key else f"user:{self.user.pk}"

    @property
    def label(self) -> str:
        """The name that people read."""
        if self.system:
            return self.system
        return f"{self.user.get_username()} (key {self.api_key.prefix})" if self.api_key else self.user.get_username()

    @property
    def is_automatic(self) -> bool:
        """Whether the product asks by itself, without a person behind it."""
        return bool(self.system) and self.system != COMMAND

    def has_scope(self, scope: str) -> bool:
        """Whether the user may sign in, and the key has the scope."""
        return self.user.is_active and (self.api_key is None or scope in self.api_key.scopes)

    def may(self, permission: str, scope: str) -> bool:
        """Whether the user has the permission, and the key the scope."""
        if self.system:
            return permission in SYSTEMS.get(self.system, ())
        return self.has_scope(scope) and self.user.has_perm(permission)

    def as_actor(self) -> Actor:
        """The asker as the ledger names it."""
        return replace(self.identity, roles=self.roles())

    @property
    def identity(self) -> Actor:
        """The same without the roles, which take a query."""
        if self.system:
            return Actor(type="system", label=self.system)
        return Actor(
            type="key" if self.api_key else "user" if self.user.is_authenticated else "anonymous",
            id=str(self.user.pk or ""),
            label=self.label,
            auth="key" if self.api_key else "session" if self._has_session else "none",
            key_prefix=self.api_key.prefix if self.api_key else "",
        )

    @property
    def _has_session(self) -> bool:
        return self.user.is_authenticated and not self.at_terminal

    def roles(self) -> tuple[str, ...]:
        """The names of the user's groups."""
        return tuple(self.user.groups.order_by("name").values_list("name", flat=True)) if self.user.pk else ()


def record_denial(asker: Asker, error: MycoError, source: Source) -> None:
    """Tell the ledger that somebody was refused. Raises AuditUnavailable."""
    denials.record(
        denials.Denial(
            action="authz.denied",
            code=error.code,
            actor=asker.identity,
            roles=asker.roles,
            source=source,
            message=error.message,
        )
    )


# What a verb may need besides its own permission, and the scope that a key needs for that.
_FURTHER_SCOPES = {
    "containers_app.remove_container": "remove",
    "containers_app.clone_privileged": "clone",
    "containers_app.pin_backup": "keep",
}


def still_may(operation: Operation, permission: str) -> bool:
    """Whether the operation's asker may do this now: rights are read again at the moment of the work."""
    kind = KINDS[operation.kind]
    scope = kind.scope if permission == kind.permission else _FURTHER_SCOPES.get(permission, kind.scope)
    if operation.principal.startswith(_SYSTEM_PRINCIPAL):
        system = operation.principal.removeprefix(_SYSTEM_PRINCIPAL)
        return Asker(user=AnonymousUser(), system=system).may(permission, scope)
    key = None
    if operation.api_key_id:
        key = ApiKey.objects.select_related("user").filter(pk=operation.api_key_id, user=operation.user_id).first()
        if key is None or not key.is_alive:
            return False
    user = key.user if key else User.objects.filter(pk=operation.user_id or 0).first()
    return user is not None and Asker(user=user, api_key=key).may(permission, scope)
