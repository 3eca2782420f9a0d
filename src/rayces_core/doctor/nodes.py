"""The other nodes of Citus: what an audit of the coordinator's catalogue cannot see, and what is needed there."""

from __future__ import annotations

from typing import Final

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its classes in lower case

from rayces_core.citus import compare
from rayces_core.doctor.finding import Finding

CODE: Final = "citus-differs"
# Findings that are none there: the coordinator comes to the other nodes as the role, and rows take their ids there.
NEEDED: Final = ("role-login", "shared-sequence")


def with_nodes(found: list[Finding], connection: Connection, app_role: str, admin_role: str) -> list[Finding]:
    """The findings of a coordinator, with those of all of its nodes."""
    here = [finding for finding in found if finding.check not in NEEDED]
    return here + [
        Finding(
            "error",
            CODE,
            difference.object,
            f"{difference.where}: {difference.kind} not as the coordinator has it, {difference.found} instead of "
            f"{difference.expected}",
            "have a DBA make it on that node as it is on the coordinator, then run: rayces citus check",
        )
        for difference in compare(connection, app_role=app_role, admin_role=admin_role)
    ]
