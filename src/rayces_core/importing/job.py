"""What one check or import is about: source, record type, organization, and how its values are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from os import PathLike, fspath
from typing import Any, Final

from rayces_core import clock
from rayces_core.database.binding import Binding, current
from rayces_core.errors import ColumnMappingError, ConfigurationError, TenantNotSetError
from rayces_core.fields.countries import is_country
from rayces_core.importing.choices import with_words
from rayces_core.importing.columns import Reading
from rayces_core.importing.knowing import Knowing
from rayces_core.importing.mapping import ColumnMapping, propose
from rayces_core.importing.orders import OPTIONS
from rayces_core.importing.records import Record, record_of
from rayces_core.importing.report import Report
from rayces_core.importing.sources import Source, open_source
from rayces_core.importing.spooling import Progress
from rayces_core.importing.staging import Staging
from rayces_core.importing.values import fold
from rayces_core.tenancy.organization import Organization

TENANT_HEADERS: Final = {"organizationid", "tenantid", "tenant", "organizacionid"}
FIXED: Final = "--set"
LEDGER_HEADERS: Final = {"sequence", "balancebefore", "balanceafter"}


@dataclass(frozen=True)
class Options:
    """What may be said about an import.

    Attributes:
        columns: header → column, for headers that are not recognised. mapping: a ColumnMapping, or the path of a saved
            one. format, encoding, delimiter, sheet, header_row, no_header, null: how the source is read, where it does
            not tell by itself; see `open_source`.
        reading: the habits of who wrote the values; default: the organization's time zone, country and currency.
        country: two letters, the country of phones without its code and of the order in dates, instead of that.
        date_order: "dmy" or "mdy", where dates begin with the day or the month; default: found out for each column.
        words: word of the source → the value that it stands for, for states and roles whose words may mean two things.
        values: column → the value that it has in every row, where the source has no such column.
        update: whether rows that are there are changed to what the source says. key: "id" or "external_id" where rows
            are known by that, so that names may be corrected. clear_empty: whether an empty value clears what is there.
        on_error: "stop" or "skip".
        resume: whether to go on after the last batch that an interrupted run of the same rows has committed.
        batch_rows: rows that are committed together. progress: called with what is done, how many, of how many.
    """

    columns: Mapping[str, str] | None = None
    mapping: ColumnMapping | str | PathLike[str] | None = None
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | int | None = None
    header_row: int | None = None
    no_header: bool = False
    null: Collection[str] = ()
    reading: Reading | None = None
    country: str | None = None
    date_order: str | None = None
    words: Mapping[str, str] | None = None
    values: Mapping[str, str] | None = None
    update: bool = False
    key: str | None = None
    clear_empty: bool = False
    on_error: str = "stop"
    resume: bool = False
    batch_rows: int = 5000
    now: datetime | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Job:
    """One source on its way into one organization; `fixed` values stand after each row's own."""

    binding: Binding
    record: Record
    source: Source
    mapping: ColumnMapping
    reading: Reading
    options: Options
    now: datetime
    fixed: tuple[str, ...] = ()

    @property
    def progress(self) -> Progress:
        """Whom to tell how far it is."""
        return self.options.progress or _silent

    @property
    def knowing(self) -> Knowing:
        """How rows that are there already are known, and what becomes of them."""
        options = self.options
        return Knowing(frozenset(self.mapping.places), options.update, options.key, options.clear_empty)

    def staging(self) -> Staging:
        """The temporary tables that the rows go through."""
        return Staging(self.binding, self.record, self.now, str(self.reading.zone), self.knowing)

    def report(self) -> Report:
        """A report without any row yet."""
        mapping = self.mapping
        header = mapping.header
        return Report(
            self.record.name,
            self.source.name,
            columns={name: header[place] for name, place in mapping.places.items()},
            unused=tuple(name for name in mapping.unused if name not in mapping.ignored),
            suggestions=mapping.suggestions,
            ignored=mapping.ignored,
            sheets=self.source.sheets,
        )


def prepare(source: Any, what: object, options: Options) -> Job:
    """Open the source and settle which column is where.

    Raises:
        SourceError, ColumnMappingError, ConfigurationError, TenantNotSetError.
    """
    binding = current()
    if binding.privileged:
        raise TenantNotSetError("rows are imported into one organization; wrap the code in `with db.tenant(...):`")
    # Before the source is opened: a generator that reads from another organization leaves that one bound meanwhile.
    reading = _reading(options)
    record = with_words(record_of(what), _words(options), reading)
    opened = open_source(
        source,
        format=options.format,
        encoding=options.encoding,
        delimiter=options.delimiter,
        sheet=options.sheet,
        header_row=options.header_row,
        no_header=options.no_header,
        null=options.null,
        words=[name for column in record.readable for name in (column.name, *column.names)],
    )
    _refuse_tenants(opened.header)
    header, fixed = opened.header, tuple((options.values or {}).values())
    mapping = _mapping((*header, *map(_as_header, options.values or ())), record, options)
    job = Job(binding, record, opened, mapping, reading, options, clock.moment(options.now), fixed)
    job.knowing.check(record)
    return job


def _refuse_tenants(header: tuple[str, ...]) -> None:
    named = tuple(name for name in header if fold(name) in TENANT_HEADERS)
    if named:
        reason = "would say whose the rows are; they are the bound organization's alone: take the column out"
        raise ColumnMappingError(f"{named[0]!r} {reason}", unknown=named)


def _refuse_ledger(header: tuple[str, ...], record: Record) -> None:
    """An export of the ledger has purchases, debits and refunds that are there already."""
    if record.name == "credits" and LEDGER_HEADERS & {fold(name) for name in header}:
        reason = "is an export of the ledger, whose entries would be counted twice; entries move in a tenant's archive"
        raise ColumnMappingError(f"this {reason}: `rayces export tenant` and `rayces import tenant`")


def _mapping(header: tuple[str, ...], record: Record, options: Options) -> ColumnMapping:
    _refuse_ledger(header, record)
    given, known_by = dict(options.columns or {}), record.key.split(", ")
    given |= {_as_header(column): column for column in options.values or ()}
    if options.mapping is None:
        return propose(header, record.readable, given, known_by, record.ways)
    saved = options.mapping
    if not isinstance(saved, ColumnMapping):
        saved = ColumnMapping.load(fspath(saved))
    return saved.applied_to(header, record.readable, given, known_by, record.ways)


def _as_header(column: str) -> str:
    """What a column is called whose value the user gave for every row."""
    return f"{FIXED} {column}"


def _words(options: Options) -> Mapping[str, str]:
    return options.words or {}


def _reading(options: Options) -> Reading:
    reading = options.reading
    if reading is None:
        organization = Organization.get()
        reading = Reading(zone=organization.zone, region=organization.country, currency=organization.currency)
    if options.country is not None:
        reading = replace(reading, region=_country(options.country))
    if options.date_order is not None:
        reading = replace(reading, day_first=_day_first(options.date_order))
    return reading


def _country(given: object) -> str:
    code = given.strip().upper() if isinstance(given, str) else ""
    if not is_country(code):
        raise ConfigurationError(f"country is two letters of ISO 3166 such as AR, not {given!r:.40}")
    return code


def _day_first(given: object) -> bool:
    order = given.strip().lower() if isinstance(given, str) else ""
    if order not in OPTIONS:
        raise ConfigurationError(f'date_order is "dmy" or "mdy", not {given!r:.40}')
    return OPTIONS[order]


def _silent(_: str, __: int, ___: int | None) -> None:
    pass
