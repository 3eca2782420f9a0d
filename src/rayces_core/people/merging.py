"""Two contacts that are one person become one: what is the duplicate's goes to the one that stays.

Rule it guards: every foreign key to users has a rule, and a test asks the catalogue for one that has none. The
duplicate stays as a row, since ledger and journal name it; it says into whom it was merged, and nobody signs in by it.
Locks are taken as bookings take them, students before users, so that a booking comes before a merge or after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rayces_core import clock
from rayces_core.credits.arguments import acting_staff, check_tenant, user_id
from rayces_core.credits.handing_over import hand_over, let_go_of_holds
from rayces_core.credits.ledger import undisturbed
from rayces_core.credits.reserving import hold
from rayces_core.database.binding import current
from rayces_core.database.snapshots import check_present
from rayces_core.errors import InvalidDataError, MergeRefusedError, ReferenceNotFoundError
from rayces_core.fields.text import LONGEST_NAME, checked_name
from rayces_core.models.user import Role, User, new_token_id, person_id
from rayces_core.people.rules import RULES, Rule
from rayces_core.state_machine.telling import has_told, is_told, told

MERGED: Final = "merged"


LOCK_STUDENTS: Final = """
SELECT id FROM students
 WHERE organization_id = %(tenant)s
   AND (primary_contact_id = ANY(%(both)s::bigint[]) OR secondary_contact_id = ANY(%(both)s::bigint[]))
 ORDER BY id FOR NO KEY UPDATE"""
# Not FOR NO KEY UPDATE: a row that names one of them meanwhile waits, or is waited for.
LOCK_USERS: Final = """
SELECT id FROM users WHERE organization_id = %(tenant)s AND id = ANY(%(both)s::bigint[]) ORDER BY id FOR UPDATE"""
# Of one whose contacts both are, the one that stays is the first, and there is no second.
STUDENTS: Final = """
WITH named AS (
    SELECT id, primary_contact_id = ANY(%(both)s::bigint[]) AND secondary_contact_id = ANY(%(both)s::bigint[]) AS twice
      FROM students
     WHERE organization_id = %(tenant)s AND (primary_contact_id = %(old)s OR secondary_contact_id = %(old)s)
), moved AS (
    UPDATE students AS child
       SET primary_contact_id = CASE WHEN named.twice OR primary_contact_id = %(old)s THEN %(new)s
                                     ELSE primary_contact_id END,
           secondary_contact_id = CASE WHEN named.twice THEN NULL WHEN secondary_contact_id = %(old)s THEN %(new)s
                                       ELSE secondary_contact_id END,
           updated_at = %(now)s
      FROM named WHERE child.organization_id = %(tenant)s AND child.id = named.id
    RETURNING named.twice
)
SELECT count(*), count(*) FILTER (WHERE twice) FROM moved"""
LIKED_TWICE: Final = """
DELETE FROM likes AS old
 WHERE old.organization_id = %(tenant)s AND old.user_id = %(old)s AND EXISTS (
     SELECT 1 FROM likes AS kept
      WHERE kept.organization_id = %(tenant)s AND kept.user_id = %(new)s AND kept.post_id = old.post_id)"""
# Both were to be told of the same.
TOLD_TWICE: Final = """
DELETE FROM notices AS old
 WHERE old.organization_id = %(tenant)s AND old.recipient_id = %(old)s AND EXISTS (
     SELECT 1 FROM notices AS kept
      WHERE kept.organization_id = %(tenant)s AND kept.recipient_id = %(new)s
        AND kept.appointment_id = old.appointment_id AND kept.event = old.event AND kept.channel = old.channel
        AND kept.minutes_before = old.minutes_before AND kept.cause_id = old.cause_id
        AND kept.occurs_at = old.occurs_at)"""
MOVE: Final = "UPDATE {table} SET {column} = %(new)s WHERE organization_id = %(tenant)s AND {column} = %(old)s"
REMOVE: Final = "DELETE FROM {table} WHERE organization_id = %(tenant)s AND {column} = %(old)s"
# By an address that is nobody's, no one signs in, and the old one is free for the one that stays. Only a duplicate has
# such a one, as a rule of the table says.
EMPTY: Final = """
UPDATE users SET email = %(placeholder)s, jti = %(jti)s, uid = NULL, provider = NULL, external_id = NULL, phone = NULL,
       merged_into_id = %(new)s, merged_at = %(now)s
 WHERE organization_id = %(tenant)s AND id = %(old)s"""
FILL: Final = """
UPDATE users SET first_name = coalesce(first_name, %(first_name)s::varchar),
       last_name = coalesce(last_name, %(last_name)s::varchar), phone = coalesce(phone, %(phone)s::varchar),
       external_id = coalesce(external_id, %(external_id)s::varchar),
       language = coalesce(language, %(language)s::varchar),
       muted_channels = %(muted)s::jsonb, updated_at = %(now)s
 WHERE organization_id = %(tenant)s AND id = %(new)s"""
TOLD: Final = {
    "from_state": "'active'",
    "to_state": "'merged'",
    "actor_id": "%(by)s::bigint",
    "reason": "%(reason)s::varchar",
    "occurred_at": "merged_at",
    "merged_into_id": "merged_into_id",
}
MARK: Final = """
WITH merged AS (
    UPDATE users SET merged_into_id = %(new)s, merged_at = %(now)s, updated_at = %(now)s
     WHERE organization_id = %(tenant)s AND id = %(old)s RETURNING id, merged_into_id, merged_at
), noted AS (
    INSERT INTO state_transitions
        (organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at)
    SELECT %(tenant)s, 'User', id, 'merged', 'active', 'merged', %(by)s::bigint, %(reason)s::varchar, merged_at
      FROM merged RETURNING 1
){told}
SELECT 1 FROM merged"""
MARK_AND_TELL: Final = told("User", MERGED, TOLD, (), source="merged", organization="%(tenant)s", at="merged_at")
NAMING_USERS: Final = """
SELECT k.conrelid::regclass::text, quote_ident(a.attname), c.relname::text, a.attname::text
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname <> 'organization_id'
 WHERE k.contype = 'f' AND k.confrelid = 'users'::regclass AND k.conparentid = 0 ORDER BY 1, 2"""
ARRIVED: Final = """
SELECT users.id, users.merged_into_id
  FROM credit_balances AS held
  JOIN users ON users.organization_id = %(tenant)s AND users.id = held.user_id
 WHERE held.organization_id = %(tenant)s AND held.balance > 0 AND users.merged_into_id IS NOT NULL
 GROUP BY users.id, users.merged_into_id ORDER BY users.id"""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge has done, or would do.

    Attributes:
        moved: "table.column" → how many rows go to the user that stays; of what is removed, "table" → how many.
        credits: id of a kind of credit, None for the default one → how many of them.
        twice: rows of both that are one now: "students" whose contacts both were, "likes" of one post, "notices".
        was_repeated: whether they were merged before; then it is about what has arrived since.
    """

    keep_id: int
    duplicate_id: int
    moved: Mapping[str, int] = field(default_factory=dict)
    credits: Mapping[int | None, int] = field(default_factory=dict)
    twice: Mapping[str, int] = field(default_factory=dict)
    was_repeated: bool = False


def merge_users(
    keep: User | int, duplicate: User | int, *, by: User, reason: str | None = None, now: datetime | None = None
) -> Merged:
    """Make two users one, in one unit of work: `keep` has all that was the duplicate's, and the duplicate says so.

    Students, appointments, posts, likes and the columns of the host's own tables name the one that stays. Credits go by
    entries of both ledgers, and lots hold as long as they did. What the one that stays has no first name, last name,
    telephone, external id or language of, it takes over; a channel that either has muted is muted. Its e-mail address,
    its password and its role stay; those of the duplicate, and its devices, go. What was done as the duplicate stays
    done by it.

    Args:
        keep, duplicate: a User or an id. `keep` may be one that was merged itself: it is followed.
        by: the member of staff who does it. reason: goes into the journal.

    Returns:
        What was moved. A second time it is what has arrived since, as the credits of a payment that was awaited.

    Raises:
        MergeRefusedError: `reason` says why: "professional", it has a working profile; "role", it has another role
            than a guardian's or the other's; "merged", it is another one's duplicate; "erased", one was forgotten.
        InvalidDataError: both are the same user. ReferenceNotFoundError: there is no such user.
        NotPermittedError, CrossTenantError: an argument is refused.
    """
    return undisturbed(_merge(keep, duplicate, by, reason, now))


def preview_merge(keep: User | int, duplicate: User | int, *, by: User, now: datetime | None = None) -> Merged:
    """Say what `merge_users` would do, by doing it and taking it back; it raises the same."""
    act = _merge(keep, duplicate, by, None, now)

    found: list[Merged] = []

    def taken_back() -> None:
        with suppress(_TakenBackError), current().engine.atomic():
            found.append(act())
            raise _TakenBackError

    undisturbed(taken_back)
    return found[-1]


class _TakenBackError(Exception):
    """Ends the unit of work of a preview."""


def forward_credits(*, by: User, now: datetime | None = None) -> int:
    """Have credits that came to duplicates after their merge go on: payments that were awaited, refunds of old debits.

    Safe to run from many hosts at once, and again after a crash.

    Returns:
        How many credits have gone on.
    """
    check_tenant()
    found = current().engine.run_prepared(ARRIVED, {"tenant": current().organization_id}).fetchall()
    return sum(sum(merge_users(keep, old, by=by, now=now).credits.values()) for old, keep in found)


def person_behind(user: User | int) -> User:
    """The user that a duplicate was merged into, or the user itself.

    Raises:
        User.DoesNotExist: there is no such user.
    """
    check_tenant()
    return User.get_by_id(person_id(user_id(user)))


def _merge(keep: object, duplicate: object, by: object, reason: object, now: datetime | None) -> Callable[[], Merged]:
    check_tenant()
    new, old = user_id(keep, "keep"), user_id(duplicate, "duplicate")
    actor, at = acting_staff(by, "merge users"), clock.moment(now)
    why = None if reason is None else checked_name(reason, "reason", LONGEST_NAME)
    return lambda: _Merge(new, old, actor, why, at).carried_out()


class _Merge:
    """One merge, within its unit of work."""

    def __init__(self, new: int, old: int, by: User, reason: str | None, now: datetime) -> None:
        self.new, self.old, self.by, self.reason, self.now = new, old, by, reason, now

    def carried_out(self) -> Merged:
        check_present()
        keep, duplicate = self._locked()
        if duplicate.merged_into_id == self.new:
            return Merged(self.new, self.old, credits=self._hand_over(), was_repeated=True)
        self._check(keep, duplicate)
        held = let_go_of_holds(self.old, self.new)
        moved, twice = self._move()
        self._take_over(keep, duplicate)
        handed = self._hand_over()
        if held:
            hold(held, self.now)
        self._run(MARK.format(told=MARK_AND_TELL if is_told() else ""), by=self.by.id, reason=self.reason)
        if is_told():
            has_told()
        return Merged(self.new, self.old, moved, handed, twice)

    def _run(self, sql: str, **more: Any) -> Any:
        values = {"tenant": current().organization_id, "old": self.old, "new": self.new, "now": self.now}
        return current().engine.run_prepared(sql, values | {"both": [self.old, self.new]} | more)

    def _locked(self) -> tuple[User, User]:
        """Both, as nobody changes them until the end; the one that stays may be another than was asked for."""
        followed = User.get_or_none(User.id == self.new)
        if followed is not None and followed.merged_into_id not in (None, self.old):
            self.new = followed.merged_into_id
        if self.new == self.old:
            raise InvalidDataError("duplicate", self.old, "must be another user than the one that stays")
        self._run(LOCK_STUDENTS)
        self._run(LOCK_USERS)
        found = {user.id: user for user in User.select().where(User.id.in_([self.new, self.old]))}
        for key, name in ((self.new, "keep"), (self.old, "duplicate")):
            if key not in found:
                message = "there is no such user in this organization"
                raise ReferenceNotFoundError(message, table="users", fields=(name,))
        return found[self.new], found[self.old]

    def _check(self, keep: User, duplicate: User) -> None:
        if keep.erased_at is not None or duplicate.erased_at is not None:
            raise MergeRefusedError("erased", "one of them was forgotten, so nobody knows who that was")
        if keep.merged_into_id is not None or duplicate.merged_into_id is not None:
            raise MergeRefusedError(MERGED, "one of them was merged into another user; merge that one")
        if duplicate.role not in (Role.GUARDIAN, keep.role):
            raise MergeRefusedError("role", "the duplicate has a role of its own; merge the other way round")
        if duplicate.professional_profiles.exists():
            raise MergeRefusedError("professional", "the duplicate has a working profile; merge the other way round")

    def _move(self) -> tuple[dict[str, int], dict[str, int]]:
        children, both = self._run(STUDENTS).fetchone()
        twice = {"students": both, "likes": self._run(LIKED_TWICE).rowcount}
        twice["notices"] = self._run(TOLD_TWICE).rowcount
        moved = {"students": children}
        for (table, column), rule in RULES.items():
            if rule is Rule.MOVED and table != "students":
                moved[f"{table}.{column}"] = self._run(MOVE.format(table=table, column=column)).rowcount
            if rule is Rule.REMOVED:
                moved[table] = self._run(REMOVE.format(table=table, column=column)).rowcount
        for table, column in _of_hosts():
            moved[f"{table}.{column}"] = self._run(MOVE.format(table=table, column=column)).rowcount
        return {name: count for name, count in moved.items() if count}, {name: n for name, n in twice.items() if n}

    def _take_over(self, keep: User, duplicate: User) -> None:
        placeholder = f"merged-{new_token_id()[:8]}-{self.old}@merged.invalid"
        self._run(EMPTY, placeholder=placeholder, jti=new_token_id())
        names = ("first_name", "last_name", "phone", "external_id", "language")
        muted = list(dict.fromkeys([*keep.muted_channels, *duplicate.muted_channels]))
        self._run(FILL, muted=User.muted_channels.db_value(muted), **{name: getattr(duplicate, name) for name in names})

    def _hand_over(self) -> dict[int | None, int]:
        reason = f"merged from user {self.old}"
        return hand_over(self.old, self.new, reason=reason, by=self.by, now=self.now)


def _of_hosts() -> list[tuple[str, str]]:
    """Tables and columns of the host's own that name a user, as SQL."""
    found = current().engine.run_prepared(NAMING_USERS, ()).fetchall()
    return [(sql, quoted) for sql, quoted, table, column in found if (table, column) not in RULES]
