"""A process that uses the ledger on command, so that tests can run many of them and kill them at any step.

It is started as a program, with the settings and databases that its environment names, and forks a process for each
socket that it is given (see `ledger_process.py`). There each line is a request, `{"do": name, ...}`, and each line back
its answer.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - the settings come first
from django.core.management import call_command  # noqa: E402
from django.db import connections, transaction  # noqa: E402
from django.test import Client  # noqa: E402

from containers_app.audit import (  # noqa: E402
    appending,
    denials,
    erasure,
    guards,
    holds,
    ledger,
    pruning,
    published,
    recomputing,
    removing,
    signing_loop,
)
from containers_app.audit.denials import Denial  # noqa: E402
from containers_app.audit.merkle import Frontier  # noqa: E402
from containers_app.audit.models import Disclosure, Entry, Head, Subtree  # noqa: E402
from containers_app.audit.roles import statements  # noqa: E402
from containers_app.audit.signer import Signer  # noqa: E402
from containers_app.audit.signer_folder import SignerFolder  # noqa: E402
from containers_app.conf import load  # noqa: E402
from containers_app.errors import MycoError  # noqa: E402
from tests import recipes  # noqa: E402
from tests.integration.dying import Steps, killed_child  # noqa: E402
from tests.integration.forks import fork_for_each  # noqa: E402

ACTOR = ledger.Actor(type="user", id="7", label="alice@example.org", roles=("operators",), auth="session")
SOURCE = ledger.Source(channel="worker", ip="192.0.2.7", request_id="req-1")
SUBJECT = ledger.Subject(type="container", id="a" * 64, name="web-1", host="local")
ANSWERS: dict[str, Callable[..., Any]] = {}


def answers(function: Callable[..., Any]) -> Callable[..., Any]:
    ANSWERS[function.__name__] = function
    return function


@answers
def migrate(target: str = "") -> None:
    call_command("migrate", "audit", *([target] if target else []), database="audit", verbosity=0)


@answers
def migrate_all() -> None:
    call_command("migrate", verbosity=0)
    migrate()


@answers
def add_host(name: str) -> list[Any]:
    """Status and code of the request of an administrator, through all of the product."""
    adam = User.objects.filter(username="adam").first() or recipes.administrator()
    client = Client(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {recipes.key_of(adam)}"})
    body = {"name": name, "url": "tcp://10.0.0.7:2376", "tlsDirectory": name, "queue": name}
    answer = client.post("/api/hosts", body, content_type="application/json")
    return [answer.status_code, answer.json().get("code", "")]


@answers
def accept(text: str) -> str:
    """What a person at the signer's terminal types, and is told."""
    output = io.StringIO()
    call_command("ledger", "accept-rollback", reason="the disk died", confirm=text, stdout=output)
    return output.getvalue()


@answers
def look_once() -> int:
    """How many losses a start finds."""
    return len(signing_loop.look_once(load()))


@answers
def run_signer() -> None:
    """What `manage.py signer` does, until it is told to end; it looks more often."""
    vars(signing_loop)["POLL_SECONDS"] = 0.1
    call_command("signer", skip_checks=True)


@answers
def standing() -> dict[str, Any]:
    """What the signer published, and what is true of it."""
    told = published.status()
    shards = sorted(Head.objects.values_list("shard", flat=True))
    return {
        "state": told.state,
        "shard": told.shard,
        "size": told.size,
        "signed": 0 if told.checkpoint is None else told.checkpoint.size,
        "problems": [problem for shard in shards for problem in ledger.self_check(shard).problems],
        "openings": list(Entry.objects.filter(leaf_index=0).order_by("id").values_list("action", flat=True)),
    }


@answers
def intent(operation_id: str) -> int:
    return ledger.intent(
        action="container.clone", actor=ACTOR, source=SOURCE, subject=SUBJECT, operation_id=operation_id
    ).leaf_index


@answers
def outcome(operation_id: str) -> int:
    return ledger.outcome(
        action="container.clone",
        actor=ACTOR,
        source=SOURCE,
        subject=SUBJECT,
        operation_id=operation_id,
        outcome="success",
    )


@answers
def append(count: int) -> int:
    for _ in range(count // 2):
        operation_id = str(uuid.uuid4())
        intent(operation_id)
        outcome(operation_id)
    return count


@answers
def count() -> int:
    return Entry.objects.count()


@answers
def deny(count: int) -> int:
    denial = Denial(action="authz.denied", code="PERMISSION_DENIED", actor=ACTOR, source=SOURCE)
    for _ in range(count):
        denials.record(denial)
    return denials.control.waiting


@answers
def check(processes: int, level: int) -> dict[str, Any]:
    """The check of the ledger by so many processes, in pieces of 2^level entries."""
    recomputing.LEVEL, recomputing.FEW = level, 0  # type: ignore[misc]
    shard = Head.objects.get().shard
    found = [ledger.self_check(shard, quick=quick, processes=processes) for quick in (False, True)]
    assert Head.objects.exists()  # this process still has a connection
    return {"size": found[0].size, "same": found[0].root == found[1].root, "problems": found[0].problems}


@answers
def state() -> dict[str, Any]:
    shard = Head.objects.get().shard
    check = ledger.self_check(shard)
    payloads = [json.loads(text) for text in Entry.objects.order_by("id").values_list("payload", flat=True)]
    return {
        "size": check.size,
        "problems": check.problems,
        "indexes": sorted(Entry.objects.values_list("leaf_index", flat=True)),
        "intents": Entry.objects.filter(phase="intent").count(),
        "outcomes": Entry.objects.filter(phase="outcome").count(),
        "is_in_order": payloads == sorted(payloads, key=lambda payload: str(payload["time"])),
        "wrong_subtrees": wrong_subtrees(shard),
        "denied": sum(1 + payload.get("suppressed", 0) for payload in payloads if payload["phase"] == "event"),
    }


def wrong_subtrees(shard: int) -> list[str]:
    """Which of the stored roots are not those of their leaves."""
    leaves = list(Entry.objects.filter(shard=shard).order_by("leaf_index").values_list("leaf_hash", flat=True))
    wrong = []
    for stored in Subtree.objects.filter(shard=shard):
        tree = Frontier()
        for leaf in leaves[stored.number << stored.level : stored.number + 1 << stored.level]:
            tree = tree.append(bytes.fromhex(leaf))
        if (tree.size, tree.root().hex()) != (1 << stored.level, stored.root):
            wrong.append(str(stored))
    return wrong if len(leaves) >> 8 == Subtree.objects.filter(level=8).count() else [*wrong, "some are missing"]


@answers
def missing_guards() -> list[str]:
    return guards.missing_guards()


@answers
def execute(statement: str) -> None:
    with transaction.atomic(using="audit"), connections["audit"].cursor() as cursor:
        cursor.execute(statement)


@answers
def roles() -> list[str]:
    return statements("test")


@answers
def sign(folder: str) -> int:
    """The number of losses that the signer found; what grew is signed, or the ledger halted."""
    return len(Signer(SignerFolder(Path(folder)), name="a.example", heartbeat_seconds=3600).look())


@answers
def hold(reason: str) -> str:
    return holds.place(actor=ACTOR, source=SOURCE, reason=reason).id


@answers
def release(hold_id: str) -> None:
    holds.release(hold_id, actor=ACTOR, source=SOURCE, reason="over")


@answers
def erase(actor: str) -> int:
    target = erasure.Target(by="actor", value=actor)
    return erasure.erase(target, actor=ACTOR, source=SOURCE, reason="a request").values


@answers
def age() -> None:
    """Let an old shard be there, closed by an entry of today."""
    real = appending._now
    appending._now = lambda: datetime(2020, 5, 1, tzinfo=UTC)
    append(10)
    appending._now = real
    append(2)


@answers
def prune(rows_at_once: int = 900, die_after: int = 0) -> list[int]:
    """Entries gone and kept; or be killed by SIGKILL within the batch of this number."""
    vars(pruning)["ROWS_AT_ONCE"] = rows_at_once
    begun: list[int] = []

    def deadly(commitments: list[str], using: str) -> int:
        begun.append(1)
        if len(begun) == die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return removing.delete_disclosures(commitments, using)

    vars(pruning)["delete_disclosures"] = deadly
    (old,) = pruning.old_shards(3)
    by = pruning.By(actor=ACTOR, source=SOURCE, reason="three years are over")
    done = pruning.prune(old, by, keep_years=3, without_export=True)
    return [done.entries, done.kept]


@answers
def checked(shard: int) -> dict[str, Any]:
    check = ledger.self_check(shard)
    left = Disclosure.objects.count()
    return {"problems": check.problems, "size": check.size, "pruned": check.pruned, "values": left}


@answers
def wait_at_most(milliseconds: int) -> None:
    """Give up sooner on a lock that somebody else holds."""
    connection = connections["audit"]
    vars(appending)["_LOCK"] = appending._LOCK.replace("'5s'", f"'{milliseconds}ms'")
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")


@answers
def die_at(step: int, work: str, operation_id: str) -> bool:
    """Let a child of this process do it and be killed before its `step`-th step; say whether it was.

    A step is whatever the ledger asks of its database or of the disk: each statement, each commit, each flush, in the
    order in which they come. There is one more, when all is done and the answer is not given.
    """

    def do_it() -> None:
        next_step = kill_before(step)
        ANSWERS[work](operation_id)
        next_step()

    return killed_child(do_it)


def kill_before(step: int) -> Callable[[], None]:
    """Count the steps of the ledger from here on, and die before the `step`-th; a call is one more."""
    steps = Steps(step)
    connection: Any = connections["audit"]
    connection.execute_wrappers.append(lambda execute, *arguments: steps.before(execute)(*arguments))
    connection._commit = steps.before(connection._commit)
    disk: Any = os
    disk.fdatasync = steps.before(os.fdatasync)
    return steps.next


@answers
def intent_and_outcome(operation_id: str) -> None:
    intent(operation_id)
    outcome(operation_id)


@answers
def two_together(operation_id: str) -> None:
    with ledger.together():
        intent(operation_id)
        outcome(operation_id)


@answers
def close_what_is_open() -> int:
    """What the reconciler does for an intent whose operation was never stored."""
    left = ledger.open_intents(timedelta())
    for one in left:
        outcome(one.receipt.operation_id)
    return len(left)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    function = ANSWERS[request.pop("do")]
    try:
        return {"result": function(**request)}
    except (MycoError, django.db.Error) as failure:
        return {"error": type(failure).__name__, "message": str(failure)}


def answer_all(_: str) -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
    connections.close_all()


if __name__ == "__main__":
    fork_for_each(int(sys.argv[1]), answer_all)
