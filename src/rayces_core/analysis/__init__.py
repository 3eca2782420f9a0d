"""Frames, metrics and charts for notebooks: what centres ask of their sessions, credits and admissions.

Everything here goes through the library's own connection and its three walls. The libraries that carry frames and
charts (extra `analysis`) are imported when they are first needed.
"""

from rayces_core.analysis import charts
from rayces_core.analysis.definition import Definition
from rayces_core.analysis.metrics.admission_funnel import admission_funnel
from rayces_core.analysis.metrics.admission_wait import admission_wait
from rayces_core.analysis.metrics.billed_taxes import billed_taxes
from rayces_core.analysis.metrics.cancellation_rate import cancellation_rate
from rayces_core.analysis.metrics.credit_liability import credit_liability
from rayces_core.analysis.metrics.finance import billed, package_credits, reserved_credits
from rayces_core.analysis.metrics.group_seats import group_seats
from rayces_core.analysis.metrics.heat_map import heat_map
from rayces_core.analysis.metrics.lead_time import lead_time
from rayces_core.analysis.metrics.lifetime_value import lifetime_value
from rayces_core.analysis.metrics.lists import expiring_holds, overdue_confirmations, unclosed_sessions
from rayces_core.analysis.metrics.no_show_rate import no_show_rate
from rayces_core.analysis.metrics.occupancy import occupancy
from rayces_core.analysis.metrics.rebooked import rebooked
from rayces_core.analysis.metrics.resource_use import resource_use
from rayces_core.analysis.metrics.retention import retention
from rayces_core.analysis.metrics.revenue import revenue
from rayces_core.analysis.metrics.sessions import sessions
from rayces_core.analysis.metrics.slot_requests import slot_requests
from rayces_core.analysis.reading import schema, to_arrow, to_pandas, to_polars
from rayces_core.analysis.urls import url_of

__all__ = [
    "Definition",
    "admission_funnel",
    "admission_wait",
    "billed",
    "billed_taxes",
    "cancellation_rate",
    "charts",
    "credit_liability",
    "expiring_holds",
    "group_seats",
    "heat_map",
    "lead_time",
    "lifetime_value",
    "no_show_rate",
    "occupancy",
    "overdue_confirmations",
    "package_credits",
    "rebooked",
    "reserved_credits",
    "resource_use",
    "retention",
    "revenue",
    "schema",
    "sessions",
    "slot_requests",
    "to_arrow",
    "to_pandas",
    "to_polars",
    "unclosed_sessions",
    "url_of",
]
