"""Templates of e-mails: the library's own in English and Spanish, each of which a host may put its own in place of.

A template is `{language}/{name}.txt`: the subject, an empty line, the text. A host's `{name}.html`, where there is one,
goes out beside it, with what is filled in escaped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from rayces_core.errors import ConfigurationError, MissingExtraError, UndeliverableError

NAMES: Final = (
    "booking_held",
    "slot_offered",
    "booking_confirmed",
    "booking_cancelled",
    "credits_low",
    "invitation",
    "confirmation",
    "reset",
)
LANGUAGES: Final = ("en", "es")
_DAYS: Final = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_MONTHS: Final = {
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    "es": (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
        *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
    ),
}
_FORMS: Final = {"en": "{day} {number} {month} {year}, {time}", "es": "{day} {number} de {month} de {year}, {time}"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """An e-mail's subject, in one line, its text, and the same as HTML where the host has a template for that."""

    subject: str
    text: str
    html: str | None


class Templates:
    """Renders e-mails. `folders` come before the library's own templates, the first one first."""

    def __init__(self, folders: Iterable[str | os.PathLike[str]] = ()) -> None:
        try:
            import jinja2
        except ImportError:
            raise MissingExtraError("e-mails need Jinja2: pip install 'rayces-core[outbox]'") from None
        self._errors = (jinja2.TemplateError,)
        own = jinja2.PackageLoader("rayces_core.outbox", "templates")
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader([*(jinja2.FileSystemLoader(each) for each in folders), own]),
            autoescape=jinja2.select_autoescape(["html"], default_for_string=False),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._not_found = jinja2.TemplateNotFound

    def has(self, name: str, language: str) -> bool:
        """Whether the template is written in this language."""
        try:
            self._environment.get_template(f"{language}/{name}.txt")
        except self._not_found:
            return False
        return True

    def render(self, name: str, language: str, values: Mapping[str, Any]) -> Rendered:
        """Fill a template in.

        Raises:
            UndeliverableError: there is no such template, or it asks for what is not there.
        """
        values = {**values, "moment": lambda at: moment(at, language, values["zone"])}
        try:
            whole = self._environment.get_template(f"{language}/{name}.txt").render(values)
            html = self._html(name, language, values)
        except self._errors as error:
            raise UndeliverableError(f"the template {language}/{name} cannot be filled in: {error!r}") from error
        subject, _, text = whole.lstrip().partition("\n")
        return Rendered(" ".join(subject.split()), text.strip() + "\n", html)

    def _html(self, name: str, language: str, values: Mapping[str, Any]) -> str | None:
        try:
            template = self._environment.get_template(f"{language}/{name}.html")
        except self._not_found:
            return None
        return template.render(values)


def checked_language(given: Any) -> str:
    """A language of the templates; hosts may bring others along."""
    if not isinstance(given, str) or not given.isascii() or not given.replace("-", "").isalpha():
        raise ConfigurationError(f'a language is a code such as "es", not {given!r:.40}')
    return given


def moment(at: datetime, language: str, zone: ZoneInfo) -> str:
    """A moment in words, on the organization's clock; in languages without words of ours as ISO 8601 has it."""
    local = at.astimezone(zone)
    if language not in _FORMS:
        return local.strftime("%Y-%m-%d %H:%M")
    return _FORMS[language].format(
        day=_DAYS[language][local.weekday()],
        number=local.day,
        month=_MONTHS[language][local.month - 1],
        year=local.year,
        time=local.strftime("%H:%M"),
    )
