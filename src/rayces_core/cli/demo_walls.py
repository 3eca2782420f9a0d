"""Tries, as one tenant, to reach another's rows in every way there is, and notes what refused it.

Rule it guards: nothing is called refused that was not. Each attempt is really made, and undone should it succeed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from peewee import DoesNotExist

from rayces_core import clock
from rayces_core.database.database import Database
from rayces_core.errors import (
    CrossTenantError,
    PermissionDeniedError,
    ReferenceNotFoundError,
    TenantNotSetError,
    TenantSwitchError,
    UnsafeSQLError,
)
from rayces_core.models import TENANT_MODELS, Appointment, Organization, Post, Professional, Student, User

SCOPE, POLICY, KEYS = "1 scoped SQL", "2 row-level security", "3 composite key"
GUARD, GRANT = "the library", "column grants"
READ, WRITE, REFER, RAW = "Cross-tenant read", "Cross-tenant write", "Cross-tenant foreign key", "Raw SQL"
OUT, FINAL = "Stepping out of the tenant", "Changing what is final"
NOTHING = "0 rows"


@dataclass(frozen=True)
class Attempt:
    """Something a tenant must not be able to do.

    Attributes:
        kind: heading it is shown under. code: what is done, as one would write it. wall: what has to refuse it.
        action: does it; returns how many rows of the other tenant it met.
        refusal: the error it has to end with; None when it has to meet no rows.
        bound: whether a tenant is bound while it is done.
    """

    kind: str
    code: str
    wall: str
    action: Callable[[], int]
    refusal: type[Exception] | None = None
    bound: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt: `words` are the error's own, or how many rows it met."""

    attempt: Attempt
    refused: bool
    words: str


def try_everything(database: Database, ours: Organization, theirs: Organization) -> list[Outcome]:
    """Make every attempt as `ours` on what belongs to `theirs`."""
    return [_try(database, ours, attempt) for attempt in attempts(database, ours, theirs)]


def fingerprint(database: Database, organization: Organization) -> str:
    """A digest of every row of an organization, the same as long as none of them changes."""
    digest = hashlib.sha256()
    with database.tenant(organization):
        for model in TENANT_MODELS:
            digest.update(repr(list(model.select().order_by(model.id).tuples())).encode())
    return digest.hexdigest()


def _try(database: Database, ours: Organization, attempt: Attempt) -> Outcome:
    try:
        met = _undone(database, ours, attempt.action) if attempt.bound else attempt.action()
    except Exception as error:
        expected = attempt.refusal is not None and isinstance(error, attempt.refusal)
        return Outcome(attempt, expected, f"{type(error).__name__}: {error}")
    return Outcome(attempt, attempt.refusal is None and met == 0, NOTHING if met == 0 else f"{met} rows")


def _undone(database: Database, ours: Organization, action: Callable[[], int]) -> int:
    with database.tenant(ours), database.atomic() as unit:
        met = action()
        unit.rollback()
    return met


def attempts(database: Database, ours: Organization, theirs: Organization) -> list[Attempt]:
    """Every attempt, on rows of `theirs` that exist."""
    with database.tenant(theirs):
        student, user = Student.select().order_by(Student.id).get(), User.select().order_by(User.id).get()
    with database.tenant(ours):
        profile, guardian = Professional.select().get(), User.select().get()
    return [
        *_reads(theirs, student),
        *_writes(theirs, student),
        *_references(student, user, profile, guardian, database),
        *_raw_sql(database, theirs, user),
        *_ways_out(database, theirs),
    ]


def _reads(theirs: Organization, student: Student) -> list[Attempt]:
    everyone = (Student.id > 0) | (Student.organization == theirs)
    return [
        Attempt(
            READ,
            f"Student.get_by_id({student.id})",
            SCOPE,
            lambda: _found(Student.get_by_id(student.id)),
            DoesNotExist,
        ),
        Attempt(
            READ,
            f"Student.select().where(\n (Student.id > 0) |\n (Student.organization == {theirs.id}))",
            SCOPE,
            lambda: sum(row.organization_id == theirs.id for row in Student.select().where(everyone)),
        ),
        Attempt(
            READ,
            "Student.select()\n# without a tenant",
            SCOPE,
            lambda: len(list(Student.select())),
            TenantNotSetError,
            False,
        ),
    ]


def _writes(theirs: Organization, student: Student) -> list[Attempt]:
    def rename() -> int:
        student.first_name = "Changed"
        return int(student.save())

    delete = Student.delete().where(Student.id == student.id)  # type: ignore[arg-type]
    update = Student.update(first_name="Changed").where(Student.id == student.id)
    return [
        Attempt(
            WRITE,
            f"Student.create(\n  organization={theirs.id}, ...)",
            SCOPE,
            lambda: _found(Student.create(organization=theirs, first_name="Not", last_name="Theirs")),
            CrossTenantError,
        ),
        Attempt(WRITE, "student.save()\n# loaded by the other tenant", SCOPE, rename, CrossTenantError),
        Attempt(
            WRITE, f"Student.update(...)\n  .where(Student.id == {student.id})", SCOPE, lambda: int(update.execute())
        ),
        Attempt(
            WRITE,
            f"Student.delete()\n  .where(Student.id == {student.id})",
            SCOPE,
            lambda: int(delete.execute()),
        ),
    ]


def _references(
    student: Student, user: User, profile: Professional, guardian: User, database: Database
) -> list[Attempt]:
    def book() -> int:
        at = (clock.now() + timedelta(days=30)).replace(second=0, microsecond=0)
        return _found(Appointment.create(professional=profile, student=student.id, client=guardian, scheduled_at=at))

    sql = f"UPDATE students\n  SET primary_contact_id = {user.id}"
    return [
        Attempt(REFER, f"Appointment.create(\n  student={student.id}, ...)", KEYS, book, ReferenceNotFoundError),
        Attempt(REFER, sql, KEYS, lambda: _rows(database, sql), ReferenceNotFoundError),
    ]


def _raw_sql(database: Database, theirs: Organization, user: User) -> list[Attempt]:
    insert = f"INSERT INTO posts\n  (organization_id, user_id)\n  VALUES ({theirs.id}, {user.id})"
    return [
        _raw(database, RAW, f"SELECT * FROM students\n  WHERE organization_id = {theirs.id}", POLICY),
        _raw(database, RAW, f"UPDATE posts SET content = ''\n  WHERE organization_id = {theirs.id}", POLICY),
        _raw(database, RAW, f"DELETE FROM likes\n  WHERE organization_id = {theirs.id}", POLICY),
        _raw(database, RAW, insert, POLICY, CrossTenantError),
    ]


def _ways_out(database: Database, theirs: Organization) -> list[Attempt]:
    def switch() -> int:
        with database.tenant(theirs):
            return Post.select().count()

    bind = f"SELECT set_config(\n  'rayces.organization_id',\n  '{theirs.id}', true)"
    code = f'with db.tenant("{theirs.subdomain}"):\n# in our open transaction'
    return [
        _raw(database, OUT, "RESET ROLE;\nSELECT * FROM students", GUARD, UnsafeSQLError),
        _raw(database, OUT, bind, GUARD, UnsafeSQLError),
        Attempt(OUT, code, GUARD, switch, TenantSwitchError),
        _raw(database, FINAL, "UPDATE credit_transactions\n  SET amount = 1000", GRANT, PermissionDeniedError),
        _raw(database, FINAL, "DELETE FROM state_transitions", GRANT, PermissionDeniedError),
    ]


def _raw(database: Database, kind: str, sql: str, wall: str, refusal: type[Exception] | None = None) -> Attempt:
    return Attempt(kind, sql, wall, lambda: _rows(database, sql), refusal)


def _rows(database: Database, sql: str) -> int:
    return int(database.execute_sql(sql).rowcount)


def _found(row: object) -> int:
    return int(row is not None)
