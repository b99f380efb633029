"""The product in one process, without a broker: it is asked in every way there is, and runs what it was asked for.

Each line on standard input is a request, `[name, argument, ...]`; each line on standard output the JSON of its answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import django
import requests

django.setup()

from django.conf import settings  # noqa: E402 - the settings come first
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.forms.models import model_to_dict  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402

from containers_app.audit import appending, ledger, statements  # noqa: E402
from containers_app.audit.ledger import Source  # noqa: E402
from containers_app.errors import AuditUnavailable, MycoError  # noqa: E402
from containers_app.models import ApiKey, Backup, Container, DockerHost, DownloadLink, Operation  # noqa: E402
from containers_app.operations import recovery, runner, submit  # noqa: E402
from containers_app.operations.authority import Asker  # noqa: E402
from containers_app.operations.kinds import KINDS  # noqa: E402
from tests import recipes  # noqa: E402
from tests.integration.dying import Steps, killed_child  # noqa: E402
from tests.unit.api.matrix import MATRIX, ROLES, Row  # noqa: E402
from tests.unit.api.visiting import Visitor, make_places, records_of  # noqa: E402
from tests.unit.operations.test_kinds import EXAMPLES  # noqa: E402

# Somebody of whom the ledger has personal data.
KNOWN = "4711"
_MATRIX = [
    # Counting is no act: what the matrix only counts is really erased here.
    replace(row, body={"actor": KNOWN, "confirm": True, "reason": "a request"}) if "dryRun" in (row.body or {}) else row
    for row in MATRIX
]
UNSAFE = [row for row in _MATRIX if row.method != "GET" and row.expected.split()[ROLES.index("administrator")] < "3"]
# What of the examples is too much for a container without anything.
_MADE_SMALL: dict[str, dict[str, Any]] = {
    "clone": {"name": None, "confirm_privileged": False, "volumes": {}},
    "backup": {"name": None, "path": None, "contents": ("config",)},
    "start": {"wait_healthy_seconds": 0},
}
published: list[str] = []
visitors: list[Visitor] = []
browsers: list[Client] = []


def take(operation: Operation) -> bool:
    """A broker that takes everything, and no worker that reads it."""
    published.append(str(operation.pk))
    return True


def prepare() -> dict[str, Any]:
    """Both databases, an administrator with a key, and a record of each sort. Returns what can be asked."""
    setup_test_environment()
    for database in ("default", "audit"):
        call_command("migrate", database=database, verbosity=0)
    root = Path(settings.MYCODOCKER["backup_roots"][0])
    root.mkdir(parents=True, exist_ok=True)
    places = make_places(root)
    adam = recipes.administrator()
    client = Client(headers={"Authorization": f"Bearer {recipes.key_of(adam)}"})
    visitors.append(Visitor(client, {**places, **records_of(adam)}))
    browsers.append(Client())
    browsers[0].force_login(adam, backend="django.contrib.auth.backends.ModelBackend")
    Operation.objects.update(state="succeeded", outcome_index=0)
    way_in: Any = submit
    way_in.publish = take
    recovery._LATE_SECONDS = 0
    known = ledger.Actor(type="user", id=KNOWN, label="known@example.org", auth="session")
    ledger.event(action="auth.login", actor=known, source=Source(channel="ui", ip="192.0.2.7"))
    return {"rows": [str(row) for row in UNSAFE], "kinds": list(KINDS)}


def impatient() -> None:
    """Give up at once on a lock that somebody else holds."""
    lock: Any = appending
    lock._LOCK = lock._LOCK.replace("'5s'", "'20ms'")
    if connections["audit"].vendor == "sqlite":
        with connections["audit"].cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 50")


def fill_up() -> int:
    """Use what room is left in the pages that are there, with ever smaller entries. Returns how many fitted."""
    fitted = 0
    for size in (2000, 200, 0):
        while True:
            try:
                actor, source = ledger.Actor(type="system"), Source(channel="engine")
                details = {"x": ["y" * 100] * (size // 100)}
                ledger.event(action="engine.unattributed", actor=actor, source=source, details=details)
                fitted += 1
            except AuditUnavailable:
                break
    return fitted


def rest() -> list[list[Any]]:
    """Each unsafe route, as an administrator who does not wait: its name, status, body and whether to try again."""
    answers = [(row, _ask(row)) for row in UNSAFE]
    return [
        [str(row), answer.status_code, json.loads(answer.content or b"{}"), answer.headers.get("Retry-After", "")]
        for row, answer in answers
    ]


def _ask(row: Row) -> Any:
    """What takes something away needs something that is there."""
    backup = Backup.objects.filter(pk=visitors[0].places["backup"])
    if row.address.endswith(("/unpin", "/release")):
        backup.update(pinned=True, hold_reason="a lawsuit", hold_owner="adam")
    answer = visitors[0].ask(row)
    assert answer.status_code != 503 or not row.address.endswith("/unpin") or backup.get().pinned
    assert answer.status_code != 503 or not row.address.endswith("/release") or backup.get().is_held
    backup.update(pinned=False, hold_reason="", hold_owner="")
    return answer


def kinds() -> dict[str, str]:
    """Each kind of operation by the one way that leads to a worker; the code that it was refused with."""
    return {name: _code(name) for name in KINDS}


def _submit(name: str) -> str:
    return str(submit.submit(_wish(name, EXAMPLES[name])).operation.pk)


def _wish(name: str, params: Any) -> submit.Request:
    return submit.Request(
        kind=KINDS[name],
        params=params,
        host=DockerHost.objects.get(name=DockerHost.LOCAL),
        asker=Asker(user=User.objects.get(username="adam")),
        source=Source(channel="api"),
    )


def _code(name: str) -> str:
    try:
        _submit(name)
    except MycoError as error:
        return error.code
    return ""


def console() -> dict[str, str]:
    """Acts of the console, confirmed: the text of each page that comes back."""
    client, places = browsers[0], visitors[0].places
    web, host = Container.objects.get(name="web").pk, places["host"]
    acts = {
        "start": (reverse("admin:containers_app_container_start") + f"?ids={web}", {"confirmed": "1", "ids": str(web)}),
        "back up": (
            reverse("admin:containers_app_container_back_up") + f"?ids={web}",
            {"confirmed": "1", "ids": str(web), "contents": "config", "consistency": "live", "compression": "none"},
        ),
        "host test": (reverse("admin:containers_app_dockerhost_test", args=[host]), {}),
        "export": (reverse("admin:audit_entry_exports"), {"form": "csv", "format": "csv"}),
    }
    return {name: _page(client, *act) for name, act in acts.items()}


def _page(client: Client, address: str, data: dict[str, str]) -> str:
    answer = client.post(address, data, follow=True)
    return f"{answer.status_code} {answer.content.decode()}"


def command() -> str:
    """`manage.py backup web`: what it says."""
    said, told = StringIO(), StringIO()
    try:
        call_command("backup", "web", "--user", "adam", stdout=said, stderr=told)
    except (CommandError, SystemExit) as error:
        return f"{error} {said.getvalue()} {told.getvalue()}"
    return "done"


def stored() -> list[Any]:
    """Every row that something could be run by, and what was published."""
    models = (Operation, DockerHost, Backup, Container, DownloadLink, User, Group)
    rows = [[model.__name__, *map(str, model_to_dict(row).items())] for model in models for row in model.objects.all()]
    return [*rows, ApiKey.objects.count(), *published]


def run(name: str) -> str:
    """Submit, and be the worker: returns the id of an operation that has been run."""
    operation = _submit(name)
    runner.run(Operation.objects.get(pk=operation).pk)
    return operation


def submit_one(name: str) -> str:
    """Submit only."""
    return _submit(name)


def work(operation: str) -> list[Any]:
    """Be the worker of an operation, and tell its state."""
    runner.run(Operation.objects.get(pk=operation).pk)
    return told(operation)


def told(operation: str) -> list[Any]:
    """The state of an operation, what it is shown as, its code, and its entries."""
    row = Operation.objects.get(pk=operation)
    statements.drop_dead_connection()  # as whoever comes with a new request
    try:
        found = ledger.entries().filter(operation_id=operation).order_by("id")
        entries = [[entry.phase, entry.outcome, json.loads(entry.payload).get("late", False)] for entry in found]
    except django.db.Error:
        entries = []
    return [row.state, row.visible_state, row.error_code, entries]


def reconcile() -> dict[str, int]:
    """One sweep of the reconciler."""
    recovery._ORPHAN_AGE = timedelta()
    return recovery.reconcile()


def die_in(step: int, name: str, container: str) -> bool:
    """Let a child submit an operation and work on it, killed before its `step`-th step; say whether it was.

    A step is whatever leaves the process and changes something: a statement that writes, a commit, a flush, and each
    call to the Engine that is no question.
    """
    connections.close_all()

    def do_it() -> None:
        steps = Steps(step)
        for alias in connections:
            connection: Any = connections[alias]
            connection.execute_wrappers.append(lambda execute, sql, *rest: _counted(steps, execute, sql, *rest))
            connection._commit = steps.before(connection._commit)
        outside: Any = requests.Session
        send = outside.send
        outside.send = lambda session, wish, **named: _sent(steps, send, session, wish, **named)
        disk: Any = os
        disk.fdatasync = steps.before(os.fdatasync)
        wish = _wish(name, replace(EXAMPLES[name], **_MADE_SMALL[name], container=container))
        runner.run(submit.submit(wish).operation.pk)
        steps.next()

    return killed_child(do_it)


def _counted(steps: Steps, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
    if not sql.startswith(("SELECT", "PRAGMA")):
        steps.next()
    return execute(sql, *rest)


def _sent(steps: Steps, send: Callable[..., Any], session: Any, wish: Any, **named: Any) -> Any:
    if wish.method not in ("GET", "HEAD"):
        steps.next()
    return send(session, wish, **named)


def mend() -> list[str]:
    """Time passes: leases run out, the reconciler sweeps, a worker takes what waits. Returns what is wrong then."""
    for _ in range(3):
        Operation.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
        reconcile()
        for operation in Operation.objects.filter(state="queued"):
            runner.run(operation.pk)
    found = [f"{row.kind} {row.state} {row.undo}" for row in Operation.objects.all() if not row.is_finished or row.undo]
    for phases in _phases().values():
        if phases != ["intent", "outcome"]:
            found.append(f"an operation has {phases} in the ledger")
    return [*found, *problems()]


def _phases() -> dict[str, list[str]]:
    phases: dict[str, list[str]] = {}
    told = ledger.entries().exclude(phase="event").order_by("id").values_list("operation_id", "phase")
    for operation, phase in told:
        phases.setdefault(operation, []).append(phase)
    return phases


def kept() -> list[str]:
    """The containers that operations which went well have made."""
    results = Operation.objects.filter(kind="clone", state="succeeded").exclude(result=None)
    return [str(result["newId"]) for result in results.values_list("result", flat=True) if result]


def problems() -> list[str]:
    """What is wrong with the ledger."""
    return list(ledger.self_check(timezone.now().year).problems)


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call
    for call in (prepare, impatient, fill_up, rest, kinds, console, command, stored, run, submit_one, work, told)
}
CALLS |= {"die_in": die_in, "mend": mend, "kept": kept, "reconcile": reconcile, "problems": problems}

if __name__ == "__main__":
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(CALLS[name](*arguments)) + "\n")
        sys.stdout.flush()
