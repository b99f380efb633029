"""The same searches on PostgreSQL find what a plain query finds, and the banner its last verification."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from tests.machine import PROJECT

PROGRAM = """
import json
import django
django.setup()
from django.core.management import call_command
call_command("migrate", database="audit", verbosity=0)
from bench.ledger_pages import fill
from containers_app.audit.ledger import entries
from containers_app.audit.searching import Criterion, Search, search
fill(20_000)

def walk(equal):
    criteria = tuple(Criterion(pairs=(pair,)) for pair in equal.items())
    seen, place = [], None
    while True:
        found = search(Search(criteria=criteria), limit=50, beyond=place)
        seen += [entry.pk for entry in found.entries]
        place = found.further
        if place is None:
            return seen

asked = [
    {"actor_id": "40", "action": "privacy.erase"},
    {"actor_id": "3", "outcome": "failure"},
    {"actor_id": "0", "channel": "api"},
    {"category": "auth"},
]
from containers_app.audit.banner import health
from containers_app.audit.ledger import Actor, Source, event
actor, source = Actor(type="system"), Source(channel="cli")
details = {"verdict": "tampered", "quick": True, "shard": None}
event(action="audit.verify", actor=actor, source=source, outcome="failure", details=details)
found = health()
newest = entries().order_by("-time", "-id").values_list("pk", flat=True)
same = [walk(one) == list(newest.filter(**one)) for one in asked]
print(json.dumps([*same, found.verified == found.tampered and found.verified.verdict == "tampered"]))
"""


def test_postgresql_finds_what_a_plain_query_finds(make_postgres_database: Callable[[], str]) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "mycodocker.settings",
        "MYCO_DATABASE_URL": make_postgres_database(),
        "MYCO_AUDIT_DATABASE_URL": make_postgres_database(),
        "PYTHONPATH": str(PROJECT),
    }
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [True] * 5
