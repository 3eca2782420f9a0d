"""Which series an imported appointment is of: the rule, where it begins, and the occurrence that it is.

Rule it guards: the appointments of one student by one rule from one moment on are one series, whatever batch or run
they come in; each is one of the rule's occurrences, and none is there twice. A row that does not say where its series
begins is all of it, from its own moment on, and goes in whole or not at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from rayces_core.errors import InvalidDataError
from rayces_core.importing import values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.record import Fault, fault, quoted
from rayces_core.importing.records.overlaps import note
from rayces_core.scheduling.recurrence import read, recurrence
from rayces_core.showing import counted

if TYPE_CHECKING:
    from rayces_core.importing.staging import Staging

RULE, STARTS, GROUP_OF = "series_rule", "series_starts_at", "group_session_at"
FOLLOWS, FOLLOWS_FROM = "series_follows_rule", "series_follows_starts_at"
ANY_MOMENT: Final = datetime(2000, 1, 1, tzinfo=UTC)


def rule(value: Any, reading: Reading) -> str:
    """Read an RRULE of RFC 5545, and write its parts as a series keeps them."""
    return recurrence(ANY_MOMENT, reading.zone, rule=values.text(value, reading)).rule


COLUMNS: Final = (
    Column(
        RULE,
        rule,
        about="The RRULE of the series that it is of, such as FREQ=WEEKLY;BYDAY=MO;COUNT=20.",
        in_template=False,
    ),
    Column(
        STARTS,
        values.moment,
        about="The first occurrence of that series; where it is empty the row is all of it, from scheduled_at on.",
        in_template=False,
    ),
    Column(
        "series_time_zone",
        values.text,
        about="Whose wall clock the rule is read by; the organization's where it is empty.",
        in_template=False,
    ),
    Column("series_ends_before", values.moment, about="From when on the series is changed.", in_template=False),
    Column(
        "occurrence_at",
        values.moment,
        about="Which occurrence of the series it is; scheduled_at where it is empty.",
        in_template=False,
    ),
    Column(FOLLOWS, rule, about="The RRULE of the series that this one was split from.", in_template=False),
    Column(FOLLOWS_FROM, values.moment, about="The first occurrence of that one.", in_template=False),
    Column(
        "series_follows_time_zone",
        values.text,
        about="Whose wall clock that one is read by; series_time_zone where it is empty.",
        in_template=False,
    ),
    Column(
        "series_follows_ends_before",
        values.moment,
        about="From when on that one is changed.",
        in_template=False,
    ),
)
TYPES: Final = {
    RULE: "varchar",
    STARTS: "timestamptz",
    "series_time_zone": "varchar",
    "series_ends_before": "timestamptz",
    "occurrence_at": "timestamptz",
    FOLLOWS: "varchar",
    FOLLOWS_FROM: "timestamptz",
    "series_follows_time_zone": "varchar",
    "series_follows_ends_before": "timestamptz",
}
RESOLVED: Final = {**TYPES, "series_id": "bigint", "follows_id": "bigint"}
_ZONE: Final = "coalesce(s.series_time_zone, %(zone)s)"
RESOLVING: Final = (
    f"s.series_rule, s.series_starts_at, CASE WHEN s.series_rule IS NOT NULL THEN {_ZONE} END, s.series_ends_before, "
    "CASE WHEN s.series_rule IS NOT NULL THEN coalesce(s.occurrence_at, s.scheduled_at) END, "
    "s.series_follows_rule, s.series_follows_starts_at, CASE WHEN s.series_follows_rule IS NOT NULL "
    f"THEN coalesce(s.series_follows_time_zone, {_ZONE}) END, s.series_follows_ends_before, NULL::bigint, NULL::bigint"
)


def rules(row: Mapping[str, Any]) -> Iterable[Fault]:
    """What the columns of a series say about each other."""
    starts, ends = row.get(STARTS), row.get("series_ends_before")
    if starts is not None and row.get(RULE) is None:
        yield RULE, f"is missing beside {STARTS}", "fill in both, or neither"
    for name in ("series_time_zone", "series_ends_before", "occurrence_at", FOLLOWS):
        if row.get(name) is not None and row.get(RULE) is None:
            yield name, f"comes without {RULE}", "fill in both, or neither"
    for name in ("series_follows_time_zone", "series_follows_ends_before", FOLLOWS_FROM):
        if row.get(name) is not None and row.get(FOLLOWS) is None:
            yield name, f"comes without {FOLLOWS}", "fill in both, or neither"
    if row.get(FOLLOWS) is not None and row.get(FOLLOWS_FROM) is None:
        yield FOLLOWS_FROM, f"is missing beside {FOLLOWS}", "fill in both, or neither"
    if starts is not None and ends is not None and ends < starts:
        yield "series_ends_before", f"is before {STARTS}", "correct one of the two"
    if row.get(RULE) is not None and starts is None:
        yield from _rules_of_whole(row)


def _rules_of_whole(row: Mapping[str, Any]) -> Iterable[Fault]:
    """What cannot be said of all appointments of a series at once."""
    for name in ("occurrence_at", GROUP_OF, "external_id", "id"):
        if row.get(name) is not None:
            yield name, "is one appointment's, and the row is a whole series", f"empty it, or fill in {STARTS}"
    if row.get("state") in ("executed", "no_show"):
        yield "state", f"is {row['state']}, and the row is a whole series", f"fill in {STARTS}, a row for each session"
    begins, ends = row.get("scheduled_at"), row.get("series_ends_before")
    if begins is not None and ends is not None and ends <= begins:
        yield "series_ends_before", "is not after scheduled_at, so nothing is left of the series", "correct one of them"


# -- whole series -----------------------------------------------------------------------------------------------------

WHOLE: Final = f"""
SELECT s.row, s.series_rule, s.scheduled_at, {_ZONE}, s.series_ends_before FROM staged AS s
 WHERE s.series_rule IS NOT NULL AND s.series_starts_at IS NULL AND s.scheduled_at IS NOT NULL AND NOT s.faulty
 ORDER BY s.row"""


def spread(staging: Staging) -> str | None:
    """Make an entry of `occurrences` for each occurrence of the rows that are whole series; says how many there are.

    A rule that cannot be read is left for `strays`.
    """
    staging.run("CREATE TEMP TABLE occurrences (row bigint, starts_at timestamptz) ON COMMIT DROP")
    rows = occurrences = 0
    with tempfile.TemporaryFile() as file:
        for row, of, starts_at, zone, ends in staging.run(WHOLE).fetchall():
            found = _occurrences(of, starts_at, zone)
            moments = [] if isinstance(found, str) else sorted(each for each in found if ends is None or each < ends)
            file.writelines(f"{row}\t{moment.isoformat()}\n".encode() for moment in moments)
            rows, occurrences = rows + bool(moments), occurrences + len(moments)
        file.seek(0)
        staging.engine.copy("COPY occurrences FROM STDIN", file)
    if not rows:
        return None
    said = "1 row is a whole series" if rows == 1 else f"{rows:,} rows are whole series"
    return f"{said}, of {counted(occurrences, 'appointments')}; it goes in with all of them or not at all"


def spread_out(types: Iterable[str]) -> str:
    """`staged`, whose columns are in `types`, as a table in FROM with a row for each occurrence of a whole series."""
    kept = ", ".join(f"s.{name}" for name in types if name not in ("scheduled_at", STARTS))
    return f"""(
    SELECT s.row, s.faulty, {kept}, coalesce(o.starts_at, s.scheduled_at) AS scheduled_at,
           CASE WHEN s.series_rule IS NOT NULL THEN coalesce(s.series_starts_at, s.scheduled_at) END AS series_starts_at
      FROM staged AS s LEFT JOIN occurrences AS o ON o.row = s.row)"""


# -- making them ------------------------------------------------------------------------------------------------------


def _same(prefix: str) -> str:
    """Whether what a row `r` says is the series `x`."""
    return f"x.rule = r.{prefix}_rule AND x.starts_at = r.{prefix}_starts_at AND x.time_zone = r.{prefix}_time_zone"


# The series that the student of a row `r` has appointments of, and those which they were split from by changes.
_OF_STUDENT: Final = """WITH RECURSIVE its AS (
    SELECT o.series_id AS id FROM appointments AS o
     WHERE o.organization_id = %(tenant)s AND o.student_id = r.student_id AND o.series_id IS NOT NULL
    UNION
    SELECT later.follows_id FROM its
      JOIN appointment_series AS later ON later.organization_id = %(tenant)s AND later.id = its.id
     WHERE later.follows_id IS NOT NULL
)"""


def _known(prefix: str) -> str:
    """The series that the student of a row `r` has appointments of, or had before changes."""
    return f"""
{_OF_STUDENT}
SELECT x.id FROM its JOIN appointment_series AS x ON x.organization_id = %(tenant)s AND x.id = its.id
 WHERE {_same(prefix)} ORDER BY x.id LIMIT 1"""


def _made(prefix: str, column: str) -> str:
    """A statement that makes the series which rows name by these columns, and are not there."""
    names = [f"{prefix}_{name}" for name in ("rule", "starts_at", "time_zone")]
    group = ", ".join(("r.student_id", *(f"r.{name}" for name in names)))
    return f"""
WITH wanted AS (
    SELECT {group}, max(r.{prefix}_ends_before) AS ends_before, row_number() OVER (ORDER BY min(r.row)) AS place
      FROM resolved AS r WHERE r.existing_id IS NULL AND r.{prefix}_rule IS NOT NULL AND r.{column} IS NULL
     GROUP BY {group}
), made AS (
    INSERT INTO appointment_series (organization_id, rule, starts_at, time_zone, ends_before, created_at, updated_at)
    SELECT %(tenant)s, {", ".join(f"w.{name}" for name in names)}, w.ends_before, %(now)s, %(now)s
      FROM wanted AS w ORDER BY w.place RETURNING id
), numbered AS (
    SELECT made.id, row_number() OVER (ORDER BY made.id) AS place FROM made
)
UPDATE resolved AS r SET {column} = numbered.id FROM wanted JOIN numbered USING (place)
 WHERE r.existing_id IS NULL AND r.{column} IS NULL AND r.student_id = wanted.student_id
   AND {" AND ".join(f"r.{name} = wanted.{name}" for name in names)}"""


GROUP: Final = "r.student_id, r.series_rule, r.series_starts_at, r.series_time_zone"
OF_SERIES: Final = "r.existing_id IS NULL AND r.series_rule IS NOT NULL"
FOLLOWING: Final = "r.existing_id IS NULL AND r.series_follows_rule IS NOT NULL"
MAKING: Final = (
    f"UPDATE resolved AS r SET series_id = ({_known('series')}) WHERE {OF_SERIES}",
    _made("series", "series_id"),
    # What a series follows may be of the same batch, there already, or without any appointment.
    f"""UPDATE resolved AS r SET follows_id = x.id FROM (
        SELECT student_id, series_rule AS rule, series_starts_at AS starts_at, series_time_zone AS time_zone,
               min(series_id) AS id
          FROM resolved WHERE series_id IS NOT NULL GROUP BY 1, 2, 3, 4
    ) AS x WHERE {FOLLOWING} AND x.student_id = r.student_id AND {_same("series_follows")}""",
    f"UPDATE resolved AS r SET follows_id = ({_known('series_follows')}) WHERE {FOLLOWING} AND r.follows_id IS NULL",
    _made("series_follows", "follows_id"),
    """UPDATE appointment_series AS x SET follows_id = r.follows_id FROM (
        SELECT series_id, min(follows_id) AS follows_id FROM resolved WHERE follows_id <> series_id GROUP BY series_id
    ) AS r WHERE x.organization_id = %(tenant)s AND x.id = r.series_id AND x.follows_id IS NULL""",
)

# -- what speaks against it -------------------------------------------------------------------------------------------

SHOWN: Final = "to_char(r.occurrence_at AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')"
TWICE: Final = fault(
    "occurrence_at",
    SHOWN,
    "'is the occurrence that row ' || r.first || ' is'",
    quoted("correct one of them, or leave one out"),
    f"""FROM (
        SELECT r.row, r.occurrence_at, r.series_rule, min(r.row) OVER (PARTITION BY {GROUP}, r.occurrence_at) AS first
          FROM resolved AS r WHERE NOT r.faulty AND r.existing_id IS NULL
    ) AS r WHERE r.series_rule IS NOT NULL AND r.first < r.row""",
)
TAKEN: Final = fault(
    "occurrence_at",
    SHOWN,
    quoted("another appointment is this occurrence of the series"),
    quoted("correct it, or leave the row out"),
    f"""FROM resolved AS r WHERE r.series_rule IS NOT NULL AND r.existing_id IS NULL AND NOT r.faulty AND EXISTS (
        SELECT 1 FROM appointments AS o
          JOIN appointment_series AS x ON x.organization_id = %(tenant)s AND x.id = o.series_id
         WHERE o.organization_id = %(tenant)s AND o.student_id = r.student_id AND o.occurrence_at = r.occurrence_at
           AND {_same("series")})""",
)
# What a file of before the change has: at its old time it would stand beside what the change has moved.
CHANGED: Final = fault(
    "occurrence_at",
    SHOWN,
    "'the series was changed here from ' || to_char(x.ends_before AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI') "
    "|| ' on'",
    quoted("leave it out, or say in series_ends_before until when the series is as the file has it"),
    f"""FROM resolved AS r CROSS JOIN LATERAL (
        {_OF_STUDENT}
        SELECT min(x.ends_before) AS ends_before
          FROM its JOIN appointment_series AS x ON x.organization_id = %(tenant)s AND x.id = its.id
         WHERE {_same("series")}
    ) AS x
    WHERE r.series_rule IS NOT NULL AND r.existing_id IS NULL AND NOT r.faulty AND r.occurrence_at >= x.ends_before
      AND (r.series_ends_before IS NULL OR r.series_ends_before > x.ends_before)""",
)
ASKED: Final = """
SELECT r.row, r.series_rule, r.series_starts_at, r.series_time_zone, r.occurrence_at FROM resolved AS r
 WHERE r.series_rule IS NOT NULL AND NOT r.faulty AND r.existing_id IS NULL ORDER BY r.row"""
FETCHED: Final = 2000
ADVICE: Final = "correct one of the two"


def note_strays(staging: Staging) -> None:
    """Note each row that is no occurrence of its rule, and each whose rule has none."""
    note(staging, strays(staging))


def strays(staging: Staging) -> Iterator[tuple[int, str, str, str, str]]:
    """The faults, as `note` takes them."""
    cursor = staging.engine.cursor("of_series")
    cursor.itersize = FETCHED
    cursor.run(ASKED)
    for row, of, starts_at, zone, occurrence in cursor:
        problem = _occurrences(of, starts_at, zone)
        if isinstance(problem, str):
            yield row, RULE, of, problem, ADVICE
        elif occurrence not in problem:
            yield row, "occurrence_at", occurrence.isoformat(), f"is no occurrence of {of} from {starts_at}", ADVICE
    cursor.close()


@lru_cache(maxsize=256)
def _occurrences(of: str, starts_at: datetime, zone: str) -> frozenset[datetime] | str:
    """The moments of a series, or why there are none."""
    try:
        return frozenset(read(of, starts_at, zone).starts())
    except InvalidDataError as error:
        return error.reason
