"""How long the metrics of working time take: what `python -m bench.arrow --sessions 50000` measures besides."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from statistics import median
from typing import Any

from bench.facts import FIRST_DAY
from rayces_core import Database, analysis

# From the day before the first session on; more days than the sessions of any number of professionals take.
FROM = FIRST_DAY.date().replace(day=1)
WAYS: dict[str, Callable[[date, date], Any]] = {
    "occupancy": analysis.occupancy,
    "occupancy by professional and month": lambda start, end: analysis.occupancy(
        start, end, every="1mo", by="professional"
    ),
    "heat_map": analysis.heat_map,
    "heat_map by professional": lambda start, end: analysis.heat_map(start, end, by="professional"),
}


def asked(url: str, subdomain: str, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each metric over a year, and the minutes that it has counted; the first round is for warmth.

    Each counts the same sessions, so all must have booked the same minutes.
    """
    year = FROM, FROM.replace(year=FROM.year + 1)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    booked: dict[str, int] = {}
    with Database.connect(url) as db, db.tenant(subdomain):
        for _ in range(rounds + 1):
            for name, ask in WAYS.items():
                began = time.perf_counter()
                frame = ask(*year)
                seconds[name].append(time.perf_counter() - began)
                booked[name] = int(frame["booked_minutes"].sum())
    if len(set(booked.values())) != 1:
        raise RuntimeError(f"not all have counted the same: {booked}")
    return {name: {"seconds": median(taken[1:]), "minutes": booked[name]} for name, taken in seconds.items()}
