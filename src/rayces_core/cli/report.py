"""`rayces report`: a month of a centre, in twelve questions, as a file for its director."""

from __future__ import annotations

import click

from rayces_core.cli.exporting import written
from rayces_core.cli.options import Settings, database_options
from rayces_core.cli.progress import echo_json, json_option


def _tenant(context: click.Context, argument: click.Parameter, value: str) -> str | int:  # noqa: ARG001
    return int(value) if value.isdecimal() else value


@click.command(
    epilog="""\b
Examples:
  rayces report north --out report.html
  rayces report north --month 2026-10 --out report.pdf
  rayces report norte --month 2026-10 --out informe.xlsx --language es"""
)
@click.argument("tenant", callback=_tenant)
@click.option("--month", metavar="MONTH", help="As 2026-10; default: the last one that is over, by the centre's clock.")
@click.option(
    "--out", "file", metavar="FILE", required=True, help="Ends in .html, .pdf or .xlsx, which says the format."
)
@click.option("--language", metavar="CODE", help="en or es; default: that of the centre's country.")
@json_option
@database_options
@click.pass_obj
def report(
    settings: Settings, tenant: str | int, month: str | None, file: str, language: str | None, as_json: bool
) -> None:
    """Answer twelve questions about a month of TENANT, by subdomain or id, in FILE.

    Figures with the month before beside them, charts and definitions, in one file that loads nothing and runs nothing.
    FILE takes its place when it is complete, and only its owner may read it: it names clients.
    """
    from rayces_core import clock
    from rayces_core.analysis.report import ending_of, last_month, month_of, monthly

    ending_of(file)
    wanted = None if month is None else month_of(month)
    with settings.database() as database, database.tenant(tenant) as organization:
        made = monthly(wanted or last_month(organization, clock.now()), language=language)
    with written(file):
        made.save(file)
    written_month = f"{made.scope.month:%Y-%m}"
    if as_json:
        echo_json({"tenant": organization.subdomain, "month": written_month, "path": file, "empty": made.is_empty})
        return
    nothing = "; it has no session, no credit and no application" if made.is_empty else ""
    click.echo(f"wrote the report of {organization.subdomain} for {written_month} to {file}{nothing}")
