"""`manage.py restore BACKUP`: the restore that the API makes, from the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from containers_app.management.acts.backups import backup_of
from containers_app.management.acts.command import ActCommand, given, json_of_file, text_of_file
from containers_app.operations.authority import Asker
from containers_app.operations.hosts import host_named
from containers_app.operations.kinds import RESTORE
from containers_app.operations.restore_options import read_restore
from containers_app.operations.submit import Request
from containers_app.workflows.set_reader import check_usable


class Command(ActCommand):
    """Restore one backup."""

    help = "Restore a backup, and wait for the end."
    kind = RESTORE

    def add_arguments(self, parser: CommandParser) -> None:
        """The fields of the API."""
        parser.add_argument("backup", help="the backup's id")
        parser.add_argument("--mode", default="new", help="new (default), inPlace or volume")
        parser.add_argument("--name", help="the name of what is made")
        parser.add_argument("--host", help="the registered host to restore on; else that of the backup")
        parser.add_argument("--part", action="append", help="only this part; may be there several times")
        parser.add_argument("--volume", help="with --mode volume: the one to restore")
        parser.add_argument("--start", action="store_true", help="start it")
        parser.add_argument("--wait-healthy-seconds", type=int, metavar="SECONDS", help="for its health")
        parser.add_argument("--overrides-file", metavar="FILE", help="JSON of what it has otherwise; - is stdin")
        parser.add_argument("--passphrase-file", metavar="FILE", help="of an encrypted backup; - is stdin")
        parser.add_argument("--identity-file", metavar="FILE", help="an age or SSH secret key; - is stdin")
        parser.add_argument("--dry-run", action="store_true", help="answer the plan, and make nothing")
        parser.add_argument("--plan-hash", metavar="HASH", help="only if the plan is still that one")
        parser.add_argument("--confirm", metavar="NAME", help="with --mode inPlace: the name of what is replaced")
        parser.add_argument("--confirm-privileged", action="store_true", help="it may hold power over its host")
        parser.add_argument("--confirm-protected", action="store_true", help="replace a protected container")
        super().add_arguments(parser)

    def request(self, asker: Asker, options: Mapping[str, Any]) -> Request:
        """The wish."""
        row = backup_of(asker, options["backup"], self.kind.name)
        params = read_restore(str(row.pk), _body(options))
        check_usable(row)
        host = row.host if options["host"] is None else host_named(options["host"], field_name="host")
        return self.wish(asker, options, params, host)


def _body(options: Mapping[str, Any]) -> dict[str, Any]:
    same = ("mode", "name", "host", "volume", "start", "confirm")
    values = {
        **{name: options[name] for name in same},
        "parts": options["part"],
        "waitHealthySeconds": options["wait_healthy_seconds"],
        "overrides": json_of_file(options, "overrides_file"),
        "passphrase": text_of_file(options, "passphrase_file"),
        "identity": text_of_file(options, "identity_file"),
        "dryRun": options["dry_run"],
        "planHash": options["plan_hash"],
        "confirmPrivileged": options["confirm_privileged"],
        "confirmProtected": options["confirm_protected"],
    }
    return given(values)
