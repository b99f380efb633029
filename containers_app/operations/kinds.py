"""The registry of verbs: what each takes, needs, runs and answers. A new verb is one entry here and one workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from containers_app.audit.verifying import kept as kept_verification
from containers_app.conf import Conf
from containers_app.operations.ledger_filters import told_filters
from containers_app.specs.hooks import DEFAULT_TIMEOUT_SECONDS, Hooks
from containers_app.workflows.adopt import AdoptParams, adopt
from containers_app.workflows.backup import BackupParams, back_up
from containers_app.workflows.clone import CloneParams, clone, recorded_clone, reopened_clone
from containers_app.workflows.context import Context, Done
from containers_app.workflows.deletion import DeleteParams, delete_backup
from containers_app.workflows.drill import DrillParams, drill, recorded_drill, reopened_drill, sealed_drill
from containers_app.workflows.hosts import HostTestParams, test_host
from containers_app.workflows.ledger_export import LedgerExportParams, export_ledger
from containers_app.workflows.ledger_verify import LedgerVerifyParams, verify_ledger
from containers_app.workflows.lifecycle import (
    RemoveParams,
    StartParams,
    StopParams,
    remove,
    restart,
    start,
    stop,
)
from containers_app.workflows.quiesce import DEFAULT_STOP_SECONDS
from containers_app.workflows.restore import (
    RestoreParams,
    recorded_restore,
    reopened_restore,
    restore,
    sealed_restore,
)
from containers_app.workflows.set_making import SetWish, recorded_wish, reopened_wish, sealed_wish
from containers_app.workflows.stack_backup import StackBackupParams, back_up_stack
from containers_app.workflows.stack_clone import StackCloneParams, clone_stack
from containers_app.workflows.stack_restore import (
    StackRestoreParams,
    recorded_stack_restore,
    reopened_stack_restore,
    restore_stack,
    sealed_stack_restore,
)
from containers_app.workflows.verify import VerifyParams, verify

Params = (
    CloneParams
    | BackupParams
    | RestoreParams
    | DrillParams
    | HostTestParams
    | StackCloneParams
    | StackBackupParams
    | StackRestoreParams
    | StartParams
    | StopParams
    | RemoveParams
    | VerifyParams
    | DeleteParams
    | AdoptParams
    | LedgerExportParams
    | LedgerVerifyParams
)


def _backup_seconds(conf: Conf, params: SetWish) -> float:
    """Hooks before and after come on top."""
    hook_seconds = params.hooks.timeout_seconds if isinstance(params.hooks, Hooks) else DEFAULT_TIMEOUT_SECONDS
    return conf.backup_timeout_seconds + (0 if params.hooks is None else 2 * hook_seconds)


def _nothing(params: Any) -> Mapping[str, Any]:
    return {}


def _whole(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result


def _as_recorded(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> Mapping[str, Any]:
    return recorded


def _clone_seconds(conf: Conf, params: CloneParams) -> float:
    """The published limit is for a configuration; content takes as long as a backup of it."""
    content = conf.backup_timeout_seconds if params.moves_content else conf.clone_timeout_seconds
    return content + params.wait_healthy_seconds


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One verb. `record` gives the params as the row and the ledger keep them; `told_params` the ledger's, if others.

    `action` is its name in the ledger, `permission` what its user needs, `scope` what its API key needs.
    `failure_code` and `failure_prefix` are the published error of a foreseen failure. `time_limit_seconds` binds a
    waiting request only. `sealed` gives the params' write-only values, which the row keeps encrypted and nothing else
    keeps at all. `told_result` is what the ledger keeps of a result. `lasting`: what it did is not taken back.
    `on_engine`: it works on its host's Engine, which has to be enabled; else the host only says which workers do it.
    """

    name: str
    verb: str
    action: str
    params: type[Any]
    workflow: Callable[[Context, Any], Done]
    permission: str
    scope: str
    failure_code: str
    failure_prefix: str
    success_message: str
    subject_type: str
    subject: Callable[[Any], str]
    time_limit_seconds: Callable[[Conf, Any], float]
    lasting: bool = False
    on_engine: bool = True
    record: Callable[[Any], dict[str, Any]] = asdict
    told_params: Callable[[Any], dict[str, Any]] | None = None
    sealed: Callable[[Any], Mapping[str, Any]] = _nothing
    reopen: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = _as_recorded
    told_result: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _whole

    def tell(self, params: Any) -> dict[str, Any]:
        """The params as the ledger keeps them."""
        return (self.told_params or self.record)(params)

    def restore(self, recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> Any:
        """The typed params of a row. Raises TypeError for a row that another version wrote."""
        return self.params(**self.reopen(recorded, sealed))


def _told_export(params: LedgerExportParams) -> dict[str, Any]:
    """What an export is chosen by may name a person."""
    return {**asdict(params), "filter": told_filters(params.filter)}


def lasts(kind_name: str) -> bool:
    """Whether what this verb did stays. False for a verb of another version."""
    return kind_name in KINDS and KINDS[kind_name].lasting


def _engine_seconds(conf: Conf) -> float:
    """One long call to the Engine, and a few short ones."""
    return conf.engine_call_seconds + 5


def _stop_seconds(params: StopParams) -> float:
    return DEFAULT_STOP_SECONDS if params.timeout_seconds is None else params.timeout_seconds


CLONE = Kind(
    name="clone",
    verb="Clone",
    action="container.clone",
    params=CloneParams,
    workflow=clone,
    permission="containers_app.clone_container",
    scope="clone",
    failure_code="CLONE_FAILED",
    failure_prefix="Clone failed: ",
    success_message="Container cloned successfully",
    subject_type="container",
    subject=lambda params: str(params.container),
    time_limit_seconds=_clone_seconds,
    record=recorded_clone,
    sealed=lambda params: params.overrides.raw,
    reopen=reopened_clone,
)
BACKUP = Kind(
    name="backup",
    verb="Back up",
    action="container.backup",
    params=BackupParams,
    workflow=back_up,
    permission="containers_app.backup_container",
    scope="backup",
    failure_code="BACKUP_FAILED",
    failure_prefix="Backup failed: ",
    success_message="Container backup created successfully",
    subject_type="container",
    subject=lambda params: str(params.container),
    time_limit_seconds=_backup_seconds,
    record=recorded_wish,
    sealed=sealed_wish,
    reopen=reopened_wish,
)
RESTORE = Kind(
    name="restore",
    verb="Restore",
    action="backup.restore",
    params=RestoreParams,
    workflow=restore,
    permission="containers_app.restore_backup",
    scope="restore",
    failure_code="RESTORE_FAILED",
    failure_prefix="Restore failed: ",
    success_message="Backup restored successfully",
    subject_type="backup",
    subject=lambda params: str(params.backup),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds + params.wait_healthy_seconds,
    record=recorded_restore,
    sealed=sealed_restore,
    reopen=reopened_restore,
)
DRILL = Kind(
    name="drill",
    verb="Drill",
    action="backup.drill",
    params=DrillParams,
    workflow=drill,
    permission="containers_app.drill_backup",
    scope="restore",
    failure_code="DRILL_FAILED",
    failure_prefix="Drill failed: ",
    success_message="Backup drilled successfully",
    subject_type="backup",
    subject=lambda params: str(params.backup),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds + params.wait_healthy_seconds,
    record=recorded_drill,
    sealed=sealed_drill,
    reopen=reopened_drill,
)
HOST_TEST = Kind(
    name="hostTest",
    verb="Test connection of",
    action="host.test",
    params=HostTestParams,
    workflow=test_host,
    permission="containers_app.test_host",
    scope="hosts",
    failure_code="HOST_TEST_FAILED",
    failure_prefix="Connection test failed: ",
    success_message="The Docker host answers",
    subject_type="host",
    subject=lambda params: str(params.host),
    time_limit_seconds=lambda conf, params: conf.engine_connect_seconds + 5,
)
STACK_CLONE = Kind(
    name="stackClone",
    verb="Clone stack",
    action="stack.clone",
    params=StackCloneParams,
    workflow=clone_stack,
    permission="containers_app.clone_container",
    scope="clone",
    failure_code="STACK_CLONE_FAILED",
    failure_prefix="Stack clone failed: ",
    success_message="Stack cloned successfully",
    subject_type="stack",
    subject=lambda params: str(params.project),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds + params.wait_healthy_seconds,
)
STACK_BACKUP = Kind(
    name="stackBackup",
    verb="Back up stack",
    action="stack.backup",
    params=StackBackupParams,
    workflow=back_up_stack,
    permission="containers_app.backup_container",
    scope="backup",
    failure_code="STACK_BACKUP_FAILED",
    failure_prefix="Stack backup failed: ",
    success_message="Stack backup created successfully",
    subject_type="stack",
    subject=lambda params: str(params.project),
    time_limit_seconds=_backup_seconds,
    record=recorded_wish,
    sealed=sealed_wish,
    reopen=reopened_wish,
)
STACK_RESTORE = Kind(
    name="stackRestore",
    verb="Restore stack",
    action="stack.restore",
    params=StackRestoreParams,
    workflow=restore_stack,
    permission="containers_app.restore_backup",
    scope="restore",
    failure_code="STACK_RESTORE_FAILED",
    failure_prefix="Stack restore failed: ",
    success_message="Stack restored successfully",
    subject_type="backup",
    subject=lambda params: str(params.backup),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds + params.wait_healthy_seconds,
    record=recorded_stack_restore,
    sealed=sealed_stack_restore,
    reopen=reopened_stack_restore,
)
START = Kind(
    name="start",
    verb="Start",
    action="container.start",
    params=StartParams,
    workflow=start,
    permission="containers_app.operate_container",
    scope="operate",
    failure_code="START_FAILED",
    failure_prefix="Start failed: ",
    success_message="Container started successfully",
    subject_type="container",
    subject=lambda params: str(params.container),
    time_limit_seconds=lambda conf, params: _engine_seconds(conf) + params.wait_healthy_seconds,
    lasting=True,
)
STOP = Kind(
    name="stop",
    verb="Stop",
    action="container.stop",
    params=StopParams,
    workflow=stop,
    permission="containers_app.operate_container",
    scope="operate",
    failure_code="STOP_FAILED",
    failure_prefix="Stop failed: ",
    success_message="Container stopped successfully",
    subject_type="container",
    subject=lambda params: str(params.container),
    time_limit_seconds=lambda conf, params: _engine_seconds(conf) + _stop_seconds(params),
    lasting=True,
)
RESTART = Kind(
    name="restart",
    verb="Restart",
    action="container.restart",
    params=StopParams,
    workflow=restart,
    permission="containers_app.operate_container",
    scope="operate",
    failure_code="RESTART_FAILED",
    failure_prefix="Restart failed: ",
    success_message="Container restarted successfully",
    subject_type="container",
    subject=lambda params: str(params.container),
    time_limit_seconds=lambda conf, params: _engine_seconds(conf) + _stop_seconds(params),
    lasting=True,
)
REMOVE = Kind(
    name="remove",
    verb="Remove",
    action="container.remove",
    params=RemoveParams,
    workflow=remove,
    permission="containers_app.remove_container",
    scope="remove",
    failure_code="REMOVE_FAILED",
    failure_prefix="Remove failed: ",
    success_message="Container removed successfully",
    subject_type="container",
    subject=lambda params: str(params.container),
    time_limit_seconds=lambda conf, params: _engine_seconds(conf),
    lasting=True,
)
VERIFY = Kind(
    name="verify",
    verb="Verify",
    action="backup.verify",
    params=VerifyParams,
    workflow=verify,
    permission="containers_app.verify_backup",
    scope="verify",
    failure_code="VERIFY_FAILED",
    failure_prefix="Verification failed: ",
    success_message="Every byte of the backup is as it was recorded",
    subject_type="backup",
    subject=lambda params: str(params.name),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds,
    on_engine=False,
)
DELETE_BACKUP = Kind(
    name="deleteBackup",
    verb="Delete",
    action="backup.delete",
    params=DeleteParams,
    workflow=delete_backup,
    permission="containers_app.remove_backup",
    scope="delete",
    failure_code="DELETE_BACKUP_FAILED",
    failure_prefix="Deletion failed: ",
    success_message="The backup is deleted",
    subject_type="backup",
    subject=lambda params: str(params.name),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds,
    lasting=True,
    on_engine=False,
)
ADOPT = Kind(
    name="adopt",
    verb="Adopt",
    action="backup.adopt",
    params=AdoptParams,
    workflow=adopt,
    permission="containers_app.backup_container",
    scope="backup",
    failure_code="ADOPT_FAILED",
    failure_prefix="Adoption failed: ",
    success_message="The backup is adopted",
    subject_type="backup",
    subject=lambda params: str(params.name),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds,
    on_engine=False,
)
LEDGER_EXPORT = Kind(
    name="ledgerExport",
    verb="Export",
    action="audit.export",
    params=LedgerExportParams,
    workflow=export_ledger,
    permission="containers_app.export_ledger",
    scope="export",
    failure_code="LEDGER_EXPORT_FAILED",
    failure_prefix="Export failed: ",
    success_message="The ledger is exported",
    subject_type="ledger",
    subject=lambda params: str(params.format),
    told_params=_told_export,
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds,
    on_engine=False,
)
LEDGER_VERIFY = Kind(
    name="ledgerVerify",
    verb="Verify",
    action="audit.verify",
    params=LedgerVerifyParams,
    workflow=verify_ledger,
    permission="audit.view_entry",
    scope="ledger",
    failure_code="LEDGER_VERIFY_FAILED",
    failure_prefix="Verification failed: ",
    success_message="The ledger is as it was recorded and signed",
    subject_type="ledger",
    subject=lambda params: str(params.subject),
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds,
    on_engine=False,
    told_result=kept_verification,
)
_EVERY = (
    *(CLONE, BACKUP, RESTORE, DRILL, HOST_TEST, STACK_CLONE, STACK_BACKUP, STACK_RESTORE, START, STOP),
    *(RESTART, REMOVE, VERIFY, DELETE_BACKUP, ADOPT, LEDGER_EXPORT, LEDGER_VERIFY),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _EVERY}
