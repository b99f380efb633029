"""Drill: boot a backup where it reaches nothing, see whether it comes up, keep the evidence, remove everything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from django.utils import timezone

from containers_app.archives.codecs import Keys
from containers_app.engine.exec_verbs import NOT_STARTED_CODES
from containers_app.engine.gateway import EngineGateway
from containers_app.errors import PermissionDenied
from containers_app.models import Backup
from containers_app.models.backups import USABLE_STATES
from containers_app.specs.hooks import Hook
from containers_app.specs.isolation import Limits, isolated
from containers_app.specs.overrides import AS_THE_SOURCE
from containers_app.specs.stack import ENDED_WELL, awaited, in_order, member
from containers_app.workflows.admission import check_admission
from containers_app.workflows.context import Context, Done
from containers_app.workflows.drill_evidence import Booted, Evidence, Opened, missing_from
from containers_app.workflows.health import wait_until_ended, wait_until_healthy
from containers_app.workflows.restore_making import check_parts, make_restored, prove_restored
from containers_app.workflows.restore_plan import RestorePlan, Wanted, plan_restore
from containers_app.workflows.set_making import HOOK_PERMISSION
from containers_app.workflows.set_reader import SetReader, open_set
from containers_app.workflows.stack_sets import open_stack

DEFAULT_WAIT_SECONDS = 120
# How long one without a healthcheck has to run: longer than after a start, as nobody looks at it afterwards.
SETTLE_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_ID_CHARACTERS, _LONGEST_NAME = 8, 63
_WRITE_ONLY = ("command", "keys")


@dataclass(frozen=True, kw_only=True)
class DrillParams:
    """`backup`: its record's id; with `stack`, all sets of the stack backup that it is of.

    `command`: has to end well in the container once that is up, or None. `wait_healthy_seconds`: the limit for each.
    `keys`: what opens an encrypted backup.
    """

    backup: str
    stack: bool = False
    command: Hook | None = field(default=None, repr=False)
    wait_healthy_seconds: int = DEFAULT_WAIT_SECONDS
    memory_bytes: int | None = None
    nano_processors: int | None = None
    keys: Keys = field(default_factory=Keys, repr=False)


def recorded_drill(params: DrillParams) -> dict[str, Any]:
    """The params as the row and the ledger keep them: without what is write-only."""
    kept = {entry.name: getattr(params, entry.name) for entry in fields(params) if entry.name not in _WRITE_ONLY}
    return {**kept, "own_command": params.command is not None}


def sealed_drill(params: DrillParams) -> dict[str, Any]:
    """What of the params is write-only."""
    command = {} if params.command is None else {"command": list(params.command.command)}
    return {**params.keys.sealed, **command}


def reopened_drill(recorded: Mapping[str, Any], sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a row, with what was sealed. Raises TypeError where they do not fit."""
    kept, words = dict(recorded), sealed.get("command")
    if kept.pop("own_command", False) != bool(words):
        raise TypeError("the row's command is not in what was sealed")
    return {**kept, "command": Hook(command=tuple(words)) if words else None, "keys": Keys.reopened(sealed)}


def drill(context: Context, params: DrillParams) -> Done:
    """Boot the set, or the sets of the stack, in a network of their own; then nothing of it is left.

    Raises DrillFailed, PermissionDenied for a container with power over its host, BackupUnusable, and the errors of
    the archives, the storage and the Engine.
    """
    if params.command is not None and not context.facts.may(HOOK_PERMISSION):
        raise PermissionDenied("you may not run commands of your own in containers: leave 'command' out")
    evidence = Evidence(context)
    with evidence.step("open the backup"):
        every = _opened(context, params)
    evidence.rpo_seconds = _age_seconds(every)
    with context.gateway() as target:
        for opened in every:
            evidence.booted.append(_booted(context, target, opened, evidence))
        if not all(entry.same_content for entry in evidence.booted):
            raise evidence.failed("what was restored is not what the backup has")
        _come_up(context, target, params, evidence)
        _run_command(context, target, params, evidence)
    evidence.came_up()
    context.stage("remove everything")
    context.take_back()
    return _done(evidence, params)


def _done(evidence: Evidence, params: DrillParams) -> Done:
    """A set that lacks something of its container may come up, and proves nothing of what it lacks."""
    whole = all(entry.whole for entry in evidence.booted)
    proven = [entry.opened.files.backup.pk for entry in evidence.booted] if whole else []
    result = {
        "success": True,
        "message": "Backup drilled successfully",
        "action": "drill",
        "backupId": params.backup,
        "passed": True,
        "proven": whole,
        "rtoSeconds": evidence.rto_seconds,
        "rpoSeconds": evidence.rpo_seconds,
    }
    faithful = not any(entry.proof.configuration.unexplained for entry in evidence.booted)
    return Done(
        result=result,
        proof=evidence.document(passed=True),
        record=lambda: _prove(proven),
        partial=not (whole and faithful),
    )


def _prove(backups: list[Any]) -> None:
    """A backup that was lost or altered meanwhile is not proven."""
    Backup.objects.filter(pk__in=backups, state__in=USABLE_STATES).update(proven_at=timezone.now())


def _age_seconds(every: tuple[Opened, ...]) -> float:
    now = timezone.now()
    return round(max((now - opened.files.backup.created_at).total_seconds() for opened in every), 3)


def _opened(context: Context, params: DrillParams) -> tuple[Opened, ...]:
    """The sets in the order of their start. Raises PermissionDenied before anything is made."""
    network = f"drill-{context.facts.operation_id[-_ID_CHARACTERS:]}"
    limits = Limits(memory_bytes=params.memory_bytes, nano_processors=params.nano_processors)
    found = [_isolated(files, network, limits) for files in _sets(context, params)]
    for opened in found:
        if opened.isolated.powers:
            words = f"holds power over its host, which no drill gives ({'; '.join(opened.isolated.powers)})"
            raise PermissionDenied(f"{opened.member.name} {words}: restore it to try it out")
    by_id = {opened.member.id: opened for opened in found}
    return tuple(by_id[entry.id] for entry in in_order(opened.member for opened in found))


def _isolated(files: SetReader, network: str, limits: Limits) -> Opened:
    original = files.configuration()
    folders = frozenset(part.name for part in files.parts("bind"))
    one = member(original.container)
    # The end of a name tells more: compose numbers there.
    end = one.name[-(_LONGEST_NAME - len(network) - 1) :].lstrip("_.-")
    return Opened(
        files=files,
        member=one,
        isolated=isolated(original, network=network, limits=limits, folders=folders),
        name=f"{network}-{end}",
    )


def _sets(context: Context, params: DrillParams) -> tuple[SetReader, ...]:
    if params.stack:
        return open_stack(context, params.backup, params.keys, field="stack").files
    return (open_set(context, params.backup, params.keys),)


def _booted(context: Context, target: EngineGateway, opened: Opened, evidence: Evidence) -> Booted:
    """Make and fill the container, and compare it; it is not started."""
    shown = opened.member.name
    with evidence.step(f"plan {shown}"):
        plan = _planned(context, target, opened)
    with evidence.step(f"check the backup of {shown}", stage=False):
        check_parts(context, opened.files, plan)
    with evidence.step(f"restore {shown}", stage=False):
        restored = make_restored(context, target, plan, opened.files)
    with evidence.step(f"compare {shown}", stage=False):
        proof = prove_restored(context, target, restored, reasons=opened.isolated.reasons)
    missing = missing_from(opened, lacking=plan.lacking, empty=plan.without)
    for code, message in missing.items():
        context.warn(code, message)
    configuration = proof.configuration
    every = (*configuration.differences, *opened.isolated.differences)
    return Booted(
        opened=opened,
        restored=restored,
        proof=replace(proof, configuration=replace(configuration, differences=every)),
        whole=not (plan.lacking or plan.without or opened.isolated.writable),
    )


def _planned(context: Context, target: EngineGateway, opened: Opened) -> RestorePlan:
    wanted = Wanted(
        name=opened.name, parts=None, overrides=AS_THE_SOURCE, bound={"drill": True}, isolated=opened.isolated
    )
    plan = plan_restore(context, target, opened.files, wanted)
    document = plan.prepared.document
    check_admission(
        context,
        plan_hash=document.hash,
        bound_to=None,
        powers=plan.prepared.powers,
        confirmed=False,
        collisions=document.collisions,
        warnings=[warning for warning in document.warnings if warning.code == "ROOTFS_FROM_IMAGE"],
        start=True,
    )
    return plan


def _come_up(context: Context, target: EngineGateway, params: DrillParams, evidence: Evidence) -> None:
    """Start each after those that it waits for; then wait for the rest. Raises DrillFailed."""
    conditions = awaited(entry.opened.member for entry in evidence.booted)
    rest = []
    for entry in evidence.booted:
        with evidence.step(f"start {entry.opened.member.name}"):
            target.start(entry.id, secrets=entry.restored.plan.prepared.plan.create.secrets)
        condition = conditions.get(entry.opened.member.service)
        if condition is None:
            rest.append(entry)
        else:
            _wait(context, target, params, evidence, entry, ends=condition == ENDED_WELL)
    for entry in rest:
        _wait(context, target, params, evidence, entry)


def _wait(
    context: Context,
    target: EngineGateway,
    params: DrillParams,
    evidence: Evidence,
    entry: Booted,
    *,
    ends: bool = False,
) -> None:
    limit_seconds = params.wait_healthy_seconds
    with evidence.step(f"wait for {entry.opened.member.name}"):
        if ends:
            verdict = wait_until_ended(context, target, entry.id, limit_seconds=limit_seconds)
        else:
            verdict = wait_until_healthy(
                context, target, entry.id, limit_seconds=limit_seconds, settle_seconds=SETTLE_SECONDS
            )
    evidence.add_health(entry.opened.member.name, verdict.sign if verdict.up else verdict.code)
    if not verdict.up:
        raise evidence.failed(f"it did not come up: {verdict.message}")


def _run_command(context: Context, target: EngineGateway, params: DrillParams, evidence: Evidence) -> None:
    """In the container of the backup that was asked for. Raises DrillFailed."""
    if params.command is None:
        return
    entry = next(one for one in evidence.booted if str(one.opened.files.backup.pk) == params.backup)
    with evidence.step("run the command"):
        wrong = _tried(context, target, entry.id, params.command, limit_seconds=params.wait_healthy_seconds)
    evidence.add_health(entry.opened.member.name, f"the command {wrong or 'ended with exit code 0'}")
    if wrong:
        raise evidence.failed(f"the command {wrong}; what it printed is kept nowhere")


def _tried(context: Context, target: EngineGateway, container_id: str, hook: Hook, *, limit_seconds: float) -> str:
    """Again and again until it ends well, as a healthcheck would; why it did not, or an empty text."""
    until = time.monotonic() + limit_seconds
    while True:
        left_seconds = max(until - time.monotonic(), _PAUSE_SECONDS)
        end = target.run_exec(container_id, hook.command, timeout_seconds=left_seconds, tick=context.checkpoint)
        if end.exit_code == 0:
            return ""
        if end.exit_code is None:
            return "did not end in time"
        if end.exit_code in NOT_STARTED_CODES:
            return f"could not be started (exit code {end.exit_code}): the container lacks the program"
        if time.monotonic() >= until:
            return f"still ended with exit code {end.exit_code} after {limit_seconds:g} s"
        time.sleep(_PAUSE_SECONDS)
