"""Every chart says what it shows, in words too, and draws what little there is as well as much."""

import re
import sys
from functools import cache
from xml.etree import ElementTree

import altair
import polars as pl
import pyarrow
import pytest

from rayces_core import InvalidDataError, analysis
from rayces_core.analysis import charts
from rayces_core.errors import MissingExtraError
from tests.analysis.charts import frames
from tests.sizes import exhaustive
from tests.walking import walked

SVG = "{http://www.w3.org/2000/svg}"
PNG = b"\x89PNG\r\n\x1a\n"
# A line, cells of a week, and steps: what other charts do as well. The rest of a walk is for `make test-all`.
SOME = ("occupancy", "heat_map", "waiting")
OTHERS = exhaustive(*(name for name in frames.EVERY if name not in SOME))
WALK = pytest.mark.parametrize("name", [*SOME, *OTHERS])


@cache
def drawn(name: str) -> altair.LayerChart | altair.VConcatChart:
    """The chart of its frame, made once."""
    return getattr(charts, name)(frames.EVERY[name], span="early 2026")


@cache
def svg(name: str) -> str:
    """That chart's document."""
    return drawn(name).svg()


def texts(document: str) -> list[str]:
    lines = [line for text in ElementTree.fromstring(document).iter(f"{SVG}text") for line in (list(text) or [text])]
    return [line.text or "" for line in lines]


def said(document: str) -> list[str]:
    """What marks say when they are pointed at."""
    root = ElementTree.fromstring(document)
    return [title.text or "" for place in list(root.iter())[1:] for title in place.findall(f"{SVG}title")]


def test_there_is_a_frame_for_every_chart_here():
    assert set(frames.EVERY) == set(charts.__all__) == set(dir(charts))


@pytest.mark.slow
@walked("name", frames.EVERY)
def test_title_unit_and_definition_are_in_the_picture_and_nothing_is_loaded_or_run(name):
    chart, document = drawn(name), svg(name)
    root = ElementTree.fromstring(document)

    assert isinstance(chart, altair.LayerChart | altair.VConcatChart)
    title = chart.title.text
    assert title in texts(document)
    assert "early 2026" in texts(document)
    assert root.find(f"{SVG}title").text == f"{title}. {chart.description}"
    assert len(chart.description) > 40
    assert said(document)
    assert "<script" not in document
    assert re.findall(r"https?://[^\"' ]+", document) == ["http://www.w3.org/2000/svg"]


@pytest.mark.slow
@WALK
def test_every_chart_speaks_spanish(name):
    english = drawn(name)
    spanish = getattr(charts, name)(frames.EVERY[name], language="es", country="AR")
    assert spanish.title.text != english.title.text
    assert spanish.description != english.description


@WALK
def test_a_frame_without_rows_is_drawn_as_an_empty_place_that_says_so(name):
    chart = getattr(charts, name)(frames.EVERY[name].clear())
    assert {"Nothing in this time", chart.title.text} <= set(texts(chart.svg()))


@pytest.mark.slow
@WALK
def test_a_single_row_is_drawn(name):
    # Of the week the hour in which somebody works.
    row = frames.EVERY[name].filter(pl.col("hour") == 9) if name == "heat_map" else frames.EVERY[name]
    document = getattr(charts, name)(row.head(1)).svg()
    assert "Nothing in this time" not in texts(document)
    assert said(document)


@walked("name", frames.EVERY)
def test_a_frame_of_something_else_is_refused_with_what_is_missing(name):
    with pytest.raises(InvalidDataError, match=r"has no column .*; give what analysis\.\w+\(start, end\) returns"):
        getattr(charts, name)(pl.DataFrame({"x": [1]}))
    with pytest.raises(InvalidDataError, match="this is no frame"):
        getattr(charts, name)([1, 2])


@pytest.mark.slow
def test_pictures_are_png_and_a_page_of_their_own():
    chart = drawn("occupancy")
    small = chart.png(scale=1)
    assert small.startswith(PNG)
    assert len(chart.png()) > len(small)
    page = chart.html()
    assert "<title>Occupancy</title>" in page
    assert "<script" not in page
    assert 'src="' not in page


@pytest.mark.exhaustive
def test_an_interactive_page_brings_along_what_it_runs():
    """Vega is bundled for seconds. `test_pictures_are_png_and_a_page_of_their_own` keeps the page without it."""
    page = drawn("occupancy").html(interactive=True)
    assert "<script" in page
    assert re.findall(r'(?:src|href)="https?:', page) == []
    assert "Minutes of working time that sessions take" in page


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "svg", "ns0"])
def test_a_picture_is_read_by_browsers_whatever_prefix_another_library_has_registered(monkeypatch, prefix):
    """WeasyPrint registers namespaces for the whole process; a page made after it had no picture at all."""
    monkeypatch.setattr(ElementTree, "_namespace_map", {**ElementTree._namespace_map, SVG.strip("{}"): prefix})
    document = charts.occupancy(frames.OCCUPANCY).svg()
    assert document.startswith("<svg ")
    assert document.count(SVG.strip("{}")) == 1
    assert re.findall(r"</?\w+:", document) == []


def test_a_notebook_gets_an_svg_which_needs_no_network():
    bundle = drawn("occupancy")._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}


@pytest.mark.slow
def test_a_chart_that_was_changed_can_still_be_drawn():
    chart = drawn("occupancy").properties(height=50)
    assert "Occupancy" in chart.svg()
    assert chart.png().startswith(PNG)


@pytest.mark.slow
def test_frames_of_pandas_and_arrow_are_drawn_alike():
    specified = drawn("occupancy").to_dict()
    for frame in (frames.OCCUPANCY.lazy(), frames.OCCUPANCY.to_arrow(), frames.OCCUPANCY.to_pandas()):
        assert charts.occupancy(frame, span="early 2026").to_dict() == specified
    assert isinstance(frames.OCCUPANCY.to_arrow(), pyarrow.Table)


@pytest.mark.slow
def test_currencies_get_panels_with_scales_of_their_own_and_are_never_summed():
    document = svg("revenue")
    assert {"ARS", "USD"} <= set(texts(document))
    assert sorted(said(document)) == sorted(
        f"{month} 26: {amount}"
        for month in ("Jan", "Feb", "Mar")
        for amount in ("ARS\u00a01,234,567.89", "USD\u00a025.00")
    )
    assert "1M" in texts(document)
    assert "25" in texts(document)


@pytest.mark.slow
def test_organizations_get_panels_too():
    other = frames.SESSIONS.with_columns(organization_id=pl.lit(2, pl.Int64), executed=pl.lit(1, pl.Int64))
    document = charts.sessions(pl.concat([frames.SESSIONS, other])).svg()
    assert {"Organization 1", "Organization 2"} <= set(texts(document))
    assert "Jan 26 · held: 11" in said(document)
    assert "Jan 26 · held: 1" in said(document)


@pytest.mark.slow
def test_a_period_without_a_denominator_is_a_gap_and_a_period_without_rows_keeps_its_place():
    document = svg("occupancy")
    assert [text for text in said(document) if text.startswith("Feb")] == []
    assert "Mar 26: 75.3% (753 of 1,000 working minutes booked)" in said(document)
    nothing = pl.when(pl.col("period") == frames.MONTHS[1]).then(0)
    states = ("executed", "no_show", "cancelled")
    empty = frames.SESSIONS.with_columns(nothing.otherwise(pl.col(name)).alias(name) for name in states)
    assert {"Jan 26", "Feb 26", "Mar 26"} <= set(texts(charts.sessions(empty).svg()))


def test_bars_of_professionals_have_their_figure_and_names_are_text():
    document = charts.occupancy(frames.BY_PROFESSIONAL).svg()
    assert {"Ana <b>", "Bruno & Co", "25%"} <= set(texts(document))
    assert "<b>" not in document


def test_professionals_over_several_months_are_a_grid():
    both = pl.concat([frames.OCCUPANCY.with_columns(professional_id=pl.lit(name)) for name in ("Ana", "Bruno")])
    document = charts.occupancy(both, language="es", country="AR").svg()
    assert "Bruno, mar 26: 75,3\u202f% (753 de 1.000 minutos de trabajo reservados)" in said(document)


@pytest.mark.slow
def test_cells_of_the_week_are_there_where_somebody_works_or_something_is_booked():
    document = svg("heat_map")
    assert {"Mon", "Sun", "09:00", "10:00"} <= set(texts(document))
    assert "11:00" not in texts(document)
    assert "Monday 09:00: 25.0% (60 of 240 working minutes booked)" in said(document)
    outside = frames.rows({"weekday": 6, "hour": 20, "working_minutes": 0, "booked_minutes": 30})
    assert "20:00" in texts(charts.heat_map(outside).svg())


@pytest.mark.slow
def test_several_months_of_the_week_are_minutes_by_minutes():
    idle = frames.HEAT_MAP.with_columns(booked_minutes=pl.lit(0, pl.Int64))
    twice = pl.concat([frames.HEAT_MAP, idle], how="vertical_relaxed")
    assert "Monday 09:00: 12.5% (60 of 480 working minutes booked)" in said(charts.heat_map(twice).svg())


@pytest.mark.slow
def test_months_of_a_cohort_that_are_not_over_are_no_cells():
    document = svg("cohorts")
    assert sorted(said(document)) == [
        "February 2026: 100.0% (3 of 3 clients, month 0)",
        "January 2026: 100.0% (4 of 4 clients, month 0)",
        "January 2026: 25.0% (1 of 4 clients, month 1)",
    ]


@pytest.mark.slow
def test_a_cohort_in_parts_is_added_up_client_by_client():
    parts = pl.concat([frames.RETENTION.with_columns(specialization=pl.lit(name)) for name in ("speech", "music")])
    assert "January 2026: 25.0% (2 of 8 clients, month 1)" in said(charts.cohorts(parts).svg())


@pytest.mark.slow
def test_stages_of_the_funnel_are_parts_of_those_who_applied():
    document = svg("funnel")
    assert said(document)[:3] == ["applied: 24", "on the waiting list: 18 · 75%", "admitted: 15 · 62%"]


@pytest.mark.slow
def test_the_median_wait_is_marked_where_half_are_through():
    assert "half wait at most 4 days" in texts(svg("waiting"))
    still = frames.WAITS.with_columns(censored=pl.lit(value=True))
    assert not [text for text in texts(charts.waiting(still).svg()) if text.startswith("half")]


@pytest.mark.slow
def test_more_parts_than_colours_share_the_last_one():
    pesos = frames.REVENUE.filter(pl.col("currency") == "ARS")
    many = pl.concat([pesos.with_columns(specialization=pl.lit(f"kind {n}")) for n in range(9)])
    document = charts.revenue(many).svg()
    assert "other" in texts(document)
    assert "Jan 26 · other: ARS\u00a04,938,271.56" in said(document)


def test_words_of_a_language_that_there_are_none_of_are_refused():
    with pytest.raises(InvalidDataError, match="there are en, es"):
        charts.occupancy(frames.OCCUPANCY, language="fr")


def test_without_altair_the_error_names_the_extra(monkeypatch):
    for module in [name for name in sys.modules if name.startswith("rayces_core.analysis.charts.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingExtraError, match=r"altair is not installed: pip install 'rayces-core\[analysis\]'"):
        charts.occupancy  # noqa: B018 - looked up is enough


def test_charts_are_found_in_the_room():
    assert analysis.charts is charts
    with pytest.raises(AttributeError):
        charts.pie  # noqa: B018
