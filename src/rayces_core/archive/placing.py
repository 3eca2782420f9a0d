"""Puts an archive's rows into the tables: staged as they are, then written set by set with new ids.

Rule it guards: a new id is known by the order in which ids are given out, so the rows of a table, by place, get ids in
the same order, and every place that a row names becomes the id of just that row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rayces_core.archive.layout import BEFORE_COMPLETED, MADE_ANEW
from rayces_core.archive.reading import Archive
from rayces_core.archive.snapshot import bound_organization
from rayces_core.archive.tables import NOT_LOADED, Table, alias, quoted
from rayces_core.archive.writing import Progress
from rayces_core.database.binding import current
from rayces_core.errors import ArchiveError

# A table that was filled a moment ago has no statistics, and the planner would join it row by row.
_PLAN: Final = "SET LOCAL enable_nestloop = off"
# What a host's trigger may look at, so that it does not note again what the archive has noted already.
RESTORING: Final = "rayces.restoring"


def place(archive: Archive, tables: tuple[Table, ...], progress: Progress | None) -> None:
    """Write every row of the archive for the bound tenant, which has none; to be called within a unit of work.

    Raises:
        ArchiveError: a row names another that is not in the archive. ConstraintError, InvalidDataError: the database
            refuses a row.
    """
    _run(_PLAN)
    current().engine.run_prepared(f"SET LOCAL {RESTORING} TO 'on'", ())
    for table in tables:
        _stage(archive, table, progress)
        _check_places(archive, table)
        _run(_insert_sql(table), organization_id=bound_organization())
    for table in tables:
        if table.later:
            _run(_complete_sql(table), organization_id=bound_organization())


def place_of(table: str, row_id: int) -> int:
    """The place in the archive of a row that `place` has written, within the same unit of work."""
    return int(_run(f"SELECT place FROM {_ids(table)} WHERE id = %(id)s", id=row_id).fetchone()[0])


def _stage(archive: Archive, table: Table, progress: Progress | None) -> None:
    columns = [_staged_column(table, column) for column in table.columns]
    if table.place:
        columns.insert(0, f"NULL::bigint AS {quoted(table.place)}")
    empty = f"SELECT {', '.join(columns)} FROM {table.sql} WITH NO DATA"
    _run(f"CREATE TEMP TABLE {_staged(table.name)} ON COMMIT DROP AS {empty}")
    if table.place:
        _run(f"CREATE TEMP TABLE {_ids(table.name)} (place bigint, id bigint) ON COMMIT DROP")
    done, total = 0, archive.manifest.tables[table.name].rows
    rows = f"json_populate_recordset(NULL::{_staged(table.name)}, %(rows)s)"
    for lines in archive.batches(table.name):
        _run(f"INSERT INTO {_staged(table.name)} SELECT * FROM {rows}", rows=f"[{','.join(lines)}]")
        done += len(lines)
        if progress:
            progress(table.name, done, total)


def _staged_column(table: Table, column: str) -> str:
    """A column of what is staged: places of rows as they are counted, what is carried as a text as one."""
    kind = "bigint" if column in table.references else "text" if column in table.texts else ""
    return f"NULL::{kind} AS {quoted(column)}" if kind else quoted(column)


def _check_places(archive: Archive, table: Table) -> None:
    rows = archive.manifest.rows
    place = f"s.{quoted(table.place)}" if table.place else "row_number() OVER ()"
    numbers = f"SELECT {place} AS place FROM {_staged(table.name)} AS s"
    own = f"SELECT count(DISTINCT place), coalesce(min(place), 1), coalesce(max(place), 0) FROM ({numbers}) AS p"
    if _run(own).fetchone() != (rows[table.name], 1, rows[table.name]):
        raise ArchiveError(f"{archive.name}: the rows of {table.name} are not numbered from 1; take another copy")
    for (column,) in _run(_TIMES, staged=_staged(table.name).replace("%%", "%")).fetchall():
        _refuse_times(archive, table, column)
    for column, target in table.references.items():
        _refuse(archive, table, column, f"{quoted(column)} NOT BETWEEN 1 AND {rows[target]}")
    if table.is_journal:
        subjects = table.subjects.items()
        there = " OR ".join(
            f"(subject_type = '{kind}' AND subject_id BETWEEN 1 AND {rows[name]})" for kind, name in subjects
        )
        _refuse_unknown(archive, table)
        _refuse(archive, table, "subject_id", f"subject_id >= 0 AND NOT ({there})")


def _refuse_unknown(archive: Archive, table: Table) -> None:
    unknown = f"SELECT id, subject_type FROM {_staged(table.name)} WHERE subject_id >= 0"
    found = _run(
        f"{unknown} AND subject_type <> ALL(%(known)s) ORDER BY id LIMIT 1", known=list(table.subjects)
    ).fetchone()
    if found:
        where = f"{archive.name}: {table.name}, row {found[0]}"
        raise ArchiveError(f"{where}: the journal tells of {found[1]}: {NOT_LOADED}")


# PostgreSQL has days before the year 1, after 9999 and infinite ones; Python cannot read a row that has one.
_TIMES: Final = """
SELECT attname::text FROM pg_attribute WHERE attrelid = %(staged)s::regclass AND attnum > 0
   AND atttypid IN ('date'::regtype, 'timestamptz'::regtype) ORDER BY attnum
"""


def _refuse_times(archive: Archive, table: Table, column: str) -> None:
    beyond = f"{quoted(column)} NOT BETWEEN '0001-01-02' AND '9999-12-30'"
    if table.is_host:  # a day without end may be what the host means
        beyond += f" AND isfinite({quoted(column)})"
    found = _run(f"{_first(table)} WHERE {beyond} ORDER BY 1 LIMIT 1").fetchone()
    if found:
        raise ArchiveError(f"{archive.name}: {table.name}, row {found[0]}: {column} is no day of the calendar")


def _refuse(archive: Archive, table: Table, column: str, condition: str) -> None:
    found = _run(f"{_first(table)} WHERE {condition} ORDER BY 1 LIMIT 1").fetchone()
    if found:
        raise ArchiveError(
            f"{archive.name}: {table.name}, row {found[0]}: {column} names a row that is not in the archive; "
            "take another copy"
        )


def _first(table: Table) -> str:
    """SELECT of what a row is called in a message."""
    keys = [f"{quoted(column)}::text" for column in table.order]
    own = quoted(table.place) if table.place else f"concat_ws(' ', {', '.join(keys) or 'NULL'})"
    return f"SELECT {own} FROM {_staged(table.name)}"


def _insert_sql(table: Table) -> str:
    anew = MADE_ANEW.get(table.name, {})
    columns = [column for column in table.columns if column not in table.later]
    values, sources = _values(table, columns)
    before = BEFORE_COMPLETED.get(table.name, {})
    values = [before.get(column, value) for column, value in zip(columns, values, strict=True)]
    into = ", ".join(("organization_id", *(quoted(column) for column in (*columns, *anew))))
    inserting = f"""
            INSERT INTO {table.sql} ({into}) {"OVERRIDING SYSTEM VALUE" if table.overriding else ""}
            SELECT {", ".join(("%(organization_id)s::bigint", *values, *anew.values()))}
              FROM {_staged(table.name)} AS s {" ".join(sources)}"""
    if table.place is None or table.key is None:
        return inserting
    # Ordered, so that ids are given out in the order of the places.
    key = quoted(table.key)
    return f"""
        WITH made AS ({inserting} ORDER BY s.{quoted(table.place)} RETURNING {key} AS id)
        INSERT INTO {_ids(table.name)} (place, id) SELECT row_number() OVER (ORDER BY id), id FROM made"""


def _values(table: Table, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """What goes into columns, over the staged rows `s`, and the joins that it takes."""
    joins = {column: f"r{number}" for number, column in enumerate(table.references) if column in columns}
    values = [f"{joins[column]}.id" if column in joins else _value(table, column) for column in columns]
    sources = [
        f"LEFT JOIN {_ids(table.references[column])} AS {name} ON {name}.place = s.{quoted(column)}"
        for column, name in joins.items()
    ]
    if table.is_journal and "subject_id" in columns:
        sources += [
            f"LEFT JOIN {_ids(name)} AS s{number} ON s{number}.place = s.subject_id AND s.subject_type = '{kind}'"
            for number, (kind, name) in enumerate(table.subjects.items())
        ]
    return values, sources


def _value(table: Table, column: str) -> str:
    if table.is_journal and column == "subject_id":
        named = ", ".join(f"s{number}.id" for number in range(len(table.subjects)))
        return f"coalesce({named}, s.subject_id)"
    kind = table.texts.get(column, "").replace("%", "%%")
    return f"s.{quoted(column)}{f'::{kind}' if kind else ''}"


def _complete_sql(table: Table) -> str:
    known = () if table.place else table.order
    written = (*table.later, *BEFORE_COMPLETED.get(table.name, ()))
    values, sources = _values(table, (*known, *written))
    shown = ", ".join(f"{value} AS {quoted(name)}" for name, value in zip((*known, *written), values, strict=True))
    if table.place and table.key:
        sources.append(f"JOIN {_ids(table.name)} AS ids ON ids.place = s.{quoted(table.place)}")
        shown, same = f"ids.id AS made_id, {shown}", f"t.{quoted(table.key)} = new.made_id"
    else:
        same = " AND ".join(f"t.{quoted(column)} = new.{quoted(column)}" for column in known) or "true"
    said = " OR ".join(f"s.{quoted(column)} IS NOT NULL" for column in table.later)
    return f"""
        UPDATE {table.sql} AS t SET {", ".join(f"{quoted(column)} = new.{quoted(column)}" for column in written)}
          FROM (SELECT {shown} FROM {_staged(table.name)} AS s {" ".join(sources)} WHERE {said}) AS new
         WHERE t.organization_id = %(organization_id)s AND {same}"""


def _run(sql: str, **values: Any) -> Any:
    # Names have their % doubled, as a statement with values needs them.
    return current().engine.execute_sql(sql if values else sql.replace("%%", "%"), values or None)


def _staged(name: str) -> str:
    return alias(name, "archived")


def _ids(name: str) -> str:
    return alias(name, "archived_ids")
