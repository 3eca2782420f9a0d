"""Frames in the shape that metrics give, made by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

MONTHS = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]


def rows(*given: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{"organization_id": 1} | row for row in given], infer_schema_length=None)


def monthly(*given: dict[str, Any]) -> pl.DataFrame:
    return rows(*({"period": month} | row for month, row in zip(MONTHS, given, strict=True)))


SESSIONS = monthly(
    *({"executed": n, "no_show": 2, "cancelled": 3, "open": 0, "held_minutes": n * 45} for n in (11, 12, 13))
)
OCCUPANCY = monthly(
    {"working_minutes": 1000, "booked_minutes": 500, "occupancy": 0.5},
    {"working_minutes": 0, "booked_minutes": 0, "occupancy": None},
    {"working_minutes": 1000, "booked_minutes": 753, "occupancy": 0.753},
)
BY_PROFESSIONAL = rows(
    {"professional_id": "Ana <b>", "working_minutes": 1000, "booked_minutes": 250, "occupancy": 0.25},
    {"professional_id": "Bruno & Co", "working_minutes": 0, "booked_minutes": 0, "occupancy": None},
)
NO_SHOWS = monthly(*({"no_show": n, "executed": 100 - n, "open": 0, "rate": n / 100} for n in (5, 7, 9)))
CANCELLATIONS = monthly(
    *(
        {"confirmed": 80, "cancelled": 8, "late": 1, "expired": 0, "discharged": 0, "rate": 0.1, "late_rate": 0.0125}
        for _ in MONTHS
    )
)
REBOOKED = monthly(*({"cancelled_minutes": 90, "rebooked_minutes": 45, "rate": 0.5} for _ in MONTHS))
HEAT_MAP = rows(
    *(
        {"weekday": day, "hour": hour, "working_minutes": 240 * (9 <= hour < 11), "booked_minutes": 60 * (hour == 9)}
        for day in range(1, 8)
        for hour in range(24)
    )
)
RETENTION = rows(
    {"cohort": MONTHS[0], "age_months": 0, "clients": 4, "active": 4, "retention": 1.0},
    {"cohort": MONTHS[0], "age_months": 1, "clients": 4, "active": 1, "retention": 0.25},
    {"cohort": MONTHS[1], "age_months": 0, "clients": 3, "active": 3, "retention": 1.0},
    {"cohort": MONTHS[1], "age_months": 1, "clients": 3, "active": None, "retention": None},
)
FUNNEL = monthly(
    *(
        {"applied": 8, "waitlisted": 6, "admitted": 5, "enrolled": 4, "rejected": 1, "conversion": 0.5, "pending": 0}
        for _ in MONTHS
    )
)
LIABILITY = monthly(
    *({"purchased": 9, "used": 2, "refunded": 0, "adjusted": 0, "outstanding": 7 * n} for n in (1, 2, 3))
)
REVENUE = rows(
    *(
        {"period": month, "currency": currency, "sessions": 3, "unpriced": 0, "revenue_cents": cents}
        for month in MONTHS
        for currency, cents in (("ARS", 123_456_789), ("USD", 2_500))
    )
)
LIFETIME = rows(
    *({"client_id": n, "currency": "ARS", "sessions": 1, "revenue_cents": n * 1_000_000} for n in (1, 2, 9))
)
LEAD_TIME = monthly(*({"n": 4, "p10_hours": 12.0, "median_hours": 60.0, "p90_hours": 240.0} for _ in MONTHS))
WAITS = rows(
    *(
        {"student_id": n, "wait_days": days, "censored": censored, "median_days": 4.0}
        for n, (days, censored) in enumerate([(2.0, False), (4.0, False), (5.0, True), (9.0, False)])
    )
)
HOLDS = rows(*({"appointment_id": n, "minutes_left": minutes} for n, minutes in enumerate([30, 90, 1400])))

# Chart → its frame.
EVERY = {
    "sessions": SESSIONS,
    "occupancy": OCCUPANCY,
    "no_show_rate": NO_SHOWS,
    "cancellation_rate": CANCELLATIONS,
    "rebooked": REBOOKED,
    "heat_map": HEAT_MAP,
    "cohorts": RETENTION,
    "funnel": FUNNEL,
    "liability": LIABILITY,
    "revenue": REVENUE,
    "lifetime": LIFETIME,
    "lead_time": LEAD_TIME,
    "waiting": WAITS,
    "holds": HOLDS,
}
