"""Frames, metrics and charts for notebooks: what centres ask of their sessions, credits and admissions.

Everything here goes through the library's own connection and its three walls. The libraries that carry frames and
charts (extra `analysis`) are imported when they are first needed.
"""

from rayces_core.analysis.definition import Definition
from rayces_core.analysis.metrics.cancellation_rate import cancellation_rate
from rayces_core.analysis.metrics.heat_map import heat_map
from rayces_core.analysis.metrics.no_show_rate import no_show_rate
from rayces_core.analysis.metrics.occupancy import occupancy
from rayces_core.analysis.metrics.rebooked import rebooked
from rayces_core.analysis.metrics.sessions import sessions
from rayces_core.analysis.reading import schema, to_arrow, to_pandas, to_polars

__all__ = [
    "Definition",
    "cancellation_rate",
    "heat_map",
    "no_show_rate",
    "occupancy",
    "rebooked",
    "schema",
    "sessions",
    "to_arrow",
    "to_pandas",
    "to_polars",
]
