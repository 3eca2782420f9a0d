"""Whether a live database is what its migrations make: its catalogue next to that of a scratch database.

The scratch database is brought to the same state by the same migrations, so what differs was done by something else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rayces_core.migrating.adopting.extras import Extras, extras_of
from rayces_core.migrating.catalogue import fingerprint
from rayces_core.migrating.rehearsal import applied_number, schema_of, scratch_database, stand_in
from rayces_core.migrating.runner import Runner
from rayces_core.migrations.session import connected

# A relation may have any name, so each line is asked whether it is about one whose name is known.
_ABOUT = (
    r"(?:column|constraint|row security|policy|table|view) {name}[ .]",
    r"grant .* on {name}(?:\.| to )",
    r"index .* ON (?:ONLY )?(?:[^\x22\s]\S*\.|\x22[^\x22]+\x22\.)?{quoted} USING ",
    r"sequence {name} ",
    r"sequence .* owned by {name}\.",
    r"trigger CREATE .* ON (?:[^\x22\s]\S*\.|\x22[^\x22]+\x22\.)?{quoted} ",
    r"rule CREATE .* TO (?:[^\x22\s]\S*\.|\x22[^\x22]+\x22\.)?{quoted}[ ;]",
)
# Standing beside our tables; where one that we made is changed, its own line is missing.
_ALONE = re.compile(r"(?:view|function|type|extension) |grant \S+ on function ")
_RELATIONS = (
    "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') "
    "AND relnamespace = quote_ident(current_schema())::regnamespace"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the catalogue: `missing` from the live database, or there and `unexpected`.

    Of an adopted MyHub `extra` is what it had before, `transitional` what its old application needs until `--finish`.
    """

    kind: Literal["missing", "unexpected", "extra", "transitional"]
    line: str

    @property
    def is_drift(self) -> bool:
        """Whether something else than migrations and an adoption has made it."""
        return self.kind in ("missing", "unexpected")


@dataclass(frozen=True)
class Catalogue:
    """What a database has: the lines of its catalogue, and the names of its tables, views and sequences."""

    lines: Counter[str]
    relations: set[str]


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
        MigrationFileError: a file was edited or is missing. ConfigurationError: no database may be made there.
    """
    return unlike(runner, what_they_make([*beside, runner], scratch_url), beside=beside, strict=strict)


def what_they_make(runners: Sequence[Runner], scratch_url: str) -> Catalogue:
    """The catalogue that the applied migrations of these runners make, one after the other, on a scratch database."""
    with scratch_database(scratch_url, schema_of(runners[-1])) as url:
        for each in runners:
            stand_in(each, url).up(applied_number(each))
        return _read(stand_in(runners[-1], url))


def unlike(
    runner: Runner, expected: Catalogue, *, beside: Sequence[Runner] = (), strict: bool = False
) -> list[Difference]:
    """Where the live schema differs from `expected`, which `what_they_make` has found out; else as `differences`."""
    found = _read(runner)
    # The table of a history is made once there is something to note, and belongs to the runner.
    histories = _about(each.history.table for each in (*beside, runner))
    others = _about(set() if strict else found.relations - expected.relations)
    missing = [line for line in (expected.lines - found.lines).elements() if not histories(line)]
    unexpected = [
        line
        for line in (found.lines - expected.lines).elements()
        if not histories(line) and not others(line) and (strict or not _ALONE.match(line))
    ]
    both = [Difference("missing", line) for line in missing] + [Difference("unexpected", line) for line in unexpected]
    if any(each.directory is None for each in (*beside, runner)):
        extras = extras_of(runner.database)
        both = [_explained(difference, extras) for difference in both]
    return sorted(both, key=lambda difference: (difference.line, difference.kind))


def _explained(difference: Difference, extras: Extras) -> Difference:
    if extras.is_transitional(difference.line):
        return Difference("transitional", difference.line)
    if difference.kind == "unexpected" and extras.is_extra(difference.line):
        return Difference("extra", difference.line)
    return difference


def _read(runner: Runner) -> Catalogue:
    with connected(runner.database):
        relations = {name for (name,) in runner.database.execute_sql(_RELATIONS).fetchall()}
        return Catalogue(Counter(fingerprint(runner.database)), relations)


class _about:  # noqa: N801 - used as a function
    """Whether a line is about one of these relations."""

    def __init__(self, names: Iterable[str]) -> None:
        self._patterns = [
            re.compile(pattern.format(name=re.escape(name), quoted=f'"?{re.escape(name)}"?'))
            for name in names
            for pattern in _ABOUT
        ]

    def __call__(self, line: str) -> bool:
        return any(pattern.match(line) for pattern in self._patterns)
