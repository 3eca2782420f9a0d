"""Appointments of one source that overlap each other.

Rule it guards: the earlier one holds the professional's time, and only one that goes in does: a row that is left out,
for whatever reason, keeps nobody out. So a row is told of the very row that it cannot stand beside.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from rayces_core.models.appointment import OCCUPYING_SQL

if TYPE_CHECKING:
    from rayces_core.importing.staging import Staging

FETCHED: Final = 2000
NOTING: Final = 'COPY faults (row, "column", value, problem, advice) FROM STDIN'
SHOWN: Final = "to_char({} AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')"
# Those that begin before another one has ended, and those that they reach into: most sources have none.
CROWDED: Final = f"""
WITH timed AS (
    SELECT r.row, r.professional_id, r.scheduled_at, r.occupied_until, max(r.occupied_until) OVER before AS until
      FROM resolved AS r
     WHERE NOT r.faulty AND r.existing_id IS NULL AND r.professional_id IS NOT NULL
       AND r.scheduled_at < r.occupied_until AND coalesce(r.state, 'draft') IN ({OCCUPYING_SQL})
    WINDOW before AS (PARTITION BY r.professional_id ORDER BY r.scheduled_at, r.row
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), grouped AS (
    SELECT t.*, count(*) FILTER (WHERE until IS NULL OR until <= scheduled_at) OVER (
               PARTITION BY professional_id ORDER BY scheduled_at, row) AS crowd
      FROM timed AS t
), crowded AS (
    SELECT g.*, count(*) OVER (PARTITION BY professional_id, crowd) AS many FROM grouped AS g
)
SELECT row, professional_id, scheduled_at, occupied_until, {SHOWN.format("scheduled_at")},
       {SHOWN.format("occupied_until")},
       NOT EXISTS (SELECT 1 FROM faults AS f WHERE f.row = c.row) AS goes_in
  FROM crowded AS c WHERE many > 1 ORDER BY professional_id, scheduled_at, row
"""


def note_overlaps(staging: Staging) -> None:
    """Note each row that overlaps an earlier one which goes in; to be asked when every other fault is known."""
    with tempfile.TemporaryFile() as faults:
        for row, when, holder, until in overlaps(_crowded(staging)):
            problem = f"overlaps row {holder}, which holds the professional until {until}, the buffer included"
            told = f"{row}\tscheduled_at\t{when}\t{problem}\tmove one of them, or leave one out\n"
            faults.write(told.encode())
        faults.seek(0)
        staging.engine.copy(NOTING, faults)


def overlaps(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, str, int, str]]:
    """Row, its moment, the row that holds that time, and until when; `rows` as CROWDED gives them."""
    professional = held_until = None
    holder, shown_until = 0, ""
    for row, whose, begins, ends, when, until, goes_in in rows:
        if whose == professional and held_until is not None and begins < held_until:
            yield row, when, holder, shown_until
        elif goes_in:
            professional, held_until, holder, shown_until = whose, ends, row, until


def _crowded(staging: Staging) -> Iterator[tuple[Any, ...]]:
    cursor = staging.engine.cursor("crowded")
    cursor.itersize = FETCHED
    cursor.run(CROWDED, staging.parameters)
    yield from cursor
    cursor.close()
