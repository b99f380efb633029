"""What `manage.py ledger` does for auditors: check the database, write a bundle, show the newest checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from containers_app.audit import ledger, published, verifying
from containers_app.audit.bundle import Written
from containers_app.audit.ledger import SelfCheck, Subject
from containers_app.conf import load
from containers_app.errors import AuditUnavailable, InvalidRequest, MycoError, PermissionDenied
from containers_app.management.acts.command import TERMINAL, asker_of, given
from containers_app.models.identifiers import uuid7
from containers_app.operations.authority import Asker, record_denial
from containers_app.operations.kinds import LEDGER_EXPORT
from containers_app.operations.ledger_exports import read_export
from containers_app.operations.ledger_verifications import check_keys
from containers_app.operations.notes import check_notes
from containers_app.specs.period import NAMED
from containers_app.workflows.evidence_pack.pack import check_rights
from containers_app.workflows.ledger_export import EVIDENCE, LedgerExportParams, Made, write_file

VERIFIED, TAMPERED, CANNOT, INCOMPLETE = 0, 1, 2, 3
_CODES: Mapping[str, int] = {"verified": VERIFIED, "tampered": TAMPERED, "cannot verify": CANNOT}


@dataclass(frozen=True, kw_only=True)
class Said:
    """The exit code, the lines for people, and the same as one object."""

    code: int
    lines: tuple[str, ...]
    body: Mapping[str, Any] = field(default_factory=dict)


def add_acts(acts: Any) -> None:
    """Add the parsers of these acts."""
    verify = acts.add_parser("verify", help="recompute the whole ledger from the database")
    verify.add_argument("--shard", type=int, help="this one only")
    verify.add_argument("--quick", action="store_true", help="hashes, heads and checkpoints, not the columns")
    verify.add_argument("--vkey", action="append", default=[], help="trust this key, not those of the database")
    bundle = acts.add_parser("bundle", help="write a signed bundle for an auditor")
    bundle.add_argument("--filter", action="append", default=[], metavar="NAME=VALUE", help="only these; see the docs")
    evidence = acts.add_parser("evidence", help="write the evidence pack of a period: HTML, PDF, JSON and its bundle")
    evidence.add_argument("--rto-goal", type=int, metavar="SECONDS", help="compare drills with this")
    evidence.add_argument("--rpo-goal", type=int, metavar="SECONDS", help="the same for the age of what is restored")
    for one in (bundle, evidence):
        one.add_argument("--since", help="a day, or a moment in RFC 3339; without it from the first entry")
        one.add_argument("--until", help="a day, which is still inside, or a moment, which is not")
        one.add_argument("--period", choices=NAMED, help="instead of both, a period of the calendar in UTC")
        one.add_argument("--output", required=True, metavar="FILE.zip", help="a file that is not there yet")
        one.add_argument("--user", metavar="NAME", help="ask as this user, with that one's rights")
        one.add_argument("--reason", help="why; kept in the ledger")
        one.add_argument("--ticket", help="a reference to another system; kept in the ledger")
    checkpoint = acts.add_parser("checkpoint", help="show the newest checkpoint and the key that signed it")
    checkpoint.add_argument("--shard", type=int, help="of this one, not of the newest")
    for one in (verify, bundle, evidence, checkpoint):
        one.add_argument("--json", action="store_true", help="print one JSON object")


def verify(options: Mapping[str, Any]) -> Said:
    """Every shard, or one. Raises InvalidRequest for a key that is none, AuditUnavailable."""
    vkeys = tuple(options["vkey"])
    check_keys(vkeys, field="vkey")
    how = {"shard": options["shard"], "quick": options["quick"], "processes": os.cpu_count() or 1}
    found = verifying.verify(verifying.Wanted(**how, vkeys=vkeys))
    if not found.checks:
        return Said(code=CANNOT, lines=("The ledger has no such entries: there is nothing to verify.",))
    lines = [line for check in found.checks for line in _told(check)]
    if found.acts:
        lines.append(f"{found.erased} personal values were erased, by {found.acts} acts that the ledger has: no damage")
    if not _record_check(found):
        lines.append("The ledger did not take the entry of this check.")
    body = {"verdict": found.verdict, "shards": [asdict(check) for check in found.checks]}
    return Said(code=_CODES[found.verdict], lines=(*lines, found.verdict.upper()), body=body)


def bundle(options: Mapping[str, Any]) -> Said:
    """Write the file, readable for its owner only; intent and outcome are in the ledger. Raises MycoError."""
    return _export(options, {"filter": _filter(options)})


def evidence(options: Mapping[str, Any]) -> Said:
    """The same for the evidence pack; the exit code is 3 where this machine can make no PDF. Raises MycoError."""
    goals = {"rtoGoalSeconds": options["rto_goal"], "rpoGoalSeconds": options["rpo_goal"]}
    return _export(options, {"format": EVIDENCE, **given(goals)})


def _export(options: Mapping[str, Any], wish: Mapping[str, Any]) -> Said:
    asker = asker_of(options["user"])
    path = Path(options["output"])
    period = {name: options[name] for name in ("since", "until", "period")}
    params = read_export({**given(period), **wish})
    _check_right(asker, params)
    if path.exists():
        raise InvalidRequest("'output' must name a file that is not there yet", field="output")
    reason, ticket = options["reason"] or "", options["ticket"] or ""
    check_notes(LEDGER_EXPORT.action, reason=reason, ticket=ticket)
    made = _recorded(asker, params, path, reason=reason, ticket=ticket)
    written = made.written
    lines = [f"{path}: {made.size_bytes} bytes, sha256 {made.sha256}", f"{written.entries} entries, {_range(written)}"]
    if written.newer:
        lines.append(f"{written.newer} entries are newer than the last checkpoint: not in it.")
    if written.missing:
        lines.append(f"WARNING: {written.missing}")
    body = {"file": str(path), "sizeBytes": made.size_bytes, "sha256": made.sha256, **asdict(written)}
    return Said(code=INCOMPLETE if written.missing else VERIFIED, lines=tuple(lines), body=body)


def checkpoint(options: Mapping[str, Any]) -> Said:
    """The signed note, as it can be kept elsewhere. Raises NotFound, AuditUnavailable."""
    found = published.checkpoint(options["shard"])
    signed_at = found.signed_at.isoformat()
    lines = (*found.note.splitlines(), f"key: {found.vkey}", f"signed at {signed_at}")
    return Said(code=VERIFIED, lines=lines, body={**asdict(found), "signed_at": signed_at})


ACTS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "verify": verify,
    "bundle": bundle,
    "evidence": evidence,
    "checkpoint": checkpoint,
}


def _recorded(asker: Asker, params: LedgerExportParams, path: Path, *, reason: str, ticket: str) -> Made:
    """Intent, file, outcome. On any failure there is no file, and the ledger says so."""
    about: dict[str, Any] = {
        "action": LEDGER_EXPORT.action,
        "actor": asker.as_actor(),
        "source": TERMINAL,
        "subject": Subject(type=LEDGER_EXPORT.subject_type, name=params.format),
        "operation_id": str(uuid7()),
    }
    ledger.intent(**about, params=LEDGER_EXPORT.tell(params), reason=reason, ticket=ticket)
    try:
        made = write_file(
            path,
            params,
            operation_id=about["operation_id"],
            reserve_bytes=load().backup_reserve_bytes,
            checkpoint=lambda: None,
        )
    except (MycoError, OSError) as error:
        code = error.code if isinstance(error, MycoError) else "STORAGE_ERROR"
        ledger.outcome(**about, outcome="failure", error_code=code, error_message=str(error))
        raise InvalidRequest(f"'output' cannot be written: {error}") if isinstance(error, OSError) else error from error
    details = {"sha256": made.sha256, **asdict(made.written)}
    ledger.outcome(**about, outcome="success", size_bytes=made.size_bytes, details=details)
    return made


def _record_check(found: verifying.Verification) -> bool:
    """False when it was not taken: a ledger that is halted or damaged can be verified all the same."""
    try:
        ledger.event(
            action=verifying.ACTION,
            actor=asker_of(None).as_actor(),
            source=TERMINAL,
            subject=Subject(type="ledger"),
            outcome="success" if found.verdict == "verified" else "failure",
            details=verifying.kept(found.told()),
        )
    except AuditUnavailable:
        return False
    return True


def _check_right(asker: Asker, params: LedgerExportParams) -> None:
    try:
        if not asker.may(LEDGER_EXPORT.permission, LEDGER_EXPORT.scope):
            raise PermissionDenied(f"you may not export the ledger: it needs '{LEDGER_EXPORT.permission}'")
        if params.format == EVIDENCE and not asker.system:
            check_rights(lambda permission: asker.may(permission, LEDGER_EXPORT.scope))
    except PermissionDenied as error:
        record_denial(asker, error, TERMINAL)
        raise


def _told(check: SelfCheck) -> list[str]:
    shard = f"shard {check.shard}"
    lines = [f"{shard}: {check.size} entries, {check.checkpoints} checkpoints, root {check.root}"]
    if check.pruned:
        lines.append(f"{shard}: {check.pruned} payloads were pruned by retention")
    if check.lost:
        lines.append(f"LOSS ACCEPTED: {shard}: {check.lost} checkpoints are over entries that are gone")
    if check.unknown:
        lines.append(f"{shard}: {check.unknown} checkpoints are signed by none of your keys: give the earlier ones too")
    if not check.checkpoints:
        lines.append(f"{shard}: it has no checkpoint yet")
    return [*lines, *(f"TAMPERED: {shard}: {problem}" for problem in check.problems)]


def _filter(options: Mapping[str, Any]) -> dict[str, str]:
    pairs = [one.partition("=") for one in options["filter"]]
    if not all(sign for _, sign, _ in pairs):
        raise InvalidRequest("'filter' must be NAME=VALUE", field="filter")
    return {name: value for name, _, value in pairs}


def _range(written: Written) -> str:
    return f"from {written.first} to {written.last}" if written.entries else "none fits"
