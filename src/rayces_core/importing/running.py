"""Check and run: the two passes, one after the other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from typing import Any, Final

from rayces_core.database.binding import current
from rayces_core.errors import ConfigurationError, ImportRefusedError, InvalidDataError, TransactionFailedError
from rayces_core.importing import runs
from rayces_core.importing.checking import check_spooled, read
from rayces_core.importing.columns import Reading
from rayces_core.importing.job import Job, Options, prepare
from rayces_core.importing.newcomers import Newcomers
from rayces_core.importing.report import Report
from rayces_core.importing.spooling import Spool
from rayces_core.importing.writing import TAKE_TURNS, Writer

_TEXTS: Final = {
    "columns": 'headers to columns, such as {"Nombre": "first_name"}',
    "words": 'words to values, such as {"Pendiente": "confirmed"}',
    "values": 'columns to their values, such as {"professional": "eva@example.org"}',
}


def check(source: Any, record: object, **options: Any) -> Report:
    """Check every row of a source; nothing is written.

    Args:
        source: a path, an open file, "-" for stdin, a data frame, or an iterable of dicts or Pydantic models.
        record: a model such as Student, or the name of a record type such as "students".
        options: as `Options` has them, such as `columns={"Fecha de nacimiento": "date_of_birth"}`, `update=True`.

    Returns:
        What an import would do, and every problem with what to do about it.

    Raises:
        SourceError: the source cannot be read. ColumnMappingError: its columns do not fit.
        ConfigurationError: there is no such record type or option. InvalidDataError: `columns` or `reading` is of
            another kind. TenantNotSetError.
    """
    started = time.monotonic()
    job = prepare(source, record, _options(options))
    report = job.report()
    with read(job) as rows:
        report.notes = job.source.notes
        check_spooled(job, rows, report)
    report.seconds = time.monotonic() - started
    return report


def run(source: Any, record: object, **options: Any) -> Report:
    """Check a source, and write its rows unless one of them has a problem.

    Rows that are there already are left as they are where they are equal, so the same source twice changes nothing.

    Args:
        source, record: as for `check`.
        options: as `Options` has them: `update=True` changes rows that are there, `on_error="skip"` leaves those with
            problems out, `resume=True` goes on after the last batch of an interrupted run of the same rows.

    Raises:
        ImportRefusedError: rows have problems, see its `report`; nothing was written unless it says so.
        TransactionFailedError: a unit of work is open; each batch is one of its own.
        As for `check`.
    """
    started, settled = time.monotonic(), _options(options)
    if current().engine.holder_of_transaction() is not None:
        raise TransactionFailedError("an import commits batch by batch; leave the open unit of work first")
    job = prepare(source, record, settled)
    report = job.report()
    try:
        with read(job) as rows:
            report.notes = job.source.notes
            _check_and_write(job, rows, report)
    finally:
        report.seconds = time.monotonic() - started
    return report


def _check_and_write(job: Job, rows: Spool, report: Report) -> None:
    run = runs.begun_before(job.record.name, rows.fingerprint) if job.options.resume else None
    # Rows that were left out, or may be changed now, are looked at again; those that are there are found unchanged.
    last_row = 0 if run is None or run.skipped or job.options.update else run.last_row
    if job.options.resume:
        report.resumed_after = last_row
    staging = job.staging()
    with staging.engine.atomic():
        # In turn: a batch of another import that is under way has ids that are given out and not to be seen yet.
        staging.run(TAKE_TURNS, record=job.record.name)
        newcomers = Newcomers(staging)
    with tempfile.TemporaryFile() as chosen:
        check_spooled(job, rows, report, chosen, last_row)
        if report.problem_count and job.options.on_error == "stop":
            raise ImportRefusedError(_refusal(report), report)
        report.written = True
        run = run or runs.begin(report, rows.fingerprint, job.now)
        Writer(job, run, report, newcomers).write(chosen, report.created + report.updated)
    runs.finish(run, job.now)
    if job.record.after_commit is not None:
        note = job.record.after_commit()
        report.notes += () if note is None else (note,)


def _refusal(report: Report) -> str:
    first = report.problems[0]
    others = report.problem_count - 1
    rest = f" and {others:,} more problem{'s' * (others > 1)}" if others else ""
    place = ", ".join(filter(None, (f"row {report.place(first)}", report.columns.get(first.column, first.column))))
    return (
        f"{report.source}: {place}: {first.problem}{rest}; nothing was written. Correct the "
        'source, or leave these rows out with --on-error skip (on_error="skip")'
    )


def _options(given: dict[str, Any]) -> Options:
    try:
        options = Options(**given)
    except TypeError:
        unknown = sorted(set(given) - set(Options.__dataclass_fields__))
        known = ", ".join(Options.__dataclass_fields__)
        raise ConfigurationError(f"there is no option {unknown[0]!r}; there are {known}") from None
    if options.on_error not in ("stop", "skip"):
        raise ConfigurationError(f'on_error is "stop" or "skip", not {options.on_error!r}')
    if not isinstance(options.batch_rows, int) or not 1 <= options.batch_rows <= 100_000:
        raise ConfigurationError("batch_rows is a number from 1 to 100,000")
    _check_types(options)
    return options


def _check_types(options: Options) -> None:
    reading = options.reading
    for name, say in _TEXTS.items():
        given = getattr(options, name)
        if given is not None and not (
            isinstance(given, Mapping) and all(isinstance(text, str) for pair in given.items() for text in pair)
        ):
            raise InvalidDataError(name, given, f"must map {say}")
    if reading is not None and not isinstance(reading, Reading):
        raise InvalidDataError("reading", reading, "must be a rayces_core.importing.Reading, or left out")
