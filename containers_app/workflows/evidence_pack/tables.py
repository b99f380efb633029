"""Tables of facts that may be long: the first rows at hand for people, all of them on the disk for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from containers_app.audit.exports import csv_row
from containers_app.audit.values import printable

# So many rows stand in the pages; the files beside them have all.
MOST_SHOWN: Final = 200
LEDGER, COUNTED, DATABASE = "ledger", "counted", "database"
SOURCES: Final[Mapping[str, str]] = {
    LEDGER: "From the ledger: each row names the entry that says so.",
    COUNTED: "Counted from the entries of the period.",
    DATABASE: "From the database, as it was when this was made: not proven.",
}
# Opens an empty file for text, which somebody else closes.
Spool = Callable[[], IO[str]]
_LONGEST_CELL: Final = 2_000
_WIDEST: Final = 24


def shown(value: object) -> str:
    """A value as text in which nothing reorders, hides or ends a line."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(shown(one) for one in value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)
    return printable(text, _LONGEST_CELL)


@dataclass
class Table:
    """One table. `columns`: the name that programs read, and the heading. Rows are kept in a file that `spool` opens.

    `for_programs` are the columns that people do not see.
    """

    name: str
    title: str
    source: str
    columns: Mapping[str, str]
    spool: Spool
    note: str = ""
    for_programs: frozenset[str] = frozenset({"leafHash", "sha256", "id"})
    count: int = 0
    first: list[Mapping[str, Any]] = field(default_factory=list)
    _rows: IO[str] | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row, which has a value for each column. Raises OSError."""
        if self._rows is None:
            self._rows = self.spool()
        if self.count < MOST_SHOWN:
            self.first.append(row)
        self._rows.write(json.dumps({name: row.get(name) for name in self.columns}) + "\n")
        self.count += 1

    def lines(self) -> Iterator[str]:
        """Each row as a JSON object, in the order in which they were added. Raises OSError."""
        if self._rows is None:
            return
        self._rows.seek(0)
        yield from (line.rstrip("\n") for line in self._rows)

    def csv(self) -> Iterator[bytes]:
        """The same for a spreadsheet, with a line of headings. Raises OSError."""
        yield csv_row(list(self.columns))
        for line in self.lines():
            yield csv_row([shown(value) for value in json.loads(line).values()])

    def cells(self) -> list[list[str]]:
        """The rows that people see."""
        return [[shown(row.get(name)) for name in self._seen] for row in self.first]

    @property
    def headings(self) -> Sequence[str]:
        """What stands above the columns."""
        return [self.columns[name] for name in self._seen]

    @property
    def widths(self) -> list[str]:
        """How much of the page each column takes, in percent, by what stands in it."""
        columns = zip(self.headings, *self.cells(), strict=True)
        wanted = [min(max(len(text) for text in column), _WIDEST) + 2 for column in columns]
        return [f"{100 * one / sum(wanted):.1f}" for one in wanted]

    @property
    def left_out(self) -> int:
        """How many rows people do not see here."""
        return self.count - len(self.first)

    @property
    def said_source(self) -> str:
        """What the rows come from, in words."""
        return SOURCES[self.source]

    @property
    def _seen(self) -> list[str]:
        return [name for name in self.columns if name not in self.for_programs]
