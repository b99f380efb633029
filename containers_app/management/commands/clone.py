"""`manage.py clone CONTAINER`: the clone that the API makes, from the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from containers_app.errors import InvalidRequest
from containers_app.management.acts.command import ActCommand, given, json_of_file
from containers_app.operations.authority import Asker
from containers_app.operations.clone_options import read_clone
from containers_app.operations.hosts import host_of_reference
from containers_app.operations.kinds import CLONE
from containers_app.operations.submit import Request
from containers_app.specs.reference import check_reference


class Command(ActCommand):
    """Clone one container."""

    help = "Clone a container, and wait for the end."
    kind = CLONE

    def add_arguments(self, parser: CommandParser) -> None:
        """The options of the API."""
        parser.add_argument("container", help="a full id, an id prefix, or a name")
        parser.add_argument("--name", help="the clone's name")
        parser.add_argument("--host", help="the registered host to make it on")
        parser.add_argument("--data", help="what is copied: none, volumes or all")
        parser.add_argument(
            "--volume", action="append", metavar="NAME=copy|empty|share", help="may be there several times"
        )
        parser.add_argument("--consistency", help="live, pause or stop")
        parser.add_argument("--start", action="store_true", help="start it")
        parser.add_argument("--wait-healthy-seconds", type=int, metavar="SECONDS", help="with --start: for its health")
        parser.add_argument("--overrides-file", metavar="FILE", help="JSON of what it has otherwise; - is stdin")
        parser.add_argument("--dry-run", action="store_true", help="answer the plan, and make nothing")
        parser.add_argument("--plan-hash", metavar="HASH", help="only if the plan is still that one")
        parser.add_argument("--confirm-privileged", action="store_true", help="it may hold power over its host")
        parser.add_argument("--confirm-protected", action="store_true", help="clone a protected container")
        super().add_arguments(parser)

    def request(self, asker: Asker, options: Mapping[str, Any]) -> Request:
        """The wish."""
        container = options["container"]
        check_reference(container)
        return self.wish(asker, options, read_clone(container, _options(options)), host_of_reference(container))


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        **{name: options[name] for name in ("name", "host", "data", "consistency", "start")},
        "volumes": _volumes(options["volume"]),
        "waitHealthySeconds": options["wait_healthy_seconds"],
        "overrides": json_of_file(options, "overrides_file"),
        "dryRun": options["dry_run"],
        "planHash": options["plan_hash"],
        "confirmPrivileged": options["confirm_privileged"],
        "confirmProtected": options["confirm_protected"],
    }
    return given(values)


def _volumes(texts: list[str] | None) -> dict[str, str] | None:
    """`data=copy` as the API has it: a name or a mount point, and what becomes of it."""
    if texts is None:
        return None
    pairs = [text.rpartition("=") for text in texts]
    if not all(name for name, _, _ in pairs):
        raise InvalidRequest("'volumes' must be like data=copy", field="volumes")
    return {name: treatment for name, _, treatment in pairs}
