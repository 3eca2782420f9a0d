"""Prints by how many megabytes the check of a CSV of so many students grows: `… reading_much URL TENANT PATH`."""

from __future__ import annotations

import sys

from rayces_core import Database, importing
from tests.importing.peak import peak_kilobytes


def main() -> None:
    url, tenant, path, how = sys.argv[1:]
    with Database.connect(url) as db, db.tenant(tenant):
        importing.check([{"first_name": "Luz", "last_name": "Sosa"}], "students")
        before = peak_kilobytes()
        report = (importing.run if how == "run" else importing.check)(path, "students", on_error="skip")
        after = peak_kilobytes()
    print(report.rows, report.problem_count, (after - before) // 1024, after // 1024)


if __name__ == "__main__":
    main()
