"""Student: a child who takes sessions, and how far the admission has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from peewee import SQL, Check, ModelSelect

from rayces_core.errors import InvalidDataError, TransitionRefusedError
from rayces_core.fields import DateField, JSONField, StateField, StringField, TextField, UTCDateTimeField, settled
from rayces_core.fields.schemas import Documents, EmergencyContacts
from rayces_core.models.external_ids import add_external_id_index, external_id_check
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.state_machine import DatabaseGuard, Predicate, StateMachine, Writes
from rayces_core.tenancy.model import TenantForeignKey, TimestampedTenantModel
from rayces_core.tenancy.queries import TenantSelect


class AdmissionState(StrEnum):
    """How far a student's admission has come."""

    PROSPECT = "prospect"
    APPLIED = "applied"
    WAITLISTED = "waitlisted"
    ADMITTED = "admitted"
    ENROLLED = "enrolled"
    ON_LEAVE = "on_leave"
    DISCHARGED = "discharged"
    REJECTED = "rejected"


PROSPECT, APPLIED, WAITLISTED, ADMITTED, ENROLLED, ON_LEAVE, DISCHARGED, REJECTED = AdmissionState
# The day that the organization's calendar shows at that moment.
TODAY = SQL("(%(now)s AT TIME ZONE (SELECT time_zone FROM organizations WHERE id = %(organization_id)s))::date")
# What becomes of the appointments within a leave.
CANCEL, KEEP = "cancel", "keep"
LEAVE_IS_AHEAD = DatabaseGuard(
    "`until` has not passed",
    locks=(),
    sql=f"(%(set_on_leave_until)s IS NULL OR %(set_on_leave_until)s >= {TODAY.sql})",
    refusal=lambda *_: TransitionRefusedError(
        "suspend", "over", "the leave would be over already; give until= a day from today on, or none"
    ),
)


# What a message about an admission has besides.
TOLD = ("primary_contact", "secondary_contact", "admission_date", "discharge_date", "on_leave_until")


class Student(TimestampedTenantModel):
    """A child, with the users to contact and what the centre has to know.

    `admission_date` and `discharge_date` are those of the present stay, `on_leave_until` is the last day of a leave;
    those of former stays and leaves are in the `details` of the journal.
    """

    first_name = StringField()
    last_name = StringField()
    date_of_birth = DateField(null=True)
    grade_level = StringField(null=True)
    primary_contact = TenantForeignKey(User, backref="students_as_primary_contact", null=True)
    primary_contact_id: int | None
    secondary_contact = TenantForeignKey(User, backref="students_as_secondary_contact", null=True)
    secondary_contact_id: int | None
    medical_notes = TextField(null=True)
    educational_notes = TextField(null=True)
    emergency_contacts: JSONField[list[Any]] = JSONField(EmergencyContacts, default=list)
    admission_state = StateField(AdmissionState, default=AdmissionState.PROSPECT)
    admission_date = DateField(null=True)
    discharge_date = DateField(null=True)
    on_leave_until = DateField(null=True)
    documents: JSONField[dict[str, Any]] = JSONField(Documents, default=dict)
    external_id = StringField(null=True)
    erased_at = settled(UTCDateTimeField(null=True), "forget a student with people.erase_student(db, student, by=...)")

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        appointments: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "students"
        personal = {
            "own": "first_name last_name grade_level emergency_contacts external_id",
            "own_words": "medical_notes educational_notes documents",
            "plain": "admission_state",
        }
        merging = {"moved": "primary_contact_id secondary_contact_id"}
        erased_as = {
            "first_name": "'Erased'",
            "last_name": "'student ' || id",
            "date_of_birth": "NULL",
            "emergency_contacts": "'[]'",
            "documents": "'{}'",
        }
        defaults_in_database = True
        constraints = [
            Check("btrim(first_name) <> ''", name="students_first_name_check"),
            Check("btrim(last_name) <> ''", name="students_last_name_check"),
            Check(
                "admission_state IN ('prospect', 'applied', 'waitlisted', 'admitted', 'enrolled', 'on_leave', "
                "'discharged', 'rejected')",
                name="students_admission_state_check",
            ),
            Check("discharge_date >= admission_date", name="students_discharge_date_check"),
            Check("on_leave_until IS NULL OR admission_state = 'on_leave'", name="students_on_leave_until_check"),
            Check("jsonb_typeof(emergency_contacts) = 'array'", name="students_emergency_contacts_check"),
            Check("jsonb_typeof(documents) = 'object'", name="students_documents_check"),
            external_id_check("students"),
        ]

    lifecycle = StateMachine("admission_state", AdmissionState, journal=StateTransition, tells=TOLD)

    if TYPE_CHECKING:
        can_apply: Predicate
        can_waitlist: Predicate
        can_admit: Predicate
        can_enroll: Predicate
        can_suspend: Predicate
        can_resume: Predicate
        can_discharge: Predicate
        can_reject: Predicate
        can_reapply: Predicate
        available_events: Callable[..., list[str]]
        history: Callable[[], ModelSelect[StateTransition]]
        actor_of: Callable[..., User | None]

    @lifecycle.transition(source=PROSPECT, target=APPLIED, permitted=(STAFF,))
    def apply(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The family applies for admission."""

    @lifecycle.transition(source=APPLIED, target=WAITLISTED, permitted=(STAFF,))
    def waitlist(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """There is no place yet."""

    @lifecycle.transition(
        source=(APPLIED, WAITLISTED),
        target=ADMITTED,
        permitted=(STAFF,),
        remembers=("admission_date", "discharge_date"),
    )
    def admit(
        self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None, on: date | None = None
    ) -> Writes:
        """Give a place; `admission_date` is the day `on`, or today in the organization's zone: a new stay begins."""
        return {"admission_date": TODAY if on is None else on, "discharge_date": None}

    @lifecycle.transition(source=ADMITTED, target=ENROLLED, permitted=(STAFF,))
    def enroll(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The student begins."""

    @lifecycle.transition(source=ENROLLED, target=ON_LEAVE, permitted=(STAFF,), database_guard=LEAVE_IS_AHEAD)
    def suspend(
        self,
        *,
        until: date | None = None,
        appointments: str = KEEP,
        refund: bool | None = None,
        by: User | None = None,
        reason: str | None = None,
        now: datetime | None = None,
    ) -> Writes:
        """The student stays away, up to and including the local day `until`, which `resume` does not wait for.

        Args:
            until: last day of the leave; None leaves it open. Sessions after it can be booked already.
            appointments: "cancel" cancels those within the leave that lie ahead, with the reason "student on leave" and
                in the same unit of work; "keep" leaves them as they are.
            refund: as for `Appointment.cancel`, for those that are cancelled.

        Raises:
            TransitionRefusedError: `over`, the day has passed. InvalidDataError: an argument is malformed.
            InvalidTransitionError, NotPermittedError.
        """
        if appointments not in (CANCEL, KEEP):
            raise InvalidDataError("appointments", appointments, f'must be "{CANCEL}" or "{KEEP}"')
        return {"on_leave_until": until}

    @lifecycle.transition(source=ON_LEAVE, target=ENROLLED, permitted=(STAFF,), remembers=("on_leave_until",))
    def resume(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The student is back."""
        return {"on_leave_until": None}

    @lifecycle.transition(
        source=(ADMITTED, ENROLLED, ON_LEAVE),
        target=DISCHARGED,
        permitted=(STAFF,),
        remembers=("discharge_date", "on_leave_until"),
    )
    def discharge(
        self,
        *,
        on: date | None = None,
        refund: bool | None = None,
        by: User | None = None,
        reason: str | None = None,
        now: datetime | None = None,
    ) -> Writes:
        """The student leaves; `discharge_date`, the last day of the stay, is `on` or today in the organization's zone.

        In the same unit of work every open appointment after that local day is cancelled, with the reason "student
        discharged". A day ahead may be given: up to it sessions stay, and can still be booked.

        Args:
            refund: as for `Appointment.cancel`, for those that are cancelled.

        Raises:
            CheckFailedError: the day lies before `admission_date`. InvalidTransitionError, NotPermittedError.
        """
        return {"discharge_date": TODAY if on is None else on, "on_leave_until": None}

    @lifecycle.transition(source=(PROSPECT, APPLIED, WAITLISTED), target=REJECTED, permitted=(STAFF,))
    def reject(
        self,
        *,
        refund: bool | None = None,
        by: User | None = None,
        reason: str | None = None,
        now: datetime | None = None,
    ) -> Writes:
        """The centre does not take the student: open appointments ahead are cancelled, reason "student rejected".

        Args:
            refund: as for `Appointment.cancel`, for those that are cancelled.
        """

    @lifecycle.transition(
        source=(REJECTED, DISCHARGED),
        target=APPLIED,
        permitted=(STAFF,),
        remembers=("admission_date", "discharge_date"),
    )
    def reapply(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The family applies again: the dates of the stay before are cleared, and stay in the journal's `details`."""
        return {"admission_date": None, "discharge_date": None}

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"


add_external_id_index(Student)
