"""Puts an archive's rows into the tables: staged as they are, then written set by set with new ids.

Rule it guards: a new id is known by the order in which ids are given out, so the rows of a table, by place, get ids in
the same order, and every place that a row names becomes the id of just that row.
"""

from __future__ import annotations

from typing import Any, Final

from rayces_core.archive.layout import COMPLETED_LATER, MADE_ANEW, SUBJECTS, Table
from rayces_core.archive.reading import Archive
from rayces_core.archive.snapshot import bound_organization
from rayces_core.archive.writing import Progress
from rayces_core.database.binding import current
from rayces_core.errors import ArchiveError

# A table that was filled a moment ago has no statistics, and the planner would join it row by row.
_PLAN: Final = "SET LOCAL enable_nestloop = off"


def place(archive: Archive, tables: tuple[Table, ...], progress: Progress | None) -> None:
    """Write every row of the archive for the bound tenant, which has none; to be called within a unit of work.

    Raises:
        ArchiveError: a row names another that is not in the archive. ConstraintError, InvalidDataError: the database
            refuses a row.
    """
    _run(_PLAN)
    for table in tables:
        _stage(archive, table, progress)
        _check_places(archive, table)
        _run(_insert_sql(table), organization_id=bound_organization())
    for table in tables:
        if later := COMPLETED_LATER.get(table.name):
            _run(_complete_sql(table, later), organization_id=bound_organization())


def place_of(table: str, row_id: int) -> int:
    """The place in the archive of a row that `place` has written, within the same unit of work."""
    return int(_run(f"SELECT place FROM {_ids(table)} WHERE id = %(id)s", id=row_id).fetchone()[0])


def _stage(archive: Archive, table: Table, progress: Progress | None) -> None:
    columns = ", ".join(_quoted(column) for column in ("id", *table.columns))
    empty = f"SELECT {columns} FROM {_quoted(table.name)} WITH NO DATA"
    _run(f"CREATE TEMP TABLE {_staged(table.name)} ON COMMIT DROP AS {empty}")
    _run(f"CREATE TEMP TABLE {_ids(table.name)} (place bigint, id bigint) ON COMMIT DROP")
    done, total = 0, archive.manifest.tables[table.name].rows
    rows = f"json_populate_recordset(NULL::{_staged(table.name)}, %(rows)s)"
    for lines in archive.batches(table.name):
        _run(f"INSERT INTO {_staged(table.name)} SELECT * FROM {rows}", rows=f"[{','.join(lines)}]")
        done += len(lines)
        if progress:
            progress(table.name, done, total)


def _check_places(archive: Archive, table: Table) -> None:
    rows = archive.manifest.rows
    own = f"SELECT count(DISTINCT id), coalesce(min(id), 1), coalesce(max(id), 0) FROM {_staged(table.name)}"
    if _run(own).fetchone() != (rows[table.name], 1, rows[table.name]):
        raise ArchiveError(f"{archive.name}: the rows of {table.name} are not numbered from 1; take another copy")
    for (column,) in _run(_TIMES, staged=_staged(table.name)).fetchall():
        _refuse_times(archive, table, column)
    for column, target in table.references.items():
        _refuse(archive, table, column, f"{_quoted(column)} NOT BETWEEN 1 AND {rows[target]}")
    if table.is_journal:
        there = " OR ".join(
            f"(subject_type = '{kind}' AND subject_id BETWEEN 1 AND {rows[name]})" for kind, name in SUBJECTS.items()
        )
        _refuse(archive, table, "subject_id", f"subject_id >= 0 AND NOT ({there})")


# PostgreSQL has days before the year 1, after 9999 and infinite ones; Python cannot read a row that has one.
_TIMES: Final = """
SELECT attname::text FROM pg_attribute WHERE attrelid = %(staged)s::regclass AND attnum > 0
   AND atttypid IN ('date'::regtype, 'timestamptz'::regtype) ORDER BY attnum
"""


def _refuse_times(archive: Archive, table: Table, column: str) -> None:
    beyond = f"{_quoted(column)} NOT BETWEEN '0001-01-02' AND '9999-12-30'"
    found = _run(f"SELECT id FROM {_staged(table.name)} WHERE {beyond} ORDER BY id LIMIT 1").fetchone()
    if found:
        raise ArchiveError(f"{archive.name}: {table.name}, row {found[0]}: {column} is no day of the calendar")


def _refuse(archive: Archive, table: Table, column: str, condition: str) -> None:
    found = _run(f"SELECT id FROM {_staged(table.name)} WHERE {condition} ORDER BY id LIMIT 1").fetchone()
    if found:
        raise ArchiveError(
            f"{archive.name}: {table.name}, row {found[0]}: {column} names a row that is not in the archive; "
            "take another copy"
        )


def _insert_sql(table: Table) -> str:
    anew = MADE_ANEW.get(table.name, {})
    columns = [column for column in table.columns if column not in COMPLETED_LATER.get(table.name, ())]
    joins = {column: f"r{number}" for number, column in enumerate(table.references)}
    values = [f"{joins[column]}.id" if column in joins else _value(table, column) for column in columns]
    sources = [
        f"LEFT JOIN {_ids(name)} AS {joins[column]} ON {joins[column]}.place = s.{_quoted(column)}"
        for column, name in table.references.items()
    ]
    # Ordered, so that ids are given out in the order of the places.
    return f"""
        WITH made AS (
            INSERT INTO {_quoted(table.name)}
                (organization_id, {", ".join(_quoted(column) for column in (*columns, *anew))})
            SELECT %(organization_id)s::bigint, {", ".join((*values, *anew.values()))}
              FROM {_staged(table.name)} AS s {" ".join((*sources, *_subjects(table)))} ORDER BY s.id
            RETURNING id
        ) INSERT INTO {_ids(table.name)} (place, id) SELECT row_number() OVER (ORDER BY id), id FROM made"""


def _value(table: Table, column: str) -> str:
    if not (table.is_journal and column == "subject_id"):
        return f"s.{_quoted(column)}"
    named = ", ".join(f"s{number}.id" for number in range(len(SUBJECTS)))
    return f"coalesce({named}, s.subject_id)"


def _subjects(table: Table) -> list[str]:
    if not table.is_journal:
        return []
    return [
        f"LEFT JOIN {_ids(name)} AS s{number} ON s{number}.place = s.subject_id AND s.subject_type = '{kind}'"
        for number, (kind, name) in enumerate(SUBJECTS.items())
    ]


def _complete_sql(table: Table, later: tuple[str, ...]) -> str:
    return f"""
        UPDATE {_quoted(table.name)} AS t SET {", ".join(f"{column} = s.{column}" for column in later)}
          FROM {_staged(table.name)} AS s JOIN {_ids(table.name)} AS ids ON ids.place = s.id
         WHERE t.organization_id = %(organization_id)s AND t.id = ids.id"""


def _run(sql: str, **values: Any) -> Any:
    return current().engine.execute_sql(sql, values)


def _staged(name: str) -> str:
    return f'"archived_{name}"'


def _ids(name: str) -> str:
    return f'"archived_{name}_ids"'


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
