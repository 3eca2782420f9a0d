"""What the pages say, in Spanish and English; the library's own errors bring their texts along."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_currency

TEXTS: dict[str, dict[str, str]] = {
    language: json.loads((Path(__file__).parent / f"texts_{language}.json").read_text("utf-8"))
    for language in ("es", "en")
}


class Words:
    """One language's texts, and how it writes days, hours and money."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **values: Any) -> str:
        return TEXTS[self.language].get(key, key).format(**values)

    def day(self, moment: date | datetime) -> str:
        return format_date(moment, self("day_format"), locale=self.language)

    def date(self, moment: date | datetime) -> str:
        return format_skeleton("MMMd", moment, locale=self.language)

    def hour(self, moment: datetime) -> str:
        return format_time(moment, "HH:mm", locale=self.language)

    def money(self, cents: int | None, currency: str | None) -> str:
        return "" if cents is None else format_currency(cents / 100, currency or "ARS", locale=self.language)

    def amount(self, cents: int) -> str:
        """As a field has it: the cents only where there are any."""
        return f"{cents / 100:.2f}".removesuffix(".00")
