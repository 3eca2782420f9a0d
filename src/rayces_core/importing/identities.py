"""Which row of the table each staged row is, and what speaks against it; over the tables of a Staging."""

from __future__ import annotations

from typing import Final

from rayces_core.importing.record import Record, fault, quoted
from rayces_core.importing.staging import Staging

LEAVE_IDS_OUT: Final = 'where the ids are not of this organization, leave them out with --map "id="'
GIVEN: Final = "SELECT count(*), count(existing_id) FROM resolved WHERE given_id IS NOT NULL AND NOT faulty"
SHOWN: Final = 3


def find(staging: Staging) -> list[str]:
    """Find the rows that are there already, by their ids first; returns what is to be told."""
    notes = _find_by_id(staging) if staging.knowing.has_ids else []
    staging.match()
    return notes


def _find_by_id(staging: Staging) -> list[str]:
    staging.match_ids()
    given, found = staging.run(GIVEN).fetchone()
    if given and not found and staging.knowing.key is None:
        # A file of elsewhere: an export of another organization, or a list with numbers of its own.
        staging.run("UPDATE resolved SET given_id = NULL")
        told = f"none of the ids in the column 'id' is of this organization's {staging.record.name}"
        return [f"{told}, so rows are known by what they are called"]
    for statement in (_unknown(staging.record), *_renamed(staging)):
        staging.run(statement)
    return []


def _unknown(record: Record) -> str:
    return fault(
        "id",
        "s.id",
        quoted(f"no {record.singular} of this organization has this id"),
        quoted(f"empty the id to have the row as a new one; {LEAVE_IDS_OUT}"),
        "FROM resolved AS r JOIN staged AS s ON s.row = r.row "
        "WHERE r.given_id IS NOT NULL AND r.existing_id IS NULL AND NOT r.faulty",
    )


def _renamed(staging: Staging) -> list[str]:
    record = staging.record
    called = record.called or record.matching
    own = f"FROM resolved AS r JOIN {record.table} AS t ON t.{record.owner} = %(tenant)s AND t.id = r.existing_id"
    if staging.knowing.key is None or not record.renaming:
        allowed = 'to correct what it is called, give --key id (key="id"); ' if record.renaming else ""
        return [
            fault(
                "id",
                "r.given_id",
                f"{quoted(f'is here the id of the {record.singular} ')} || {record.name_of}",
                quoted(f"{allowed}{LEAVE_IDS_OUT}"),
                f"{own} WHERE r.certain AND NOT coalesce({called}, true)",
            )
        ]
    return [
        fault(
            next(iter(record.renaming)),
            "r.given_id",
            f"{quoted('another one is called so already: id ')} || other.id",
            quoted("correct it, or leave the row out"),
            f"""FROM (
                SELECT r.row, r.given_id, r.existing_id, t.id
                  FROM resolved AS r JOIN {record.table} AS t ON t.{record.owner} = %(tenant)s AND {record.matching}
                 WHERE r.certain AND t.id <> r.existing_id
            ) AS other JOIN resolved AS r ON r.row = other.row
              JOIN {record.table} AS t ON t.{record.owner} = %(tenant)s AND t.id = r.existing_id
             WHERE NOT coalesce({called}, true)""",
        )
    ]


def note_repetitions(staging: Staging) -> None:
    """Note the rows that the source has twice: two that are the same row here, or would become one."""
    record = staging.record
    _note_same(staging, record.same_key, record.key, "NOT all_certain")
    if staging.knowing.has_ids:
        _note_same(staging, "r.existing_id", "id", "true")
        if record.unique:
            _note_same(staging, record.unique, record.key, "all_certain")


def _note_same(staging: Staging, same: str, column: str, condition: str) -> None:
    staging.run(
        f"""
        INSERT INTO faults
        SELECT d.row, %(column)s, '', 'is the same as row ' || d.first, 'leave one of them out'
          FROM (
            SELECT r.row, min(r.row) OVER same AS first, bool_and(r.certain) OVER same AS all_certain
              FROM resolved AS r WHERE NOT r.faulty AND ROW({same}) IS NOT NULL
            WINDOW same AS (PARTITION BY {same})
          ) AS d WHERE d.row > d.first AND {condition}
           AND NOT EXISTS (
               SELECT 1 FROM faults AS f WHERE f.row = d.row AND f.problem = 'is the same as row ' || d.first)
        """,
        column=column,
    )


def note_emptied(staging: Staging) -> None:
    """Note the rows that would clear what no row can be without."""
    for name, column in staging.knowing.never_empty(staging.record):
        staging.run(
            fault(
                column,
                "''",
                quoted("is empty, and none can be without it"),
                quoted("fill it in, or leave the column out"),
                f"FROM resolved AS r WHERE r.existing_id IS NOT NULL AND r.{name} IS NULL AND NOT r.faulty",
            )
        )


def spelled_otherwise(staging: Staging) -> list[str]:
    """Tell of the rows that are there in another spelling, where it stays as it is."""
    record, knowing = staging.record, staging.knowing
    if not record.renaming or knowing.corrects_names:
        return []
    rows = staging.run(
        f"""
        SELECT r.row, {knowing.spellings(record)}, {record.name_of}, count(*) OVER () FROM resolved AS r
          JOIN {record.table} AS t ON t.{record.owner} = %(tenant)s AND t.id = r.existing_id
         WHERE NOT r.faulty AND {knowing.spellings(record)} <> ''
           AND NOT EXISTS (SELECT 1 FROM faults AS f WHERE f.row = r.row) ORDER BY r.row LIMIT {SHOWN}
        """
    ).fetchall()
    if not rows:
        return []
    shown = "; ".join(f"row {row}: {said!r}, here {held!r}" for row, said, held, _ in rows)
    count = rows[0][3]
    differ = "row differs" if count == 1 else "rows differ"
    more = "; …" if count > len(rows) else ""
    told = f"{count:,} {differ} from what is there in capitals, accents or blanks only, and changes nothing"
    return [f"{told} ({shown}{more}); --update (update=True) corrects it"]
