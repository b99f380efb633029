"""What the commands that ask for operations share: who asks, what both sides call an option, and how an end is told."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from django.contrib.auth.models import AnonymousUser, User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from containers_app.audit.ledger import Source
from containers_app.errors import Hidden, InvalidRequest, MycoError, PermissionDenied
from containers_app.management.acts.following import DONE, Outcome, carry_out, refused, stopped
from containers_app.models import DockerHost
from containers_app.operations.authority import Asker, record_denial
from containers_app.operations.kinds import Kind, Params
from containers_app.operations.submit import Request
from containers_app.specs import fields
from containers_app.templatetags.console import visible

TERMINAL = Source(channel="cli")
SYSTEM = "command"
_LONGEST_FILE_BYTES = 64 * 1024
# What an option is called here where it is not the field's name with hyphens.
_CALLED = {
    "encryption": "--recipient or --passphrase-file",
    "passphrase": "--passphrase-file",
    "identity": "--identity-file",
    "overrides": "--overrides-file",
    "hooks": "--hooks or --hooks-file",
    "volumes": "--volume",
    "parts": "--part",
    "secrets": "--without-secrets",
}


class ActCommand(BaseCommand):
    """One verb. Exit codes: 0 done, 1 failed or refused, 2 bad input or not known, 3 done in part."""

    kind: ClassVar[Kind]

    def add_arguments(self, parser: CommandParser) -> None:
        """What all of them take."""
        parser.add_argument("--user", metavar="NAME", help="ask as this user, with that one's rights")
        parser.add_argument("--wait", metavar="SECONDS", type=float, help="wait no longer; 0: do not wait")
        parser.add_argument("--reason", help="why; kept in the ledger")
        parser.add_argument("--ticket", help="a change ticket; kept in the ledger")
        parser.add_argument("--json", action="store_true", help="print one JSON object, and no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and print how it ended."""
        self.shown_as_json = bool(options["json"])
        outcome = self.outcome(options)
        if self.shown_as_json:
            self.stdout.write(json.dumps(outcome.body))
        elif outcome.error:
            raise CommandError(visible(outcome.error), returncode=outcome.code)
        else:
            self.print(outcome.body)
        if outcome.code != DONE:
            sys.exit(outcome.code)

    def outcome(self, options: Mapping[str, Any]) -> Outcome:
        """What came of one wish, or why there was none."""
        asker = None
        try:
            asker = asker_of(options["user"])
            _check_wait(options["wait"])
            return carry_out(self.request(asker, options), seconds=options["wait"], tell=self.tell)
        except MycoError as error:
            return self.refusal(asker, error)
        except KeyboardInterrupt:
            return stopped()

    def refusal(self, asker: Asker | None, error: MycoError) -> Outcome:
        """Why there is no operation; what somebody may not do is in the ledger."""
        if asker is not None and isinstance(error, PermissionDenied | Hidden):
            record_denial(asker, error, TERMINAL)
        return refused(error, _worded(error))

    def request(self, asker: Asker, options: Mapping[str, Any]) -> Request:
        """The wish. Raises MycoError."""
        raise NotImplementedError

    def wish(self, asker: Asker, options: Mapping[str, Any], params: Params, host: DockerHost) -> Request:
        """A wish of this verb, with its reason and ticket."""
        return Request(
            kind=self.kind,
            params=params,
            host=host,
            asker=asker,
            source=TERMINAL,
            reason=fields.line(options, "reason", longest=fields.LONGEST_REASON),
            ticket=fields.line(options, "ticket", longest=fields.LONGEST_TICKET),
        )

    def tell(self, words: str) -> None:
        """A line of progress, beside the result."""
        if not self.shown_as_json:
            self.stderr.write(visible(words))

    def print(self, body: Mapping[str, Any]) -> None:
        """The result's plain values, one a line, and its warnings. What is larger is for `--json`."""
        for name, value in body.items():
            if name not in ("success", "warnings") and isinstance(value, str | int | float):
                self.stdout.write(visible(f"{name}: {value if isinstance(value, str) else json.dumps(value)}"))
        for warning in body.get("warnings", ()):
            self.stdout.write(visible(f"warning: {warning['code']}: {warning['message']}"))


def asker_of(name: str | None) -> Asker:
    """The user of this name, or the product itself. Raises InvalidRequest."""
    if name is None:
        return Asker(user=AnonymousUser(), system=SYSTEM)
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        raise InvalidRequest("'user' must be the name of a user who may sign in", field="user")
    return Asker(user=user, at_terminal=True)


def text_of_file(options: Mapping[str, Any], name: str) -> str | None:
    """The text in the file that an option names, without the line's end; `-` is the standard input.

    A secret on a command line can be read by everybody on the machine. Raises InvalidRequest.
    """
    path = options[name]
    if path is None:
        return None
    try:
        found = sys.stdin.buffer.read(_LONGEST_FILE_BYTES + 1) if path == "-" else _start_of(Path(path))
        if len(found) > _LONGEST_FILE_BYTES:
            raise InvalidRequest(f"'{name}' names a file of more than {_LONGEST_FILE_BYTES} bytes", field=name)
        return found.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"'{name}' must name a file of text that can be read", field=name) from error


def json_of_file(options: Mapping[str, Any], name: str) -> Any:
    """The JSON in the file that an option names. Raises InvalidRequest, whose words repeat nothing of it."""
    text = text_of_file(options, name)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        raise InvalidRequest(f"'{name}' must name a file with JSON", field=name) from None


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, by the names that the API has for them."""
    return {name: value for name, value in values.items() if value is not None and value is not False}


def words_of(text: str) -> list[str]:
    """A list with commas between."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST_FILE_BYTES + 1)


def _check_wait(seconds: float | None) -> None:
    if seconds is not None and not seconds >= 0:
        raise InvalidRequest("'wait' must be 0 seconds or more", field="wait")


def _worded(error: MycoError) -> str:
    """The message with the option's name, where the API would name a field."""
    field = error.field or ""
    name = field.removeprefix("options.")
    if not name or "." in name or "[" in name:
        return error.message
    option = _CALLED.get(name, "--" + re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", name.replace("_", "-")))
    return error.message.replace(f"'{field}'", option)
