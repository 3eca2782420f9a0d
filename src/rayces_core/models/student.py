"""Student: a child who takes sessions, and how far the admission has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from peewee import SQL, Check, ModelSelect

from rayces_core.fields import DateField, JSONField, StateField, StringField, TextField
from rayces_core.fields.schemas import Documents, EmergencyContacts
from rayces_core.models.journal import StateTransition
from rayces_core.models.permissions import STAFF
from rayces_core.models.user import User
from rayces_core.state_machine import Predicate, StateMachine, Writes
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


class Student(TimestampedTenantModel):
    """A child, with the users to contact and what the centre has to know."""

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
    documents: JSONField[dict[str, Any]] = JSONField(Documents, default=dict)

    if TYPE_CHECKING:  # rows of models that know this one, and not the other way round
        appointments: TenantSelect[Any]

    class Meta:
        """The table and its rules."""

        table_name = "students"
        defaults_in_database = True
        constraints = [
            Check("btrim(first_name) <> ''", name="students_first_name_check"),
            Check("btrim(last_name) <> ''", name="students_last_name_check"),
            Check(
                "admission_state IN ('prospect', 'applied', 'waitlisted', 'admitted', 'enrolled', 'on_leave', "
                "'discharged', 'rejected')",
                name="students_admission_state_check",
            ),
            Check("jsonb_typeof(emergency_contacts) = 'array'", name="students_emergency_contacts_check"),
            Check("jsonb_typeof(documents) = 'object'", name="students_documents_check"),
        ]

    lifecycle = StateMachine("admission_state", AdmissionState, journal=StateTransition)

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
        actor_of: Callable[[str], User | None]

    @lifecycle.transition(source=PROSPECT, target=APPLIED, permitted=(STAFF,))
    def apply(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The family applies for admission."""

    @lifecycle.transition(source=APPLIED, target=WAITLISTED, permitted=(STAFF,))
    def waitlist(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """There is no place yet."""

    @lifecycle.transition(source=(APPLIED, WAITLISTED), target=ADMITTED, permitted=(STAFF,))
    def admit(
        self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None, on: date | None = None
    ) -> Writes:
        """Give a place; `admission_date` is the day `on`, or today in the organization's zone."""
        return {"admission_date": TODAY if on is None else on}

    @lifecycle.transition(source=ADMITTED, target=ENROLLED, permitted=(STAFF,))
    def enroll(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The student begins."""

    @lifecycle.transition(source=ENROLLED, target=ON_LEAVE, permitted=(STAFF,))
    def suspend(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The student stays away for a while."""

    @lifecycle.transition(source=ON_LEAVE, target=ENROLLED, permitted=(STAFF,))
    def resume(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The student is back."""

    @lifecycle.transition(source=(ADMITTED, ENROLLED, ON_LEAVE), target=DISCHARGED, permitted=(STAFF,))
    def discharge(
        self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None, on: date | None = None
    ) -> Writes:
        """The student leaves: `discharge_date` is the day `on`, or today; future appointments are cancelled with it."""
        return {"discharge_date": TODAY if on is None else on}

    @lifecycle.transition(source=(PROSPECT, APPLIED, WAITLISTED), target=REJECTED, permitted=(STAFF,))
    def reject(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The centre does not take the student."""

    @lifecycle.transition(source=(REJECTED, DISCHARGED), target=APPLIED, permitted=(STAFF,))
    def reapply(self, *, by: User | None = None, reason: str | None = None, now: datetime | None = None) -> Writes:
        """The family applies again."""

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"
