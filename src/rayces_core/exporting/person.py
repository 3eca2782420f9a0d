"""All that a tenant holds about one person, as JSON: for the person who asks for it, or asks that it be moved.

Rule it guards: every table is looked through for rows that name the user, so a table that is added is not forgotten.
Rows about others (what they wrote, who they are) stay out, except that ids show that there is somebody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import IO, Final

from rayces_core import clock
from rayces_core.archive.files import whole_file
from rayces_core.archive.layout import JOURNAL, layout
from rayces_core.archive.snapshot import bound_organization, organization
from rayces_core.archive.streaming import stream
from rayces_core.archive.tables import Table, literal, quoted
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models import User
from rayces_core.models.user import person_id
from rayces_core.tenancy.scoping import check_home

SECRETS: Final = ("jti",)
# Whose contact the user is is looked at as well: a child does not ask for itself.
STUDENT_OF: Final = ("primary_contact_id", "secondary_contact_id")


def person(user: User | str, target: str | os.PathLike[str]) -> dict[str, int]:
    """Write what the bound tenant holds about a person to a JSON file: table → rows, as of one moment.

    Of a user that was merged into another it is what is held about that other one, whose `user_id` the file has. These
    are the user's own row and those of its duplicates, the rows of every table that name one of them, the rows of
    the students whose contact the user is, and what the journal says of any of them. Only the file's owner may read it.

    Args:
        user: a User or an e-mail address, as it is now: a duplicate has lost the one that it had.

    Returns:
        Table → number of rows.

    Raises:
        InvalidDataError: there is no such user. TransactionFailedError: a unit of work is open. OSError.
    """
    with current().engine.atomic("REPEATABLE READ"), whole_file(target) as file:
        user_id = _id_of(user)
        head = {"organization": organization()["name"], "exported_at": clock.now().isoformat(), "user_id": user_id}
        file.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "tables": {')
        counts = {}
        for number, (table, sql) in enumerate(_queries().items()):
            file.write(f"{',' if number else ''}\n{json.dumps(table)}: [".encode())
            counts[table] = _write(file, sql, user_id)
            file.write(b"]")
        file.write(b"\n}}\n")
    return counts


def _id_of(user: User | str) -> int:
    check_home(user)
    found = User.get_or_none(User.id == user.id if isinstance(user, User) else User.email == str(user))
    if found is None:
        address = user.email if isinstance(user, User) else str(user)
        raise InvalidDataError("user", address, "there is no user with this e-mail address here")
    return person_id(found.id)


def _write(file: IO[bytes], sql: str, user_id: int) -> int:
    done = 0
    for rows in stream(sql, {"organization_id": bound_organization(), "user_id": user_id}):
        for (line,) in rows:
            file.write(b",\n  " if done else b"\n  ")
            file.write(line.encode())
            done += 1
    return done


def _queries() -> dict[str, str]:
    tables = {table.name: table for table in layout()}
    conditions = {name: _about(table, "t") for name, table in tables.items()}
    conditions[JOURNAL] += f" OR {_journal_of(tables)}"
    return {name: _select(tables[name], condition) for name, condition in conditions.items()}


def _select(table: Table, condition: str) -> str:
    own = f"t.organization_id = %(organization_id)s AND ({condition})"
    order = ", ".join(f"t.{quoted(column)}" for column in table.order) or "1"
    hidden = "".join(f" - {literal(column)}" for column in (*SECRETS, *table.hidden))
    return f"SELECT (to_jsonb(t){hidden})::text FROM {table.sql} AS t WHERE {own} ORDER BY {order}"


def _about(table: Table, row: str) -> str:
    """The condition that a row of the table is about the user."""
    named = [(f"{row}.{quoted(column)}", target) for column, target in table.references.items()]
    conditions = [f"{column} IN ({_USERS})" for column, target in named if target == "users"]
    conditions += [f"{column} IN ({OWNED[target]})" for column, target in named if target in OWNED]
    if table.name == "users":
        conditions.append(f"{row}.id IN ({_USERS})")
    return " OR ".join(conditions) or "false"


# What a duplicate did and paid stays under its name.
_USERS: Final = (
    "SELECT id FROM users WHERE organization_id = %(organization_id)s "
    "AND (id = %(user_id)s OR merged_into_id = %(user_id)s)"
)
_STUDENTS: Final = (
    "SELECT id FROM students WHERE organization_id = %(organization_id)s "
    f"AND ({' OR '.join(f'{column} = %(user_id)s' for column in STUDENT_OF)})"
)


# Whose rows name the user, and are named themselves.
OWNED: Final = {"students": _STUDENTS} | {
    table: f"SELECT id FROM {table} WHERE organization_id = %(organization_id)s AND user_id IN ({_USERS})"
    for table in ("credit_balances", "credit_transactions", "invoices")
}


def _journal_of(tables: Mapping[str, Table]) -> str:
    conditions = []
    for kind, name in tables[JOURNAL].subjects.items():
        subject = tables[name]
        about = f"s.organization_id = %(organization_id)s AND ({_about(subject, 's')})"
        ids = f"SELECT s.{quoted(subject.key or 'id')} FROM {subject.sql} AS s WHERE {about}"
        conditions.append(f"(t.subject_type = '{kind}' AND t.subject_id IN ({ids}))")
    return " OR ".join(conditions)
