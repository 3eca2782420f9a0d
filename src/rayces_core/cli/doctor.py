"""`rayces doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rayces_core.cli.options import REPLICAS_VARIABLE, Settings, database_options
from rayces_core.showing import counted

if TYPE_CHECKING:
    from rayces_core.doctor import Finding

FINDINGS = 1
_HARDENED = "Hardened: tenants' SQL has no pg_settings to write, large objects or session's locks."
_NOT_HARDENED = (
    "Not hardened. For a database that is rayces' alone: rayces migrate harden says what it does and breaks."
)


@click.command(
    epilog="\b\nExamples:\n  rayces doctor\n  rayces doctor --strict\n  rayces doctor --json\n  rayces doctor --replica postgresql://clinic_web@replica.example.org/clinic"
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
@click.option(
    "--replica", "replicas", multiple=True, metavar="URL",
    help=f"A replica to look at as well, again for each; default: {REPLICAS_VARIABLE}.",
)  # fmt: skip
@database_options
@click.pass_obj
def doctor(settings: Settings, strict: bool, as_json: bool, replicas: tuple[str, ...]) -> int:
    """Audit the live database: is every tenant held?

    Looks in the catalogue at row-level security, keys, grants, roles, views and functions, also of tables that are
    not this library's, and changes nothing. Each finding comes with the SQL that mends it. Of replicas: whether they
    are the database's, follow it closely enough to be read, and hold tenants as it does. And whether notices,
    calendars elsewhere or offers are left lying.

    The exit code is 1 if there is an error.
    """
    from rayces_core.doctor import audit, is_hardened

    with settings.database(replicas=settings.replicas(replicas)) as database:
        found = audit(database)
        hardened = is_hardened(database)
    if as_json:
        from rayces_core.cli.output import print_json

        print_json(asdict(finding) for finding in found)
    else:
        _show(found, len(database.pool_status().replicas))
        click.echo(_HARDENED if hardened else _NOT_HARDENED)
    return FINDINGS if any(strict or finding.severity == "error" for finding in found) else 0


def _show(found: list[Finding], replicas: int) -> None:
    from rayces_core.cli.output import GREEN, HEADING, RED, YELLOW, console, styled, table
    from rayces_core.doctor import CHECKS
    from rayces_core.doctor.lagging import CHECKS as OF_WORK

    screen = console()
    shown = table("", "Check and object", "What is wrong, and what mends it", lines=True)
    for finding in found:
        style = RED if finding.severity == "error" else YELLOW
        where = styled(f"{finding.check}\n", HEADING).append(finding.object, style="default not bold")
        what = styled(f"{finding.message}\n", "default").append(finding.remedy, style=GREEN)
        shown.add_row(styled(finding.severity, style), where, what)
    if found:
        screen.print(shown)
    errors = sum(finding.severity == "error" for finding in found)
    looked = f", {counted(replicas, 'replicas')}" if replicas else ""
    checks, warnings = len(CHECKS) + len(OF_WORK), len(found) - errors
    summary = f"{checks} checks{looked}: {counted(errors, 'errors')}, {counted(warnings, 'warnings')}"
    screen.print(styled(summary, RED if errors else YELLOW if found else GREEN))
