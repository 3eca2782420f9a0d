"""A database to break, and to be looked at by the doctor."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from rayces_core.doctor import Finding, audit_connection


@dataclass
class Patient:
    """A database to break: the superuser's open transaction, undone after the test."""

    connection: Connection
    login: str
    database: str

    def run(self, sql: str) -> None:
        self.connection.cursor().execute(sql.replace("{login}", self.login).replace("{database}", self.database))

    def audit(self) -> list[Finding]:
        """Audit as a login that is no more than a login."""
        self.run("SET SESSION AUTHORIZATION {login}")
        found = audit_connection(self.connection)
        self.run("RESET SESSION AUTHORIZATION")
        return found

    def mend(self, found: list[Finding]) -> None:
        """Run what the doctor prints until it prints nothing: what hides behind a fault is told once that is mended."""
        for _ in range(3):
            for finding in found:
                self.run(finding.remedy)
            if not (found := self.audit()):
                return
        assert found == []

    def codes(self) -> set[str]:
        return {finding.check for finding in self.audit()}
