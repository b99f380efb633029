"""The registry of verbs: what each takes, needs, runs and answers. A new verb is one entry here and one workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from containers_app.conf import Conf
from containers_app.workflows.backup import BackupParams, back_up
from containers_app.workflows.clone import CloneParams, clone, recorded_clone, reopened_clone
from containers_app.workflows.context import Context, Done
from containers_app.workflows.hosts import HostTestParams, test_host

Params = CloneParams | BackupParams | HostTestParams


def _nothing(params: Any) -> Mapping[str, Any]:
    return {}


def _as_recorded(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> Mapping[str, Any]:
    return recorded


def _clone_seconds(conf: Conf, params: CloneParams) -> float:
    """The published limit is for a configuration; content takes as long as a backup of it."""
    content = conf.backup_timeout_seconds if params.moves_content else conf.clone_timeout_seconds
    return content + params.wait_healthy_seconds


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One verb. `record` gives the params as the row and the ledger keep them.

    `action` is its name in the ledger, `permission` what its user needs, `scope` what its API key needs.
    `failure_code` and `failure_prefix` are the published error of a foreseen failure. `time_limit_seconds` binds a
    waiting request only. `sealed` gives the params' write-only values, which the row keeps encrypted and nothing else
    keeps at all.
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
    record: Callable[[Any], dict[str, Any]] = asdict
    sealed: Callable[[Any], Mapping[str, Any]] = _nothing
    reopen: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = _as_recorded

    def restore(self, recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> Any:
        """The typed params of a row. Raises TypeError for a row that another version wrote."""
        return self.params(**self.reopen(recorded, sealed))


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
    time_limit_seconds=lambda conf, params: conf.backup_timeout_seconds,
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
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (CLONE, BACKUP, HOST_TEST)}
