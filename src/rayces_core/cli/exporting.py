"""`rayces export records | tenant | person`; the word `records` may be left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import click

from rayces_core.cli.host_models import models_option
from rayces_core.cli.options import Settings, database_options
from rayces_core.cli.progress import json_option, quiet_option, tenant_option, ticking
from rayces_core.cli.records import RecordsGroup

STDOUT = "-"
BINARY = ("parquet", "xlsx")


@click.group(cls=RecordsGroup)
def export() -> None:
    """Bring records out: a type of them, a whole tenant, or all about one person.

    `rayces export students FILE` is short for `rayces export records students FILE`.
    """


def _moment(context: click.Context, option: click.Parameter, value: str | None) -> date | datetime | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"{value!r} is neither a day (2026-03-31) nor a moment with its offset (2026-03-31T10:00:00-03:00)"
        raise click.BadParameter(message, context, option)
    return moment


def _conditions(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for value in values:
        column, sign, wanted = value.partition("=")
        if not sign or not column:
            raise click.BadParameter(f"{value!r} is no condition; write COLUMN=VALUE", context, option)
        made.setdefault(column.strip(), []).append(wanted)
    return made


@export.command(
    epilog="""\b
Examples:
  rayces export records students students.csv --tenant north
  rayces export appointments march.xlsx --tenant north --from 2026-03-01 --to 2026-03-31
  rayces export appointments - --tenant north --state confirmed --user ana@example.org
  rayces export users users.csv --tenant north --where role=guardian --columns email,phone --excel"""
)
@click.argument("record")
@click.argument("file")
@tenant_option
@click.option(
    "--format",
    "kind",
    metavar="FORMAT",
    help="csv, jsonl, parquet, xlsx, ics; default: by the file's ending, else csv.",
)
@click.option("--columns", metavar="NAMES", help="Only these, in this order, with commas between; default: all.")
@click.option(
    "--where", metavar="COLUMN=VALUE", multiple=True, callback=_conditions, help="Only such rows; repeatable."
)
@click.option("--state", metavar="STATE", multiple=True, help="Only rows in this state; repeatable.")
@click.option("--user", metavar="EMAIL", help="Only rows that name this user.")
@click.option("--from", "start", metavar="DAY", callback=_moment, help="Only from this day or moment on.")
@click.option("--to", "end", metavar="DAY", callback=_moment, help="Only to this day, which counts, or moment.")
@click.option("--delimiter", metavar="CHARACTER", help="Between the fields of CSV; default: a comma.")
@click.option("--excel", is_flag=True, help="CSV for an Excel whose decimal sign is a comma: ; and 1500,00.")
@click.option("--utc", is_flag=True, help="Moments in UTC instead of the organization's time zone.")
@quiet_option
@json_option
@models_option
@database_options
@click.pass_obj
def records(
    settings: Settings,
    /,
    record: str,
    file: str,
    tenant: str,
    kind: str | None,
    columns: str | None,
    where: dict[str, list[str]],
    state: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Export the rows of one type to FILE; - is stdout.

    RECORD is users, professionals, credit_kinds, credit_packages, services, resources, professional_services,
    closed_days, time_off_requests, outside_busy, students, slot_requests, appointments, group_sessions,
    appointment_series, credits, credit_lots, credit_lot_movements, invoices, invoice_lines, invoice_counters, posts,
    likes, transitions, organizations or notices, or a type that a module of --models registers.
    FILE takes its place when it is complete, and only its owner may read it.
    """
    from rayces_core.exporting import export as export_rows

    _refuse_binary_on_a_terminal(file, kind)
    _refuse_unknown(record, state)
    wanted = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    with settings.database() as database, database.tenant(tenant), ExitStack() as stack, written(file):
        _refuse_nobody(given["user"], tenant)
        done = export_rows(
            record,
            file,
            format=kind,
            columns=wanted,
            where={name: _one_or_several(values) for name, values in where.items()},
            state=list(state) or None,
            progress=ticking(settings, stack, quiet=quiet or as_json),
            **given,
        )
    to_stderr = file == STDOUT
    if as_json:
        from rayces_core.cli.progress import echo_json

        echo_json(asdict(done), err=to_stderr)
    elif not (quiet and to_stderr):
        click.echo(f"exported {done.rows} {done.record} to {done.target} ({done.format})", err=to_stderr)


def _refuse_unknown(record: str, states: tuple[str, ...]) -> None:
    from rayces_core.exporting.records import RECORDS
    from rayces_core.models.appointment import AppointmentState
    from rayces_core.models.credit import TransactionStatus
    from rayces_core.models.student import AdmissionState

    context = click.get_current_context()
    if record not in RECORDS:
        raise click.UsageError(f"{record} cannot be exported; there are {', '.join(RECORDS)}", context)
    of_type = {"students": AdmissionState, "appointments": AppointmentState, "credits": TransactionStatus}
    known = [str(state) for state in of_type.get(record, ())]
    for state in states:
        if known and state not in known:
            raise click.UsageError(f"{record} have no state {state!r}; there are {', '.join(known)}", context)


def _refuse_nobody(email: str | None, tenant: str) -> None:
    from rayces_core.models.user import User

    if email is not None and not User.select().where(User.email == email.strip().lower()).exists():
        raise click.UsageError(f"{tenant} has no user {email}; check the address", click.get_current_context())


@contextmanager
def written(file: str) -> Iterator[None]:
    """Say in a sentence why a file cannot be written; a reader of stdout who is gone is none."""
    try:
        yield
    except OSError as error:
        if file == STDOUT:
            raise
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error


def _one_or_several(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _refuse_binary_on_a_terminal(file: str, kind: str | None) -> None:
    if file == STDOUT and kind in BINARY and sys.stdout.isatty():
        raise click.UsageError(f"{kind} is nothing for a terminal; name a file", click.get_current_context())


@export.command(
    epilog="\b\nExamples:\n  rayces export tenant --tenant north north.zip\n  rayces import tenant north.zip"
)
@click.argument("file")
@tenant_option
@quiet_option
@json_option
@models_option
@database_options
@click.pass_obj
def tenant(settings: Settings, file: str, tenant: str, quiet: bool, as_json: bool) -> None:
    """Write all that a tenant has to the archive FILE, as of one moment.

    The application may go on working. FILE holds personal data: only its owner may read it; keep it as you keep a
    backup. `rayces import tenant` brings it into another database, or under another name into this one.
    """
    from rayces_core.exporting import tenant as archive

    with settings.database() as database, database.tenant(tenant), ExitStack() as stack, written(file):
        done = archive(file, progress=ticking(settings, stack, quiet=quiet or as_json))
    if as_json:
        from rayces_core.cli.progress import echo_json

        echo_json(asdict(done))
    else:
        click.echo(f"archived {done.total} rows of {tenant} in {done.path}; content {done.content_sha256}")


@export.command(epilog="\b\nExamples:\n  rayces export person --tenant north ana@example.org ana.json")
@click.argument("email")
@click.argument("file")
@tenant_option
@json_option
@models_option
@database_options
@click.pass_obj
def person(settings: Settings, email: str, file: str, tenant: str, as_json: bool) -> None:
    """Write all that a tenant holds about the user EMAIL to the JSON file FILE, for a legal request.

    That is the user's row, every row that names the user or a student whose contact the user is, and what the journal
    says of them. Look through it before you hand it out: notes may speak of others.
    """
    from rayces_core.exporting import person as write_person

    with settings.database() as database, database.tenant(tenant), written(file):
        counts = write_person(email, file)
    if as_json:
        from rayces_core.cli.progress import echo_json

        echo_json({"path": file, "rows": counts})
    else:
        click.echo(f"wrote {sum(counts.values())} rows about {email} to {file}")
