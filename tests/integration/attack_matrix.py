"""What each attack on the ledger is, and who finds it: the table of docs/how-to/audit.md is made from this.

`python -m tests.integration.attack_matrix` prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

CHECKS = (
    "`ledger verify`",
    "`ledger verify --vkey`",
    "the signer at its start",
    "`verify.py --vkey`",
    "`verify.py --vkey --state`",
)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """By somebody who may do everything in the database, and drops the guards first; `found` as CHECKS, + or -."""

    words: str
    found: str

    def cells(self) -> dict[str, bool]:
        return {check: sign == "+" for check, sign in zip(CHECKS, self.found.split(), strict=True)}


ATTACKS: Mapping[str, Attack] = {
    "edit_in_place": Attack(words="an entry is edited in its place", found="+ + - + +"),
    "hide_as_pruned": Attack(words="an entry is emptied, as if it had been pruned", found="+ + - + +"),
    "delete_and_rebuild": Attack(
        words="entries are deleted, the others moved up, and the tree is computed anew", found="+ + + + +"
    ),
    "cut_tail": Attack(words="the last entries are cut off, the checkpoints stay", found="+ + + + +"),
    "cut_tail_and_checkpoints": Attack(
        words="the last entries are cut off, with the checkpoints over them", found="- - + - +"
    ),
    "restore_old_database": Attack(words="an older database is restored, with its own checkpoint", found="- - + - +"),
    "add_to_a_closed_year": Attack(words="an entry is added to a year that is over", found="+ + + + +"),
    "rewrite_without_key": Attack(
        words="all is written anew, and signed with a key that the attacker made", found="- + + + +"
    ),
    "rewrite_with_stolen_key": Attack(words="all is written anew, and signed with the stolen key", found="- - + - +"),
    "rewrite_with_signers_folder": Attack(
        words="the same, and the signer's own memory is written anew too", found="- - - - +"
    ),
}


def table() -> str:
    head = ["Attack", *CHECKS]
    lines = [head, ["---"] * len(head), *(_row(attack) for attack in ATTACKS.values())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _row(attack: Attack) -> list[str]:
    return [attack.words, *("found" if cell else "**missed**" for cell in attack.cells().values())]


if __name__ == "__main__":
    sys.stdout.write(table())
