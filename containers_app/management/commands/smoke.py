"""`manage.py smoke [container]`: a clone and a backup through the documented endpoint, judged by what they left."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, ClassVar, NoReturn

from django.core.management.base import CommandError, CommandParser
from django_rich.management import RichCommand
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from containers_app.errors import MycoError
from containers_app.management.launch import environment_file
from containers_app.management.launch.places import Places
from containers_app.management.smoke.report import CANNOT_TELL, Report, Verdict
from containers_app.management.smoke.service import Service
from containers_app.management.smoke.trial import Trial
from containers_app.specs.endpoint import Endpoint, endpoint_candidates
from mycodocker import env

_STEPS = 14
_MARKS = {Verdict.PASSED: "ok     ", Verdict.FAILED: "FAILED ", Verdict.UNKNOWN: "unknown"}


class Command(RichCommand):
    """Exit codes: 0 all is as documented, 1 something is not, 2 nobody can tell."""

    verbs: ClassVar[tuple[str, ...]] = ()

    help = "Try a clone and a backup of a container against what runs, check them, and remove them again."
    # The console under trial may run elsewhere: nothing of this machine's own set-up is asked.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The container, and the form of the output."""
        parser.add_argument("container", nargs="?", help="name or id; the sample of the demonstration when left out")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object, and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the trial."""
        values = _values()
        container = options["container"] or values.get("MYCO_SAMPLE", "")
        if not values.get("MYCO_URL") or not values.get("MYCO_API_KEY"):
            self._give_up("Nothing to try: start `make demo`, or set MYCO_URL and MYCO_API_KEY.")
        if not container:
            self._give_up("Name a container: manage.py smoke CONTAINER")
        report = self._try(values, container, quiet=options["json"])
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json()))
        else:
            self._print(report)
        if report.exit_code:
            sys.exit(report.exit_code)

    def _try(self, values: dict[str, str], container: str, *, quiet: bool) -> Report:
        show = (lambda text: None) if quiet else self._show
        with self._progress(quiet=quiet) as progress:
            task = progress.add_task("Beginning", total=_STEPS)
            trial = Trial(
                service=Service(values["MYCO_URL"], values["MYCO_API_KEY"], show),
                endpoint=self._endpoint(values),
                container=container,
                on_step=lambda name: progress.update(task, description=name, advance=1),
                on_progress=lambda operation: _follow(progress, task, operation),
            )
            return trial.run()

    def _progress(self, *, quiet: bool) -> Progress:
        columns = (SpinnerColumn(), BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
        return Progress(*columns, console=self.console, transient=True, disable=quiet)

    def _endpoint(self, values: dict[str, str]) -> Endpoint:
        exists = os.path.exists
        try:
            return endpoint_candidates(values, platform=sys.platform, exists=exists)[0]
        except MycoError as error:
            raise CommandError(error.message, returncode=CANNOT_TELL) from error

    def _show(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _print(self, report: Report) -> None:
        for check in report.checks:
            detail = f": {check.detail}" if check.detail else ""
            self._show(f"{_MARKS[check.verdict]}  {check.name}{detail}")

    def _give_up(self, message: str) -> NoReturn:
        raise CommandError(message, returncode=CANNOT_TELL)


def _values() -> dict[str, str]:
    """The environment when it names a console and a key; else the demonstration's file, with its Engine."""
    given = {name: value for name, value in os.environ.items() if value}
    if "MYCO_URL" in given and "MYCO_API_KEY" in given:
        return given
    written = {name: value for name, value in environment_file.read(Places(env.DATA_DIR).demo_env).items() if value}
    if "DOCKER_HOST" in written:
        given.pop("DOCKER_API_URL", None)
    return {**given, **written}


def _follow(progress: Progress, task: TaskID, operation: dict[str, Any]) -> None:
    stage, done = operation.get("stage") or operation.get("state"), operation.get("bytesDone") or 0
    progress.update(task, description=f"a backup that is followed: {stage}, {done / 1_000_000:.1f} MB")
