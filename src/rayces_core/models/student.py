"""Student: a child who takes sessions, and how far the admission has come."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from peewee import Check

from rayces_core.fields import DateField, EnumField, JSONField, StringField, TextField
from rayces_core.models.user import User
from rayces_core.schemas import Documents, EmergencyContacts
from rayces_core.tenancy import TenantForeignKey, TimestampedTenantModel


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
    admission_state = EnumField(AdmissionState, default=AdmissionState.PROSPECT)
    admission_date = DateField(null=True)
    discharge_date = DateField(null=True)
    documents: JSONField[dict[str, Any]] = JSONField(Documents, default=dict)

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

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"
