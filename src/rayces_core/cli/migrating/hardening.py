"""`rayces migrate harden`."""

from __future__ import annotations

import click

from rayces_core.cli.options import Settings, database_options


@click.command(
    epilog="\b\nExamples:\n  rayces migrate harden\n  rayces migrate harden --sql > harden.sql\n"
    "  rayces migrate harden --login clinic_backup --yes\n  rayces migrate harden --undo --yes"
)
@click.option("--yes", is_flag=True, help="Do it; without it only what would be done and broken is said.")
@click.option("--sql", "as_sql", is_flag=True, help="Print a script for psql instead; nothing is run.")
@click.option("--undo", is_flag=True, help="Give back exactly what was taken.")
@click.option("--login", "logins", metavar="NAME", multiple=True, help="A login that keeps what it has; repeatable.")
@database_options
@click.pass_obj
def harden(settings: Settings, yes: bool, as_sql: bool, undo: bool, logins: tuple[str, ...]) -> None:
    """Take set_config, pg_settings, session's locks and large objects from PUBLIC, and DDL from all but the owners.

    For a database that is this library's alone. Needs a superuser. It says what it breaks, and does nothing without
    --yes.
    """
    if yes and as_sql:
        raise click.UsageError("give --yes or --sql, not both")
    from rayces_core.migrating.hardening import BREAKS, Hardening
    from rayces_core.migrations.session import dedicated

    with settings.database() as database:
        own = dedicated(database)
        own.app_role, own.admin_role = database.app_role, database.admin_role
        hardening = Hardening(own, logins=logins)
        plan = hardening.run(undo=undo) if yes else hardening.plan(undo=undo)
    if as_sql:
        click.echo(plan.script, nl=False)
    elif yes:
        click.echo(_done(len(plan.statements), undo=undo))
        for sentence in plan.left_out:
            click.echo(sentence)
    else:
        for statement in plan.statements:
            click.echo(f"{statement};")
        if not undo:
            click.echo(f"\nLogins that go on working: {', '.join(plan.logins) or 'none but superusers'}")
            click.echo(BREAKS, nl=False)
        click.echo("Nothing was run: give --yes to do it, or --sql for a script.")


def _done(statements: int, *, undo: bool) -> str:
    if not statements:
        return "nothing to do: the database is hardened"
    return "what was taken is given back" if undo else f"hardened, in {statements} statements"
