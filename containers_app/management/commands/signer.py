"""`manage.py signer`: the process that signs the ledger's checkpoints and brings them to their anchors."""

from __future__ import annotations

import signal
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from containers_app.audit.signing_loop import sign_until
from containers_app.conf import load
from containers_app.errors import MycoError

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C; exit status 1 when it cannot, so that whoever supervises it starts it again."""

    verbs: ClassVar[tuple[str, ...]] = ("audit.end_halt",)

    help = "Sign the ledger's checkpoints and anchor them, until stopped. Run exactly one."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the signer. Its thread inherits the mask, so that this one gets the signals."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
        try:
            sign_until(_ENDING_SIGNALS, conf=load())
        except MycoError as error:
            raise CommandError(error.message) from error
