"""`manage.py ledger ACT`: what administrators do to the ledger's signing, and auditors read, from the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from containers_app.audit.losses import ACTION as ACCEPTED
from containers_app.audit.losses import Loss
from containers_app.audit.signer import ROTATION
from containers_app.audit.signer_acts import accept_rollback, rotate_key, what_is_lost
from containers_app.audit.signer_folder import SignerFolder
from containers_app.conf import load
from containers_app.errors import AuditUnavailable, InvalidRequest, MycoError, PermissionDenied
from containers_app.management.acts import ledger_keeping, ledger_reading
from containers_app.management.acts.command import TERMINAL, asker_of
from containers_app.management.acts.ledger_reading import CANNOT, Said
from containers_app.operations.authority import Asker, record_denial
from containers_app.operations.notes import check_notes
from containers_app.specs import fields
from containers_app.templatetags.console import visible

_VERBS = {"accept-rollback": ACCEPTED, "rotate-key": ROTATION}


class Command(BaseCommand):
    """Exit codes: 0 done, 1 refused; of what only reads 0 done or verified, 1 tampered, 2 cannot, 3 incomplete."""

    verbs: ClassVar[tuple[str, ...]] = (
        "audit.accept_rollback",
        "audit.rotate_key",
        "audit.verify",
        "audit.export",
        "audit.hold_placed",
        "audit.hold_released",
        "audit.prune",
        "audit.pruned",
        "privacy.erase",
    )

    help = "Verify the ledger, write a bundle, hold, erase, prune; accept that entries are lost, or change the key."

    def add_arguments(self, parser: CommandParser) -> None:
        """The acts, each with who does it and why."""
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        accept = acts.add_parser(
            "accept-rollback", help="go on in a new shard after a loss; run it where the signer runs"
        )
        accept.add_argument("--confirm", metavar="TEXT", help="what would be typed at the question")
        rotate = acts.add_parser("rotate-key", help="let a new key sign; run it where the signer runs")
        ledger_reading.add_acts(acts)
        ledger_keeping.add_acts(acts)
        for one in (accept, rotate):
            one.add_argument("--user", metavar="NAME", help="the superuser who does it; without it the system does")
            one.add_argument("--reason", required=True, help="why; kept in the ledger")
            one.add_argument("--ticket", default="", help="a change ticket; kept in the ledger")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or say why not."""
        if options["act"] in ledger_reading.ACTS:
            self._say(ledger_reading.ACTS[options["act"]], options, refused=CANNOT)
            return
        if options["act"] in ledger_keeping.ACTS:
            self._say(ledger_keeping.ACTS[options["act"]], options, refused=1)
            return
        acts: Mapping[str, Callable[[Asker, Mapping[str, str], Mapping[str, Any]], list[str]]] = {
            "accept-rollback": self._accept_rollback,
            "rotate-key": self._rotate_key,
        }
        try:
            asker = asker_of(options["user"])
            _check_superuser(asker)
            reason = fields.line(options, "reason", longest=fields.LONGEST_REASON)
            if not reason:
                raise InvalidRequest("'reason' must say why", field="reason")
            ticket = fields.line(options, "ticket", longest=fields.LONGEST_TICKET)
            check_notes(_VERBS[options["act"]], reason=reason, ticket=ticket)
            for line in acts[options["act"]](asker, {"reason": reason, "ticket": ticket}, options):
                self.stdout.write(visible(line))
        except MycoError as error:
            raise CommandError(visible(error.message)) from error

    def _say(self, act: Callable[[Mapping[str, Any]], Said], options: Mapping[str, Any], *, refused: int) -> None:
        try:
            said = act(options)
        except MycoError as error:
            if isinstance(error, PermissionDenied) and act in ledger_keeping.ACTS.values():
                ledger_keeping.record_refusal(options, error)
            raise CommandError(visible(error.message), returncode=refused) from error
        self.stdout.write(json.dumps(said.body) if options["json"] else "\n".join(map(visible, said.lines)))
        if said.code:
            sys.exit(said.code)

    def _accept_rollback(self, asker: Asker, notes: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
        folder = SignerFolder(Path(load().signer_directory))
        found = what_is_lost(folder)
        if not found:
            raise InvalidRequest("Nothing that was signed is lost: there is nothing to accept.")
        wanted = "give up " + " ".join(str(loss.shard) for loss in found)
        if self._typed(found, wanted, options["confirm"]) != wanted:
            raise InvalidRequest(f"Nothing was done: type '{wanted}', or give it with --confirm.")
        shard = accept_rollback(folder, found, actor=asker.as_actor(), source=TERMINAL, **notes)
        return [f"The ledger goes on in shard {shard}; its first entry says what was lost."]

    def _typed(self, found: list[Loss], wanted: str, given: str | None) -> str:
        for loss in found:
            lost = f"Shard {loss.shard}: {loss.size} entries were signed, {loss.left} are there: {loss.why}."
            self.stdout.write(visible(lost))
        if given is not None:
            return given
        self.stdout.write("This cannot be taken back. If an older database was restored by mistake, restore the newer.")
        return input(f"Type '{wanted}' to go on without them: ").strip()

    def _rotate_key(self, asker: Asker, notes: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
        folder = SignerFolder.existing(Path(load().signer_directory))
        vkey = rotate_key(folder, actor=asker.as_actor(), source=TERMINAL, **notes)
        return ["The next checkpoint has the signatures of both keys. Give auditors the new one:", vkey]


def _check_superuser(asker: Asker) -> None:
    if not asker.system and not asker.user.is_superuser:
        error = PermissionDenied("Only a superuser may change how the ledger is signed.")
        with contextlib.suppress(AuditUnavailable):  # a halted ledger takes no refusal; it is one all the same
            record_denial(asker, error, TERMINAL)
        raise error
