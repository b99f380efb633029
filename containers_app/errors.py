"""One tree of errors: a stable code for programs, a message for people, and whether trying again can help.

Every foreseen failure of the product is one of these. What is not one of these is a bug.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MycoError(Exception):
    """A foreseen failure.

    `message` says what is wrong and what to do; it never holds a secret, a traceback or a path outside the backup
    roots. `field` names the request field that caused it (dotted, as the client wrote it), or is None.
    """

    code = "INTERNAL"
    retryable = False

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidRequest(MycoError):
    """The request is malformed: nothing was done, and the same request will never work."""

    code = "INVALID_REQUEST"


class RequestTooLarge(MycoError):
    """The request body is over the limit."""

    code = "REQUEST_TOO_LARGE"


class UnsupportedMediaType(MycoError):
    """The request body is not plain `application/json` in UTF-8."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class NotAuthenticated(MycoError):
    """Nobody, or nobody who is still allowed in, asked."""

    code = "NOT_AUTHENTICATED"


class PermissionDenied(MycoError):
    """The asker may not do this."""

    code = "PERMISSION_DENIED"


class ContainerProtected(MycoError):
    """The container must not be worked on by mistake: an administrator has to confirm."""

    code = "PROTECTED"


class NotFound(MycoError):
    """A record of ours does not exist, or is not visible to the asker: one answer for both."""

    code = "NOT_FOUND"


class Hidden(NotFound):
    """The same answer, to somebody who may not see all such records: the ledger counts it among the refusals."""


class NameTaken(MycoError):
    """The name of the thing to be made is in use."""

    code = "NAME_TAKEN"


class Busy(MycoError):
    """Another operation holds the target."""

    code = "BUSY"
    retryable = True


class PlanChanged(MycoError):
    """The world is not as it was when the plan was made that the request is bound to."""

    code = "PLAN_CHANGED"


class Collides(MycoError):
    """Something on the Engine stands in the way; the message names all of it."""

    code = "COLLISION"


class SealBroken(MycoError):
    """A row's sealed values cannot be read."""

    code = "SEAL_BROKEN"


class IdempotencyConflict(MycoError):
    """The idempotency key was used before, with another request."""

    code = "IDEMPOTENCY_CONFLICT"


class Throttled(MycoError):
    """Too many requests from one principal."""

    code = "THROTTLED"
    retryable = True


class TooManyWaiting(MycoError):
    """All places for waiting requests are taken."""

    code = "TOO_MANY_WAITING"
    retryable = True


class AuditUnavailable(MycoError):
    """The ledger cannot record, therefore nothing runs."""

    code = "AUDIT_UNAVAILABLE"
    retryable = True


class DatabaseUnavailable(MycoError):
    """The product's own database does not answer."""

    code = "DATABASE_UNAVAILABLE"
    retryable = True


class EngineError(MycoError):
    """The Engine refused or failed; `message` holds its cleaned words."""

    code = "ENGINE_ERROR"


class EngineUnavailable(EngineError):
    """The Engine cannot be reached, or does not answer in time."""

    code = "ENGINE_UNAVAILABLE"
    retryable = True


class ContainerNotFound(EngineError):
    """No container of that id or name on the Engine."""

    code = "CONTAINER_NOT_FOUND"


class ContainerRunning(EngineError):
    """The container runs, and this needs it stopped."""

    code = "CONTAINER_RUNNING"


class PortTaken(EngineError):
    """A port that the container publishes is used by something else on the Engine's host."""

    code = "PORT_TAKEN"


class AmbiguousReference(EngineError):
    """The id prefix or name fits more than one container."""

    code = "AMBIGUOUS_REFERENCE"


class ImageNotFound(EngineError):
    """The source's image is gone from the Engine."""

    code = "IMAGE_NOT_FOUND"


class HookFailed(MycoError):
    """The command that was to prepare the container for being read did not succeed."""

    code = "HOOK_FAILED"


class DrillFailed(MycoError):
    """What was restored for a drill did not come up, or is not what the backup has. `proof` is the evidence of it."""

    code = "DRILL_FAILED"

    def __init__(self, message: str, *, proof: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.proof = proof


class StreamStalled(EngineUnavailable):
    """No byte came for the stall limit."""

    code = "STREAM_STALLED"


class StreamBroken(EngineUnavailable):
    """The Engine's answer broke off."""

    code = "STREAM_BROKEN"


class ArchiveInvalid(MycoError):
    """The bytes are not a complete tar archive, or not what its part of a backup was stored as."""

    code = "ARCHIVE_INVALID"


class ArchiveTruncated(ArchiveInvalid):
    """The tar archive ends before its end marker, or the part before the end of its compression or encryption."""

    code = "ARCHIVE_TRUNCATED"
    retryable = True


class BackupUnusable(ArchiveInvalid):
    """A file of the backup is gone, or is not what was written: nothing of it is restored."""

    code = "BACKUP_UNUSABLE"


class IndexMissing(MycoError):
    """The part of the backup has no list of its files."""

    code = "INDEX_MISSING"


class IndexEncrypted(MycoError):
    """The files of the part cannot be listed or read here, because they are encrypted for somebody else."""

    code = "INDEX_ENCRYPTED"


class KeyMissing(MycoError):
    """The part is encrypted, and no key of that kind was given."""

    code = "KEY_MISSING"


class WrongKey(MycoError):
    """The key that was given does not open the part, or is no key."""

    code = "WRONG_KEY"


class CheckFailed(MycoError):
    """What was checked is not what it should be. `finding` is what the operation that found it has as its result."""

    def __init__(self, message: str, *, finding: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.finding = finding


class LedgerTampered(CheckFailed):
    """Entries, columns, trees or checkpoints of the ledger are not what was recorded and signed."""

    code = "LEDGER_TAMPERED"


class LedgerUnverified(CheckFailed):
    """Whether the ledger is as it was recorded cannot be said with what is there."""

    code = "LEDGER_UNVERIFIED"


class BackupDamaged(CheckFailed):
    """A backup is not what was recorded of it."""


class BackupCorrupt(BackupDamaged):
    """A file of the backup has other bytes than were recorded."""

    code = "BACKUP_CORRUPT"


class BackupMissing(BackupDamaged):
    """A file of the backup is not on the storage."""

    code = "BACKUP_MISSING"


class BackupDeleted(MycoError):
    """The backup was deleted."""

    code = "BACKUP_DELETED"


class BackupPinned(MycoError):
    """The backup is pinned, so it is not deleted."""

    code = "BACKUP_PINNED"


class BackupHeld(MycoError):
    """A legal hold is on the backup."""

    code = "BACKUP_HELD"


class LedgerHeld(MycoError):
    """A legal hold is on the audit ledger."""

    code = "LEDGER_HELD"


class LastGoodBackup(MycoError):
    """The container would have no backup left that is as good."""

    code = "LAST_GOOD_BACKUP"


class StorageError(MycoError):
    """The backup storage refused or failed."""

    code = "STORAGE_ERROR"
    retryable = True


class StorageFull(StorageError):
    """No space, or no inode, is left on the backup storage."""

    code = "STORAGE_FULL"


class TimedOut(MycoError):
    """The operation's own time limit passed."""

    code = "TIMED_OUT"
    retryable = True


class Cancelled(MycoError):
    """Somebody asked the operation to stop."""

    code = "CANCELLED"


class LeaseLost(MycoError):
    """Another worker, or the reconciler, holds the operation now: this one may write nothing."""

    code = "LEASE_LOST"
