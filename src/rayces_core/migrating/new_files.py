"""A new migration's file: empty, or what a host's tables lack of its models, for somebody to read and change.

Rule it guards: a file is shown and never applied by itself; nothing that is there is overwritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rayces_core.errors import MigrationFileError
from rayces_core.migrating.files import read_directory
from rayces_core.migrating.lacking import Lack, index_of
from rayces_core.migrating.modelled import ModelledTable, is_numbered
from rayces_core.migrations.tenant_tables import Parent

_SLUG = re.compile(r"[a-z0-9_]+")
_TEXT = '''"""{sentence}"""

from rayces_core.migrations import {names}

REQUIRES = "{requires:03}"
{by_itself}

def migrate(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
{up}


def rollback(migrator: Migrator, database: MigrationDatabase, *, fake: bool = False) -> None:
{down}
'''
# What a file imports → what it is for.
_IMPORTED = {
    "MigrationDatabase": "",
    "MigrationError": "MigrationError(",
    "Migrator": "",
    "Parent": "Parent(",
    "backfill": "(backfill,",
}
_BY_ITSELF = (
    "# Each statement commits by itself, so that keys and indexes are made beside the application.\nATOMIC = False\n"
)
_EMPTY = '    migrator.sql("""\n        SELECT 1\n    """)'
_STAMP = "timestamptz DEFAULT now() NOT NULL"


def new_file(directory: str | Path, name: str, text: str) -> Path:
    """Write the next migration of a directory, which is made if it is missing; returns the file.

    Raises:
        MigrationFileError: the name is no migration's, or the directory has what is no migration.
    """
    slug = name.lower().replace(" ", "_").replace("-", "_")
    if not _SLUG.fullmatch(slug):
        raise MigrationFileError(f"{name!r} is no name of a migration: small letters, digits and _, as in add_rooms")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    number = max((file.number for file in read_directory(folder)), default=0) + 1
    path = folder / f"{number:03}_{slug}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


def text_of(name: str, requires: int, found: Sequence[Lack] = ()) -> str:
    """The text of a migration that adds what is missing, as far as that can be said; else an empty one.

    Args:
        requires: number of the newest migration of this library that it may stand on.
    """
    later = _named_too_early(found)
    lines = [
        *_asked(found),
        *_decided(found),
        *_schemas(found),
        *(_lines(lack, later) for lack in found),
        *_circles(later),
    ]
    up = "\n".join(line for above, _ in lines for line in above)
    down = "\n".join(line for _, below in reversed(lines) for line in below)
    return _TEXT.format(
        sentence=f"{name.replace('_', ' ').capitalize()}.",
        names=", ".join(name for name, sign in _IMPORTED.items() if sign in up),
        requires=requires,
        by_itself=_BY_ITSELF if later or any(_is_reference(lack) or lack.is_beside for lack in found) else "",
        up=up or _EMPTY,
        down=down or _EMPTY,
    )


def _asked(found: Sequence[Lack]) -> Iterator[tuple[list[str], list[str]]]:
    """A file that somebody has to complete refuses to be applied before."""
    open_columns = [f"{lack.table.name}.{lack.column}" for lack in found if _has_to_be_filled_in(lack)]
    if open_columns:
        yield (
            [f'    raise MigrationError("say below what rows have in {", ".join(open_columns)}; then drop this line")'],
            [],
        )


def _decided(found: Sequence[Lack]) -> Iterator[tuple[list[str], list[str]]]:
    """What changes a column that is there is somebody's decision, without which nothing is applied."""
    if any(map(_is_open, found)):
        what = "write below what is not written for you, or change the models; then drop this line"
        yield [f"    raise MigrationError({_quoted(what)})"], []


def _is_open(lack: Lack) -> bool:
    if lack.is_whole_table:
        return bool(lack.table.unsaid)
    return lack.column is None and not lack.remedy


def _schemas(found: Sequence[Lack]) -> Iterator[tuple[list[str], list[str]]]:
    """The schemas of new tables; they stay on the way back, where something else may be in them."""
    names = [lack.table.name.partition(".")[0] for lack in found if lack.is_whole_table and "." in lack.table.name]
    for name in dict.fromkeys(names):
        yield [_sql(f"CREATE SCHEMA IF NOT EXISTS {_identifier(name)}")], []


def _named_too_early(found: Sequence[Lack]) -> list[tuple[ModelledTable, str]]:
    """References of new tables to new tables that come after them, as in a circle: they are made at the end."""
    tables = [lack.table for lack in found if lack.is_whole_table]
    after = {table.name: {each.name for each in tables[place + 1 :]} for place, table in enumerate(tables)}
    return [
        (table, column)
        for table in tables
        for column, parent in table.parents.items()
        if parent.table in after[table.name]
    ]


def _circles(later: Sequence[tuple[ModelledTable, str]]) -> Iterator[tuple[list[str], list[str]]]:
    for table, name in later:
        parent = table.parents[name]
        made = f"migrator.tenant_column({_quoted(table.name)}, {_quoted(name)}, parent={_parent(_as_nullable(parent))})"
        up = [f"    {made}"]
        if not parent.nullable:  # the table is new, so no row has to be filled in
            up.append(_not_null(table, name))
        yield up, [f"    migrator.drop_tenant_column({_quoted(table.name)}, {_quoted(name)})"]
    late: dict[str, set[str]] = {}
    for table, name in later:
        late.setdefault(table.name, set()).add(name)
    for table in {table.name: table for table, _ in later}.values():
        for columns, what in _late_keys(table, late[table.name]):
            index, dropped = index_of(table, columns, what)
            yield [_sql(sql) for sql in index], [_sql(sql) for sql in dropped]


def _late_keys(table: ModelledTable, late: set[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys and indexes with one of these columns; the column alone has an index already."""
    yield from ((columns, "unique") for columns in table.unique if not late.isdisjoint(columns))
    yield from ((columns, "idx") for columns in table.indexes if not late.isdisjoint(columns) and len(columns) > 1)


def _not_null(table: ModelledTable, name: str) -> str:
    return _sql(f"ALTER TABLE {_table_name(table)} ALTER COLUMN {_identifier(name)} SET NOT NULL")


def _table_name(table: ModelledTable) -> str:
    return ".".join(map(_identifier, table.name.split(".")))


def _has_to_be_filled_in(lack: Lack) -> bool:
    if lack.column in lack.table.parents:
        return not lack.table.parents[lack.column].nullable
    column = next((each for each in lack.table.columns if each.name == lack.column), None)
    return column is not None and not column.nullable and not column.fills_in


def _is_reference(lack: Lack) -> bool:
    return lack.column in lack.table.parents


def _lines(lack: Lack, later: Sequence[tuple[ModelledTable, str]]) -> tuple[list[str], list[str]]:
    if lack.is_whole_table:
        late = [name for table, name in later if table is lack.table]
        return list(_table(lack.table, late)), [f"    migrator.drop_tenant_table({_quoted(lack.table.name)})"]
    if lack.column is not None:
        up = list(_column(lack.table, lack.column))
        return up, [f"    migrator.drop_tenant_column({_quoted(lack.table.name)}, {_quoted(lack.column)})"]
    if lack.remedy:
        return [_sql(sql) for sql in lack.remedy], [_sql(sql) for sql in lack.way_back]
    return [f"    # not written for you: {lack.line}"], []


def _sql(sql: str) -> str:
    return f"    migrator.sql({_quoted(sql)})"


def _table(table: ModelledTable, late: Sequence[str]) -> Iterator[str]:
    own = [f"{_identifier(column.name)} {column.definition}" for column in table.columns] + table.checks
    parents = {name: parent for name, parent in table.parents.items() if name not in late}
    yield "    migrator.tenant_table("
    yield f"        {_quoted(table.name)},"
    if own:
        yield '        """'
        yield ",\n".join(f"            {_in_text(line)}" for line in own)
        yield '        """,'
    if parents:
        yield "        parents={"
        yield from (f"            {_quoted(name)}: {_parent(parent)}," for name, parent in parents.items())
        yield "        },"
    for word, lists in (("unique", table.unique), ("indexes", table.indexes)):
        if made := [columns for columns in lists if not set(late).intersection(columns)]:
            yield f"        {word}=[{', '.join(map(_columns, made))}],"
    if table.key.name != "id":
        yield f"        key={_quoted(table.key.name)},"
    if not is_numbered(table.key):
        yield f"        key_type={_quoted(table.key.type)},"
    if not table.has_stamps:
        yield "        timestamps=False,"
    yield "    )"
    for column, method in table.searched:
        yield _sql(f"CREATE INDEX ON {_table_name(table)} USING {method} ({_identifier(column)})")
    yield from (f"    # not written for you: {each}" for each in table.unsaid)


def _column(table: ModelledTable, name: str) -> Iterator[str]:
    where = f"{_quoted(table.name)}, {_quoted(name)}"
    if name in table.parents:
        parent = table.parents[name]
        yield f"    migrator.tenant_column({where}, parent={_parent(_as_nullable(parent))})"
        yield from _filled_in(table, name) if not parent.nullable else ()
        return
    column = next((each for each in table.columns if each.name == name), None)
    if column is None:
        yield f"    migrator.tenant_column({where}, {_quoted(_STAMP)}, editable={name == 'updated_at'})"
        return
    if column.nullable or column.fills_in:
        yield f"    migrator.tenant_column({where}, {_quoted(column.definition)})"
        return
    yield f"    migrator.tenant_column({where}, {_quoted(column.nullable_definition)})"
    yield from _filled_in(table, name)


def _as_nullable(parent: Parent) -> Parent:
    return Parent(parent.table, nullable=True, on_delete=parent.on_delete, key=parent.key, type=parent.type)


def _filled_in(table: ModelledTable, name: str) -> Iterator[str]:
    column = _identifier(name)
    filling = f"{_quoted(f'{column} = ...')}, {_quoted(f'{column} IS NULL')}"
    yield f"    migrator.run(backfill, database, {_quoted(_table_name(table))}, {filling})"
    yield _not_null(table, name)


def _parent(parent: Parent) -> str:
    plain = Parent(parent.table)
    if parent == plain:
        return _quoted(parent.table)
    said = [
        f"{word}={getattr(parent, word)!r}".replace("'", '"')
        for word in ("nullable", "on_delete", "key", "type")
        if getattr(parent, word) != getattr(plain, word)
    ]
    return f"Parent({', '.join([_quoted(parent.table), *said])})"


def _columns(names: tuple[str, ...]) -> str:
    return _quoted(names[0]) if len(names) == 1 else f"({', '.join(map(_quoted, names))})"


def _identifier(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _in_text(sql: str) -> str:
    """SQL within three quotes."""
    return sql.replace("\\", "\\\\").replace('"""', '\\"""')


def _quoted(text: str) -> str:
    if '"' in text and not {"'", "\\"} & set(text):
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
