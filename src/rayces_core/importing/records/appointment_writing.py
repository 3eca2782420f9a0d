"""How staged appointments become rows with the stamps of their state, and with the journal that leads there.

A moment that the source does not say is the last one that is possible: an appointment that was held was held and
confirmed when it was imported or when it began, whichever is first. It is marked as made up, in the journal and for
`created_at` in the row, so that no figure is computed from it.
"""

from __future__ import annotations

from typing import Any, Final

from rayces_core.importing.records.seats import CROWDED_OUT
from rayces_core.models.appointment import CONFIRMATION_HOURS, EXPIRED, OCCUPYING_SQL, Appointment
from rayces_core.models.appointment_states import PRE_CONFIRMED

# Lock, then write, as booking does: two that wait for each other's range would be a deadlock.
LOCKING: Final = """
SELECT 1 FROM professionals
 WHERE organization_id = %(tenant)s
   AND user_id IN (SELECT professional_id FROM resolved UNION SELECT second_professional_id FROM resolved)
 ORDER BY user_id FOR NO KEY UPDATE;
SELECT 1 FROM resources
 WHERE organization_id = %(tenant)s AND id IN (SELECT room_id FROM resolved UNION SELECT device_id FROM resolved)
 ORDER BY id FOR NO KEY UPDATE
"""
# Overdue holds where a row is to take the time: the exclusion constraint cannot look at the clock.
IN_THE_WAY: Final = f"""
SELECT id FROM appointments
 WHERE organization_id = %(tenant)s AND state = '{PRE_CONFIRMED}' AND expires_at < %(now)s
   AND ({CROWDED_OUT} OR EXISTS (
    SELECT 1 FROM resolved AS r
     WHERE r.existing_id IS NULL AND coalesce(r.state, 'draft') IN ({OCCUPYING_SQL})
       AND (r.professional_id IN (appointments.professional_id, appointments.second_professional_id)
            OR r.second_professional_id IN (appointments.professional_id, appointments.second_professional_id)
            OR r.room_id = appointments.room_id OR r.device_id = appointments.device_id)
       AND (appointments.group_session_id = r.group_session_id) IS NOT TRUE
       AND r.occupied_from < appointments.occupied_until AND r.occupied_until > appointments.occupied_from
))"""
REASON: Final = "imported"

INSERTING: Final = f"""
WITH standing AS (
    SELECT r.*, row_number() OVER (ORDER BY r.row, r.scheduled_at) AS place,
           coalesce(r.state, 'draft') AS now_in, least(%(now)s, r.scheduled_at, r.cancelled_at) AS latest,
           coalesce(r.state, 'draft') IN ('confirmed', 'executed', 'no_show') OR r.confirmed_at IS NOT NULL AS firm,
           coalesce(r.state, 'draft') NOT IN ('draft', 'cancelled')
               OR coalesce(r.pre_confirmed_at, r.confirmed_at, r.expires_at) IS NOT NULL AS held
      FROM resolved AS r WHERE r.existing_id IS NULL
), stamped AS (
    SELECT s.*, CASE WHEN held THEN coalesce(pre_confirmed_at, confirmed_at, least(latest, expires_at)) END AS held_at,
           CASE WHEN firm THEN coalesce(confirmed_at, pre_confirmed_at, latest) END AS firm_at
      FROM standing AS s
), made AS (
    INSERT INTO appointments (
        organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes, state,
        pre_confirmed_at, expires_at, confirmed_at, executed_at, no_show_at, cancelled_at, cancelled_by_id,
        cancellation_reason, notes, professional_notes, uses_credit, credits_used, price_cents, currency, external_id,
        created_at, updated_at, created_at_made_up, buffer_before_minutes, service_id,
        second_professional_id, room_id, device_id, series_id, occurrence_at,
        group_session_id, seat, seats, credit_kind_id
    ) SELECT
        %(tenant)s, professional_id, student_id, coalesce(client_id, contact_id), scheduled_at, minutes, buffer, now_in,
        held_at,
        CASE WHEN held THEN greatest(coalesce(expires_at, least(scheduled_at, held_at + make_interval(hours => (
            SELECT coalesce((settings ->> 'confirmation_hours')::int, {CONFIRMATION_HOURS})
              FROM organizations WHERE id = %(tenant)s)))), held_at, firm_at) END,
        firm_at,
        CASE WHEN now_in = 'executed' THEN coalesce(
            executed_at, greatest(least(%(now)s, scheduled_at + make_interval(mins => minutes)), firm_at)) END,
        CASE WHEN now_in = 'no_show' THEN coalesce(no_show_at, greatest(scheduled_at, firm_at)) END,
        CASE WHEN now_in = 'cancelled' THEN coalesce(cancelled_at, greatest(latest, held_at, firm_at)) END,
        cancelled_by_id,
        CASE WHEN now_in = 'cancelled' AND cancelled_by_id IS NULL
             THEN coalesce(cancellation_reason, '{REASON}') ELSE cancellation_reason END,
        notes, professional_notes, coalesce(uses_credit, false),
        CASE WHEN uses_credit THEN coalesce((
            SELECT credits FROM services WHERE organization_id = %(tenant)s AND services.id = service_id), 1)
        ELSE 0 END,
        price_cents, currency, external_id, coalesce(created_at, %(now)s), %(now)s,
        created_at IS NULL OR coalesce(created_at_made_up, false), before, service_id,
        second_professional_id, room_id, device_id, series_id, occurrence_at, group_session_id, seat, seats,
        (SELECT credit_kind_id FROM services WHERE organization_id = %(tenant)s AND services.id = service_id)
      FROM stamped ORDER BY place
    RETURNING id, state, pre_confirmed_at, confirmed_at, executed_at, no_show_at, cancelled_at, cancelled_by_id,
              cancellation_reason
), numbered AS (
    SELECT made.*, row_number() OVER (ORDER BY id) AS place FROM made
)
INSERT INTO state_transitions (
    organization_id, subject_type, subject_id, event, from_state, to_state, actor_id, reason, occurred_at, made_up
) SELECT %(tenant)s, 'Appointment', made.id, step.event, step.source, step.target, step.actor, step.why, step.at,
         step.told IS DISTINCT FROM step.at
    FROM numbered AS made JOIN standing AS told USING (place) CROSS JOIN LATERAL (VALUES
        (1, 'pre_confirm', 'draft', 'pre_confirmed', NULL::bigint, '{REASON}', made.pre_confirmed_at,
            told.pre_confirmed_at),
        (2, 'confirm', 'pre_confirmed', 'confirmed', NULL, '{REASON}', made.confirmed_at, told.confirmed_at),
        (3, 'execute', 'confirmed', 'executed', NULL, '{REASON}', made.executed_at, told.executed_at),
        (4, 'mark_no_show', 'confirmed', 'no_show', NULL, '{REASON}', made.no_show_at, told.no_show_at),
        (5, 'cancel', CASE WHEN made.confirmed_at IS NOT NULL THEN 'confirmed'
                           WHEN made.pre_confirmed_at IS NOT NULL THEN 'pre_confirmed' ELSE 'draft' END,
            'cancelled', made.cancelled_by_id, made.cancellation_reason, made.cancelled_at, told.cancelled_at)
    ) AS step (place, event, source, target, actor, why, at, told)
   WHERE step.at IS NOT NULL ORDER BY made.id, step.place
"""


def clear_the_way(staging: Any) -> None:
    """Expire the overdue holds in the way, as booking does; the professionals are locked already."""
    ids = [found for (found,) in staging.run(IN_THE_WAY)]
    if ids:
        Appointment.lifecycle.move_many(
            "expire",
            "expires_at < %(now)s AND id = ANY (%(ids)s)",
            {"ids": ids},
            now=staging.parameters["now"],
            reason=EXPIRED,
        )
