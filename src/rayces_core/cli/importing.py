"""`rayces import records | template | tenant`; the word `records` may be left out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from rayces_core.cli.first_run import can_ask, remembered
from rayces_core.cli.host_models import models_option
from rayces_core.cli.options import Settings, database_options, debug_option
from rayces_core.cli.progress import echo_json, json_option, quiet_option, tenant_option
from rayces_core.cli.records import RecordsGroup
from rayces_core.cli.tenant_archive import tenant_import

if TYPE_CHECKING:
    from rayces_core.importing import Report

FINDINGS = 1
SHOWN = 20


@click.group(name="import", cls=RecordsGroup)
def bring_in() -> None:
    """Bring records in: a type of them, or a whole tenant; or write an example file.

    `rayces import students FILE` is short for `rayces import records students FILE`.
    """


bring_in.add_command(tenant_import)


def _pairs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    made = {}
    for value in values:
        header, sign, column = value.rpartition("=")
        if not sign or not header:
            raise click.BadParameter(f'{value!r} is no mapping; write "Header=column"', context, option)
        made[header] = column.strip()
    return made


def _set(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Column → value, which may have an equals sign of its own."""
    pairs = [value.partition("=") for value in values]
    for value, (column, _, given) in zip(values, pairs, strict=True):
        if not column or not given:
            raise click.BadParameter(f'{value!r} is no value of a column; write "column=value"', context, option)
    return {column.strip(): given for column, _, given in pairs}


@bring_in.command(
    epilog="""\b
Examples:
  rayces import records students alumnos.csv --tenant north --check
  rayces import students alumnos.csv --tenant north --map "Fecha=date_of_birth"
  rayces import students alumnos.xlsx --tenant north --on-error skip --report problems.csv
  rayces import appointments agenda.csv --tenant north --resume"""
)
@click.argument("record")
@click.argument("file")
@tenant_option
@click.option(
    "--map", "columns", metavar="HEADER=COLUMN", multiple=True, callback=_pairs, help="Read a header as a column."
)
@click.option(
    "--word", "words", metavar="WORD=VALUE", multiple=True, callback=_pairs, help="Read a word of a state or a role."
)
@click.option(
    "--set", "values", metavar="COLUMN=VALUE", multiple=True, callback=_set, help="Give every row a value of a column."
)
@click.option("--mapping", metavar="FILE", help="A saved mapping (TOML).")
@click.option("--save-mapping", metavar="FILE", help="Save the mapping that was used.")
@click.option("--check", "--dry-run", "only_check", is_flag=True, help="Check every row and write nothing.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="Where rows have problems: write nothing (the default), or leave those rows out.",
)
@click.option("--update", is_flag=True, help="Change rows that are there to what FILE says.")
@click.option("--key", metavar="COLUMN", help="Rows are known by it, so names may be corrected: id or external_id.")
@click.option("--clear-empty", is_flag=True, help="With --update: an empty value clears what is there.")
@click.option("--resume", is_flag=True, help="Go on after the last batch of an interrupted import of the same rows.")
@click.option("--report", "report_file", metavar="FILE", help="Write every problem to FILE (.csv or .json).")
@click.option("--format", metavar="FORMAT", help="csv, jsonl, xlsx, ods, xls, parquet or ics; default: by the content.")
@click.option("--encoding", metavar="NAME", help="Of a text file; default: found out.")
@click.option("--delimiter", metavar="CHARACTER", help="Of a CSV file; default: found out.")
@click.option("--sheet", metavar="NAME", help='Sheet of a workbook, by name or number from 1; "all" reads every one.')
@click.option("--header-row", metavar="N", type=click.IntRange(1), help="Row with the names; default: found out.")
@click.option("--no-header", is_flag=True, help='No row has the names; say --map "(column 1)=email" and so on.')
@click.option("--null", metavar="WORD", multiple=True, help='A word that means nothing, such as "N/A". Repeatable.')
@click.option("--country", metavar="CODE", help="Whose phones and dates they are; default: the organization's.")
@click.option(
    "--date-order",
    type=click.Choice(["dmy", "mdy"]),
    help="Whether 03/04/2026 begins with the day; default: found out for each column.",
)
@click.option("--yes", "-y", is_flag=True, help="Ask nothing on a terminal.")
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
    save_mapping: str | None,
    only_check: bool,
    report_file: str | None,
    quiet: bool,
    as_json: bool,
    yes: bool,
    **given: Any,
) -> int:
    """Import the rows of FILE; - is stdin.

    RECORD is organizations, users, professionals, credit_kinds, credit_packages, services, professional_services,
    resources, closed_days, time_off_requests, students, slot_requests, group_sessions, appointments, credits, posts or
    likes. Every row is checked before the first one is written; then each batch is written whole. The same file twice
    changes nothing.

    The exit code is 1 if a row has a problem.
    """
    for path in (save_mapping, report_file):
        if path is not None and (Path(path).is_dir() or not os.access(Path(path).parent, os.W_OK)):
            raise click.UsageError(f"{path} cannot be written; name a file in a folder that is there")
    if report_file is not None and Path(report_file).suffix.lower() not in (".csv", ".json"):
        raise click.UsageError(f"{report_file}: a report is a .csv or a .json; name it so")
    _check_record(record)
    _refuse_archive(file)
    given["sheet"] = int(given["sheet"]) if (given["sheet"] or "").isdecimal() else given["sheet"]

    def carry_out(only_check: bool) -> tuple[Report, str]:
        return _carry_out(settings, tenant, record, file, only_check, given, quiet=quiet or as_json)

    asks = can_ask(file) and not (yes or quiet or as_json or only_check or given["resume"] or given["mapping"])
    if asks and not remembered(file, record, given):
        return _ask_first(carry_out, record, file, tenant, given, save_mapping, report_file)
    report, refusal = carry_out(only_check)
    if save_mapping is not None:
        _save_mapping(report, save_mapping)
    if report_file is not None:
        report.save(report_file)
    if as_json:
        problems = [_plain(problem) for problem in report.problems]
        echo_json({**report.summary(), "refusal": refusal or None, "problems": problems})
    else:
        _show(report, refusal, saved=report_file)
    return FINDINGS if report.problem_count else 0


def _carry_out(
    settings: Settings, tenant: str, record: str, file: str, only_check: bool, given: dict[str, Any], *, quiet: bool
) -> tuple[Report, str]:
    with settings.database() as database, database.tenant(tenant), ExitStack() as stack:
        progress = _Progress(settings, stack, quiet=quiet)
        try:
            return _run(record, file, only_check, {**given, "progress": progress})
        except BaseException:
            progress.tell_what_is_kept()
            raise


def _ask_first(
    carry_out: Callable[[bool], tuple[Report, str]],
    record: str,
    file: str,
    tenant: str,
    given: dict[str, Any],
    save_mapping: str | None,
    report_file: str | None,
) -> int:
    """Show what the file is taken for and what will happen, ask, and import it."""
    from rayces_core.cli import first_run

    checked, _ = carry_out(True)
    first_run.show_understanding(checked, tenant)
    _show_notes(checked)
    _show_problems(checked, saved=report_file)
    first_run.show_outcome(checked)
    if report_file is not None:
        checked.save(report_file)
    how = first_run.agreed(checked, given["on_error"])
    if how is None:
        return first_run.said_no(checked)
    given["on_error"] = how
    if save_mapping is None and (said := first_run.not_kept(given)):
        first_run.tell_not_saved(said)
    else:
        beside = save_mapping or first_run.saved_beside(file, record)
        first_run.tell_saved(beside, lambda path: _save_mapping(checked, path))
    report, refusal = carry_out(False)
    if report.problem_count > checked.problem_count:  # some came up after the check
        _show_problems(report, saved=None)
    _show_result(report, refusal)
    return FINDINGS if report.problem_count else 0


def _check_record(record: str) -> None:
    from rayces_core.errors import ConfigurationError
    from rayces_core.importing.records import record_of

    try:
        record_of(record)
    except ConfigurationError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def _refuse_archive(file: str) -> None:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(file) as archive:
            is_archive = "manifest.json" in archive.namelist()
    except (OSError, ValueError, BadZipFile):
        return  # not one of ours; the source says what it is
    if is_archive:
        raise click.UsageError(f"{file} is a tenant's archive; bring it in with `rayces import tenant {file}`")


def _run(record: str, file: str, only_check: bool, options: dict[str, Any]) -> tuple[Report, str]:
    from rayces_core import importing
    from rayces_core.errors import ImportRefusedError, SourceError

    try:
        if only_check:
            return importing.check(file, record, **options), ""
        return importing.run(file, record, **options), ""
    except ImportRefusedError as refused:
        return cast("Report", refused.report), str(refused)
    except SourceError as error:
        raise click.ClickException(_in_options(str(error))) from error


def _in_options(sentence: str) -> str:
    """A sentence that names arguments of Python, with the options that they are here."""
    return re.sub(r"(?<![\w-])(encoding|format|delimiter|sheet|header_row|no_header)=(?!\w)", _as_option, sentence)


def _as_option(found: re.Match[str]) -> str:
    return f"--{found[1].replace('_', '-')}"


def _save_mapping(report: Report, path: str) -> None:
    from rayces_core.importing.job import FIXED
    from rayces_core.importing.mapping import ColumnMapping

    kept = {name: header for name, header in report.columns.items() if not header.startswith(f"{FIXED} ")}
    places = {name: place for place, name in enumerate(kept)}
    ColumnMapping(tuple(kept.values()), places, ignored=report.ignored).save(path)


def _plain(problem: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(problem)


def _show(report: Report, refusal: str, *, saved: str | None) -> None:
    from rayces_core.cli.output import YELLOW, console, printable, styled

    _show_notes(report)
    for name in report.unused:
        meant = report.suggestions.get(name)
        near = f'; did you mean {meant}? Then say --map "{name}={meant}"' if meant else ""
        console().print(styled(printable(f"{name!r} is not read{near}"), YELLOW))
    _show_problems(report, saved=saved)
    _show_result(report, refusal)


def _show_notes(report: Report) -> None:
    from rayces_core.cli.output import YELLOW, console, printable, styled

    for note in report.notes:
        console().print(styled(printable(_in_options(note)), YELLOW))


def _show_problems(report: Report, *, saved: str | None) -> None:
    from rayces_core.cli.output import console, printable, table

    if not report.problem_count:
        return
    screen, shown = console(), table("Row", "Column", "Value", "Problem", "What to do")
    for each in report.problems[:SHOWN]:
        shown.add_row(*map(printable, report.shown(each)))
    screen.print(shown)
    if saved is not None:
        screen.print(
            f"all {report.problem_count:,} are in {saved}" if report.problem_count > 1 else f"it is in {saved}"
        )
    elif report.problem_count > SHOWN:
        screen.print(f"and {report.problem_count - SHOWN:,} more; --report FILE.csv writes all of them")


def _show_result(report: Report, refusal: str) -> None:
    from rayces_core.cli.output import GREEN, RED, console, styled

    console().print(styled(str(report), RED if report.problem_count else GREEN))
    if refusal:
        console().print(refusal)


class _Progress:
    """Shows on a terminal how far an import has come, and lets Ctrl-C end it between two batches."""

    def __init__(self, settings: Settings, stack: ExitStack, *, quiet: bool) -> None:
        self._settings, self._written = settings, 0
        self._bars: Any = None if quiet or not sys.stderr.isatty() else stack.enter_context(_bars())
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what == "write":
            self._written = done
        if self._settings.interruption is not None:
            self._settings.interruption.check()
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what, total=total)
            self._bars.update(self._tasks[what], completed=done, total=total)

    def tell_what_is_kept(self) -> None:
        """Say what an import that ends early has committed."""
        if self._written:
            click.echo(f"{self._written} rows are committed; the same command with --resume goes on", err=True)


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.text import Text

    class Rate(ProgressColumn):
        """Rows per second."""

        def render(self, task: Task) -> Text:
            """The rate, once it is known."""
            return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeLeft()
    return Progress(*columns, console=Console(stderr=True), transient=True)


@bring_in.command(
    epilog="""\b
Examples:
  rayces import template students > students.csv
  rayces import template students alumnos.xlsx --language es
  rayces import template appointments agenda.csv --format csv"""
)
@click.argument("record")
@click.argument("file", default="-")
@click.option("--format", "kind", type=click.Choice(["csv", "xlsx"]), help="Default: by the file's ending, else csv.")
@click.option("--language", type=click.Choice(["en", "es"]), default="en", help="Of the headers; default: en.")
@models_option
@debug_option
def template(record: str, file: str, kind: str | None, language: str) -> None:
    """Write an example file for RECORD, which passes the check as it is; without FILE to stdout."""
    from rayces_core.importing.records import record_of
    from rayces_core.importing.template import examples, write

    _check_record(record)
    if file != "-" and Path(file).exists():
        raise click.UsageError(f"{file} is there already, and may be filled in; name another file")
    if file != "-" and kind is None and Path(file).suffix.lower() not in ("", ".csv", ".xlsx"):
        raise click.UsageError(f"{file}: a template is a .csv or an .xlsx; name it so, or give --format")
    found = record_of(record)
    rows = examples(found.name, found.columns, language)
    target: Any = sys.stdout.buffer if file == "-" else file
    kind = kind or ("xlsx" if file.lower().endswith(".xlsx") else "csv")
    write(target, found.columns, format=kind, language=language, rows=rows)
