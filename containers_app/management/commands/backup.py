"""`manage.py backup CONTAINER`: the backup that the API makes, from the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from containers_app.errors import InvalidRequest
from containers_app.management.acts.command import ActCommand, given, json_of_file, text_of_file, words_of
from containers_app.operations.authority import Asker
from containers_app.operations.backup_options import read_backup
from containers_app.operations.hosts import host_of_reference
from containers_app.operations.kinds import BACKUP
from containers_app.operations.submit import Request
from containers_app.specs.reference import check_reference


class Command(ActCommand):
    """Back up one container."""

    help = "Back up a container, and wait for the end."
    kind = BACKUP

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the API."""
        parser.add_argument("container", help="a full id, an id prefix, or a name")
        parser.add_argument("--contents", type=words_of, help="some of rootfs,config,volumes,binds,image")
        parser.add_argument("--volume", action="append", help="only this volume; may be there several times")
        parser.add_argument("--include", action="append", metavar="PATTERN", help="only these files of volumes")
        parser.add_argument("--exclude", action="append", metavar="PATTERN", help="without these files of volumes")
        parser.add_argument("--without-secrets", action="store_true", help="leave the environment's values out")
        parser.add_argument("--consistency", help="live, pause or stop")
        parser.add_argument("--compression", metavar="CODEC[:LEVEL[:THREADS]]", help="none, gzip or zstd")
        parser.add_argument("--recipient", action="append", help="encrypt for this age recipient")
        parser.add_argument("--passphrase-file", metavar="FILE", help="encrypt with the passphrase in it; - is stdin")
        parser.add_argument("--hooks", choices=["auto"], help="the hooks that the container is known to need")
        parser.add_argument("--hooks-file", metavar="FILE", help="JSON with before, after, timeoutSeconds; - is stdin")
        parser.add_argument("--name", help="the file's name")
        parser.add_argument("--path", help="the folder, below an allowed root")
        parser.add_argument("--note", help="words for people")
        parser.add_argument("--pin", action="store_true", help="keep it until the pin is taken out")
        parser.add_argument("--confirm-protected", action="store_true", help="back up a protected container")
        super().add_arguments(parser)

    def request(self, asker: Asker, options: Mapping[str, Any]) -> Request:
        """The wish."""
        container = options["container"]
        check_reference(container)
        params = read_backup(container, _options(options))
        return self.wish(asker, options, params, host_of_reference(container))


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    same = ("contents", "include", "exclude", "consistency", "name", "path", "note", "pin")
    keys = given({"recipients": options["recipient"], "passphrase": text_of_file(options, "passphrase_file")})
    values = {
        **{name: options[name] for name in same},
        "volumes": options["volume"],
        "compression": _compression(options["compression"]),
        "encryption": keys or None,
        "hooks": options["hooks"] or json_of_file(options, "hooks_file"),
        "confirmProtected": options["confirm_protected"],
    }
    return {**given(values), **({"secrets": False} if options["without_secrets"] else {})}


def _compression(text: str | None) -> Any:
    """`zstd`, `zstd:9` or `zstd:9:2` as the API has it."""
    codec, *numbers = (text or "").split(":")
    if not numbers:
        return text
    try:
        return {"codec": codec, **dict(zip(("level", "threads"), map(int, numbers), strict=False))}
    except ValueError:
        words = "must be a codec, or that with whole numbers, such as zstd:9:2"
        raise InvalidRequest(f"'compression' {words}", field="compression") from None
