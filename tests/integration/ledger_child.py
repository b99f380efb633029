"""A process that uses the ledger on command, so that tests can run many of them and kill them at any step.

Each line on standard input is a request, `{"do": name, ...}`; each line on standard output its answer. It is started
as a program, with the settings and databases that its environment names.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
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
from containers_app.audit.models import Disclosure, Entry, Head  # noqa: E402
from containers_app.audit.roles import statements  # noqa: E402
from containers_app.audit.signer import Signer  # noqa: E402
from containers_app.audit.signer_folder import SignerFolder  # noqa: E402
from containers_app.conf import load  # noqa: E402
from containers_app.errors import MycoError  # noqa: E402
from tests import recipes  # noqa: E402

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
    payloads = [json.loads(text) for text in Entry.objects.values_list("payload", flat=True)]
    return {
        "size": check.size,
        "problems": check.problems,
        "indexes": sorted(Entry.objects.values_list("leaf_index", flat=True)),
        "outcomes": Entry.objects.filter(phase="outcome").count(),
        "denied": sum(1 + payload.get("suppressed", 0) for payload in payloads if payload["phase"] == "event"),
    }


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
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")


@answers
def die_at(step: str) -> None:
    """Kill this process by SIGKILL before or after a step of the next append: `before _lock`, `after commit`, ..."""
    when, name = step.split()
    owner: Any = connections["audit"] if name == "commit" else appending
    attribute = "_commit" if name == "commit" else name
    original = getattr(owner, attribute)

    def deadly(*arguments: Any) -> Any:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, deadly)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    function = ANSWERS[request.pop("do")]
    try:
        return {"result": function(**request)}
    except (MycoError, django.db.Error) as failure:
        return {"error": type(failure).__name__, "message": str(failure)}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
