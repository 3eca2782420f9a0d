"""How a row of a source is known to be one of the table: by its id, by a key that was chosen, or by what it is called.

Rule it guards: an id or a key alone never turns a row into another one. A row whose id is here under another name is
refused until the user says that names may be corrected, and an empty value clears nothing until the user says that too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rayces_core.errors import ColumnMappingError, ConfigurationError
from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.record import Record
from rayces_core.models.external_ids import LONGEST_EXTERNAL_ID

ID: Final = "id"
EXTERNAL: Final = "external_id"
KEYS: Final = (ID, EXTERNAL)
# An id of a sheet or of a data frame may have become 17.0; what is no id of this library's is kept as it is shown.
GIVEN: Final = "CASE WHEN s.id ~ '^[0-9]{1,18}$' THEN s.id::bigint WHEN s.id IS NOT NULL THEN 0 END"


def identifier(value: Any, reading: Reading) -> str:
    """Read an id of an export; another program's stays what it is, and is nobody's here."""
    try:
        written = values.text(value, reading)
    except ValueError:  # too long for one of ours; where the row cannot be read at all, other columns say so
        return "?"
    whole = written.removesuffix(".0")
    return whole if whole.isdecimal() and whole.isascii() else written


def external_id(value: Any, reading: Reading) -> str:
    """Read the key by which another program knows a row."""
    written = values.identifier(value, reading)
    if len(written) > LONGEST_EXTERNAL_ID:
        raise ValueError(f"has more than {LONGEST_EXTERNAL_ID} characters; shorten it")
    return written


EXTERNAL_ID: Final = Column(
    EXTERNAL,
    external_id,
    names=("external id", "sourcedid", "legajo", "número de legajo", "id externo"),
    about="The key by which another program knows the row, such as a file number; it is unique here.",
)
OWN_ID: Final = Column(
    ID,
    identifier,
    about="The id of an export: the row is that row, whatever else in it was corrected.",
    in_template=False,
)


@dataclass(frozen=True, slots=True)
class Knowing:
    """What was said about rows that are there already.

    Attributes:
        columns: those that the source has. update: whether rows are changed to what it says. key: "id" or "external_id"
            where rows are known by that, so that what they are called may be corrected; None: by what they are called.
        clear_empty: whether an empty value of a column that the source has clears what is there.
    """

    columns: frozenset[str] = frozenset()
    update: bool = False
    key: str | None = None
    clear_empty: bool = False

    @property
    def has_ids(self) -> bool:
        """Whether rows may say their ids."""
        return ID in self.columns and self.key != EXTERNAL

    @property
    def has_external_ids(self) -> bool:
        """Whether rows may say the key by which another program knows them."""
        return EXTERNAL in self.columns

    @property
    def by_external_id(self) -> bool:
        """Whether rows are known by that key."""
        return self.key == EXTERNAL

    @property
    def corrects_names(self) -> bool:
        """Whether what a row is called is compared as well."""
        return self.update or self.key is not None

    def check(self, record: Record) -> None:
        """Refuse what cannot be done with a record type or without a column.

        Raises:
            ConfigurationError, ColumnMappingError.
        """
        known = [name for name in KEYS if name in record.column_names]
        if self.key is not None and self.key not in known:
            says = f"may be {' or '.join(known)}" if known else "is nothing for them"
            raise ConfigurationError(f"{record.name} are not known by a key {self.key!r:.60}; --key (key=) {says}")
        if self.key is not None and self.key not in self.columns:
            raise ColumnMappingError(
                f"rows are to be known by {self.key}, and the source has no such column; say which header it is with "
                f'--map "HEADER={self.key}", or leave --key (key=) out',
                missing=(self.key,),
            )
        if self.clear_empty and not (self.update and record.updating):
            what = "needs --update (update=True)" if record.updating else f"is nothing for {record.name}"
            raise ConfigurationError(f"--clear-empty (clear_empty=True) {what}: it changes rows that are there")

    # -- SQL over a row `r` of `resolved` and a row `t` of the table ------------------------------------------------

    def ways(self, record: Record) -> list[tuple[str, bool]]:
        """How a row is found that does not say its id: conditions, each with whether what is found is certain.

        A row whose key nobody has may be one that is there without a key.
        """
        if self.by_external_id:
            called_so = f"t.external_id IS NULL AND {record.matching}"
            return [("t.external_id = r.external_id", True), (called_so, False)]
        return [(f"r.given_id IS NULL AND {record.matching}", False)]

    def differences(self, record: Record) -> str:
        """The columns in which a row says something else than the table; an empty value says nothing unless told."""
        told = ", ".join(
            f"CASE WHEN {said} IS DISTINCT FROM {held}{'' if clears else f' AND r.{name} IS NOT NULL'} "
            f"THEN '{column}' END"
            for name, column, held, said, clears in self._compared(record)
        )
        return f"array_remove(ARRAY[{told}]::text[], NULL)"

    def spellings(self, record: Record) -> str:
        """The same of what the row is called by: case and accents, since it was found by it."""
        told = ", ".join(
            f"CASE WHEN r.{name} IS DISTINCT FROM {held} AND r.{name} IS NOT NULL THEN r.{name}::text END"
            for name, (_, held) in record.renaming.items()
        )
        return f"concat_ws(' ', {told})"

    def changes(self, record: Record) -> str:
        """What an update sets."""
        changed = dict(record.updating)
        for name, column, _, said, clears in self._compared(record):
            if clears and name in changed and column in self.columns:
                changed[name] = said
        return ", ".join(f"{name} = {value}" for name, value in changed.items())

    def _compared(self, record: Record) -> Iterator[tuple[str, str, str, str, bool]]:
        """Name in `resolved`, column, what the table holds, what the row says, whether an empty value counts."""
        names = dict(record.compared) | (dict(record.renaming) if self.corrects_names else {})
        for name, (column, held) in names.items():
            clears = self.clear_empty and column in self.columns
            empty = record.emptied.get(name, "NULL")
            said = f"coalesce(r.{name}, {empty})" if clears and empty != "NULL" else f"r.{name}"
            yield name, column, held, said, clears

    def never_empty(self, record: Record) -> list[tuple[str, str]]:
        """Name in `resolved` and column of what the source has and a row cannot be without."""
        return [
            (name, column)
            for name, column, _, __, clears in self._compared(record)
            if clears and name not in record.emptied and column not in record.fixed
        ]
