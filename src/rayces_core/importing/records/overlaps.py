"""Appointments of one source that overlap each other.

Rule it guards: the earlier one holds the professional's time, and all else that it needs, and only one that
goes in does: a row that is left out, for whatever reason, keeps nobody out. So a row is told of the very row that it
cannot stand beside. What is of one row, as the occurrences of a series are, goes in together or not at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from rayces_core.importing.staging import Staging

FETCHED: Final = 2000
ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
NOTING: Final = 'COPY faults (row, "column", value, problem, advice) FROM STDIN'
SHOWN: Final = "to_char({} AT TIME ZONE %(zone)s, 'YYYY-MM-DD HH24:MI')"
# Those that begin before another one has ended, and those that they reach into: most sources have none. What
# a row holds is told by numbers, professionals above zero and resources below it.
CROWDED: Final = """
WITH timed AS (
    SELECT r.row, k.key, r.scheduled_at, r.occupied_from, r.occupied_until, max(r.occupied_until) OVER before AS until
      FROM resolved AS r CROSS JOIN LATERAL (
          VALUES (r.professional_id), (r.second_professional_id), (-r.room_id), (-r.device_id)) AS k (key)
     WHERE NOT r.faulty AND r.existing_id IS NULL AND r.professional_id IS NOT NULL AND k.key IS NOT NULL
       AND r.occupied_from < r.occupied_until AND {takes}
    WINDOW before AS (PARTITION BY k.key ORDER BY r.occupied_from, r.row
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), grouped AS (
    SELECT t.*, count(*) FILTER (WHERE until IS NULL OR until <= occupied_from) OVER (
               PARTITION BY key ORDER BY occupied_from, row) AS crowd
      FROM timed AS t
), crowded AS (
    SELECT g.*, count(*) OVER (PARTITION BY key, crowd) AS many FROM grouped AS g
)
SELECT row, array_agg(key), occupied_from, occupied_until, {begins}, {ends},
       NOT EXISTS (SELECT 1 FROM faults AS f WHERE f.row = c.row) AS goes_in, first
  FROM crowded AS c JOIN (SELECT row, min(occupied_from) AS first FROM timed GROUP BY row) AS f USING (row)
 WHERE many > 1
 GROUP BY first, row, occupied_from, occupied_until, scheduled_at ORDER BY first, row, occupied_from
"""


def note_overlaps(staging: Staging, takes: str) -> None:
    """Note each row that overlaps an earlier one which goes in; to be asked when every other fault is known.

    `takes` is a condition on `r`, whether it takes time.
    """
    note(
        staging,
        (
            (
                row,
                "scheduled_at",
                when,
                f"overlaps row {holder}, which holds the {what} until {until}, the buffer included",
                "move one of them, or leave one out",
            )
            for row, when, holder, what, until in overlaps(_crowded(staging, takes))
        ),
    )


def note(staging: Staging, found: Iterable[tuple[int, str, str, str, str]]) -> None:
    """Note faults, each a row, a column, the value, the problem and the advice: all are found before one is noted."""
    with tempfile.TemporaryFile() as faults:
        for each in found:
            faults.write(("\t".join(str(part).translate(ESCAPES) for part in each) + "\n").encode())
        faults.seek(0)
        staging.engine.copy(NOTING, faults)


class Held(NamedTuple):
    """Some time that a row which goes in holds."""

    begins: Any
    ends: Any
    row: int
    until: str


def overlaps(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, str, int, str, str]]:
    """Row, its moment, the row that is in its way, what that holds, and until when; `rows` as CROWDED gives them."""
    holders: dict[int, list[Held]] = {}
    for (row, first), entries in groupby(rows, key=itemgetter(0, -1)):
        own: list[tuple[list[int], Held]] = []
        goes_in = True
        for _, keys, begins, ends, when, until, is_right, _ in entries:
            held = Held(begins, ends, row, until)
            met = next(_met(keys, held, holders, own), None)
            if met is not None:
                key, other = met
                yield row, when, other.row, "professional" if key > 0 else "room or device", other.until
            goes_in = goes_in and is_right and met is None
            own.append((keys, held))
        for keys, held in own if goes_in else ():
            for key in keys:
                # Whatever comes next begins no earlier than this row does, here or elsewhere.
                over = [each for each in holders.get(key, ()) if each.ends > first]
                holders[key] = [*over, held]


def _met(
    keys: list[int], held: Held, holders: dict[int, list[Held]], own: list[tuple[list[int], Held]]
) -> Iterator[tuple[int, Held]]:
    """What holds one of the keys meanwhile, of other rows or of its own one."""
    for key in keys:
        mine = (each for theirs, each in own if key in theirs)
        for other in chain(holders.get(key, ()), mine):
            if held.begins < other.ends and other.begins < held.ends:
                yield key, other


def _crowded(staging: Staging, takes: str) -> Iterator[tuple[Any, ...]]:
    cursor = staging.engine.cursor("crowded")
    cursor.itersize = FETCHED
    shown = {"begins": SHOWN.format("scheduled_at"), "ends": SHOWN.format("occupied_until")}
    cursor.run(CROWDED.format(takes=takes, **shown), staging.parameters)
    yield from cursor
    cursor.close()
