"""The rules of appointments and their indexes, as the migrations have them in the database."""

from __future__ import annotations

from typing import Any, Final

from peewee import SQL, Check

from rayces_core.models import holdings
from rayces_core.models.appointment_states import OCCUPYING_SQL
from rayces_core.models.external_ids import add_external_id_index, external_id_check
from rayces_core.models.series import add_occurrence_index, occurrence_check

# A seat is held for as long as the appointment holds time.
SEATED: Final = (
    f"CASE WHEN group_session_id IS NOT NULL AND state IN ({OCCUPYING_SQL}) "
    "THEN seat IS NOT NULL AND seats IS NOT NULL "
    "ELSE seat IS NULL AND seats IS NULL AND (group_session_id IS NULL OR state = 'cancelled') END"
)
RULES: Final = [
    Check("duration_minutes BETWEEN 15 AND 480", name="appointments_duration_minutes_check"),
    Check("buffer_minutes BETWEEN 0 AND 1440", name="appointments_buffer_minutes_check"),
    Check("buffer_before_minutes BETWEEN 0 AND 1440", name="appointments_buffer_before_minutes_check"),
    Check(
        "date_trunc('minute', scheduled_at AT TIME ZONE 'UTC') = scheduled_at AT TIME ZONE 'UTC'",
        name="appointments_scheduled_at_check",
    ),
    Check("credits_used >= 0", name="appointments_credits_used_check"),
    Check(
        "(price_cents IS NULL) = (currency IS NULL) AND coalesce(price_cents, 0) >= 0",
        name="appointments_price_cents_check",
    ),
    Check("currency ~ '^[A-Z]{3}$'", name="appointments_currency_check"),
    Check("jsonb_typeof(metadata) = 'object'", name="appointments_metadata_check"),
    Check(
        "(request_fingerprint IS NULL) = (idempotency_key IS NULL)",
        name="appointments_request_fingerprint_check",
    ),
    Check("btrim(idempotency_key) <> ''", name="appointments_idempotency_key_check"),
    Check(
        "state IN ('draft', 'pre_confirmed', 'confirmed', 'executed', 'cancelled', 'no_show')",
        name="appointments_state_check",
    ),
    Check(
        "state = 'cancelled' OR (pre_confirmed_at IS NOT NULL) = (state <> 'draft')",
        name="appointments_pre_confirmed_at_check",
    ),
    Check("(expires_at IS NULL) = (pre_confirmed_at IS NULL)", name="appointments_expires_at_check"),
    Check("expires_at >= pre_confirmed_at", name="appointments_expires_at_order_check"),
    Check(
        "CASE state WHEN 'cancelled' THEN confirmed_at IS NULL OR pre_confirmed_at IS NOT NULL "
        "ELSE (confirmed_at IS NOT NULL) = (state IN ('confirmed', 'executed', 'no_show')) END",
        name="appointments_confirmed_at_check",
    ),
    Check("(executed_at IS NOT NULL) = (state = 'executed')", name="appointments_executed_at_check"),
    Check("(no_show_at IS NOT NULL) = (state = 'no_show')", name="appointments_no_show_at_check"),
    Check("(cancelled_at IS NOT NULL) = (state = 'cancelled')", name="appointments_cancelled_at_check"),
    Check(
        "CASE state WHEN 'cancelled' "
        "THEN cancelled_by_id IS NOT NULL OR coalesce(btrim(cancellation_reason), '') <> '' "
        "ELSE cancelled_by_id IS NULL AND cancellation_reason IS NULL END",
        name="appointments_cancellation_reason_check",
    ),
    external_id_check("appointments"),
    Check(SEATED, name="appointments_group_session_id_check"),
    Check("seat BETWEEN 1 AND seats", name="appointments_seat_check"),
    occurrence_check("appointments"),
    *holdings.rules("appointments"),
    Check(
        "reserved_credits = 0 OR reserved_credits > 0 AND state = 'pre_confirmed'",
        name="appointments_reserved_credits_check",
    ),
]


def add_indexes(appointment: Any) -> None:
    """Have the model know its indexes."""
    appointment.add_index(
        appointment.organization,
        appointment.professional,
        appointment.scheduled_at,
        appointment.state,
        unique=True,
        where=SQL("state IN ('confirmed', 'executed') AND group_session_id IS NULL"),
        name="idx_no_double_booking",
    )
    appointment.add_index(
        appointment.organization,
        appointment.idempotency_key,
        unique=True,
        where=SQL("idempotency_key IS NOT NULL"),
        name="appointments_organization_id_idempotency_key_key",
    )
    add_external_id_index(appointment)
    appointment.add_index(
        appointment.organization,
        appointment.group_session,
        appointment.seat,
        unique=True,
        where=SQL("seat IS NOT NULL"),
        name="appointments_organization_id_group_session_id_seat_key",
    )
    appointment.add_index(
        appointment.organization,
        appointment.group_session,
        appointment.student,
        unique=True,
        where=SQL("seat IS NOT NULL"),
        name="appointments_organization_id_group_session_id_student_id_key",
    )
    add_occurrence_index(appointment)
    appointment.add_index(
        appointment.organization,
        appointment.slot_request,
        where=SQL("slot_request_id IS NOT NULL"),
        name="index_appointments_on_slot_request_id",
    )
    appointment.add_index(
        appointment.organization,
        appointment.slot_request,
        unique=True,
        where=SQL(f"slot_request_id IS NOT NULL AND state IN ({OCCUPYING_SQL})"),
        name="appointments_organization_id_slot_request_id_key",
    )
    holdings.add_indexes(appointment)
