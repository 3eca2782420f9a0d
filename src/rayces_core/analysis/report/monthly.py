"""Asks the twelve questions about a month and puts the answers together; a file is whole or not there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import PurePath
from typing import Final

from rayces_core import clock
from rayces_core.analysis.report.book import book
from rayces_core.analysis.report.of_admissions import enrolled_of_applied, places_waited_for
from rayces_core.analysis.report.of_money import clients_kept, credits_held, revenue_earned
from rayces_core.analysis.report.of_sessions import (
    booked_ahead,
    hours_filled,
    sessions_held,
    sessions_lost,
    week_filled,
)
from rayces_core.analysis.report.of_work import holds_expiring, sessions_open
from rayces_core.analysis.report.page import is_empty, page
from rayces_core.analysis.report.paper import paper
from rayces_core.analysis.report.parts import Scope, Section
from rayces_core.analysis.writing import Writing
from rayces_core.archive.files import whole_file
from rayces_core.archive.snapshot import bound_organization
from rayces_core.database.binding import current
from rayces_core.errors import InvalidDataError
from rayces_core.models.user import User
from rayces_core.tenancy.organization import Organization

QUESTIONS: Final[tuple[Callable[[Scope], Section], ...]] = (
    sessions_held,
    hours_filled,
    sessions_lost,
    revenue_earned,
    credits_held,
    clients_kept,
    places_waited_for,
    enrolled_of_applied,
    booked_ahead,
    week_filled,
    holds_expiring,
    sessions_open,
)
ENDINGS: Final = (".html", ".xlsx", ".pdf")
FIRST_YEAR, LAST_YEAR = 1900, 9990
_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Report:
    """The answers to the twelve questions about one month of one organization."""

    scope: Scope
    sections: tuple[Section, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the month has nothing to tell: no session, no credit, no application."""
        return is_empty(self.sections)

    def html(self) -> str:
        """The report as one HTML file without script, which loads nothing."""
        return page(self.scope, self.sections)

    def pdf(self) -> bytes:
        """The report as a PDF document; raises MissingExtraError without WeasyPrint."""
        return paper(self.html())

    def xlsx(self) -> bytes:
        """The report as an Excel workbook: figures, a sheet for each frame, definitions."""
        return book(self.scope, self.sections)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report to a file, in the format of its ending: .html, .xlsx or .pdf.

        It takes its place when it is complete, and only its owner may read it.

        Raises:
            InvalidDataError: another ending. OSError: the file cannot be written there.
        """
        ending = ending_of(path)
        made = {".html": lambda: self.html().encode(), ".xlsx": self.xlsx, ".pdf": self.pdf}[ending]()
        with whole_file(path) as file:
            file.write(made)

    def _repr_html_(self) -> str:
        return self.html()


def monthly(month: date | str, *, language: str | None = None, now: datetime | None = None) -> Report:
    """Ask the twelve questions about a month of the bound organization, in one snapshot.

    Args:
        month: a day of it, or "2026-10".
        language: "en" or "es"; without it that of the organization's country. Its decimal sign is the country's.
        now: the present, aware; a month that is not over is counted until then.

    Raises:
        TenantNotSetError: no tenant is bound, or the work is privileged.
        InvalidDataError: the month has not begun or is malformed, or there are no words of the language.
        MissingExtraError: the extra `analysis` is not installed.
    """
    identity = bound_organization()
    moment, first = clock.moment(now), month_of(month)
    engine = current().engine
    # A unit of work that is open has its own snapshot, or none.
    with engine.atomic(None if engine.holder_of_transaction() is not None else "REPEATABLE READ"):
        organization = Organization.get_by_id(identity)
        writing = Writing.of(language, organization.country)
        today = moment.astimezone(organization.zone).date()
        if first > today:
            raise InvalidDataError("month", f"{first:%Y-%m}", f"{first:%Y-%m} has not begun; today is {today}")
        scope = Scope(
            organization.name, organization.zone, first, moment, writing, organization.country, _names_of_users()
        )
        return Report(scope, tuple(question(scope) for question in QUESTIONS))


def month_of(given: date | str) -> date:
    """The first day of a month that is given as one of its days or as "2026-10"; raises InvalidDataError."""
    if isinstance(given, str):
        found = _MONTH.fullmatch(given)
        if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
            raise InvalidDataError("month", given, f"{given!r} is no month; write it as 2026-10")
        return date(int(found[1]), int(found[2]), 1)
    if not isinstance(given, date) or isinstance(given, datetime) or not FIRST_YEAR <= given.year <= LAST_YEAR:
        raise InvalidDataError("month", given, "needs a date, a day of the month, or a text as 2026-10")
    return given.replace(day=1)


def last_month(organization: Organization, now: datetime) -> date:
    """The first day of the last month that is over on the organization's wall clock."""
    return (now.astimezone(organization.zone).date().replace(day=1) - timedelta(days=1)).replace(day=1)


def ending_of(path: str | os.PathLike[str]) -> str:
    """The ending of the path, one of ENDINGS; raises InvalidDataError."""
    ending = PurePath(path).suffix.lower()
    if ending not in ENDINGS:
        raise InvalidDataError("out", str(path), f"{str(path)!r} ends in none of {', '.join(ENDINGS)}; name it so")
    return ending


def _names_of_users() -> dict[int, str]:
    """What users are called, by id; namesakes have their address beside it, so that none is taken for another."""
    users = list(User.select(User.id, User.first_name, User.last_name, User.email))
    names: dict[int, str] = {}
    once: dict[str, int] = {}
    for user in users:
        once[user.full_name] = once.get(user.full_name, 0) + 1
    for user in users:
        alone = once[user.full_name] == 1 or user.full_name == user.email
        names[user.id] = user.full_name if alone else f"{user.full_name} ({user.email})"
    return names
