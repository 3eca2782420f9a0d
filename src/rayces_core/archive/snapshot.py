"""The rows of the bound tenant as lines of JSON that name each other by place, and the checksum of all of them.

Rule it guards: the lines depend on what the tenant has and on the order in which it came to be, not on the
database's ids, version, settings or order of columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rayces_core.archive.layout import JOURNAL, layout
from rayces_core.archive.settling import settled
from rayces_core.archive.streaming import stream
from rayces_core.archive.tables import NOT_LOADED, Numbered, Table, alias, quoted
from rayces_core.database.binding import current
from rayces_core.errors import ArchiveError, TenantNotSetError
from rayces_core.state_machine.readers import latest_told

# What of an organization's own row is content; the subdomain is where it lives, `active` whether it is open.
ORGANIZATION: Final = ("name", "time_zone", "currency", "settings", "email", "phone", "address")

_ORGANIZATION = (
    f"SELECT row_to_json(o)::text FROM (SELECT {', '.join(ORGANIZATION)} FROM organizations WHERE id = %s) o"
)


def content_checksum() -> str:
    """The SHA-256 of all that the bound tenant has, as 64 hexadecimal digits; ids, tokens and the subdomain apart.

    Two tenants have the same one if the archive of one is the archive of the other. It reads every row.

    Raises:
        TenantNotSetError: privileged work is no tenant. ArchiveError: it has what no archive can carry.
    """
    with current().engine.atomic(), settled():
        digests = {table.name: digest_of(table) for table in layout()}
        return combined(organization(), digests)


def combined(organization: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """The checksum of an organization's row and its tables' checksums."""
    head = json.dumps(organization, sort_keys=True, ensure_ascii=False)
    lines = [head, *(f"{name} {digests[name]}" for name in sorted(digests))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest_of(table: Table) -> str:
    """The SHA-256 of a table's lines."""
    digest = hashlib.sha256()
    for lines in batches(table):
        digest.update(joined(lines))
    return digest.hexdigest()


def joined(lines: list[str]) -> bytes:
    """Lines as they stand in an archive, each ended."""
    return "".join([f"{line}\n" for line in lines]).encode()


def organization() -> dict[str, Any]:
    """The content of the bound organization's own row."""
    (text,) = current().engine.execute_sql(_ORGANIZATION, (bound_organization(),)).fetchone()
    made: dict[str, Any] = json.loads(text)
    return made


def batches(table: Table) -> Iterator[list[str]]:
    """The table's rows as lines of JSON, by place; within a unit of work, read by a cursor of the server."""
    if table.is_journal:
        _refuse_unknown_subjects(table)
    for rows in stream(lines_sql(table), {"organization_id": bound_organization()}):
        yield [line for (line,) in rows]


_UNKNOWN = """
SELECT subject_type FROM state_transitions
 WHERE organization_id = %(organization_id)s AND subject_id >= 0 AND subject_type <> ALL(%(known)s) LIMIT 1
"""


def _refuse_unknown_subjects(table: Table) -> None:
    values = {"organization_id": bound_organization(), "known": [*table.subjects, *table.left_subjects]}
    if found := current().engine.execute_sql(_UNKNOWN, values).fetchone():
        raise ArchiveError(f"the journal tells of {found[0]}: {NOT_LOADED}")


def lines_sql(table: Table) -> str:
    """The query of a table's lines."""
    places = ", ".join(f"{_places(name)} AS ({_places_of(name, each)})" for name, each in table.named.items())
    return f"{f'WITH {places} ' if places else ''}SELECT row_to_json(line)::text FROM ({_rows(table)}) AS line"


def _places_of(name: str, table: Numbered) -> str:
    if name == JOURNAL:
        return f"SELECT id, row_number() OVER (ORDER BY in_turn) AS place FROM {_JOURNAL} AS t"
    key = quoted(table.key)
    return (
        f"SELECT {key} AS id, row_number() OVER (ORDER BY {key}) AS place FROM {table.sql} "
        "WHERE organization_id = %(organization_id)s"
    )


# The subject of an entry may have been deleted since. It is then named by a number below zero, which is nobody's id.
_SUBJECT = "coalesce(subject_place, -dense_rank() OVER (PARTITION BY subject_place IS NULL ORDER BY first_entry))"


def _rows(table: Table) -> str:
    joins = {column: f"r{number}" for number, column in enumerate(table.references)}
    shown = [f"{_shown(table, column, joins)} AS {quoted(column)}" for column in table.columns]
    sources = [
        f"LEFT JOIN {_places(name)} AS {joins[column]} ON {joins[column]}.id = own.{quoted(column)}"
        for column, name in table.references.items()
    ]
    ordered = ", ".join(_sorted(table, column, joins) for column in table.order) or "1"
    if table.is_journal:
        ordered = "own.in_turn"
    if table.place:
        shown.insert(0, f"row_number() OVER (ORDER BY {ordered}) AS {quoted(table.place)}")
    return f"""
        SELECT {", ".join(shown)}
          FROM {_journal(table) if table.is_journal else table.sql} AS own {" ".join(sources)}
         WHERE own.organization_id = %(organization_id)s ORDER BY {ordered}"""


def _sorted(table: Table, column: str, joins: Mapping[str, str]) -> str:
    """What rows are put in order by: places, and values as texts, which are the same wherever they are."""
    if column in joins:
        return f"{joins[column]}.place"
    return f"own.{quoted(column)}" if column == table.key else f'own.{quoted(column)}::text COLLATE "C"'


def _shown(table: Table, column: str, joins: Mapping[str, str]) -> str:
    if column in joins:
        return f"{joins[column]}.place"
    if table.is_journal and column == "subject_id":
        return _SUBJECT
    return f"own.{quoted(column)}{'::text' if column in table.texts else ''}"


# Entries with the id that each has where they stand as history() tells them: ids of two cells are in no order of time.
# Those of a subject take turns at its own ids, so that in one cell `in_turn` is the id itself.
_JOURNAL: Final = f"""(
    SELECT told.*, nth_value(id, turn::int) OVER (PARTITION BY subject_type, subject_id ORDER BY id
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS in_turn
      FROM (SELECT since.*, row_number() OVER (PARTITION BY subject_type, subject_id ORDER BY latest, id) AS turn
              FROM (SELECT entry.*, {latest_told("entry", "subject_type", "subject_id")} AS latest
                      FROM state_transitions AS entry WHERE organization_id = %(organization_id)s) AS since) AS told)"""


def _journal(table: Table) -> str:
    joins, places = [], []
    for number, (kind, name) in enumerate(table.subjects.items()):
        joins.append(
            f"LEFT JOIN {_places(name)} AS s{number} ON s{number}.id = t.subject_id AND t.subject_type = '{kind}'"
        )
        places.append(f"s{number}.place")
    return f"""(
        SELECT t.*, coalesce({", ".join(places)}) AS subject_place,
               min(t.id) OVER (PARTITION BY t.subject_type, t.subject_id) AS first_entry
          FROM {_JOURNAL} AS t {" ".join(joins)})"""


def _places(name: str) -> str:
    return alias(name, "places")


def bound_organization() -> int:
    """The id of the bound organization; raises TenantNotSetError in privileged work."""
    found = current().organization_id
    if found is None:
        raise TenantNotSetError("privileged work is no tenant; bind the one that is meant: `with db.tenant(...):`")
    return found
