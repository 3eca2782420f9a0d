"""Text columns: plain text, and texts of a certain form."""

# mypy: disable-error-code="no-overload-impl"

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, overload
from unicodedata import category
from zoneinfo import ZoneInfo

import peewee

from rayces_core.errors import InvalidDataError
from rayces_core.fields.base import NormalisingAccessor, PatternOperators, TypedField, V

MAX_EMAIL_CHARACTERS: Final = 320
LONGEST_NAME: Final = 255  # what has to be unique is indexed, and an index holds no longer texts than some 2,700 bytes
# What stands around an address in letters, lists, links and cells, and in none that a provider gives out.
_AROUND: Final = re.compile(r'[<>()\[\]",;:\\|]')
# What nearly every address is, told at once.
_USUAL: Final = re.compile(r"[a-z0-9][a-z0-9._+-]*@[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*")
_BEFORE: Final = ("'", "=", "`", "*", "•", "·")
CURRENCY_CODE: Final = re.compile(r"[A-Z]{3}")
UNSEEN: Final = ("Cc", "Cf")  # as Unicode sorts characters: control and format
# What a machine's folder of zones has besides, and PostgreSQL does not know or reads otherwise.
NO_IANA_NAMES: Final = ("localtime", "posixrules")
NO_IANA_FOLDERS: Final = ("posix/", "right/")


class StringField(PatternOperators, TypedField[V], peewee.TextField):
    """VARCHAR without a length. Refuses what is not text, and text that PostgreSQL cannot store."""

    field_type = "VARCHAR"

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> StringField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> StringField[str]: ...

    def db_value(self, value: object) -> str | None:
        """Give the text to store; raises `InvalidDataError` for anything but storable text of the right form."""
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.refuse(value, f"needs text, got {type(value).__name__}")
        text = value if type(value) is str else str.__str__(value)
        if problem := unstorable(text) or self.problem(text):
            raise self.refuse(value, problem)
        return text

    def python_value(self, value: Any) -> Any:
        """Give the text as read; what SQL made of it that is no text, as text."""
        return value if value is None or isinstance(value, str) else self.adapt(value)

    def problem(self, text: str) -> str | None:  # noqa: ARG002
        """Say what keeps a storable text out of this column, or None."""
        return None


def unstorable(text: str) -> str | None:
    """Say why PostgreSQL cannot store a text, or None if it can."""
    if "\x00" in text:
        return "has a NUL character, which PostgreSQL cannot store; remove it"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "has half of a surrogate pair, which is no text; decode its source as UTF-8"
    return None


def is_blank(text: str) -> bool:
    """Whether a text has nothing that can be seen: white space, or what Unicode calls format, as zero-width spaces."""
    return not text.strip() or all(character.isspace() or category(character) in UNSEEN for character in text)


def checked_name(value: object, field: str, longest: int = LONGEST_NAME) -> str | None:
    """Give a name that stands for a request or a payment, as it was given; None for none.

    One that is given and empty is none by mistake, such as a header that was not sent: taken for "none given" it would
    let a repetition through, taken for a name it would make every such request the same one.

    Raises:
        InvalidDataError: it is no text, blank, longer than `longest` characters, or cannot be stored.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidDataError(field, value, f"needs a text of 1 to {longest} characters, got {type(value).__name__}")
    if is_blank(value):
        raise InvalidDataError(field, value, "must not be blank; give None where there is none")
    if len(value) > longest:
        raise InvalidDataError(
            field, value, f"must have at most {longest} letters: a text of 1 to {longest} characters"
        )
    if problem := unstorable(value):
        raise InvalidDataError(field, value, problem)
    return value


class TextField(StringField[V]):
    """TEXT, with the rules of `StringField`."""

    field_type = "TEXT"

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> TextField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> TextField[str]: ...


class EmailField(StringField[V]):
    """An e-mail address, trimmed and in lower case wherever it is assigned, written or compared.

    The check is light: one @ with a name before and a domain after it, no blanks, nothing that stands around an address
    in letters, lists and links, at most 320 characters.
    """

    accessor_class = NormalisingAccessor

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> EmailField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> EmailField[str]: ...

    def normalise(self, value: Any) -> Any:
        """Trim a text and put it in lower case; leave anything else to `db_value`."""
        return value.strip().lower() if isinstance(value, str) else value

    def db_value(self, value: object) -> str | None:
        """Give the normalised address; raises `InvalidDataError` for what cannot be one."""
        return super().db_value(self.normalise(value))

    def problem(self, text: str) -> str | None:
        """Say what keeps a normalised text from being an address, or None."""
        return email_problem(text)


def email_problem(address: str) -> str | None:
    """Say what keeps a normalised text from being an e-mail address, or None if nothing does."""
    if len(address) <= MAX_EMAIL_CHARACTERS and _USUAL.fullmatch(address):
        return None
    local, _, domain = address.partition("@")
    if not local or not domain or "@" in domain:
        return "is no e-mail address: it needs one @ with a name before and a domain after it"
    if any(character.isspace() for character in address):
        return "is no e-mail address: it has a blank inside"
    if len(address) > MAX_EMAIL_CHARACTERS:
        return f"is longer than the {MAX_EMAIL_CHARACTERS} characters of an e-mail address"
    if found := (local[0] if local.startswith(_BEFORE) else "") or _first(_AROUND, address):
        return f"is no e-mail address alone: it has {found} beside it"
    if not address.isascii() and any(category(character) in UNSEEN for character in address):
        return "is no e-mail address: it has an invisible character inside"
    if not all(map(_is_label, domain.split("."))):
        return f"is no e-mail address: {domain!r:.60} is no domain"
    return None


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0] if found else ""


def _is_label(label: str) -> bool:
    """Whether a text may stand between two dots of a domain."""
    kinds = (category(character)[0] for character in label if character not in "-_")
    return label.strip("-") == label != "" and all(kind in "LMN" for kind in kinds)


class CurrencyField(StringField[V]):
    """A currency code of three capital letters, as ISO 4217 has them."""

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> CurrencyField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> CurrencyField[str]: ...

    def problem(self, text: str) -> str | None:
        """Say what keeps a text from being a currency code, or None."""
        return None if CURRENCY_CODE.fullmatch(text) else f"{text!r:.60} is no currency code such as 'ARS'"


class TimeZoneField(StringField[V]):
    """The name of a time zone in the IANA database, as `zoneinfo` knows it."""

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *, null: Literal[True], **options: Any) -> TimeZoneField[str | None]: ...
        @overload
        def __new__(cls, *, null: Literal[False] = ..., **options: Any) -> TimeZoneField[str]: ...

    def problem(self, text: str) -> str | None:
        """Say what keeps a text from being a time zone, or None."""
        if _is_time_zone(text) and text not in NO_IANA_NAMES and not text.startswith(NO_IANA_FOLDERS):
            return None
        return f"{text!r:.60} is no IANA time zone such as 'America/Argentina/Buenos_Aires'"


@lru_cache(maxsize=1024)
def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True
