"""Figures, days and money as people write them, and words of which no language lacks one."""

import string
import tomllib
from datetime import date, datetime
from hashlib import sha256
from importlib.resources import files

import pytest
from babel.numbers import format_decimal

from rayces_core import InvalidDataError, analysis
from rayces_core.analysis.writing import LANGUAGES, SPANISH, Writing

ENGLISH, ARGENTINE = Writing("en"), Writing.of(None, "AR")
WORDS = tomllib.loads(files("rayces_core.analysis").joinpath("words.toml").read_text("utf-8"))


def braces(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_word_is_there_in_each_language_with_the_same_facts():
    for group, words in WORDS.items():
        for key, texts in words.items():
            # What metrics count they say themselves in English.
            assert set(texts) == ({"es", "of"} if group == "definition" else set(LANGUAGES)), f"{group}.{key}"
            if group == "definition":
                continue
            assert len({frozenset(braces(text)) for text in texts.values()}) == 1, f"{group}.{key}"


def test_every_metric_says_in_spanish_what_it_counts():
    metrics = {name for name in analysis.__all__ if hasattr(getattr(analysis, name), "definition")}
    assert set(WORDS["definition"]) == metrics


def test_what_a_metric_says_in_spanish_is_the_translation_of_what_it_says_now():
    digests = {
        metric: sha256(getattr(analysis, metric).definition.text.encode()).hexdigest()[:12]
        for metric in WORDS["definition"]
    }
    outdated = {metric: digest for metric, digest in digests.items() if WORDS["definition"][metric]["of"] != digest}
    assert not outdated, "the English has changed: translate these anew in words.toml, and give their `of` as here"


@pytest.mark.parametrize("country", sorted(SPANISH))
def test_the_decimal_sign_is_the_countrys(country):
    theirs = format_decimal(1234567.5, locale=f"es_{country}")
    assert Writing.of(None, country).number(1234567.5, 1)[-2] == theirs[-2]


def test_the_language_is_the_countrys_unless_one_is_named():
    assert Writing.of(None, "AR") == Writing("es", point=False)
    assert Writing.of(None, "MX") == Writing("es", point=True)
    assert Writing.of(None, "BR") == Writing.of(None, None) == Writing("en", point=True)
    assert Writing.of("en", "AR") == Writing("en", point=True)
    with pytest.raises(InvalidDataError, match="there are en, es"):
        Writing.of("pt", "BR")


@pytest.mark.parametrize(
    "cents, english, argentine",
    [
        (0, "ARS\u00a00.00", "ARS\u00a00,00"),
        (5, "ARS\u00a00.05", "ARS\u00a00,05"),
        (-123_456, "ARS\u00a0-1,234.56", "ARS\u00a0-1.234,56"),
        (10**17 + 1, "ARS\u00a01,000,000,000,000,000.01", "ARS\u00a01.000.000.000.000.000,01"),
        (None, "\u2013", "\u2013"),
    ],
)
def test_money_is_written_to_the_cent(cents, english, argentine):
    assert ENGLISH.money(cents, "ARS") == english
    assert ARGENTINE.money(cents, "ARS") == argentine


def test_ratios_and_numbers():
    assert ENGLISH.percent(0.12345) == "12.3%"
    assert ARGENTINE.percent(0.12345) == "12,3\u202f%"
    assert ENGLISH.percent(None) == ENGLISH.number(None) == "\u2013"
    assert ENGLISH.number(-0.001, 1) == "0.0"  # there is no minus nothing
    assert ARGENTINE.number(1234.56, 1) == "1.234,6"


def test_days_and_moments():
    day = date(2026, 10, 5)
    assert (ENGLISH.month(day), ARGENTINE.month(day)) == ("October 2026", "octubre de 2026")
    assert (ENGLISH.month(day, short=True), ARGENTINE.month(day, short=True)) == ("Oct 26", "oct 26")
    assert (ENGLISH.day(day), ARGENTINE.day(day)) == ("5 October 2026", "5 de octubre de 2026")
    moment = datetime(2026, 10, 5, 14, 30)
    assert ENGLISH.moment(moment) == "Mon 5 October 2026, 14:30"
    assert ARGENTINE.moment(moment, short=True) == "lun 5 oct, 14:30"
