"""A program that attacks the ledger that its environment names, in every way, and prints who found each attack.

Its argument is a folder of its own. The history before each attack: five entries, signed; four more, signed, after
which the auditor looks and keeps the state; three more, signed. The guards are dropped, and made again afterwards.
Where a year has to be over, the first five are of last year.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - the settings come first
from django.db import connections  # noqa: E402

from containers_app.audit import appending, guards, ledger  # noqa: E402
from containers_app.audit.bundle import VERIFIER, LedgerDamaged, write_bundle  # noqa: E402
from containers_app.audit.merkle import Frontier, leaf_hash  # noqa: E402
from containers_app.audit.models import Head  # noqa: E402
from containers_app.audit.notes import Checkpoint, SigningKey, new_key, sign  # noqa: E402
from containers_app.audit.pruned import columns_of_pruned  # noqa: E402
from containers_app.audit.record import Fact, compose  # noqa: E402
from containers_app.audit.selection import Selection  # noqa: E402
from containers_app.audit.signed import newest_checkpoint  # noqa: E402
from containers_app.audit.signer import Signer  # noqa: E402
from containers_app.audit.signer_folder import Signed, SignerFolder  # noqa: E402
from containers_app.management.acts.ledger_reading import verify  # noqa: E402
from tests.integration.attack_matrix import ATTACKS, CHECKS  # noqa: E402

NAME = "attacked.example"
LAST_YEAR = datetime(datetime.now(UTC).year - 1, 12, 30, tzinfo=UTC)
TABLES = ("entry", "head", "disclosure", "subtree", "checkpoint", "standing", "anchoring", "permit")
ACTOR = ledger.Actor(type="user", id="7", label="alice@example.org", auth="session")
SOURCE = ledger.Source(channel="ui", ip="192.0.2.7")
WEB = ledger.Subject(type="container", id="a" * 64, name="web-1", host="local")


def sql(statement: str, *parameters: Any) -> list[Any]:
    with connections["audit"].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def empty(table: str) -> None:
    sql(f"DELETE FROM audit_{table}")  # noqa: S608 - names of our own


def drop_guards() -> None:
    vendor = connections["audit"].vendor
    for guard in guards.GUARDS[vendor]:
        sql(f"DROP TRIGGER IF EXISTS {guard.name}" + (f" ON {guard.table}" if vendor == "postgresql" else ""))


class Attacked:
    """A fresh ledger with its signer and its auditor, and what an attacker does to it."""

    def __init__(self, folder: Path, *, begun: datetime | None) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(VERIFIER, folder / "verify.py")
        drop_guards()
        for table in TABLES:
            empty(table)
            sql(f"DROP TABLE IF EXISTS older_{table}")
        guards.install()
        self.history(begun)

    def history(self, begun: datetime | None) -> None:
        if begun is None:
            self.record(5)
        else:
            with patch.object(appending, "_now", lambda: begun):
                self.record(5)
        for table in TABLES:
            sql(f"CREATE TABLE older_{table} AS SELECT * FROM audit_{table}")  # noqa: S608 - names of our own
        self.record(4)
        vkeys = [vkey for (vkey,) in sql("SELECT DISTINCT vkey FROM audit_checkpoint")]
        (self.folder / "keys").write_text("\n".join(vkeys))
        assert self.audit("--state", "state.json") == 0
        self.record(3)
        drop_guards()

    def record(self, count: int) -> None:
        for _ in range(count):
            ledger.event(action="engine.unattributed", actor=ACTOR, source=SOURCE, subject=WEB)
        assert self.signer_losses() == 0

    @property
    def signer_folder(self) -> SignerFolder:
        return SignerFolder(self.folder / "signer")

    def signer_losses(self) -> int:
        return len(Signer(self.signer_folder, name=NAME, heartbeat_seconds=3600).look())

    def audit(self, *arguments: str) -> int:
        """The verifier's exit code on a bundle that is made now; 2 where none can be made."""
        try:
            with (self.folder / "bundle.zip").open("wb") as target:
                write_bundle(target, Selection(), newest=newest_checkpoint)
        except LedgerDamaged:
            return 2
        command = [sys.executable, "-I", "-S", "verify.py", "bundle.zip", "--vkey", "keys", *arguments]
        return subprocess.run(command, cwd=self.folder, env={}, capture_output=True, check=False).returncode

    def verified(self, *vkeys: str) -> int:
        return verify({"vkey": list(vkeys), "shard": None, "quick": False}).code

    def checks(self) -> dict[str, bool]:
        """Who finds something, in the order of CHECKS; what is not verified is found."""
        found = (
            self.verified() != 0,
            self.verified(*(self.folder / "keys").read_text().split()) != 0,
            # The signer may halt the ledger, which changes no entry.
            self.signer_losses() > 0,
            self.audit() != 0,
            self.audit("--state", "state.json") != 0,
        )
        return dict(zip(CHECKS, found, strict=True))


def edit_in_place(attacked: Attacked) -> None:
    sql("UPDATE audit_entry SET payload = replace(payload, 'web-1', 'web-9') WHERE leaf_index = 3")


def hide_as_pruned(attacked: Attacked) -> None:
    ((shard,),) = sql("SELECT shard FROM audit_head")
    columns = columns_of_pruned(shard)
    changes = ", ".join(f"{column} = %s" for column in columns)
    sql(f"UPDATE audit_entry SET {changes} WHERE leaf_index = 3", *columns.values())  # noqa: S608 - names of our own


def delete_and_rebuild(attacked: Attacked) -> None:
    sql("DELETE FROM audit_entry WHERE leaf_index IN (3, 4)")
    sql("UPDATE audit_entry SET leaf_index = leaf_index - 2 WHERE leaf_index > 4")
    rebuild()


def cut_tail(attacked: Attacked) -> None:
    sql("DELETE FROM audit_entry WHERE leaf_index >= 7")
    rebuild()


def cut_tail_and_checkpoints(attacked: Attacked) -> None:
    cut_tail(attacked)
    sql("DELETE FROM audit_checkpoint WHERE size > 7")


def restore_old_database(attacked: Attacked) -> None:
    for table in TABLES:
        empty(table)
        sql(f"INSERT INTO audit_{table} SELECT * FROM older_{table}")  # noqa: S608 - names of our own


def add_to_a_closed_year(attacked: Attacked) -> None:
    """What the rights of whoever records are enough for, but for the guards."""
    fact = Fact(phase="event", action="auth.login", outcome="success", actor=ACTOR, source=SOURCE)
    with appending.appending():
        appending._add(compose(fact, LAST_YEAR), Head.objects.using("audit").get(shard=LAST_YEAR.year))


def rewrite_without_key(attacked: Attacked) -> None:
    rewrite()
    shard, checkpoint = rebuild()
    publish(checkpoint, new_key(f"{NAME}/audit/{shard}"))


def rewrite_with_stolen_key(attacked: Attacked) -> str:
    rewrite()
    shard, checkpoint = rebuild()
    key = attacked.signer_folder.key(shard)
    assert key is not None
    return publish(checkpoint, key)


def rewrite_with_signers_folder(attacked: Attacked) -> None:
    note = rewrite_with_stolen_key(attacked)
    ((shard,),) = sql("SELECT shard FROM audit_head")
    attacked.signer_folder.remember(shard, Signed(note=note, signed_at=time.time()))


def rewrite() -> None:
    sql("UPDATE audit_entry SET payload = replace(payload, 'web-1', 'web-9'), object_name = 'web-9'")


def rebuild() -> tuple[int, Checkpoint]:
    """Compute all hashes anew; the shard and the checkpoint that fits."""
    ((shard,),) = sql("SELECT shard FROM audit_head")
    tree = Frontier()
    for index, payload in sql("SELECT leaf_index, payload FROM audit_entry ORDER BY leaf_index"):
        leaf = leaf_hash(payload.encode())
        sql("UPDATE audit_entry SET leaf_hash = %s WHERE leaf_index = %s", leaf.hex(), index)
        tree = tree.append(leaf)
    sql("UPDATE audit_head SET size = %s, frontier = %s", tree.size, tree.to_text())
    return shard, Checkpoint(f"{NAME}/audit/{shard}", tree.size, tree.root())


def publish(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Let it be the only checkpoint that there ever was."""
    note = sign(checkpoint, key)
    sql("DELETE FROM audit_checkpoint WHERE id < (SELECT max(id) FROM audit_checkpoint)")
    sql(
        "UPDATE audit_checkpoint SET size = %s, root = %s, vkey = %s, note = %s",
        checkpoint.size,
        checkpoint.root.hex(),
        key.verifier.text(),
        note,
    )
    return note


def run(name: str, folder: Path) -> dict[str, bool]:
    attack: Callable[[Attacked], object] = globals()[name]
    attacked = Attacked(folder, begun=LAST_YEAR if name == "add_to_a_closed_year" else None)
    attack(attacked)
    guards.install()
    return attacked.checks()


if __name__ == "__main__":
    call_command("migrate", database="audit", verbosity=0)
    sys.stdout.write(json.dumps({name: run(name, Path(sys.argv[1]) / name) for name in ATTACKS}))
