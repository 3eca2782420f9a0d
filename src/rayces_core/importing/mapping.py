"""Which column of a source goes to which column of a record type.

Rule: a header is taken where it is a known name but for accents, case, blanks and punctuation, and a column's own name
goes before its other names; a near miss is only suggested, what may mean two things is asked about, and what is wrong
is said all at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Self

from rayces_core.errors import AmbiguousColumnsError, ColumnMappingError
from rayces_core.importing.columns import Column
from rayces_core.importing.headers import recognise
from rayces_core.importing.values import fold
from rayces_core.importing.ways import Way, with_made
from rayces_core.importing.words import why

NEAR: Final = 80  # of 100: "fecha de nacimeinto" is near, "fecha de ingreso" is not
_NO_HEADER: Final = '; if that row has data already, say --no-header (no_header=True) and --map "(column 1)=…"'
_TABLE: Final = "columns"


@dataclass(frozen=True)
class ColumnMapping:
    """Where each column of a record type stands in the rows of a source.

    Attributes:
        header: the names in the source. places: name of the column → place in a row, from 0.
        suggestions: unused name in the source → the column that it may mean.
        unused: names in the source that nothing is read from. ignored: those of them that the user left out on purpose.
    """

    header: tuple[str, ...]
    places: dict[str, int]
    suggestions: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a mapping that was saved; `applied_to` brings it to the header of another source.

        Raises:
            ColumnMappingError: there is no such file, or it is no such mapping.
        """
        table = _read(path)
        header = tuple(table)
        places = {name: place for place, name in enumerate(table.values()) if name}
        if len(places) < sum(1 for name in table.values() if name):
            raise ColumnMappingError(f"{path}: two names mean the same column; take one out")
        return cls(header, places, ignored=tuple(name for name in header if not table[name]))

    def applied_to(
        self,
        header: Sequence[str],
        columns: Sequence[Column],
        given: Mapping[str, str] | None = None,
        known_by: Collection[str] = (),
        ways: Sequence[Way] = (),
    ) -> ColumnMapping:
        """Bring the mapping to another header, as `propose` does; what is `given` here goes before what was saved.

        Raises:
            ColumnMappingError: the header has not all that was saved, or as `propose` raises it.
        """
        return propose(header, columns, {**self.given(), **(given or {})}, known_by, ways)

    def given(self) -> dict[str, str]:
        """Give the mapping as `propose` takes it: name in the source → column, or empty."""
        taken = {self.header[place]: name for name, place in sorted(self.places.items(), key=lambda pair: pair[1])}
        return {**taken, **dict.fromkeys(self.ignored, "")}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mapping to a TOML file, which `load` reads."""
        lines = [f"{_quoted(header)} = {_quoted(name)}" for header, name in self.given().items()]
        Path(path).write_text("\n".join((f"[{_TABLE}]", *lines, "")), encoding="utf-8")


def propose(
    header: Sequence[str],
    columns: Sequence[Column],
    given: Mapping[str, str] = {},
    known_by: Collection[str] = (),
    ways: Sequence[Way] = (),
) -> ColumnMapping:
    """Find out which name of a header is which column.

    Args:
        given: what the user decided: name in the header → name of the column, or an empty text to leave it out.
        known_by: columns that say which row is the same; a near miss of one is refused, because without it rows that
            are there already would not be found again.
        ways: how columns make others; a column that is made is not missing.

    Raises:
        AmbiguousColumnsError: a name may mean several columns, or a column and something else.
        ColumnMappingError: a required column is missing or one of `known_by` is nearly there, two names mean the same
            column, or `given` names what is not there.
    """
    problems: list[str] = []
    found = recognise(header, columns, _decided(header, columns, given, problems), ways)
    places = _places(header, found.chosen, problems)
    problems += _said_twice(header, places, ways)
    problems += [_asked(name, may_be) for name, may_be in found.doubts.items()]
    unused = tuple(name for name in header if not found.chosen.get(name))
    open_columns = _open(columns, places, ways)
    unsure = [name for name in unused if name not in found.chosen and name not in found.doubts]
    suggestions = _near(unsure, open_columns) if unsure else {}
    near = set(suggestions.values()) & set(known_by)
    asked = with_made({column for may_be in found.doubts.values() for column in may_be}, ways)
    missing = tuple(
        column.name for column in open_columns if (column.required and column.name not in asked) or column.name in near
    )
    problems += [_missing(name, suggestions, header, ways) for name in missing]
    if problems:
        names = {column.name for column in columns}
        unknown = tuple(dict.fromkeys(_unknown(header, names, given)))
        hint = _NO_HEADER if missing and not places and any(map(_is_data, header)) else ""
        raise _refusal("; ".join(problems) + hint, missing, unknown, found.doubts)
    ignored = tuple(name for name in found.chosen if not found.chosen[name])
    return ColumnMapping(tuple(header), places, suggestions, unused, ignored)


def _is_data(name: str) -> bool:
    """Whether a header is a date, a number or an address."""
    return "@" in name or not any(character.isalpha() for character in name)


def _refusal(
    reason: str, missing: tuple[str, ...], unknown: tuple[str, ...], doubts: dict[str, tuple[str, ...]]
) -> ColumnMappingError:
    if doubts:
        return AmbiguousColumnsError(reason, missing, unknown, doubts)
    return ColumnMappingError(reason, missing, unknown)


def _open(columns: Sequence[Column], places: Mapping[str, int], ways: Sequence[Way]) -> list[Column]:
    """The columns that nothing is read from, nor made of others, and that would not make what is there already."""
    there = with_made(set(places), ways)
    spare = {need for way in ways if not way.compares and there.issuperset(way.makes) for need in way.needs}
    return [column for column in columns if column.name not in there and column.name not in spare]


def _said_twice(header: Sequence[str], places: Mapping[str, int], ways: Sequence[Way]) -> list[str]:
    """Say where a column is there and made of others as well, such as a first name beside a whole one."""
    problems = []
    for way in ways:
        if (
            not way.compares
            and set(way.needs) <= set(places)
            and (twice := [name for name in way.makes if name in places])
        ):
            both = f"{header[places[way.needs[0]]]!r:.60} and {header[places[twice[0]]]!r:.60}"
            leave = f'leave one out with --map "{header[places[twice[0]]]:.60}="'
            problems.append(f"{both} both say {twice[0]}; {leave}")
    return problems


def _asked(name: str, may_be: Sequence[str]) -> str:
    """What is asked about a header that may mean several things."""
    meaning = f" ({reason})" if (reason := why(name)) else ""
    choices = ", or ".join(f'--map "{name:.60}={column}"' for column in may_be)
    may = f"{name!r:.60} may mean {' or '.join(may_be)}, or something else{meaning}"
    return f'{may}: say {choices}, else --map "{name:.60}="'


def _read(path: str | os.PathLike[str]) -> dict[str, str]:
    try:
        read = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ColumnMappingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ColumnMappingError(f"{path}: is no TOML file ({error}); save it anew with --save-mapping") from None
    table = read.get(_TABLE)
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise ColumnMappingError(f'{path}: needs a table [{_TABLE}] with lines such as "Nombre" = "first_name"')
    return table


def _unknown(header: Sequence[str], names: set[str], given: Mapping[str, str]) -> list[str]:
    return [name for name in given if name not in header] + [
        name for name in given.values() if name and name not in names
    ]


def _decided(
    header: Sequence[str], columns: Sequence[Column], given: Mapping[str, str], problems: list[str]
) -> dict[str, str]:
    """What the user decided and is possible; the rest becomes a problem."""
    names = {fold(column.name): column.name for column in columns}
    chosen: dict[str, str] = {}
    for wanted, target in given.items():
        if not target and (doubled := [name for name in header if name.startswith(f"{wanted} (column ")]):
            chosen |= dict.fromkeys(doubled, "")
            continue
        name = wanted if wanted in header else _same(wanted, header)
        column = names.get(fold(target)) if target else ""
        if name is None:
            problems.append(f"the source has no column {wanted!r:.60}{_did_you_mean(wanted, header)}")
        if column is None:
            problems.append(f"there is no column {target!r:.60}{_did_you_mean(target, list(names.values()))}")
        if name is not None and column is not None:
            chosen[name] = column
    return chosen


def _same(wanted: str, header: Sequence[str]) -> str | None:
    alike = [name for name in header if fold(name) == fold(wanted)]
    return alike[0] if len(alike) == 1 else None


def _places(header: Sequence[str], chosen: Mapping[str, str], problems: list[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        column = chosen.get(name)
        if column and column in places:
            both = f"{header[places[column]]!r:.60} and {name!r:.60}"
            problems.append(f'{both} both mean {column}; leave one out with --map "{name:.60}="')
        elif column:
            places[column] = place
    return places


def _near(unused: Sequence[str], columns: Sequence[Column]) -> dict[str, str]:
    """Unused name → the open column whose names are most like it, if any is near."""
    known = {
        fold(name): column.name
        for column in reversed(columns)
        for name in (*column.words.last, *column.names, column.name)
    }
    never = {(fold(name), column.name) for column in columns for name in column.words.never}
    found = {}
    for name in unused:
        match = _closest(fold(name), list(known))
        if match and (fold(name), known[match]) not in never:
            found[name] = known[match]
    return found


def _closest(wanted: str, known: Sequence[str]) -> str | None:
    if not wanted or len(wanted) > 200:
        return None
    try:
        from rapidfuzz import fuzz, process
    except ImportError:
        return next(iter(get_close_matches(wanted, known, 1, NEAR / 100)), None)
    best = process.extractOne(wanted, known, scorer=fuzz.ratio, score_cutoff=NEAR)
    return None if best is None else str(best[0])


def _did_you_mean(wanted: str, known: Sequence[str]) -> str:
    folded = {fold(name): name for name in reversed(known)}
    match = _closest(fold(wanted), list(folded))
    if match:
        return f"; did you mean {folded[match]!r:.60}?"
    return f"; it has {', '.join(map(repr, known[:20]))}" if known else ""


def _missing(column: str, suggestions: Mapping[str, str], header: Sequence[str], ways: Sequence[Way]) -> str:
    near = next((name for name, meant in suggestions.items() if meant == column), None)
    if near is not None:
        say = f'Then say --map "{near:.60}={column}", else --map "{near:.60}="'
        return f"{column} is missing; did you mean {near!r:.60}? {say}"
    shown = ", ".join(repr(name)[:60] for name in header[:20])
    others = "".join(f", or what makes it: {' and '.join(way.needs)}" for way in ways if column in way.makes)
    return (
        f'{column} is missing; say which header it is with --map "HEADER={column}"{others}; the first row has {shown}'
    )


def _quoted(text: str) -> str:
    """A text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() or c == " " else f"\\U{ord(c):08x}" for c in escaped) + '"'
