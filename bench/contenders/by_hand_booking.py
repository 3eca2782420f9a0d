"""Booking as a careful person writes it by hand: lock, read and check one thing after the other, write, commit."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
OCCUPYING = "('pre_confirmed', 'confirmed', 'executed', 'no_show')"
BOOKABLE = ("admitted", "enrolled")

# The row of the professional is what everybody locks who takes time, so that nobody takes the same.
PROFESSIONAL = """
SELECT active, accepts_new_clients, session_duration_minutes, buffer_minutes, weekly_schedule, blocked_dates
  FROM professionals WHERE organization_id = %s AND user_id = %s FOR UPDATE
"""
ORGANIZATION = "SELECT time_zone, settings FROM organizations WHERE id = %s"
STUDENT = "SELECT admission_state FROM students WHERE organization_id = %s AND id = %s"
CLIENT = "SELECT 1 FROM users WHERE organization_id = %s AND id = %s"
EARLIER = "SELECT 1 FROM appointments WHERE organization_id = %s AND professional_id = %s AND student_id = %s LIMIT 1"
# A session is never longer than eight hours, and its buffer is shorter still: so the time is bounded on both sides, and
# the index on it finds a few rows only. The index of the exclusion constraint takes ten times as long.
TAKEN = f"""
SELECT id FROM appointments
 WHERE organization_id = %s AND professional_id = %s AND state IN {OCCUPYING}
   AND scheduled_at > %s::timestamptz - interval '16 hours' AND scheduled_at < %s AND occupied_until > %s AND id <> %s
 LIMIT 1
"""
BUSY = f"""
SELECT id FROM appointments
 WHERE organization_id = %s AND (student_id = %s OR client_id = %s) AND state IN {OCCUPYING}
   AND scheduled_at > %s::timestamptz - interval '8 hours' AND scheduled_at < %s
   AND scheduled_at + make_interval(mins => duration_minutes) > %s
 LIMIT 1
"""
DRAFT = """
INSERT INTO appointments
       (organization_id, professional_id, student_id, client_id, scheduled_at, duration_minutes, buffer_minutes)
VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id
"""
TO_PRE_CONFIRM = """
SELECT a.state, a.professional_id, a.student_id, a.client_id, a.scheduled_at, a.duration_minutes, a.occupied_until,
       a.allows_overlap, o.settings
  FROM appointments AS a
  JOIN professionals AS p ON p.organization_id = a.organization_id AND p.user_id = a.professional_id
  JOIN students AS s ON s.organization_id = a.organization_id AND s.id = a.student_id
  JOIN users AS u ON u.organization_id = a.organization_id AND u.id = a.client_id
  JOIN organizations AS o ON o.id = a.organization_id
 WHERE a.organization_id = %s AND a.id = %s
   FOR NO KEY UPDATE OF a, p, s, u
"""
PRE_CONFIRM = """
UPDATE appointments SET state = 'pre_confirmed', pre_confirmed_at = %s, expires_at = %s, updated_at = %s
 WHERE organization_id = %s AND id = %s
"""
TO_CONFIRM = """
SELECT state, expires_at, uses_credit FROM appointments WHERE organization_id = %s AND id = %s FOR UPDATE
"""
CONFIRM = """
UPDATE appointments SET state = 'confirmed', confirmed_at = %s, updated_at = %s WHERE organization_id = %s AND id = %s
"""
JOURNAL = """
INSERT INTO state_transitions
       (organization_id, subject_type, subject_id, event, from_state, to_state, occurred_at)
VALUES (%s, 'Appointment', %s, %s, %s, %s, %s)
"""

Cursor = psycopg2.extensions.cursor


class RefusedError(Exception):
    """A rule says no."""


def book(
    cursor: Cursor,
    own: int,
    *,
    professional: int,
    student: int,
    client: int,
    scheduled_at: datetime,
    now: datetime,
) -> int:
    """Book a draft in the organization `own`; its id."""
    found = _one(cursor, PROFESSIONAL, (own, professional), "no such professional")
    active, accepts_new, duration, buffer, schedule, blocked = found
    zone, settings = _one(cursor, ORGANIZATION, (own,), "no such organization")
    (admission,) = _one(cursor, STUDENT, (own, student), "no such student")
    _one(cursor, CLIENT, (own, client), "no such client")
    if not active:
        raise RefusedError("not active")
    if admission not in BOOKABLE and not (admission == "prospect" and settings.get("book_prospects", True)):
        raise RefusedError("not admitted")
    if not accepts_new:
        _one(cursor, EARLIER, (own, professional, student), "takes no new clients")
    _check_time(scheduled_at, duration, schedule, blocked, zone, settings, now)
    ends = scheduled_at + timedelta(minutes=duration)
    until = ends + timedelta(minutes=buffer)
    _none(cursor, TAKEN, (own, professional, scheduled_at, until, scheduled_at, 0), "taken")
    _none(cursor, BUSY, (own, student, client, scheduled_at, ends, scheduled_at), "student or client busy")
    cursor.execute(DRAFT, (own, professional, student, client, scheduled_at, duration, buffer))
    ((appointment_id,),) = cursor.fetchall()
    return int(appointment_id)


def _check_time(
    start: datetime,
    duration: int,
    schedule: dict[str, list[dict[str, str]]],
    blocked: list[Any],
    zone: str,
    settings: dict[str, Any],
    now: datetime,
) -> None:
    if start <= now or start < now + timedelta(minutes=settings.get("minimum_notice_minutes", 0)):
        raise RefusedError("too soon")
    if start > now + timedelta(days=settings.get("booking_window_days", 90)):
        raise RefusedError("too far ahead")
    local = start.astimezone(ZoneInfo(zone))
    if any(date.fromisoformat(b["start"]) <= local.date() <= date.fromisoformat(b["end"]) for b in blocked):
        raise RefusedError("blocked date")
    begins = local.hour * 60 + local.minute
    windows = schedule.get(WEEKDAYS[local.weekday()], [])
    if not any(_minutes(w["start"]) <= begins and begins + duration <= _minutes(w["end"]) for w in windows):
        raise RefusedError("outside the schedule")


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def pre_confirm(cursor: Cursor, own: int, appointment_id: int, *, now: datetime) -> None:
    """Take the time of a draft."""
    found = _one(cursor, TO_PRE_CONFIRM, (own, appointment_id), "no such appointment")
    state, professional, student, client, start, minutes, until, may_overlap, settings = found
    if state != "draft":
        raise RefusedError(f"is {state}")
    if start <= now:
        raise RefusedError("in the past")
    _none(cursor, TAKEN, (own, professional, start, until, start, appointment_id), "taken")
    if not may_overlap:
        ends = start + timedelta(minutes=minutes)
        _none(cursor, BUSY, (own, student, client, start, ends, start), "student or client busy")
    expires = min(now + timedelta(hours=settings.get("confirmation_hours", 24)), start)
    cursor.execute(PRE_CONFIRM, (now, expires, now, own, appointment_id))
    cursor.execute(JOURNAL, (own, appointment_id, "pre_confirm", "draft", "pre_confirmed", now))


def confirm(cursor: Cursor, own: int, appointment_id: int, *, now: datetime) -> None:
    """Confirm what is pre-confirmed."""
    state, expires, uses_credit = _one(cursor, TO_CONFIRM, (own, appointment_id), "no such appointment")
    if state != "pre_confirmed":
        raise RefusedError(f"is {state}")
    if expires <= now:
        raise RefusedError("expired")
    if uses_credit:
        raise RefusedError("credits are not part of this")
    cursor.execute(CONFIRM, (now, now, own, appointment_id))
    cursor.execute(JOURNAL, (own, appointment_id, "confirm", "pre_confirmed", "confirmed", now))


def _one(cursor: Cursor, statement: str, values: tuple[Any, ...], otherwise: str) -> tuple[Any, ...]:
    cursor.execute(statement, values)
    row = cursor.fetchone()
    if row is None:
        raise RefusedError(otherwise)
    return row


def _none(cursor: Cursor, statement: str, values: tuple[Any, ...], otherwise: str) -> None:
    cursor.execute(statement, values)
    if cursor.fetchone() is not None:
        raise RefusedError(otherwise)
