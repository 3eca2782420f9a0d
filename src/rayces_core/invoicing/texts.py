"""The words on paper, in both languages, and how days and money are written there."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from rayces_core.errors import InvalidDataError

WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "invoice": "Invoice",
        "credit_note": "Credit note",
        "draft": "Draft, not valid as an invoice",
        "discarded": "Discarded",
        "corrects": "Corrects invoice",
        "reason": "Reason",
        "issued_on": "Issued on",
        "due_on": "Due on",
        "period": "Period",
        "to": "To",
        "tax_id": "Tax id",
        "day": "Day",
        "description": "Description",
        "quantity": "Quantity",
        "unit": "Price",
        "rate": "Tax",
        "total": "Total",
        "net": "Net",
        "net_at": "Net at {}",
        "tax_at": "Tax {}",
        "attendance": "Attendance",
        "time": "Time",
        "professional": "Professional",
        "student": "Student",
        "state": "State",
        "unmarked": "not marked",
        "executed": "attended",
        "no_show": "did not come",
        "confirmed": "expected",
        "nobody": "Nobody is expected on this day.",
    },
    "es": {
        "invoice": "Factura",
        "credit_note": "Nota de crédito",
        "draft": "Borrador, no válido como factura",
        "discarded": "Descartada",
        "corrects": "Corrige la factura",
        "reason": "Motivo",
        "issued_on": "Fecha de emisión",
        "due_on": "Vencimiento",
        "period": "Período",
        "to": "Cliente",
        "tax_id": "CUIT",
        "day": "Día",
        "description": "Detalle",
        "quantity": "Cantidad",
        "unit": "Precio",
        "rate": "IVA",
        "total": "Total",
        "net": "Neto",
        "net_at": "Neto al {}",
        "tax_at": "IVA {}",
        "attendance": "Asistencia",
        "time": "Hora",
        "professional": "Profesional",
        "student": "Estudiante",
        "state": "Estado",
        "unmarked": "sin marcar",
        "executed": "asistió",
        "no_show": "no vino",
        "confirmed": "se espera",
        "nobody": "Este día no se espera a nadie.",
    },
}
# Currencies of ISO 4217 whose smallest unit is not a hundredth.
_DIGITS: Final = dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3) | dict.fromkeys(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ),
    0,
)


def words(language: str) -> dict[str, str]:
    """The words of a language.

    Raises:
        InvalidDataError: there is no such language.
    """
    if not isinstance(language, str) or language not in WORDS:
        raise InvalidDataError("language", language, f"must be one of {', '.join(WORDS)}")
    return WORDS[language]


def digits(currency: str) -> int:
    """How many decimal places the smallest unit of a currency has: 2 of ARS, 0 of CLP."""
    return _DIGITS.get(currency, 2)


def decimal(cents: int, currency: str) -> str:
    """An amount in smallest units as a plain decimal: 150050 of ARS is 1500.50."""
    return f"{Decimal(cents).scaleb(-digits(currency)):f}"


def money(cents: int, currency: str, language: str) -> str:
    """An amount for people: `ARS 1.500,50` in Spanish, `ARS 1,500.50` in English."""
    text = f"{Decimal(cents).scaleb(-digits(currency)):,f}"
    return f"{currency} {text.translate(str.maketrans(',.', '.,')) if language == 'es' else text}"


def rate(basis_points: int, language: str) -> str:
    """A tax as a percentage: 2100 is 21 %, 1050 is 10,5 % in Spanish."""
    text = f"{basis_points / 100:g} %"
    return text.replace(".", ",") if language == "es" else text


def day(given: date, language: str) -> str:
    """A day for people: 31/03/2026 in Spanish, 2026-03-31 in English."""
    return f"{given:%d/%m/%Y}" if language == "es" else given.isoformat()
