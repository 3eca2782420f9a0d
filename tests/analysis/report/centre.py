"""A centre with a month that is easily counted: what a report of it has to say is worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rayces_core import Appointment, Database, Organization, Role
from rayces_core.clock import frozen
from rayces_core.credits import purchase
from tests.factory import make_organization, make_professional, make_student, make_user

NOW = datetime(2026, 11, 10, 15, tzinfo=UTC)
HOSTILE = '<script>alert("1")</script>'


def made(db: Database, subdomain: str, **columns: object) -> Organization:
    """October: three sessions held and one missed, at ARS 100.00; September: one held, at USD 5.50; a hold of now."""
    organization = make_organization(db, subdomain=subdomain, name=f"Centro {HOSTILE}", **columns)
    with db.tenant(organization):
        schedule = {"monday": [{"start": "09:00", "end": "13:00"}]}
        user = make_user(role=Role.PROFESSIONAL, first_name=HOSTILE, last_name="Paz")
        people = {
            "professional": make_professional(user=user, weekly_schedule=schedule),
            "student": make_student(),
            "client": make_user(first_name="Ana", last_name="=1+1"),
        }
        with frozen(datetime(2026, 8, 1, tzinfo=UTC)):
            purchase(people["client"], 10)
            for day, price, currency, missed in (
                ((9, 7), 550, "USD", False),
                ((10, 5), 10_000, "ARS", False),
                ((10, 12), 10_000, "ARS", False),
                ((10, 19), 10_000, "ARS", False),
                ((10, 26), 10_000, "ARS", True),
            ):
                start = datetime(2026, *day, 13, tzinfo=UTC)  # 10:00 in Buenos Aires
                appointment = Appointment.create(
                    **people, scheduled_at=start, duration_minutes=60, price_cents=price, currency=currency
                )
                appointment.pre_confirm()
                appointment.confirm()
                with frozen(start + timedelta(hours=1)):
                    (appointment.mark_no_show if missed else appointment.execute)()
        with frozen(NOW):
            held = Appointment.create(**people, scheduled_at=NOW + timedelta(days=20), duration_minutes=60)
            held.pre_confirm()
    return organization
