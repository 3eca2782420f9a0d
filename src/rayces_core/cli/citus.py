"""`rayces citus`."""

from __future__ import annotations

from contextlib import closing

import click

from rayces_core.cli.options import Settings, database_options
from rayces_core.showing import counted

DIFFERENT = 1


@click.group()
def citus() -> None:
    """Distribute the tables over the nodes of Citus, and compare what is there."""


@citus.command(epilog="\b\nExamples:\n  rayces citus distribute --rehearse\n  rayces citus distribute")
@click.option("--rehearse", is_flag=True, help="Do it in one transaction and undo that.")
@click.option("-q", "--quiet", is_flag=True, help="Print the result only.")
@database_options
@click.pass_obj
def distribute(settings: Settings, rehearse: bool, quiet: bool) -> int:
    """Distribute what is not distributed yet, with its rows.

    Takes a superuser of all nodes, by RAYCES_ADMIN_DATABASE_URL or --database-url. Reads and writes of a table wait
    while it is distributed. Interrupted, it goes on where it was; after a migration with new tables run it again.
    """
    from rayces_core.citus import distribute as run

    with settings.database() as database:
        done = run(
            database.admin_url,
            app_role=database.app_role,
            admin_role=database.admin_role,
            rehearse=rehearse,
            told=lambda line: None if quiet else click.echo(line),
        )
    if not done:
        click.echo("every table is distributed already")
    elif rehearse:
        click.echo(f"{counted(len(done), 'tables')} can be distributed; nothing was changed")
    else:
        click.echo(f"distributed {len(done)} tables; run: rayces citus check")
    return 0


@citus.command(epilog="\b\nExamples:\n  rayces citus check")
@database_options
@click.pass_obj
def check(settings: Settings) -> int:
    """Compare every shard on every node with the coordinator's tables: policies, constraints, rights, roles.

    The exit code is 1 if there is a difference.
    """
    import psycopg2

    from rayces_core.citus import compare, has_citus
    from rayces_core.errors import ConfigurationError

    with settings.database() as database, closing(psycopg2.connect(database.admin_url)) as connection:
        connection.autocommit = True
        if not has_citus(connection):
            raise ConfigurationError("this database has no Citus, so there is nothing to compare")
        found = compare(connection, app_role=database.app_role, admin_role=database.admin_role)
    for each in found:
        click.echo(f"{each.object}, {each.where}: {each.kind}\n  expected {each.expected}\n  found    {each.found}")
    click.echo(f"{counted(len(found), 'differences')}" if found else "every node has what the coordinator has")
    return DIFFERENT if found else 0
