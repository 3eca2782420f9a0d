"""Lines of the catalogue that an adopted MyHub has and a fresh install has not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rayces_core.migrating.adopting.addresses import AS_GIVEN
from rayces_core.migrating.adopting.loosening import own_columns, renamed_lines
from rayces_core.migrating.adopting.record import read
from rayces_core.migrating.myhub import ADOPTED, TABLES
from rayces_core.migrations.session import MigrationDatabase, connected

_TABLE = "|".join(TABLES)
# What `--finish` changes: defaults, policies, trigger, function, kept indexes and the primary keys.
_TRANSITIONAL = re.compile(
    rf"column ({_TABLE})\.organization_id bigint not null($| default COALESCE\(.*rayces\.organization_id)"
    rf"|constraint (?P<t>{_TABLE}) (?P=t)_pkey "
    rf"|index CREATE UNIQUE INDEX (?:{_TABLE})_(?:pkey|organization_id_id_idx) "
    rf"|column users\.email (?:citext|character varying) |column users\.{AS_GIVEN} |grant \w+ on users\.{AS_GIVEN} to "
    r"|.*\brayces_adoption"
)
_SEQUENCE = re.compile(rf"sequence .* owned by ({_TABLE})\.id")
_COLUMN, _RULE = re.compile(rf"column ({_TABLE})\.(\S+) "), re.compile(rf"constraint ({_TABLE}) \S+ (CHECK .*)")
_GRANT = re.compile(r"grant (\w+) on (\S+) to (.+)")


@dataclass(frozen=True, slots=True)
class Extras:
    """What was there before an adoption, as lines; empty where nothing was adopted."""

    is_running: bool
    lines: frozenset[str]
    app_role: str
    own_columns: frozenset[tuple[str, str]] = frozenset()

    def is_transitional(self, line: str) -> bool:
        """Whether the line is there, or missing, only as long as the old application runs."""
        return self.is_running and _TRANSITIONAL.match(line) is not None

    def is_of_own_column(self, line: str) -> bool:
        """Whether it is about a column that MyHub has in a form of its own, as was chosen, or a rule on it."""
        if found := _COLUMN.match(line):
            return (found[1], found[2]) in self.own_columns
        if found := _RULE.match(line):
            own = [column for table, column in self.own_columns if table == found[1]]
            return any(re.search(rf"\b{re.escape(column)}\b", found[2]) for column in own)
        found = _SEQUENCE.fullmatch(line)
        return found is not None and (found[1], "id") in self.own_columns

    def is_extra(self, line: str) -> bool:
        """Whether MyHub had it, or it follows from what MyHub had."""
        grant = _GRANT.fullmatch(line)
        if line in self.lines:
            return True
        if grant is None or grant[3] != self.app_role or grant[1] != "update":
            return False
        return any(known.startswith(f"column {grant[2]} ") for known in self.lines)


def extras_of(database: MigrationDatabase) -> Extras:
    """The extras of this database."""
    with connected(database):
        record = read(database)
    if record is None:
        return Extras(False, frozenset(), database.app_role)
    granted = {
        f"grant {str(privilege).lower()} on {table}{f'.{column}' if column else ''} to {role}"
        for table, privilege, column, role in record.before.role_grants
    }
    made = {f"index {index[5]}" for index in record.before.unique_indexes} | set(renamed_lines(record.before))
    lines = frozenset(record.before.catalogue) | granted | made
    return Extras(record.stage == ADOPTED, lines, database.app_role, frozenset(own_columns(record)))
