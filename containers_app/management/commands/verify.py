"""`manage.py verify BACKUP …|--all`: every byte of backups read again, from the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import F

from containers_app.errors import InvalidRequest, MycoError
from containers_app.management.acts.backups import backup_of
from containers_app.management.acts.command import ActCommand, asker_of
from containers_app.management.acts.following import Outcome, worst
from containers_app.models.backups import BackupState
from containers_app.operations.authority import Asker
from containers_app.operations.kinds import VERIFY
from containers_app.operations.submit import Request
from containers_app.operations.visibility import visible_to
from containers_app.workflows.verify import VerifyParams


class Command(ActCommand):
    """Verify one backup, several, or all."""

    help = "Read every byte of backups, one after another, and compare it with what was recorded."
    kind = VERIFY

    def add_arguments(self, parser: CommandParser) -> None:
        """Which ones."""
        parser.add_argument("backup", nargs="*", help="a backup's id")
        parser.add_argument("--all", action="store_true", help="all that are not deleted, the longest unread first")
        super().add_arguments(parser)

    def outcome(self, options: Mapping[str, Any]) -> Outcome:
        """One answer for one backup; for several, each of them, and the worst exit code."""
        asker: Asker | None = None
        try:
            asker = asker_of(options["user"])
            ids = _chosen(asker, options)
        except MycoError as error:
            return self.refusal(asker, error)
        outcomes: list[Outcome] = []
        for one in ids:
            outcomes.append(super().outcome({**options, "backup": one}))
            if outcomes[-1].stopped:
                break
        if len(options["backup"]) == 1:
            return outcomes[0]
        results = [{"backupId": one, **outcome.body} for one, outcome in zip(ids, outcomes, strict=False)]
        return Outcome(code=worst(outcomes), body={"verified": len(results), "results": results})

    def request(self, asker: Asker, options: Mapping[str, Any]) -> Request:
        """The wish for one."""
        row = backup_of(asker, options["backup"], self.kind.name)
        return self.wish(asker, options, VerifyParams(backup=str(row.pk), name=row.file_name), row.host)

    def print(self, body: Mapping[str, Any]) -> None:
        """A line for each of several."""
        for result in body.get("results", ()):
            self.stdout.write(f"{result['backupId']}: {result.get('error') or result.get('message') or 'asked for'}")
        super().print(body)


def _chosen(asker: Asker, options: Mapping[str, Any]) -> Sequence[str]:
    """The ids, each once. Raises InvalidRequest where it is not said which."""
    if bool(options["backup"]) == options["all"]:
        raise InvalidRequest("name at least one BACKUP, or give --all instead")
    if not options["all"]:
        return list(dict.fromkeys(options["backup"]))
    rows = visible_to(asker, "backup", VERIFY.name).exclude(state=BackupState.DELETED)
    oldest = rows.order_by(F("verified_at").asc(nulls_first=True), "pk")
    return [str(pk) for pk in oldest.values_list("pk", flat=True)]
