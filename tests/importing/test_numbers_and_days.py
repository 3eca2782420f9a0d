"""Identifiers that went through a number are the same from any format, and days that nobody can have meant are told."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rayces_core import CreditTransaction, Database, User, importing
from rayces_core.importing.columns import SheetNumber
from rayces_core.importing.values import identifier, text
from tests.importing.test_values import READING
from tests.importing.world import NOW, told
from tests.importing.writers import write

FORMATS = (".csv", ".xlsx", ".ods", ".parquet")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (SheetNumber(4111222233334444), "4111222233334444"),
        (4111222233334444.0, "4111222233334444"),
        (4111222233334444, "4111222233334444"),
        (12345678901234567890, "12345678901234567890"),
        (Decimal("4111222233334444.00"), "4111222233334444"),
        (Decimal("1E+3"), "1000"),
        ("4111222233334444.0", "4111222233334444"),
        ("4111222233334444,00", "4111222233334444"),
        ("4.111222233334444E+15", "4111222233334444"),
        ("1.5E+01", "15"),
        ("00123", "00123"),
        ("12E5", "12E5"),
        ("1.10", "1.10"),
        ("2025-000.0", "2025-000.0"),
    ],
)
def test_an_identifier_has_all_its_digits(written: Any, meant: str) -> None:
    assert identifier(written, READING) == meant


@pytest.mark.parametrize(
    "written",
    [
        SheetNumber(12345678901234567),
        SheetNumber(4111222233334440),  # as a spreadsheet stores 4111222233334444
        SheetNumber(2**53),
        1e22,
        "4.11122E+15",
        "4,11E+15",
        "1E+05",
    ],
)
def test_one_that_was_rounded_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="lost its last digits; format the column as text"):
        identifier(written, READING)


def test_a_text_never_has_a_rounded_number_nor_one_that_is_none() -> None:
    for number in (SheetNumber(12345678901234567), 1e300):
        with pytest.raises(ValueError, match="lost its last digits"):
            text(number, READING)
    for number in (float("nan"), float("inf"), Decimal("NaN")):
        with pytest.raises(ValueError, match="leave it empty"):
            text(number, READING)


@pytest.mark.slow
@pytest.mark.parametrize("reference", [4111222233334444, 77, 4111222233334444.0])
def test_a_payment_from_any_format_is_one_purchase(db: Database, a: Any, tmp_path: Path, reference: float) -> None:
    with db.tenant(a):
        User.create(email="ana@x.org")
        for ending in FORMATS:
            path = write(tmp_path / f"p{ending}", ["cliente", "sesiones", "referencia"], [["ana@x.org", 4, reference]])
            importing.run(path, "credits")
        assert [entry.amount for entry in CreditTransaction.select()] == [4]


def test_phones_and_licences_from_any_format_are_the_same(db: Database, a: Any, tmp_path: Path) -> None:
    header = ["email", "teléfono", "nombre"]
    with db.tenant(a):
        for ending in FORMATS:
            rows = [["f6@x.org", 1143215678.0, "Ana"], ["f7@x.org", None, "Leo"]]
            report = importing.run(write(tmp_path / f"p{ending}", header, rows), "users")
        assert report.unchanged == 2
        assert [user.phone for user in User.select().order_by(User.id)] == ["+541143215678", None]


@pytest.mark.parametrize(
    ("born", "says"),
    [
        ("15/03/28", "two digits"),
        ("15/03/2032", "lies ahead"),
        ("05/03/2031", "lies ahead"),
        ("01/01/1801", "more than 120 years ago"),
        (date(2131, 3, 1), "lies ahead"),
    ],
)
def test_a_birth_lies_behind_and_not_too_far(db: Database, a: Any, born: Any, says: str) -> None:
    row = {"nombre": "Uno", "apellido": "A", "nacimiento": born}
    with db.tenant(a):
        (problem,) = importing.check([row], "students", now=NOW).problems
        assert (problem.column, says in f"{problem.problem} {problem.advice}") == ("date_of_birth", True)


def test_a_birth_of_today_is_taken_wherever_today_has_begun(db: Database, a: Any) -> None:
    rows = [{"nombre": "Uno", "apellido": "A", "nacimiento": day} for day in ("03/03/2031", "04/03/2031")]
    with db.tenant(a):
        assert importing.check(rows, "students", now=NOW).is_clean


def test_nobody_is_admitted_before_the_birth_nor_pays_tomorrow(db: Database, a: Any) -> None:
    life = {"nombre": "A", "apellido": "B", "nacimiento": "03/03/2020", "admission_date": "03/03/2019"}
    paid = {"cliente": "a@x.org", "sesiones": 1, "fecha": "13/03/2031"}
    with db.tenant(a):
        User.create(email="a@x.org")
        assert told(importing.check([life], "students", now=NOW)) == [(1, "admission_date")]
        assert told(importing.check([paid], "credits", now=NOW)) == [(1, "purchased_on")]


@pytest.mark.parametrize("written", ["10.000", "8,000", "120.000"])
def test_credits_in_thousandths_are_not_taken_for_thousands(db: Database, a: Any, written: str) -> None:
    with db.tenant(a):
        User.create(email="ana@example.org", first_name="Ana", last_name="Paz")
        report = importing.check([{"user": "ana@example.org", "credits": written}], CreditTransaction, now=NOW)
        assert told(report) == [(1, "credits")]
        assert "a thousand times as many" in report.problems[0].problem
