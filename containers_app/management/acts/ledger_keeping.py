"""What `manage.py ledger` does for who answers for the data: legal holds, erasure, retention, database roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from containers_app.audit.erasure import BY
from containers_app.audit.holds import LegalHold
from containers_app.audit.pruning import OldShard, Pruned
from containers_app.audit.roles import statements
from containers_app.errors import InvalidRequest, PermissionDenied
from containers_app.management.acts.command import TERMINAL, asker_of
from containers_app.management.acts.ledger_reading import VERIFIED, Said
from containers_app.operations import ledger_keeping
from containers_app.operations.authority import Asker, record_denial
from containers_app.operations.ledger_keeping import read_target
from containers_app.operations.registering import Author
from containers_app.specs import fields
from containers_app.templatetags.console import visible

_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)


def add_acts(acts: Any) -> None:
    """Add the parsers of these acts."""
    hold = acts.add_parser("hold", help="let nothing be erased or pruned until it is released")
    release = acts.add_parser("release-hold", help="take one hold off")
    release.add_argument("hold", metavar="ID", help="as 'holds' shows it")
    holds = acts.add_parser("holds", help="show all holds")
    erase = acts.add_parser("erase", help="erase the names, addresses and words of one person")
    for name, words in zip(BY, ("the id of a user", "exactly this address", "exactly this name"), strict=True):
        erase.add_argument(f"--{name}", metavar="TEXT", help=words)
    prune = acts.add_parser("prune", help="take the payloads of shards that are older than the policy keeps")
    prune.add_argument("--without-export", action="store_true", help="also of which no bundle was exported")
    for one in (erase, prune):
        one.add_argument("--dry-run", action="store_true", help="only show what would go")
        one.add_argument("--confirm", metavar="TEXT", help="what would be typed at the question")
    roles = acts.add_parser("roles", help="print the SQL for the roles of the ledger's PostgreSQL database")
    roles.add_argument("--sql", action="store_true", required=True, help="print it; nothing is run")
    roles.add_argument("--prefix", default="myco_audit", help="what the roles' names begin with")
    for one in (hold, release, erase, prune):
        one.add_argument("--reason", default="", help="why; kept in the ledger")
        one.add_argument("--ticket", default="", help="a change ticket; kept in the ledger")
    for one in (hold, release, holds, erase, prune):
        one.add_argument("--user", metavar="NAME", help="as this user, with that one's rights")
    for one in (hold, release, holds, erase, prune, roles):
        one.add_argument("--json", action="store_true", help="print one JSON object")


def hold(options: Mapping[str, Any]) -> Said:
    """Place one. Raises MycoError."""
    return _shown([ledger_keeping.place_hold(_author(options))])


def release_hold(options: Mapping[str, Any]) -> Said:
    """Release one. Raises MycoError."""
    return _shown([ledger_keeping.release_hold(options["hold"], _author(options))])


def holds(options: Mapping[str, Any]) -> Said:
    """All of them. Raises MycoError."""
    return _shown(ledger_keeping.all_holds(asker_of(options["user"])))


def erase(options: Mapping[str, Any]) -> Said:
    """Show what goes, ask for it to be typed, and do it. Raises MycoError."""
    by = _author(options)
    target = read_target({name: options[name] for name in BY})
    found = ledger_keeping.look(target, by.asker)
    lines = (f"{found.values} values", *(f"{count} of {kind}" for kind, count in found.kinds.items()))
    body = {"values": found.values, "kinds": dict(found.kinds)}
    if options["dry_run"]:
        return Said(code=VERIFIED, lines=lines, body={**body, "erased": False})
    _confirm(lines, f"erase {found.values}", options["confirm"])
    done = ledger_keeping.erase(target, by)
    words = f"{done.values} values are erased; what they belonged to is in the ledger still."
    return Said(code=VERIFIED, lines=(words,), body={"values": done.values, "kinds": dict(done.kinds), "erased": True})


def prune(options: Mapping[str, Any]) -> Said:
    """Show what goes, ask for it to be typed, and do it, the oldest shard first. Raises MycoError."""
    by = _author(options)
    old = ledger_keeping.old_shards(by.asker)
    lines = tuple(_line(one) for one in old) or ("Nothing is older than the policy keeps.",)
    if options["dry_run"] or not old:
        return Said(code=VERIFIED, lines=lines, body={"shards": [asdict(one) for one in old], "pruned": []})
    _confirm(lines, "prune " + " ".join(str(one.shard) for one in old), options["confirm"])
    done = [ledger_keeping.prune(one, by, without_export=options["without_export"]) for one in old]
    body = {"shards": [asdict(one) for one in old], "pruned": [asdict(one) for one in done]}
    return Said(code=VERIFIED, lines=tuple(map(_told, done)), body=body)


def roles(options: Mapping[str, Any]) -> Said:
    """The statements. Raises InvalidRequest for a prefix that is no name."""
    if not _PREFIX.fullmatch(options["prefix"]):
        raise InvalidRequest("'prefix' must be small letters, digits and '_'", field="prefix")
    found = statements(options["prefix"])
    return Said(code=VERIFIED, lines=tuple(found), body={"statements": found})


ACTS: Mapping[str, Callable[[Mapping[str, Any]], Said]] = {
    "hold": hold,
    "release-hold": release_hold,
    "holds": holds,
    "erase": erase,
    "prune": prune,
    "roles": roles,
}


def record_refusal(options: Mapping[str, Any], error: PermissionDenied) -> None:
    """Tell the ledger who was refused. Raises AuditUnavailable."""
    record_denial(asker_of(options["user"]), error, TERMINAL)


def _author(options: Mapping[str, Any]) -> Author:
    return Author(
        asker=_asker(options),
        source=TERMINAL,
        reason=fields.line(options, "reason", longest=fields.LONGEST_REASON),
        ticket=fields.line(options, "ticket", longest=fields.LONGEST_TICKET),
    )


def _asker(options: Mapping[str, Any]) -> Asker:
    return asker_of(options["user"])


def _confirm(lines: tuple[str, ...], wanted: str, given: str | None) -> None:
    if given is None:
        told = "\n".join(visible(line) for line in lines)
        given = input(f"{told}\nThis cannot be taken back. Type '{wanted}' to go on: ").strip()
    if given != wanted:
        raise InvalidRequest(f"Nothing was done: type '{wanted}', or give it with --confirm.", field="confirm")


def _line(old: OldShard) -> str:
    exported = f"exported by {old.exported}" if old.exported else "no bundle of it was exported"
    return f"shard {old.shard}: {old.left} of {old.size} payloads, {exported}"


def _told(done: Pruned) -> str:
    return (
        f"shard {done.shard}: {done.entries} payloads and {done.values} values are gone, {done.kept} payloads are kept"
    )


def _shown(found: list[LegalHold]) -> Said:
    lines = tuple(_words(one) for one in found) or ("There is no hold.",)
    body = {"holds": [body_of(one) for one in found]}
    return Said(code=VERIFIED, lines=lines, body=body)


def _words(found: LegalHold) -> str:
    state = "holds" if found.released is None else f"released by {found.released.by}: {found.released.reason}"
    return f"{found.id} placed by {found.placed.by} at {found.placed.at.isoformat()}: {found.placed.reason}; {state}"


def body_of(found: LegalHold) -> dict[str, Any]:
    """A hold as JSON."""
    acts = {"placed": found.placed, "released": found.released}
    return {"id": found.id} | {
        name: None if act is None else {**asdict(act), "at": act.at.isoformat()} for name, act in acts.items()
    }
