"""What stands on axes: each number once, money as people say it, names told apart, in the reader's language."""

import re
from xml.etree import ElementTree

import polars as pl
import pytest

from rayces_core.analysis import charts
from rayces_core.analysis.charts.axes import whole_numbers
from rayces_core.analysis.charts.frames import shortened
from rayces_core.analysis.charts.people import DASH
from tests.analysis.charts import frames
from tests.analysis.charts.test_charts import SVG, said, texts
from tests.sizes import exhaustive, first

SPANISH = {"language": "es", "country": "AR"}
LONG = "María de los Ángeles Fernández-Etchegaray y Goyeneche"


def axes(document: str) -> list[list[str]]:
    """The labels of each axis."""
    groups = [
        group for group in ElementTree.fromstring(document).iter(f"{SVG}g") if "role-axis-label" in str(group.attrib)
    ]
    return [["".join(text.itertext()) for text in group.iter(f"{SVG}text")] for group in groups]


def sessions(most: int) -> pl.DataFrame:
    return frames.SESSIONS.with_columns(executed=pl.lit(most), no_show=pl.lit(0), cancelled=pl.lit(0))


def waits(*days: float) -> pl.DataFrame:
    return frames.rows(*({"wait_days": each, "censored": False} for each in days))


FEW = {
    **{f"{most} sessions": (charts.sessions, sessions(most)) for most in (1, 2, 3, 7)},
    "one period": (charts.sessions, sessions(3).head(1)),
    "no credits": (charts.liability, frames.LIABILITY.with_columns(outstanding=pl.lit(0))),
    "two credits": (charts.liability, frames.LIABILITY.with_columns(outstanding=pl.lit(2))),
    "holds": (charts.holds, frames.rows({"minutes_left": 5}, {"minutes_left": 70})),
    "no wait": (charts.waiting, waits(0.0)),
    "a short wait": (charts.waiting, waits(0.5, 1.0, 2.0)),
}
# One of each chart.
SOME = ("2 sessions", "no credits", "holds", "a short wait")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SOME, *exhaustive(*(name for name in FEW if name not in SOME))])
def test_no_number_stands_twice_on_an_axis(name):
    draw, frame = FEW[name]
    drawn = axes(draw(frame, **SPANISH).svg())
    assert len(drawn) == 2
    for labels in drawn:
        assert len(set(labels)) == len(labels), labels


@pytest.mark.parametrize(
    "largest, ticks",
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (6, [0, 2, 4, 6]),
        (26, [0, 10, 20, 30]),
        (999, [0, 200, 400, 600, 800, 1000]),
    ],
)
def test_whole_numbers_go_up_to_one_above_them_all_in_round_steps(largest, ticks):
    axis = whole_numbers([largest, None, 0])
    assert (axis["axis"].values, axis["scale"].domain) == (ticks, [0, ticks[-1]])


@pytest.mark.slow
@pytest.mark.parametrize(
    "cents, labels",
    first(
        3,
        [
            (50, {"0,5", "0,1"}),
            (12_500_00, {"10k", "2k"}),
            (9_000_00, {"8.000"}),
            (1_500_000_00, {"1,5M", "0,5M"}),
            (4_000_000_000_00, {"4.000M", "1.000M"}),
        ],
    ),
)
def test_amounts_are_in_units_thousands_or_millions_and_in_no_other_prefix(cents, labels):
    frame = frames.REVENUE.filter(pl.col("currency") == "ARS").with_columns(revenue_cents=pl.lit(cents))
    upwards = next(found for found in axes(charts.revenue(frame, **SPANISH).svg()) if "0" in found)
    assert labels <= set(upwards)
    assert all(re.fullmatch(r"[\d.,]+[kM]?", label) for label in upwards)


@pytest.mark.slow
def test_names_that_are_long_are_cut_where_namesakes_are_alike_and_told_whole():
    people = [LONG, f"{LONG} (ana@b.org)", f"{LONG} (eva@b.org)", "Ana"]
    frame = pl.concat([frames.BY_PROFESSIONAL.head(1).with_columns(professional_id=pl.lit(name)) for name in people])
    listed = charts.occupancy(frame).svg()
    months = pl.concat([frames.OCCUPANCY.with_columns(professional_id=pl.lit(name)) for name in people])
    grid = charts.occupancy(months).svg()
    pesos = frames.REVENUE.filter(pl.col("currency") == "ARS")
    parts = charts.revenue(pl.concat([pesos.with_columns(specialization=pl.lit(name)) for name in people])).svg()
    for document in (listed, grid, parts):
        names = {text for text in texts(document) if text.startswith(("María", "Ana"))}
        assert len(names) == len(people)
        assert not [text for text in texts(document) if text.endswith("…")]
        assert [text for text in said(document) if LONG in text]


def test_names_are_never_made_alike():
    names = ["a" * 30 + "x" + "b" * 30, "a" * 30 + "y" + "b" * 30, "aaa…bbb", "short", "short"]
    short = shortened(names, 7)
    assert [len(name) for name in short] == [7, 7, 7, 5, 5]
    assert len(set(short)) == len(set(names))


@pytest.mark.slow
def test_a_bar_beyond_the_whole_is_drawn_as_the_longest():
    frame = frames.BY_PROFESSIONAL.with_columns(occupancy=pl.Series([1.0, 1.9]))
    document = charts.occupancy(frame).svg()
    bars = [
        path
        for path in ElementTree.fromstring(document).iter(f"{SVG}path")
        if path.get("aria-roledescription") == "bar"
    ]
    widths = [float(bar.attrib["d"].partition("h")[2].partition("v")[0]) for bar in bars]
    assert len(widths) == 2
    assert min(widths) > 50


@pytest.mark.slow
def test_how_far_ahead_is_told_in_the_readers_language():
    frame = frames.rows(
        *({"lead": lead, "no_show": 1, "executed": 3, "open": 0, "rate": 0.25} for lead in ("<1 d", "1-2 w", None))
    )
    assert {"<1 d", f"1{DASH}2 sem", "(ninguna)"} <= set(texts(charts.no_show_rate(frame, **SPANISH).svg()))
    assert f"1{DASH}2 w" in texts(charts.no_show_rate(frame).svg())


@pytest.mark.slow
def test_a_day_is_no_days():
    assert "la mitad espera hasta 1 día" in texts(charts.waiting(waits(1.0, 1.0), **SPANISH).svg())


@pytest.mark.slow
def test_clients_who_brought_nothing_are_nothing_and_amounts_in_millions_are_short():
    client = {"client_id": 1, "currency": "ARS"}
    nothing, much = ({**client, "revenue_cents": cents} for cents in (0, 1_234_567_890_00))
    assert "Nada en este período" in texts(
        charts.lifetime(frames.rows(nothing, nothing | {"client_id": 2}), **SPANISH).svg()
    )
    assert f"1.200{DASH}1.300M" in texts(charts.lifetime(frames.rows(much), **SPANISH).svg())
