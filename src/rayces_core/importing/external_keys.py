"""What speaks against the key by which another program knows a row: statements that note faults.

Rule it guards: a key is one row's alone, and two rows with two keys are never taken for one.
"""

from __future__ import annotations

from rayces_core.importing.knowing import EXTERNAL, Knowing
from rayces_core.importing.record import Record, fault, quoted


def of_external_ids(record: Record, knowing: Knowing) -> list[str]:
    """Statements over `resolved`, asked when it is known which rows are there already."""
    statements = [_of_another(record, knowing), _without_zeros(record)]
    if knowing.by_external_id:
        statements.append(_missing())
    if knowing.by_external_id and record.unique:
        statements.append(_called_so_already(record))
    if not knowing.by_external_id and not record.unique:
        statements.append(_with_another_key(record))
    return statements


def _of_another(record: Record, knowing: Knowing) -> str:
    by_it = "" if knowing.by_external_id else ' to know rows by it give --key external_id (key="external_id"),'
    return fault(
        EXTERNAL,
        "r.external_id",
        f"{quoted(f'is here the key of the {record.singular} ')} || {record.name_of}",
        quoted(f"correct it;{by_it} or leave the row out"),
        f"FROM resolved AS r JOIN {record.table} AS t ON t.organization_id = %(tenant)s "
        "AND t.external_id = r.external_id WHERE t.id IS DISTINCT FROM r.existing_id AND NOT r.faulty",
    )


def _without_zeros(record: Record) -> str:
    """A spreadsheet that opens a CSV makes 7 of 007: that is no other row, and no correction of the key."""
    return fault(
        EXTERNAL,
        "r.external_id",
        f"{quoted('may have lost its zeros: ')} || t.external_id || "
        f"{quoted(f' is here the key of the {record.singular} ')} || {record.name_of}",
        quoted("format the column as text and write the zeros anew, or leave the column out"),
        f"FROM resolved AS r JOIN {record.table} AS t ON t.organization_id = %(tenant)s "
        "AND ltrim(t.external_id, '0') = ltrim(r.external_id, '0') AND t.external_id ~ '^0+[1-9][0-9]*$' "
        "WHERE length(r.external_id) < length(t.external_id) AND NOT r.faulty AND NOT EXISTS ("
        f"SELECT 1 FROM {record.table} AS o WHERE o.organization_id = %(tenant)s AND o.external_id = r.external_id)",
    )


def _missing() -> str:
    return fault(
        EXTERNAL,
        "''",
        quoted("is missing"),
        quoted("fill it in: rows are known by it"),
        "FROM resolved AS r WHERE r.external_id IS NULL AND NOT r.faulty",
    )


def _called_so_already(record: Record) -> str:
    """Of what is unique here whatever its key is, such as an e-mail address."""
    return fault(
        record.key,
        "r.external_id",
        "'is that of another one here, external_id ' || coalesce(t.external_id, '(none)')",
        quoted("correct one of the two"),
        f"FROM resolved AS r JOIN {record.table} AS t ON t.organization_id = %(tenant)s AND {record.matching} "
        "WHERE t.id IS DISTINCT FROM r.existing_id AND NOT r.faulty",
    )


def _with_another_key(record: Record) -> str:
    """Of what several may be called, such as two children of one name: another key is another one."""
    return fault(
        EXTERNAL,
        "r.external_id",
        f"{quoted(f'the {record.singular} ')} || {record.name_of} || ' has here the external_id ' || t.external_id",
        quoted('if it is another one give --key external_id (key="external_id"), else correct it or say its id'),
        f"FROM resolved AS r JOIN {record.table} AS t ON t.organization_id = %(tenant)s AND t.id = r.existing_id "
        "WHERE NOT r.certain AND t.external_id <> r.external_id",
    )
