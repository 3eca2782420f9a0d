"""Bulk import: check a source of any kind against the rules of the models and the database, then write it by sets.

    with db.tenant("north"):
        report = importing.check("alumnos.csv", Student)
        importing.run("alumnos.csv", Student)

The source is a path, an open file, a data frame, or an iterable of dicts or Pydantic models. The record type is a
model, or its name: users, professionals, students, appointments, credits, organizations, posts, likes.
"""

from __future__ import annotations

from rayces_core.importing.columns import Reading
from rayces_core.importing.report import Problem, Report
from rayces_core.importing.running import check, run
from rayces_core.importing.tenant import Restored, tenant

__all__ = ["Problem", "Reading", "Report", "Restored", "check", "run", "tenant"]
