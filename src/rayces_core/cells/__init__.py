"""Many PostgreSQL databases, one application: each tenant lives in one cell, and a catalogue says in which.

    from rayces_core import Cells

    cells = Cells({"a": "postgresql://…", "b": "postgresql://…"}, catalogue="a")
    cells.migrate()
    cells.create_organization("North Clinic", subdomain="north")
    with cells.tenant("north"):
        Student.create(first_name="Luz", last_name="Sosa")
    cells.move("north", to="b")

Rule it guards: a tenant is written in one cell at a time, and no statement and no unit of work spans two of them.
"""

from rayces_core.cells.cells import Cells
from rayces_core.cells.placements import Placement
from rayces_core.cells.results import CellFindings, CellMigrated
from rayces_core.cells.steps import Move

__all__ = ["CellFindings", "CellMigrated", "Cells", "Move", "Placement"]
