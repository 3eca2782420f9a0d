"""Values and tables as notebooks and terminals show them."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

from rayces_core.showing import LONGEST, html_table, text_table, told


def test_values_are_short_texts():
    assert told("name", None) == ""
    assert told("at", datetime(2031, 3, 3, 12, 0, tzinfo=UTC)) == "2031-03-03 12:00:00 UTC"
    assert told("at", datetime(2031, 3, 3, 12, 0, tzinfo=timezone(timedelta(hours=-3)))) == "2031-03-03 12:00:00-03:00"
    assert told("day", date(2031, 3, 3)) == "2031-03-03"
    assert told("data", {"ñ": [1, date(2031, 3, 3)]}) == '{"ñ": [1, "2031-03-03"]}'
    assert told("price", Decimal("1.50")) == "1.50"
    assert len(told("notes", "x" * 1000)) == LONGEST
    assert told("password_hash", "abc") == told("reset_token", 1) == "…"
    assert told("password_hash", None) == ""


def test_html_is_escaped_everywhere():
    bad = '<script>"&'
    shown = html_table([bad], [[bad]], title=bad, note=bad)
    assert "<script>" not in shown
    assert shown.count("&lt;script&gt;") == 4


def test_a_table_for_a_terminal_is_lines_whatever_is_in_it():
    assert text_table(["a", "b"], [["1\n2", "x"], ["\x1b[31m", "y"]], note="2 rows").splitlines() == [
        "a      b",
        "1 2    x",
        " [31m  y",
        "2 rows",
    ]
