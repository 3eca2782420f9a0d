"""Applications for admission, as the journal tells them: from `applied` on, and how far each came.

Rule it guards: an application with a moment that an import or an adoption made up is none that is counted. A student
who was turned away, or has left, and applies again makes another application.
"""

from __future__ import annotations

from typing import Final

from rayces_core.analysis.asking import Asked
from rayces_core.state_machine.readers import latest_told

# `by` of what is no appointment: what the student's row tells.
ALLOWED: Final = ("grade",)
SOURCE: Final = "state_transitions (subject_type Student, made_up); students (grade_level)"
STATES: Final = ("waitlisted", "admitted", "enrolled", "rejected", "discharged")

# What comes after an application and before the next one, up to now, belongs to it. Rows of the journal follow each
# other by their ids, whatever moments were told for them; by time where their ids are of several databases.
_APPLICATIONS: Final = f"""
told AS (
    SELECT t.organization_id, t.subject_id AS student_id, t.id, t.to_state, t.occurred_at, t.made_up,
           {latest_told("t", "organization_id", "subject_id")} AS latest
      FROM {{{{state_transitions}}}} AS t
     WHERE t.subject_type = 'Student' AND t.from_state <> t.to_state AND t.occurred_at <= %(now)s
), step AS (
    SELECT told.*, count(*) FILTER (WHERE to_state = 'applied') OVER (
               PARTITION BY organization_id, student_id ORDER BY latest, id
           ) AS attempt
      FROM told
), attempt AS (
    SELECT organization_id, student_id, bool_or(made_up) AS made_up,
           min(occurred_at) FILTER (WHERE to_state = 'applied') AS applied_at, {{reached}}
      FROM step WHERE attempt > 0 GROUP BY organization_id, student_id, attempt
), application AS (
    SELECT attempt.*, {{period}} AS period{{by}}
      FROM attempt JOIN {{{{organizations}}}} AS organization ON organization.id = attempt.organization_id
      LEFT JOIN {{{{students}}}} AS student
        ON student.organization_id = attempt.organization_id AND student.id = attempt.student_id
      CROSS JOIN LATERAL (SELECT applied_at AT TIME ZONE organization.time_zone AS local) AS clock
     WHERE NOT attempt.made_up AND clock.local >= %(start)s::date AND clock.local < %(end)s::date
)"""


def applications(asked: Asked) -> str:
    """SQL for WITH: `application`, a row for each that was made in the periods.

    Its columns are organization_id, student_id, period, those of `by`, applied_at, and for each of STATES the moment at
    which it came to be so first, such as enrolled_at; null if it did not.
    """
    return _APPLICATIONS.format(
        reached=", ".join(f"min(occurred_at) FILTER (WHERE to_state = '{state}') AS {state}_at" for state in STATES),
        period=asked.periods.of_day("clock.local"),
        by="".join(f", {dimension.sql} AS {dimension.column}" for dimension in asked.by),
    )
