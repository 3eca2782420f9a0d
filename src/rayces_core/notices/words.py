"""The words of notices: the library's own of words.toml, or the organization's, with what is filled in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Final

from rayces_core.fields.notices import NoticeSettings
from rayces_core.models.appointment import Appointment, AppointmentState
from rayces_core.models.notice import Notice
from rayces_core.models.user import User
from rayces_core.outbox.rendering import moment
from rayces_core.tenancy.organization import Organization

SPANISH: Final = frozenset(
    {
        *("AR", "BO", "CL", "CO", "CR", "CU", "DO", "EC", "ES", "GQ", "GT"),
        *("HN", "MX", "NI", "PA", "PE", "PR", "PY", "SV", "UY", "VE"),
    }
)
CREDITS: Final = {"en": ("credit", "credits"), "es": ("crédito", "créditos")}
A_MINUTE: Final = timedelta(minutes=1)
_PLACE: Final = re.compile(r"\{(\w+)\}")
_DEFAULTS: Final[dict[str, dict[str, dict[str, str]]]] = tomllib.loads(
    resources.files(__package__).joinpath("words.toml").read_text(encoding="utf-8")
)
LANGUAGES: Final = tuple(_DEFAULTS)


@dataclass(frozen=True, slots=True)
class Words:
    """A subject, for channels that have one, and a text."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a notice is about, as it stands now; the session's time is the notice's.

    Of credits that expire there is no appointment, student and professional: `credits` are left, of a `kind` or of the
    default one.
    """

    notice: Notice
    appointment: Appointment | None
    recipient: User
    organization: Organization
    student: str
    professional: str
    credits: int = 0
    kind: str | None = None


Render = Callable[[Facts], Words]


def render(facts: Facts) -> Words:
    """Fill the words in that the organization has for the notice, or the library; moments on its own clocks.

    In the recipient's own language, or else in the organization's.
    """
    settings = facts.organization.policy.notices
    language = facts.recipient.language or language_of(facts.organization, settings)
    subject, text = _words(settings, _wording(facts), language)
    values = _values(facts, language)
    filled = [_PLACE.sub(lambda place: values.get(place[1], place[0]), each) for each in (subject, text)]
    return Words(" ".join(filled[0].split()), filled[1].strip())


def language_of(organization: Organization, settings: NoticeSettings) -> str:
    """The language of an organization's notices."""
    return settings.language or ("es" if organization.country in SPANISH else "en")


def _wording(facts: Facts) -> str:
    waits = facts.appointment is not None and facts.appointment.state == AppointmentState.PRE_CONFIRMED
    return "unconfirmed" if waits and facts.notice.event == "reminder" else facts.notice.event


def _words(settings: NoticeSettings, wording: str, language: str) -> tuple[str, str]:
    own = ((each.subject, each.text) for each in settings.texts if (each.wording, each.language) == (wording, language))
    ours = _DEFAULTS.get(language, _DEFAULTS["en"])[wording]
    return next(own, (ours["subject"], ours["text"]))


def _credits(facts: Facts, language: str) -> str:
    one, many = CREDITS.get(language, CREDITS["en"])
    counted = f"{facts.credits} {one if facts.credits == 1 else many}"
    return counted if facts.kind is None else f"{counted} ({facts.kind})"


def _values(facts: Facts, language: str) -> dict[str, str]:
    organization, appointment, recipient = facts.organization, facts.appointment, facts.recipient

    def on_its_clock(at: datetime | None) -> str:
        return "" if at is None else moment(at, language, organization.zone)

    return {
        "name": recipient.first_name or recipient.full_name,
        "student": facts.student,
        "professional": facts.professional,
        "starts_at": on_its_clock(facts.notice.occurs_at),
        "minutes": "" if appointment is None else str(appointment.duration_minutes),
        # Of credits it is the last minute of their last day.
        "expires_at": on_its_clock(
            facts.notice.occurs_at - A_MINUTE if appointment is None else appointment.expires_at
        ),
        "credits": _credits(facts, language),
        "organization": organization.name,
        "phone": organization.phone or "",
    }
