"""Who may do what to a row, as predicates: `OWN_CLIENT(appointment, user)`. The rule book is the domain's."""

from __future__ import annotations

from rayces_core.state_machine import Permission

STAFF = Permission("staff and admins", lambda _, user: user.is_staff)
ADMIN = Permission("admins", lambda _, user: user.is_admin)
OWN_PROFESSIONAL = Permission(
    "the appointment's professional",
    lambda appointment, user: appointment.professional_id == user.id,
    ("professional",),
)
OWN_CLIENT = Permission(
    "the appointment's client", lambda appointment, user: appointment.client_id == user.id, ("client",)
)
OWN_CLIENT_BEFORE_CONFIRMATION = Permission(
    "the appointment's client until it is confirmed",
    lambda appointment, user: appointment.client_id == user.id and appointment.state in ("draft", "pre_confirmed"),
    ("client", "state"),
)
