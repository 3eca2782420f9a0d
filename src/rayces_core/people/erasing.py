"""A person who asks for it is forgotten: what says who it was goes, what was done and paid stays, of nobody known.

Rule it guards: it happens whole or not at all. It is privileged work, since ledger and journal are changed by nothing
else; the database lets their words be taken away in it, and no number. Locks are taken as bookings take them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rayces_core import clock
from rayces_core.credits.arguments import acting_staff, check_tenant, user_id
from rayces_core.credits.handing_over import forfeit as forfeit_credits
from rayces_core.database.binding import current
from rayces_core.errors import ErasureRefusedError, InvalidDataError, ReferenceNotFoundError
from rayces_core.fields import JSONField
from rayces_core.models.appointment import CONFIRMED, DRAFT, EXPIRED, PRE_CONFIRMED, Appointment
from rayces_core.models.credit import PENDING, CreditTransaction
from rayces_core.models.credit_balance import CreditBalance
from rayces_core.models.group_session import OPEN as OPEN_GROUP
from rayces_core.models.group_session import GroupSession
from rayces_core.models.invoice import DRAFT as INVOICE_DRAFT
from rayces_core.models.invoice import Invoice
from rayces_core.models.slot_request import WAITING, SlotRequest
from rayces_core.models.student import Student
from rayces_core.models.user import User, new_token_id
from rayces_core.people.mentions import ERASED as NOBODY
from rayces_core.people.mentions import pattern, without
from rayces_core.people.rules import MODELS, REMOVED, REPLACED, Says, columns
from rayces_core.state_machine.telling import has_told, is_told, told
from rayces_core.tenancy.scoping import check_reach

if TYPE_CHECKING:
    from rayces_core.database.database import Database

ERASED: Final = "erased"
WHY: Final = "erased at the person's request"
# Of a child's sessions all that was written goes; of a client's what names the client, as the rest is the child's.
NO_WORDS: Final = {
    "appointments": """notes = NULL, professional_notes = NULL, metadata = '{}',
       cancellation_reason = CASE WHEN cancellation_reason IS NOT NULL THEN %(why)s END""",
    "credit_transactions": "reason = CASE WHEN reason IS NOT NULL THEN %(why)s END, metadata = '{}'",
    "time_off_requests": "note = NULL",
}
OF: Final = {
    "users": "id = ANY(%(users)s::bigint[])",
    "students": "id = ANY(%(students)s::bigint[])",
    "professionals": "user_id = ANY(%(users)s::bigint[])",
    "appointments": "student_id = ANY(%(students)s::bigint[])",
    "credit_transactions": "user_id = ANY(%(users)s::bigint[])",
    "time_off_requests": "professional_id = ANY(%(users)s::bigint[])",
    "slot_requests": "(client_id = ANY(%(users)s::bigint[]) OR student_id = ANY(%(students)s::bigint[]))",
}
_SUBJECTS: Final = " OR ".join(
    f"""subject_type = '{kind}' AND subject_id IN (
     SELECT id FROM {table} WHERE organization_id = %(tenant)s AND {OF[table]})"""
    for kind, table in (
        ("User", "users"),
        ("Student", "students"),
        ("Appointment", "appointments"),
        ("CreditTransaction", "credit_transactions"),
        ("TimeOffRequest", "time_off_requests"),
        ("SlotRequest", "slot_requests"),
    )
)
JOURNAL: Final = f"""
UPDATE state_transitions SET reason = NULL, details = '{{}}'
 WHERE organization_id = %(tenant)s AND (actor_id = ANY(%(users)s::bigint[]) AND reason IS NOT NULL OR {_SUBJECTS})"""
SETTLED: Final = f"""
DELETE FROM outbox_messages WHERE organization_id = %(tenant)s AND settled_at IS NOT NULL AND ({_SUBJECTS})"""
PENDING_MESSAGES: Final = f"""
UPDATE outbox_messages SET last_error = NULL, payload = payload || (
       SELECT coalesce(jsonb_object_agg(word, NULL::text), '{{}}')
         FROM unnest('{{reason,note}}'::text[]) AS word WHERE payload ? word)
 WHERE organization_id = %(tenant)s AND settled_at IS NULL AND ({_SUBJECTS})"""
# Those who are to be called go whole where they are the person.
CALLED: Final = """
UPDATE students SET emergency_contacts = (
       SELECT coalesce(jsonb_agg(contact ORDER BY place), '[]')
         FROM jsonb_array_elements(emergency_contacts) WITH ORDINALITY AS each (contact, place)
        WHERE contact::text !~* %(pattern)s)
 WHERE organization_id = %(tenant)s AND emergency_contacts::text ~* %(pattern)s"""
MENTIONED: Final = f"""
UPDATE {{table}} SET {{column}} = regexp_replace({{column}}, %(pattern)s, '{NOBODY}', 'gi')
 WHERE organization_id = %(tenant)s AND {{column}} ~* %(pattern)s"""
# What is replaced within JSON has to leave JSON: a number that is somebody's telephone becomes a text.
MENTIONING: Final = """
SELECT id, {column}::text FROM {table} WHERE organization_id = %(tenant)s AND {column}::text ~* %(pattern)s"""
CLEANED: Final = """
UPDATE {table} SET {column} = given.document::jsonb
  FROM unnest(%(ids)s::bigint[], %(documents)s::text[]) AS given (id, document)
 WHERE {table}.organization_id = %(tenant)s AND {table}.id = given.id"""
LOCKS: Final = {
    "students": "SELECT id FROM students WHERE organization_id = %(tenant)s AND {of} ORDER BY id FOR UPDATE",
    "users": "SELECT id FROM users WHERE organization_id = %(tenant)s AND {of} ORDER BY id FOR UPDATE",
}
MARK: Final = """
WITH gone AS (
    UPDATE {table} SET erased_at = %(now)s, updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND {of} AND erased_at IS NULL RETURNING id, erased_at
), noted AS (
    INSERT INTO state_transitions
        (organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, occurred_at)
    SELECT %(tenant)s, '{kind}', id, 'erased', 'active', 'erased', %(by)s::bigint, erased_at FROM gone RETURNING 1
){told}
SELECT count(*) FROM gone"""
_TOLD: Final = {
    "from_state": "'active'",
    "to_state": "'erased'",
    "actor_id": "%(by)s::bigint",
    "reason": "NULL",
    "occurred_at": "erased_at",
}
TOLD: Final = {
    kind: told(kind, ERASED, _TOLD, (), source="gone", organization="%(tenant)s", at="erased_at")
    for kind in ("User", "Student")
}
OPEN: Final = (DRAFT, PRE_CONFIRMED, CONFIRMED)


@dataclass(frozen=True, slots=True)
class Erased:
    """Who was erased, and what was changed: table → how many rows. `was_repeated`: it had been done before."""

    user_ids: tuple[int, ...] = ()
    student_ids: tuple[int, ...] = ()
    changed: Mapping[str, int] = field(default_factory=dict)
    cancelled: int = 0
    forfeited: int = 0
    was_repeated: bool = False


def erase_user(
    db: Database,
    user: User | int,
    *,
    by: User,
    cancel: bool = False,
    forfeit: bool = False,
    now: datetime | None = None,
) -> Erased:
    """Forget a user of the bound organization, with those who were merged into it, in one unit of work of its own.

    Names, addresses, telephones, what the person signs in with, posts and likes go; what others wrote of the person
    loses its name, e-mail address and telephone number. Drafts of its invoices are discarded; issued ones stay.
    Sessions, entries of the ledger and their amounts stay, of a user without a name. The children it is a
    contact of stay as they are; `erase_student` is about them.

    Args:
        user: a User or an id. by: the member of staff who does it.
        cancel: cancel its open sessions that lie ahead, with the refunds of any cancellation.
        forfeit: take the credits that are left, and close payments that are awaited.

    Raises:
        ErasureRefusedError: it has open sessions, credits or payments, and nobody said what becomes of them.
        InvalidDataError: it is the one who does it. ReferenceNotFoundError: there is no such user.
        NotPermittedError, CrossTenantError: an argument is refused. TenantSwitchError: a unit of work is open.
    """
    key = user_id(user)
    erasure = _Erasure(by, now, cancel, forfeit, user=key)
    if key == by.id:
        raise InvalidDataError("user", key, "must be another user than the one who does it")
    return _erase(db, erasure, f"erase user {key}")


def erase_student(
    db: Database, student: Student | int, *, by: User, cancel: bool = False, now: datetime | None = None
) -> Erased:
    """Forget a student of the bound organization: as `erase_user`, with all that was written of its sessions.

    Raises:
        ErasureRefusedError: it has open sessions. The others as `erase_user`.
    """
    key = _student_id(student)
    return _erase(db, _Erasure(by, now, cancel, forfeit=False, student=key), f"erase student {key}")


def _student_id(given: object) -> int:
    if isinstance(given, Student):
        check_reach(given)
        given = given.id
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidDataError("student", given, "needs a saved Student or an id")
    return given


def _erase(db: Database, erasure: _Erasure, reason: str) -> Erased:
    with db.privileged(reason=reason), db.atomic("READ COMMITTED"):  # all that was written until it is locked
        return erasure.carried_out()


class _Erasure:
    """One erasure, within its unit of work."""

    def __init__(
        self,
        by: User,
        now: datetime | None,
        cancel: bool,
        forfeit: bool,
        *,
        user: int | None = None,
        student: int | None = None,
    ) -> None:
        check_tenant()
        self.by, self.now = acting_staff(by, "erase a person"), clock.moment(now)
        self.cancel, self.forfeit = cancel, forfeit
        self.tenant = current().organization_id
        self.users: list[int] = [] if user is None else [user]
        self.students: list[int] = [] if student is None else [student]
        self.changed: dict[str, int] = {}

    def carried_out(self) -> Erased:
        found = self._locked()
        if all(each.erased_at is not None for each in found):
            return Erased(tuple(self.users), tuple(self.students), was_repeated=True)
        cancelled, forfeited = self._settled()
        self._run("SET LOCAL rayces.erasing TO 'on'")
        self._take_away(pattern(found))
        self._run("SET LOCAL rayces.erasing TO ''")
        for kind, table in (("User", "users"), ("Student", "students")):
            said = TOLD[kind] if is_told() else ""
            self._run(MARK.format(table=table, of=OF[table], kind=kind, told=said), by=self.by.id)
        has_told()
        return Erased(tuple(self.users), tuple(self.students), self.changed, cancelled, forfeited)

    def _run(self, sql: str, **more: Any) -> Any:
        values = {"tenant": self.tenant, "users": self.users, "students": self.students, "now": self.now, "why": WHY}
        return current().engine.run_prepared(sql, values | more)

    def _do(self, table: str, sql: str, **more: Any) -> None:
        if count := self._run(sql, **more).rowcount:
            self.changed[table] = self.changed.get(table, 0) + count

    # -- who it is ---------------------------------------------------------------------------------------------

    def _locked(self) -> list[Any]:
        self._with_duplicates()
        for table, sql in LOCKS.items():
            self._run(sql.format(of=OF[table]))
        found: list[Any] = [*self._of(User, self.users), *self._of(Student, self.students)]
        if not found:
            message = "there is no such person in this organization"
            raise ReferenceNotFoundError(message, table="users" if self.users else "students", fields=("id",))
        return found

    def _with_duplicates(self) -> None:
        """The one that a duplicate was merged into, and all of its duplicates."""
        for user in self._of(User, self.users):
            self.users = [user.merged_into_id or user.id]
        named = (User.organization == self.tenant) & (User.merged_into << self.users)
        self.users += [each.id for each in User.select().where(named)] if self.users else []

    def _of(self, model: Any, ids: list[int]) -> list[Any]:
        return list(model.select().where((model.organization == self.tenant) & (model.id << ids))) if ids else []

    # -- what is still open ------------------------------------------------------------------------------------

    def _settled(self) -> tuple[int, int]:
        """Cancel and forfeit, as was said; raise where something is open that nothing was said about."""
        self._expire_overdue()
        sessions: list[Any] = [*self._sessions(), *self._groups()]
        payments = self._payments()
        left = sum(each.balance for each in self._balances())
        if (sessions and not self.cancel) or ((left or payments) and not self.forfeit):
            raise ErasureRefusedError(len(sessions), left, len(payments))
        for each in sessions:
            each.cancel(by=self.by, reason=WHY, now=self.now)
        for entry in payments:
            entry.fail(by=self.by, reason=WHY, now=self.now)
        for request in self._requests():
            request.withdraw(by=self.by, now=self.now)
        for draft in self._drafts():
            draft.discard(by=self.by, now=self.now)
        return len(sessions), sum(self._forfeited(user) for user in self.users) if self.forfeit else 0

    def _expire_overdue(self) -> None:
        """What no sweep has met yet: what it has reserved is free, and who was offered it waits again, for now."""
        Appointment.lifecycle.move_many(
            "expire",
            "expires_at < %(now)s"
            " AND (client_id = ANY(%(users)s::bigint[]) OR student_id = ANY(%(students)s::bigint[]))",
            {"users": self.users, "students": self.students},
            organization=self.tenant,
            now=self.now,
            reason=EXPIRED,
        )

    def _forfeited(self, user: int) -> int:
        return forfeit_credits(user, int(self.tenant or 0), reason=WHY, by=self.by, now=self.now)

    def _sessions(self) -> list[Appointment]:
        whose = (
            (Appointment.client << [*self.users, 0])
            | (Appointment.professional << [*self.users, 0])
            | (Appointment.second_professional << [*self.users, 0])
            | (Appointment.student << [*self.students, 0])
        )
        ahead = (Appointment.state << OPEN) & (Appointment.scheduled_at > self.now)
        mine = (Appointment.organization == self.tenant) & whose & ahead
        return list(Appointment.select().where(mine).order_by(Appointment.id))

    def _groups(self) -> list[GroupSession]:
        """Those that it gives; their seats are among the sessions."""
        whose = (GroupSession.professional << [*self.users, 0]) | (GroupSession.second_professional << [*self.users, 0])
        ahead = (GroupSession.state == OPEN_GROUP) & (GroupSession.scheduled_at > self.now)
        mine = (GroupSession.organization == self.tenant) & whose & ahead
        return list(GroupSession.select().where(mine).order_by(GroupSession.id))

    def _requests(self) -> list[SlotRequest]:
        whose = (SlotRequest.client << [*self.users, 0]) | (SlotRequest.student << [*self.students, 0])
        mine = (SlotRequest.organization == self.tenant) & whose & (SlotRequest.state == WAITING)
        return list(SlotRequest.select().where(mine).order_by(SlotRequest.id))

    def _drafts(self) -> list[Invoice]:
        """Locked: one that is issued meanwhile is none any more."""
        mine = (Invoice.organization == self.tenant) & (Invoice.user << [*self.users, 0])
        drafts = Invoice.select().where(mine & (Invoice.state == INVOICE_DRAFT)).order_by(Invoice.id)
        return list(drafts.for_update("FOR NO KEY UPDATE"))  # type: ignore[arg-type]

    def _payments(self) -> list[CreditTransaction]:
        mine = (CreditTransaction.organization == self.tenant) & (CreditTransaction.user << [*self.users, 0])
        return list(CreditTransaction.select().where(mine & (CreditTransaction.status == PENDING)))

    def _balances(self) -> list[CreditBalance]:
        mine = (CreditBalance.organization == self.tenant) & (CreditBalance.user << [*self.users, 0])
        return list(CreditBalance.select().where(mine & (CreditBalance.balance > 0)))

    # -- what goes ---------------------------------------------------------------------------------------------

    def _take_away(self, mentions: str | None) -> None:
        self._do("state_transitions", JOURNAL)
        self._do("outbox_messages", SETTLED)
        self._do("outbox_messages", PENDING_MESSAGES)
        for table, words in NO_WORDS.items():
            self._do(table, f"UPDATE {table} SET {words} WHERE organization_id = %(tenant)s AND {OF[table]}")
        for table, column in REMOVED.items():
            sql = f"DELETE FROM {table} WHERE organization_id = %(tenant)s AND {column} = ANY(%(users)s::bigint[])"
            self._do(table, sql)
        for table, replaced in REPLACED.items():
            parts = ", ".join(f"{column} = {sql}" for column, sql in replaced.items())
            sql = f"UPDATE {table} SET {parts} WHERE organization_id = %(tenant)s AND {OF[table]}"
            self._do(table, sql, jti=f"{new_token_id()}-", once=f"{new_token_id()[:8]}-")
        if mentions is not None:
            self._take_away_mentions(mentions)

    def _take_away_mentions(self, mentions: str) -> None:
        self._do("students", CALLED, pattern=mentions)
        for table, names in columns(Says.WORDS, Says.OWN_WORDS).items():
            for column in names:
                if isinstance(MODELS[table]._meta.columns[column], JSONField):
                    self._take_out_of_documents(table, column, mentions)
                else:
                    self._do(table, MENTIONED.format(table=table, column=column), pattern=mentions)

    def _take_out_of_documents(self, table: str, column: str, mentions: str) -> None:
        found = self._run(MENTIONING.format(table=table, column=column), pattern=mentions).fetchall()
        left = {key: cleaned for key, text in found if (cleaned := without(text, mentions)) != text}
        if left:
            given = {"ids": list(left), "documents": list(left.values())}
            self._do(table, CLEANED.format(table=table, column=column), **given)
