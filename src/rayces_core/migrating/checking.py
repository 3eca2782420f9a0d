"""Whether a live database is what its migrations make: its catalogue next to that of a scratch database.

The scratch database is brought to the same state by the same migrations, so what differs was done by something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rayces_core.errors import MigrationError, SchemaMissingError
from rayces_core.migrating.adopting.extras import Extras, extras_of
from rayces_core.migrating.adopting.recognition import made_tables
from rayces_core.migrating.catalogue import Entry, entries
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.meaning import Meanings
from rayces_core.migrating.myhub import TABLES
from rayces_core.migrating.of_cells import is_holding, strike_out_ranges
from rayces_core.migrating.rehearsal import applied_number, schema_of, scratch_database, stand_in
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.session import connected, quote_identifier

# Standing beside our tables; where one that we made is changed, its own line is missing.
_ALONE = ("view ", "function ", "type ", "domain ", "extension ")
_ON_FUNCTION = re.compile(r"grant \S+ on function ")
_ON_SCHEMA = re.compile(r"grant (\S+) on schema to (.+)")
_REACHES_SCHEMA = "SELECT has_schema_privilege(%s, current_schema()::text, %s)"
_RELATIONS = (
    "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') "
    "AND relnamespace = quote_ident(current_schema())::regnamespace"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the catalogue: `missing` from the live database, or there and `unexpected`.

    Of an adopted MyHub `extra` is what it had before, `transitional` what its old application needs until `--finish`.
    Of a cell the triggers that hold a tenant during its move are `transitional`: one that is there while `rayces move
    list` has no move was left behind, and keeps that tenant from being written.
    """

    kind: Literal["missing", "unexpected", "extra", "transitional"]
    line: str

    @property
    def is_drift(self) -> bool:
        """Whether something else than migrations and an adoption has made it."""
        return self.kind in ("missing", "unexpected")


@dataclass(frozen=True)
class Catalogue:
    """What a database has: the entries of its catalogue by line, and the names of its tables, views and sequences."""

    entries: dict[str, Entry]
    relations: set[str]

    def without(self, other: Catalogue) -> list[Entry]:
        """What it has and the other one has not."""
        return [entry for line, entry in self.entries.items() if line not in other.entries]


@dataclass(frozen=True)
class Expected:
    """What migrations make, on a scratch database that is there for comparing meanings."""

    catalogue: Catalogue
    meanings: Meanings


def differences(
    runner: Runner, scratch_url: str, *, beside: Sequence[Runner] = (), strict: bool = False
) -> list[Difference]:
    """Where the live schema differs from what the applied migrations make; empty when they agree.

    Args:
        runner: of the live database, which is only read.
        scratch_url: a server to make the scratch database on; its login may create databases.
        beside: runners of the same database whose tables belong there too; their migrations come first.
        strict: report also what stands beside the migrations' own tables: other tables, views, functions, extensions.

    Of an adopted MyHub what it had before is listed as well, each as extra.

    A migration that was stopped half way counts as not applied, so what it did is reported.

    Raises:
        SchemaMissingError: no migration is applied. MigrationError: none is noted, but their tables are there.
        MigrationFileError: a file was edited or is missing. ConfigurationError: no database may be made there.
    """
    _refuse_unnoted([*beside, runner])
    with what_they_make([*beside, runner], scratch_url) as expected:
        return unlike(runner, expected, beside=beside, strict=strict)


@contextmanager
def what_they_make(runners: Sequence[Runner], scratch_url: str) -> Iterator[Expected]:
    """What the applied migrations of these runners make, one after the other, on a scratch database for the block."""
    with scratch_database(scratch_url, schema_of(runners[-1])) as url:
        for each in runners:
            standing = stand_in(each, url)
            standing.up(applied_number(each))
            # Of what is pending as well: whoever checks wants to know before it runs.
            standing.refuse_unsafe()
        made = stand_in(runners[-1], url)
        with connected(made.database):
            yield Expected(_read(made), Meanings(made.database))


def unlike(
    runner: Runner, expected: Expected, *, beside: Sequence[Runner] = (), strict: bool = False
) -> list[Difference]:
    """Where the live schema differs from what `what_they_make` has made; else as `differences`."""
    found = _read(runner)
    # The table of a history is made once there is something to note, and belongs to the runner.
    left_out = {each.history.table for each in (*beside, runner)}
    others = left_out | (set() if strict else found.relations - expected.catalogue.relations)
    missing = [entry for entry in expected.catalogue.without(found) if not left_out.intersection(entry.relations)]
    unexpected = [
        entry
        for entry in found.without(expected.catalogue)
        if not others.intersection(entry.relations) and (strict or not _stands_beside(runner, entry))
    ]
    missing = _without_reached_schema(runner, missing)
    meanings = expected.meanings
    with meanings.among(unexpected):
        _strike_out_equals(missing, unexpected, meanings)
        strike_out_ranges(missing, unexpected)
        both = [Difference("missing", entry.line) for entry in missing]
        both += [Difference(_kind_of(entry), entry.line) for entry in unexpected]
        if any(each.directory is None for each in (*beside, runner)):
            extras = extras_of(runner.database)
            had = {entry.line for entry in unexpected if _had_before(entry, extras, meanings)}
            both = [_explained(difference, extras, had) for difference in both]
    return sorted(both, key=lambda difference: (difference.line, difference.kind))


def _kind_of(unexpected: Entry) -> Literal["unexpected", "transitional"]:
    return "transitional" if is_holding(unexpected.line) else "unexpected"


def _refuse_unnoted(runners: Sequence[Runner]) -> None:
    """Raise an error where no migration is noted at all: an empty schema is what none of them makes."""
    if any(status.state != "pending" for each in runners for status in each.status()):
        return
    database, table = runners[0].database, runners[0].history.table
    there = sorted(_read(runners[0]).relations - {each.history.table for each in runners})
    ours = [name for name in there if name in made_tables(read_directory(None))]
    if ours and runners[0].directory is None:
        raise MigrationError(
            f"no migration is noted as applied in {table}, but there are tables of this library: {', '.join(ours)}. "
            f"Restore the table {table} too, or note what made them: rayces migrate fake --to N"
        )
    what = "only what others made there" if there else "nothing at all"
    adopted = "; a MyHub is taken over by `rayces migrate adopt`" if set(TABLES) <= set(there) else ""
    raise SchemaMissingError(
        f"no migration is applied: the schema {quote_identifier(database.schema)} holds {what}; "
        f"run `rayces migrate up`{adopted}"
    )


def _strike_out_equals(missing: list[Entry], unexpected: list[Entry], meanings: Meanings) -> None:
    """Remove from both lists what means the same, though PostgreSQL prints it otherwise."""
    for wanted in list(missing):
        for entry in unexpected:
            if wanted.place == entry.place and meanings.same(wanted, entry):
                missing.remove(wanted)
                unexpected.remove(entry)
                break


def _stands_beside(runner: Runner, entry: Entry) -> bool:
    return _lets_in(runner, entry) or entry.line.startswith(_ALONE) or _ON_FUNCTION.match(entry.line) is not None


def _lets_in(runner: Runner, entry: Entry) -> bool:
    """Whether it is a login's way into the schema that a DBA opened, as PostgreSQL 15 and later ask for in `public`."""
    found = _ON_SCHEMA.fullmatch(entry.line)
    own = runner.database
    ours = {"public", own.app_role, own.admin_role, own.reader_role, own.auditor_role}
    return found is not None and found[2].removesuffix(" with grant option") not in ours


def _without_reached_schema(runner: Runner, missing: list[Entry]) -> list[Entry]:
    """Without the rights on the schema that a role has through PUBLIC: only the schema's owner may grant its own."""
    rights = {entry.line: found for entry in missing if (found := _ON_SCHEMA.fullmatch(entry.line))}
    if not rights:
        return missing
    with connected(runner.database):
        reached = {
            line
            for line, (privilege, role) in ((line, found.groups()) for line, found in rights.items())
            if runner.database.one("SELECT true FROM pg_roles WHERE rolname = %s", role)
            and runner.database.one(_REACHES_SCHEMA, role, privilege)
        }
    return [entry for entry in missing if entry.line not in reached]


def _had_before(entry: Entry, extras: Extras, meanings: Meanings) -> bool:
    """Whether MyHub had it, as it is printed now or as it was then."""
    then = (entry.as_in(line) for line in extras.lines)
    return extras.is_extra(entry.line) or any(each is not None and meanings.same(entry, each) for each in then)


def _explained(difference: Difference, extras: Extras, had: set[str]) -> Difference:
    if extras.is_transitional(difference.line):
        return Difference("transitional", difference.line)
    if extras.is_of_own_column(difference.line):
        return Difference("extra", difference.line)
    if difference.kind == "unexpected" and difference.line in had:
        return Difference("extra", difference.line)
    return difference


def _read(runner: Runner) -> Catalogue:
    with connected(runner.database):
        relations = {name for (name,) in runner.database.execute_sql(_RELATIONS).fetchall()}
        return Catalogue({entry.line: entry for entry in entries(runner.database)}, relations)
