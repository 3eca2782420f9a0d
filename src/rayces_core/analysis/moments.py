"""Whether a moment of an appointment was told, or made up by an import or an adoption; the journal knows."""

from __future__ import annotations

from rayces_core.models.appointment_states import AppointmentState


def made_up(appointment: str, state: AppointmentState) -> str:
    """SQL: whether nobody told when the `appointment`, an alias of its table, came to be in `state`."""
    return f"""EXISTS (
            SELECT FROM {{state_transitions}} AS step
             WHERE step.organization_id = {appointment}.organization_id AND step.subject_type = 'Appointment'
               AND step.subject_id = {appointment}.id AND step.to_state = '{state}' AND step.made_up)"""
