"""`rayces organizations create | list | holidays`."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from rayces_core.cli.options import Settings, database_options, subdomain_or_id
from rayces_core.showing import counted

if TYPE_CHECKING:
    from rayces_core.tenancy.organization import Organization

COLUMNS = ("id", "subdomain", "name", "time_zone", "currency", "active", "email", "phone", "address", "created_at")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def _subdomain(context: click.Context, option: click.Parameter, value: str) -> str:
    if not _SUBDOMAIN.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is none: at most 63 lower-case letters, digits and hyphens, as in north-clinic", context, option
        )
    return value


@click.group()
@database_options
def organizations() -> None:
    """Make organizations (the tenants), list them, and close them on public holidays."""


@organizations.command(
    epilog="""\b
Examples:
  rayces organizations create "North Clinic" --subdomain north
  rayces organizations create "Centro Sur" --subdomain sur --time-zone America/Montevideo"""
)
@click.argument("name")
@click.option("--subdomain", required=True, callback=_subdomain, help="Its short name, unique on the platform.")
@click.option("--time-zone", metavar="ZONE", help="IANA name; default: America/Argentina/Buenos_Aires.")
@click.option("--currency", metavar="CODE", help="ISO 4217 code of its prices; default: ARS.")
@click.option(
    "--country", metavar="CODE", help="Two letters, by whose habits imports are read; default: that of the time zone."
)
@click.option("--email", help="Address it is reached at.")
@click.option("--phone", help="Number it is reached at.")
@click.option("--address", help="Where it is.")
@database_options
@click.pass_obj
def create(settings: Settings, /, name: str, subdomain: str, country: str | None, **columns: str | None) -> None:
    """Make an organization called NAME.

    db.tenant() accepts it at once. A subdomain that is taken is the database's refusal: exit code 3.
    """
    given: dict[str, Any] = {column: value for column, value in columns.items() if value is not None}
    if country is not None:
        given["settings"] = {"country": country}
    with settings.database() as database:
        made = database.create_organization(name, subdomain=subdomain, **given)
    click.echo(f"created organization {made.id}: {made.name} (subdomain {made.subdomain})")


@organizations.command("list", epilog="\b\nExamples:\n  rayces organizations list\n  rayces organizations list --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table, with every column.")
@database_options
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """List every organization, by subdomain."""
    from rayces_core.tenancy.organization import Organization

    with settings.database() as database, database.privileged(reason="rayces organizations list"):
        rows = list(Organization.select().order_by(Organization.subdomain))
    if as_json:
        from rayces_core.cli.output import print_json

        print_json({column: getattr(row, column) for column in COLUMNS} for row in rows)
    else:
        _show(rows)


@organizations.command(
    epilog="""\b
Examples:
  rayces organizations holidays north --country AR
  rayces organizations holidays north --country AR --subdivision B --year 2031 --year 2032
  rayces organizations holidays north --country UY --dry-run
  rayces organizations holidays north --remove"""
)
@click.argument("organization")
@click.option("--country", metavar="CODE", help="Whose holidays, two letters; kept as its setting holiday_country.")
@click.option("--subdivision", metavar="CODE", help="Of which province or state; kept as holiday_subdivision.")
@click.option("--remove", is_flag=True, help="Take the country out of the settings, and its holidays to come with it.")
@click.option("--year", "years", type=int, multiple=True, help="May be repeated; default: this year and the next.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be closed, and which sessions it hits.")
@database_options
@click.pass_obj
def holidays(
    settings: Settings,
    organization: str,
    country: str | None,
    subdivision: str | None,
    remove: bool,
    years: tuple[int, ...],
    dry_run: bool,
) -> None:
    """Make public holidays closed days of ORGANIZATION, its subdomain or id.

    Nothing is booked on a closed day; sessions that are there stay, and are counted. Run again it changes nothing but
    what the package holidays knows better by then, and what is to come of another country than that of the settings
    goes; days of the centre's own stay, and so do holidays on which it works.
    """
    from rayces_core.scheduling import fill_holidays

    if remove and (country or subdivision):
        raise click.UsageError("give either --remove or --country")
    name = subdomain_or_id(organization)
    with settings.database() as database, database.tenant(name) as bound, suppress(_OnlyShownError), database.atomic():
        _keep_country(bound, country, subdivision, remove)
        if bound.policy.holiday_country is None and not remove:
            raise click.UsageError("say whose holidays: --country AR")
        filled = fill_holidays(years or None)
        if dry_run:
            raise _OnlyShownError
    for closed in filled:
        hit = sum(each.group_session_id is None for each in closed.affected) + len(closed.affected_groups)
        click.echo(f"{closed.day}  {closed.name}" + (f"  ({counted(hit, 'sessions')} there)" if hit else ""))
    click.echo(f"{len(filled)} closed days {'would be' if dry_run else 'are'} new or changed")


class _OnlyShownError(Exception):
    """Ends the unit of work of a dry run."""


def _keep_country(bound: Organization, country: str | None, subdivision: str | None, remove: bool) -> None:
    """Have its settings say whose holidays are its own; a subdivision is none of another country."""
    kept = dict(bound.settings)
    if remove or country not in (None, kept.get("holiday_country")):
        kept = {name: value for name, value in kept.items() if name not in ("holiday_country", "holiday_subdivision")}
    given = {"holiday_country": country, "holiday_subdivision": subdivision}
    kept |= {name: value for name, value in given.items() if value is not None}
    if kept != bound.settings:
        bound.settings = kept
        bound.save(only=["settings"])


def _show(rows: list[Organization]) -> None:
    from rayces_core.cli.output import console, styled, table

    shown = table("Id", "Subdomain", "Name", "Time zone", "Currency", "Active")
    for row in rows:
        active = styled("yes", "green") if row.active else styled("no", "yellow")
        shown.add_row(str(row.id), row.subdomain, row.name, row.time_zone, row.currency, active)
    screen = console()
    if rows:
        screen.print(shown)
    else:
        screen.print("no organizations yet: rayces organizations create NAME --subdomain SUBDOMAIN")
