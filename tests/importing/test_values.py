"""A value is understood for certain or refused with what to do, and what is understood is stable."""

import datetime as dt
from decimal import Decimal
from enum import IntEnum
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core.importing import values
from rayces_core.importing.columns import Reading, SheetNumber, Unreadable
from tests.walking import walked

READING = Reading(ZoneInfo("America/Argentina/Buenos_Aires"))
NEW_YORK = Reading(ZoneInfo("America/New_York"), region="US", currency="USD", day_first=False)
DAY = dt.date(2020, 3, 4)


class Color(IntEnum):
    RED = 1


color = values.choice({Color.RED: ("red", "rojo", "roja")})
state = values.choice({"on_leave": ("licencia", "de licencia"), "enrolled": ("inscripto",)})


@walked(
    ("read", "written", "value"),
    [
        (values.text, "  Ana \u200b", "Ana"),
        (values.text, SheetNumber(1234567), "1234567"),
        (values.text, 1.5, "1.5"),
        (values.text, '="00123"', "00123"),
        (values.text, "=SUM(A1)", "=SUM(A1)"),
        (values.text, "👩\u200d👧 مرحبا", "👩\u200d👧 مرحبا"),
        (values.text, "\u202a+54 11\u202c", "+54 11"),
        (values.email, " Ana@Example.ORG ", "ana@example.org"),
        (values.email, "mailto:x1@x.org", "x1@x.org"),
        (values.email, "<x2@x.org>", "x2@x.org"),
        (values.email, "Ana Paz <Ana@X.org>", "ana@x.org"),
        (values.email, '"Paz, Ana" <mailto:ana@x.org>', "ana@x.org"),
        (values.email, "o'brien+a_b@x-y.org", "o'brien+a_b@x-y.org"),
        (values.email, "ana@\u00f1and\u00fa.org", "ana@\u00f1and\u00fa.org"),
        (values.integer, "1.234", 1234),
        (values.integer, "1,234,567", 1234567),
        (values.integer, "12,0", 12),
        (values.integer, SheetNumber(12), 12),
        (values.integer, "-7", -7),
        (values.money, "$ 1.234,50", 123450),
        (values.money, "1,234.50", 123450),
        (values.money, "-$ 5", -500),
        (values.money, "ARS 1.234.567,8", 123456780),
        (values.money, "1.234", 123400),
        (values.money, "12 345,60", 1234560),
        (values.money, 1234.1, 123410),
        (values.money, Decimal("0.07"), 7),
        (values.money, 3750.2999999999997, 375030),  # what 3 * 1250.1 is to a program
        (values.money, "0.30000000000000004", 30),
        (values.boolean, "Sí", True),
        (values.boolean, "Sim", True),
        (values.boolean, "Não", False),
        (values.boolean, "inativa", False),
        (values.boolean, "1.0", True),  # as a data frame writes yes where another row is empty
        (values.boolean, "0.0", False),
        (values.boolean, "x", True),
        (values.boolean, "VERDADERO", True),
        (values.boolean, SheetNumber(0), False),
        (values.boolean, "No", False),
        (color, "ROJA", Color.RED),
        (color, Color.RED, Color.RED),
        (state, "De  Licencia", "on_leave"),
        (state, "on leave", "on_leave"),
        (values.phone, "011 15-4321-5678", "+5491143215678"),
        (values.phone, SheetNumber(1143215678), "+541143215678"),
        (values.phone, "+1 212 555 0123", "+12125550123"),
        (values.phone, "(0341) 421-1234 int. 5", "+543414211234;ext=5"),
        (values.currency, "ars", "ARS"),
        (values.document, '[{"a": 1}]', [{"a": 1}]),
        (values.document, {"a": 1}, {"a": 1}),
        (values.date, "04/03/2020", DAY),
        (values.date, "4-3-2020", DAY),
        (values.date, "2020-03-04", DAY),
        (values.date, "2020-03-04T00:00:00", DAY),
        (values.date, "4 de marzo de 2020", DAY),
        (values.date, "miércoles, 4 de Marzo del 2020", DAY),
        (values.date, "4-mar-2020", DAY),
        (values.date, "4 de março de 2020", DAY),
        (values.date, "quarta-feira, 4/3/2020", DAY),
        (values.date, "mar 4 2020", DAY),
        (values.date, "mar 3/3/2020", dt.date(2020, 3, 3)),
        (values.date, "March 4th, 2020", DAY),
        (values.date, "20200304", DAY),
        (values.date, SheetNumber(43894), DAY),
        (values.date, dt.datetime(2020, 3, 4), DAY),
        (values.date, SheetNumber(20200304), DAY),
        (values.date, 20200304, DAY),
        (values.date, 20200304.0, DAY),
        (values.date, "2020-03-04T00:00:00.000Z", DAY),
        (values.date, "2020-03-04T03:00:00.000Z", DAY),
        (values.date, "2020-03-04T00:00:00-05:00", DAY),
        (values.date, "4/3/2020 12:00:00 AM", DAY),
        (values.date, dt.datetime(2020, 3, 4, 3, tzinfo=dt.UTC), DAY),
        (values.moment, "04/03/2020 14:30", dt.datetime(2020, 3, 4, 17, 30, tzinfo=dt.UTC)),
        (values.moment, "4/3/2020 2:30 p. m.", dt.datetime(2020, 3, 4, 17, 30, tzinfo=dt.UTC)),
        (values.moment, "4 de março de 2020 às 14:30", dt.datetime(2020, 3, 4, 17, 30, tzinfo=dt.UTC)),
        (values.moment, "March 4, 2020 at 2:30 PM", dt.datetime(2020, 3, 4, 17, 30, tzinfo=dt.UTC)),
        (values.moment, "2020-03-04T14:30:05.25Z", dt.datetime(2020, 3, 4, 14, 30, 5, 250000, tzinfo=dt.UTC)),
        (values.moment, "2020-03-04 14:30-0500", dt.datetime(2020, 3, 4, 19, 30, tzinfo=dt.UTC)),
        (values.moment, SheetNumber(43894.5), dt.datetime(2020, 3, 4, 15, tzinfo=dt.UTC)),
        (values.moment, dt.datetime(2020, 3, 4, 14, 30), dt.datetime(2020, 3, 4, 17, 30, tzinfo=dt.UTC)),
    ],
)
def test_a_value_is_understood(read, written, value):
    found = read(written, READING)

    assert (found, type(found)) == (value, type(value))


@walked(
    ("read", "written", "says"),
    [
        (values.text, "a\x00b", "NUL"),
        (values.text, "\ud800", "surrogate"),
        (values.text, "a\u202eb", "direction"),
        (values.text, "\u200b", "leave it empty"),
        (values.text, Unreadable("the formula failed"), "the formula failed"),
        (values.text, ["a"], "needs text, got list"),
        (values.email, "ana@", "needs one @"),
        (values.email, "x6@x.org.", "no domain"),
        (values.email, "ana@x..org", "no domain"),
        (values.email, "ana@-x.org", "no domain"),
        (values.email, "mailto:ana@x.org?subject=hola", "no domain"),
        (values.email, "ana@x.org,", "has , beside it"),
        (values.email, "ana@x.org;", "has ; beside it"),
        (values.email, "'ana@x.org", "has ' beside it"),
        (values.email, "<ana@x.org", "has < beside it"),
        (values.email, "<a@x.org> <b@x.org>", "needs one @"),
        (values.email, "ana@x.org (mam\u00e1)", "blank inside"),
        (values.email, "ana\u200b@x.org", "invisible"),
        (values.integer, "1,5", "no whole number"),
        (values.integer, "1.23.4", "separators"),
        (values.integer, "9" * 25, "too large"),
        (values.integer, float("nan"), "no number"),
        (values.integer, True, "no number"),
        (values.integer, "١٢", "no number"),
        (values.money, "1.2345", "more than two decimals"),
        (values.money, "1234.500", "separators"),
        (values.money, "1 " * 60_000 + "x", "no amount"),
        (values.money, "US$ 5", "convert it"),
        (values.money, "5 EUR", "convert it"),
        (values.money, "--5", "no amount"),
        (values.money, "1e5", "no number"),
        (values.boolean, "quizás", "neither yes nor no"),
        (values.boolean, Unreadable("bad row"), "bad row"),
        (color, "blue", "write one of: red"),
        (values.phone, "15", "digits"),
        (values.phone, "none", "no phone number"),
        (values.currency, "pesos", "no currency code"),
        (values.document, "{", "no JSON"),
        (values.document, "NaN", "no JSON"),
        (values.document, "[" * 100_000, "no JSON"),
        (values.date, "12/31/2019", "no month 31: dates here are day/month/year"),
        (values.date, "29/02/2019", "not in the calendar"),
        (values.date, "04/03/30", "1930 or 2030; write all four"),
        (values.date, "4-mar-20", "1920 or 2020; write all four"),
        (values.moment, "04/03/20 14:30", "two digits"),
        (values.date, "lunes 04/03/2020", "another weekday than 2020-03-04 has"),
        (values.date, "2020-03-04T14:00:00Z", "time of day"),
        (values.date, SheetNumber(20200399), "20200399 is a number, not a date; write it as 2019-12-31"),
        (values.date, SheetNumber(1143215678), "1143215678 is a number"),
        (values.date, "0000-01-01", "not in the calendar"),
        (values.date, "9999-12-31", "year 9999, outside"),
        (values.date, dt.date.min, "year 1, outside"),
        (values.date, "2020-03-04 10:00", "time of day"),
        (values.date, 43894, "no date"),
        (values.date, True, "no date"),
        (values.date, SheetNumber(2020), "is a number, not a date"),
        (values.date, "x" * 1000, "too long"),
        (values.date, Unreadable("bad row"), "bad row"),
        (values.moment, "04/03/2020", "no time of day"),
        (values.moment, DAY, "no time of day"),
        (values.moment, "04/03/2020 25:00", "no such time"),
        (values.moment, "04/03/2020 13:00 pm", "no such time"),
        (values.moment, "2007-12-30 00:30", "did not exist in America/Argentina/Buenos_Aires"),
        (values.moment, "2008-03-15 23:30", "came twice"),
        (values.moment, dt.datetime.max, "year 9999"),
        (values.moment, "2020-03-04 10:00+99:00", "offset"),
    ],
)
def test_a_value_that_is_not_certain_is_refused_with_what_to_do(read, written, says):
    with pytest.raises(ValueError, match=says.replace("+", r"\+")):
        read(written, READING)


def test_the_habits_of_the_place_decide():
    assert values.date("03/04/2020", NEW_YORK) == DAY
    assert values.phone("(212) 555-0123", NEW_YORK) == "+12125550123"
    assert values.money("US$ 5.00", NEW_YORK) == 500
    comma, point = (Reading(READING.zone, decimal_comma=choice) for choice in (True, False))
    assert values.money("1.234", comma) == 123400
    assert values.money("1,234", point) == 123400
    with pytest.raises(ValueError, match="more than two decimals"):
        values.money("1.234", point)


@given(st.text())
def test_a_text_that_is_accepted_is_read_again_as_itself(written):
    try:
        read = values.text(written, READING)
    except ValueError:
        return
    assert values.text(read, READING) == read


@given(st.dates(dt.date(1800, 1, 1), dt.date(2199, 12, 31)))
def test_any_date_is_stable_in_each_form(day):
    forms = (day.isoformat(), f"{day:%d/%m/}{day.year}", f"{day.day}.{day.month}.{day.year}", f"{day.year}{day:%m%d}")
    assert {values.date(form, READING) for form in forms} == {day}


@given(st.integers(-(10**15), 10**15))
def test_any_amount_is_stable_in_each_form(cents):
    sign, (whole, rest) = "-" if cents < 0 else "", divmod(abs(cents), 100)
    local = f"{whole:,}".replace(",", ".") + f",{rest:02}"
    for form in (f"{sign}{whole}.{rest:02}", f"{sign}{whole:,}.{rest:02}", f"{sign}$ {local}", f"{sign}{local} ARS"):
        assert values.money(form, READING) == cents
    assert values.integer(f"{cents:,}", READING) == cents


@given(st.datetimes(dt.datetime(1800, 1, 2), dt.datetime(2199, 12, 30), timezones=st.just(dt.UTC)))
def test_any_moment_is_stable(moment):
    assert values.moment(moment.isoformat(), READING) == moment == values.moment(moment, READING)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.binary(), st.none(), st.lists(st.none()), st.datetimes()))
def test_no_value_makes_a_reader_do_anything_but_read_or_refuse(value):
    for read in (
        *(values.text, values.email, values.integer, values.money, values.boolean, values.phone, values.currency),
        *(values.date, values.moment, values.document, color, state),
    ):
        try:
            read(value, READING)
        except ValueError as error:
            refused = error
            assert type(refused) is ValueError
            assert str(refused)


@pytest.mark.parametrize(
    "written", ["Jos?", "N??ez", "Mu&ntilde;oz", "Jos&#233;", "Jos%C3%A9", "=?UTF-8?Q?Jos=C3=A9?=", "Jos\\u00e9"]
)
def test_a_name_whose_letters_a_program_has_spoiled_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="a program has spoiled"):
        values.name(written, READING)


@pytest.mark.parametrize("written", ["2026", "-", "12/3", "***"])
def test_what_has_no_letter_is_nobodys_name(written: str) -> None:
    with pytest.raises(ValueError, match="has no letter"):
        values.name(written, READING)


@pytest.mark.parametrize("written", ["O'Brien", "D\u2019Elía", "Ana & Co", "Ñandú", "María J.", "Ana (Anita)", "李"])
def test_a_name_of_other_signs_is_read(written: str) -> None:
    assert values.name(written, READING) == written
