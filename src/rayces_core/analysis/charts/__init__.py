"""Charts of the metrics, for notebooks, documents and reports: `charts.occupancy(analysis.occupancy(start, end))`.

Each function takes the frame of its metric (of polars, pandas or Arrow) and gives an altair chart whose title, unit and
definition are in it, with `.png()`, `.svg()` and `.html()` beside what altair's charts can. None of them starts a
browser or loads anything from a network.

| chart | of the metric | what it shows |
| --- | --- | --- |
| `sessions` | `sessions` | bars by how sessions ended; with `by`, sessions held |
| `occupancy` | `occupancy` | a line; with `by`, bars or a grid |
| `no_show_rate`, `cancellation_rate`, `rebooked` | the same | a line; with `by`, bars or a grid |
| `heat_map` | `heat_map` | occupancy of each hour of the week |
| `revenue` | `revenue` | bars, for each currency apart; with `by`, in parts |
| `liability` | `credit_liability` | credits not used yet |
| `lifetime` | `lifetime_value` | how many clients have brought how much |
| `cohorts` | `retention` | the triangle of who stays |
| `waiting` | `admission_wait` | who still waits for a place, by Kaplan and Meier |
| `funnel` | `admission_funnel` | how far applicants came |
| `lead_time` | `lead_time` | how far ahead people book |
| `holds` | `expiring_holds` | holds by the hours that are left |

All take `language="en"` or `"es"`, `country=` of two letters, whose decimal sign is used, and `definition=`, a text in
place of the metric's own. Organizations and currencies are never added up: each gets a panel.

Raises, all of them: InvalidDataError for what is not the metric's frame; MissingExtraError where altair is missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rayces_core.errors import MissingExtraError

if TYPE_CHECKING:
    from rayces_core.analysis.charts.over_time import (
        cancellation_rate,
        lead_time,
        liability,
        no_show_rate,
        occupancy,
        rebooked,
        revenue,
        sessions,
    )
    from rayces_core.analysis.charts.people import funnel, holds, lifetime, waiting
    from rayces_core.analysis.charts.weeks_and_cohorts import cohorts, heat_map

__all__ = [
    "cancellation_rate",
    "cohorts",
    "funnel",
    "heat_map",
    "holds",
    "lead_time",
    "liability",
    "lifetime",
    "no_show_rate",
    "occupancy",
    "rebooked",
    "revenue",
    "sessions",
    "waiting",
]

_PLACES = {
    **dict.fromkeys(("cohorts", "heat_map"), "weeks_and_cohorts"),
    **dict.fromkeys(("funnel", "holds", "lifetime", "waiting"), "people"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'over_time')}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rayces_core"):
            raise
        raise MissingExtraError(f"{error.name} is not installed: pip install 'rayces-core[analysis]'") from None


def __dir__() -> list[str]:
    return __all__
