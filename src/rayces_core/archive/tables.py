"""A table of an archive as SQL needs it: its name, its columns, and how its rows are numbered and put in order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_LOADED = (
    "no model of that name and with a lifecycle is loaded, so nobody knows its table; import the module that has it, "
    "on the command line with --models"
)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A table whose rows are named by their places: its name in SQL, and the column that it is counted by."""

    sql: str
    key: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an archive.

    Attributes:
        name: in the archive; a table of another schema than the library's has that in front.
        sql: its name in SQL. columns: what a row has beside its place, in the order of the archive.
        key: the column that the database counts its rows by, whose values stay behind; None where rows are known by
            what they have themselves, such as a UUID. order: what its rows are put in order by.
        references: column → table whose row it names, by that row's place. named: those tables, and those of the
            journal's subjects. after: the tables whose rows have to be there before its own.
        later: columns that are written when all rows are there, since they close a circle.
        texts: column → type of those that are carried as texts, since JSON has another form of them.
        subjects: of the journal: type of a subject → its table. left_subjects: types whose table stays behind.
        hidden: columns of the host's that stay behind.
        is_host: whether it is a table of the host's. overriding: whether a column besides the key is counted always.
    """

    name: str
    columns: tuple[str, ...]
    references: Mapping[str, str]
    sql: str = ""
    key: str | None = "id"
    order: tuple[str, ...] = ("id",)
    named: Mapping[str, Numbered] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    left_subjects: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    is_host: bool = False
    overriding: bool = False

    @property
    def is_journal(self) -> bool:
        """Whether its rows name their subject by type and id."""
        return bool(self.subjects)

    @property
    def place(self) -> str | None:
        """What a row's place is called in the archive; None where rows have none."""
        if self.key is None:
            return None
        return "id" if "id" not in self.columns else "#"


def quoted(name: str) -> str:
    """A name as SQL has it, in a statement that is given values."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def literal(text: str) -> str:
    """A text as SQL has it, in a statement that is given values."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def alias(name: str, suffix: str) -> str:
    """A name for what a statement makes of a table, which no table of a host's has and PostgreSQL does not cut off."""
    return f'"rayces_{suffix}_{hashlib.sha256(name.encode()).hexdigest()[:20]}"'
