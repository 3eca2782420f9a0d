"""`rayces migrate repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rayces_core.cli.migrating.runners import FINDINGS
from rayces_core.cli.options import Settings, database_options
from rayces_core.showing import counted

if TYPE_CHECKING:
    from rayces_core.doctor import Finding


@click.command(
    epilog="\b\nExamples:\n  rayces migrate repair\n  rayces migrate repair --sql > repair.sql\n"
    "  rayces migrate repair --owner clinic_owner --login clinic_web --admin-login clinic_admin\n"
    "  rayces migrate repair --reader-login north_bi=north"
)
@click.option("--sql", "as_sql", is_flag=True, help="Print a script for psql instead; nothing is kept.")
@click.option("--owner", metavar="NAME", help="Give the tables to this login first; needs a superuser.")
@click.option("--login", "logins", metavar="NAME", multiple=True, help="A login of the application; repeatable.")
@click.option(
    "--admin-login", "admin_logins", metavar="NAME", multiple=True, help="A login of privileged work; repeatable."
)
@click.option(
    "--reader-login",
    "reader_logins",
    metavar="NAME[=ORG]",
    multiple=True,
    help="A login that only reads, of one organization or of all; repeatable.",
)
@click.option("--numbers", is_flag=True, help="Set numbers of rows that a replication left behind; reads every table.")
@database_options
@click.pass_obj
def repair(
    settings: Settings,
    as_sql: bool,
    owner: str | None,
    logins: tuple[str, ...],
    admin_logins: tuple[str, ...],
    reader_logins: tuple[str, ...],
    numbers: bool,
) -> int:
    """Make roles, memberships, policies and grants anew, as after a restore without them.

    Safe to run again: where all is well it does nothing. No row is touched.

    The exit code is 1 if `rayces doctor` still finds an error afterwards.
    """
    from rayces_core.doctor.repairing import Repair
    from rayces_core.migrations.session import dedicated

    with settings.database() as database:
        own = dedicated(database)
        own.app_role, own.admin_role = database.app_role, database.admin_role
        named = {"logins": logins, "admin_logins": admin_logins, "reader_logins": reader_logins}
        repairing = Repair(own, **named, owner=owner, numbers=numbers)
        done = repairing.plan() if as_sql else repairing.run()
    if as_sql:
        click.echo(done.script, nl=False)
    else:
        for statement in done.statements:
            click.echo(f"{statement.rstrip().removesuffix(';')};")
        click.echo(
            f"repaired, by {counted(len(done.statements), 'statements')}" if done.statements else "nothing to repair"
        )
    errors = [finding for finding in done.left if finding.severity == "error"]
    _tell(errors)
    return FINDINGS if errors else 0


def _tell(errors: list[Finding]) -> None:
    for finding in errors:
        click.echo(f"left: {finding.check} {finding.object}: {finding.message}", err=True)
    if errors:
        click.echo("`rayces doctor` says what mends the rest", err=True)
