"""The registry of verbs: every action that an entry may have, in words, with its category; and which only read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

Category = Literal["operation", "auth", "authz", "config", "access", "system", "audit"]


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One action: `title` is what people read, `is_read` whether it shows something and changes nothing."""

    title: str
    category: Category
    is_read: bool = False


def _of(category: Category, *, is_read: bool = False, **titles: str) -> dict[str, Verb]:
    """Verbs of one category; `noun__verb` stands for `noun.verb`."""
    verbs = {name: Verb(title=title, category=category, is_read=is_read) for name, title in titles.items()}
    return {name.replace("__", "."): verb for name, verb in verbs.items()}


ALL: Final[Mapping[str, Verb]] = {
    **_of(
        "operation",
        container__clone="Clone a container",
        container__backup="Back up a container",
        container__start="Start a container",
        container__stop="Stop a container",
        container__restart="Restart a container",
        container__remove="Remove a container",
        stack__clone="Clone a stack",
        stack__backup="Back up a stack",
        stack__restore="Restore a stack",
        backup__restore="Restore a backup",
        backup__drill="Try the restore of a backup",
        backup__verify="Verify a backup",
        backup__delete="Delete a backup",
        backup__adopt="Adopt a backup",
        backup__pinned="Pin a backup",
        backup__unpinned="Take the pin out of a backup",
        backup__held="Put a hold on a backup",
        backup__released="Release a backup",
        backup__found_complete="A backup was found complete",
        backup__found_partial="A backup was found partial",
        backup__found_missing="A backup was found missing",
        backup__found_corrupt="A backup was found corrupt",
        backup__found_deleted="A backup is deleted",
        backup__link="Make a download link",
        host__test="Test the connection of a host",
        operation__cancel="Cancel an operation",
        operation__fenced="A worker lost its operation",
    ),
    **_of(
        "operation",
        is_read=True,
        backup__browse="Look into a backup",
        backup__compare="Compare two backups",
        backup__download="Download from a backup",
        backup__link_used="Download with a link",
    ),
    **_of(
        "auth",
        auth__login="Sign in",
        auth__login_failed="A failed sign-in",
        auth__logout="Sign out",
        auth__key_first_used="First use of an API key",
    ),
    **_of(
        "authz",
        authz__denied="A refused request",
        authz__invalid="A request that made no sense",
        authz__flood="Refused requests, counted together",
    ),
    **_of(
        "config",
        config__host_added="Add a host",
        config__host_changed="Change a host",
        config__host_removed="Remove a host",
        config__settings_changed="The settings are others than before",
    ),
    **_of(
        "access",
        access__user_created="Create a user",
        access__user_changed="Change a user",
        access__user_enabled="Let a user sign in again",
        access__user_disabled="Let a user not sign in any more",
        access__user_deleted="Delete a user",
        access__password_changed="Change one's own password",  # noqa: S106 - a title
        access__password_reset="Set a user's password",  # noqa: S106 - a title
        access__roles_changed="Change a user's groups or rights",
        access__group_changed="Change what a group may do",
        access__key_issued="Issue an API key",
        access__key_revoked="Revoke an API key",
    ),
    **_of(
        "system",
        system__start="The product starts",
        system__stop="The product stops",
        system__version_changed="Another version of the product",
        system__migrated="A database was migrated",
        system__clock_back="The clock went back",
        system__retention="What the settings keep no longer was removed",
        engine__unattributed="Done on an Engine without the product",
        engine__events_lost="What was done on an Engine may be missing here",
    ),
    **_of(
        "audit",
        audit__open_shard="Begin a shard of the ledger",
        audit__rotate_key="Change the key that signs the ledger",
        audit__accept_rollback="Accept that entries of the ledger are lost",
        audit__end_halt="The ledger goes on: what was missed is there again",
        audit__review="Review an entry of the ledger",
        audit__view_saved="Save a view of the ledger",
        audit__view_changed="Change a saved view of the ledger",
        audit__view_deleted="Delete a saved view of the ledger",
        audit__prune="Remove old payloads of the ledger",
        audit__pruned="Old payloads of the ledger were removed",
        audit__hold_placed="Put a hold on the ledger",
        audit__hold_released="Release the ledger",
        privacy__erase="Erase personal data from the ledger",
    ),
    **_of(
        "audit",
        is_read=True,
        audit__view="Look at the list of the ledger",
        audit__view_entry="Look at an entry of the ledger",
        audit__view_proof="Take a proof from the ledger",
        audit__view_checkpoint="Look at a checkpoint of the ledger",
        audit__view_consistency="Take a proof that the ledger only grew",
        audit__verify="Verify the ledger",
        audit__export="Export the ledger",
        audit__download="Download an export of the ledger",
    ),
}

Marked = TypeVar("Marked", bound=Callable[..., Any])


def records(*names: str) -> Callable[[Marked], Marked]:
    """Say beside a way in (a page, a task, a command) which verbs it writes; none where it changes nothing.

    Raises KeyError for a verb that is not registered.
    """

    known = {name: ALL[name] for name in names}

    def mark(way_in: Marked) -> Marked:
        way_in.verbs = tuple(known)  # type: ignore[attr-defined] # read by a test
        return way_in

    return mark
