"""Which row of the table each staged row is, and what speaks against it; over the tables of a Staging."""

from __future__ import annotations

from typing import Final

from rayces_core.importing.external_keys import of_external_ids
from rayces_core.importing.knowing import EXTERNAL, ID, Knowing
from rayces_core.importing.record import Record, fault, quoted
from rayces_core.importing.staging import Staging

LEAVE_IDS_OUT: Final = 'where the ids are not of this organization, leave them out with --map "id="'
GIVEN: Final = "SELECT count(*), count(existing_id) FROM resolved WHERE given_id IS NOT NULL AND NOT faulty"
# A row and the one of the table that it is.
OWN: Final = "FROM resolved AS r JOIN {record.table} AS t ON t.{record.owner} = %(tenant)s AND t.id = r.existing_id"
LEAVE_OUT: Final = "leave one of them out"
SHOWN: Final = 3


def find(staging: Staging) -> list[str]:
    """Find the rows that are there already, by their ids first; returns what is to be told."""
    record, knowing = staging.record, staging.knowing
    notes = _find_by_id(staging) if knowing.has_ids else []
    staging.match()
    statements = of_external_ids(record, knowing) if knowing.has_external_ids else []
    if (knowing.has_ids or knowing.by_external_id) and not (knowing.key and record.renaming):
        statements.append(_is_another(record, knowing))
    elif knowing.key == ID:
        statements.append(_becomes_another(record))
    for statement in statements:
        staging.run(statement)
    return notes


def _find_by_id(staging: Staging) -> list[str]:
    staging.match_ids()
    given, found = staging.run(GIVEN).fetchone()
    if given and not found and staging.knowing.key is None:
        # A file of elsewhere: an export of another organization, or a list with numbers of its own.
        staging.run("UPDATE resolved SET given_id = NULL")
        told = f"none of the ids in the column 'id' is of this organization's {staging.record.name}"
        return [f"{told}, so rows are known by what they are called"]
    staging.run(_unknown(staging.record))
    return []


def _unknown(record: Record) -> str:
    return fault(
        ID,
        "s.id",
        quoted(f"no {record.singular} of this organization has this id"),
        quoted(f"empty the id to have the row as a new one; {LEAVE_IDS_OUT}"),
        "FROM resolved AS r JOIN staged AS s ON s.row = r.row "
        "WHERE r.given_id IS NOT NULL AND r.existing_id IS NULL AND NOT r.faulty",
    )


def _is_another(record: Record, knowing: Knowing) -> str:
    """Whoever has the id or the key here is called otherwise, and may not be renamed."""
    allowed = 'to correct what it is called, give --key id (key="id"); ' if record.renaming else ""
    key, advice = ("key", "correct the row, or leave it out") if knowing.by_external_id else ("id", LEAVE_IDS_OUT)
    return fault(
        EXTERNAL if knowing.by_external_id else ID,
        "t.external_id" if knowing.by_external_id else "r.given_id",
        f"{quoted(f'is here the {key} of the {record.singular} ')} || {record.name_of}",
        quoted(f"{allowed}{advice}"),
        f"{OWN.format(record=record)} WHERE r.certain AND NOT coalesce({record.called or record.matching}, true)",
    )


def _becomes_another(record: Record) -> str:
    """The row would be called as another one is."""
    return fault(
        next(iter(record.renaming)),
        "r.given_id",
        "'another one is called so already: id ' || other.id",
        quoted("correct it, or leave the row out"),
        f"""FROM (
            SELECT r.row, t.id FROM resolved AS r
              JOIN {record.table} AS t ON t.{record.owner} = %(tenant)s AND {record.matching}
             WHERE r.certain AND t.id <> r.existing_id
        ) AS other JOIN (SELECT r.* {OWN.format(record=record)}
             WHERE NOT coalesce({record.called or record.matching}, true)) AS r ON r.row = other.row""",
    )


def note_repetitions(staging: Staging) -> None:
    """Note the rows that the source has twice: two that are the same row here, or would become one."""
    record, knowing = staging.record, staging.knowing
    if knowing.has_external_ids:
        _note_same(staging, "r.external_id", EXTERNAL, "true")
    if not knowing.by_external_id:
        advice = f"{LEAVE_OUT}, or give --key external_id to go by that" if knowing.has_external_ids else LEAVE_OUT
        if record.key == "reference":
            advice = f"{LEAVE_OUT}; two purchases of one day need a reference each"
        _note_same(staging, record.same_key, record.key, "NOT all_certain", advice)
    if knowing.has_ids or knowing.by_external_id:
        _note_same(staging, "r.existing_id", knowing.key or ID, "true")
        if record.unique:
            _note_same(staging, record.unique, record.key, "true")


def _note_same(staging: Staging, same: str, column: str, condition: str, advice: str = LEAVE_OUT) -> None:
    staging.run(
        f"""
        INSERT INTO faults
        SELECT d.row, %(column)s, '', 'is the same as row ' || d.first, %(advice)s
          FROM (
            SELECT r.row, min(r.row) OVER same AS first, bool_and(r.certain) OVER same AS all_certain
              FROM resolved AS r WHERE NOT r.faulty AND ROW({same}) IS NOT NULL
            WINDOW same AS (PARTITION BY {same})
          ) AS d WHERE d.row > d.first AND {condition}
           AND NOT EXISTS (
               SELECT 1 FROM faults AS f WHERE f.row = d.row AND f.problem = 'is the same as row ' || d.first)
        """,
        column=column,
        advice=advice,
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
        SELECT r.row, {knowing.spellings(record)}, {record.name_of}, count(*) OVER ()
          {OWN.format(record=record)}
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
