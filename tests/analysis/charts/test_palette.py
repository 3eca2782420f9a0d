"""Colours are told apart by people who lack one kind of cone, and stand out from paper."""

from itertools import combinations
from math import dist

from rayces_core.analysis.charts.marks import DARK
from rayces_core.analysis.charts.palette import CELL_INK, INK, PAPER, QUIET, SERIES, SHADES, STATES, contrast, luminance

# What the eye without one kind of cone sees, in linear light (G. M. Machado, M. M. Oliveira and L. A. F. Fernandes,
# "A physiologically-based model for simulation of color vision deficiency", 2009; severity 1).
EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
OKABE_ITO = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#F0E442",
)  # black is that of words
TOL = (
    *("#332288", "#44AA99", "#882255", "#CC6677", "#999933", "#117733", "#AA4499", "#DDCC77", "#88CCEE"),
    *("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB"),
)


def linear(colour: str) -> list[float]:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def lab(colour: str, eye: str) -> tuple[float, float, float]:
    """CIELAB, D65, of what that eye sees."""
    light = linear(colour)
    red, green, blue = (min(1.0, max(0.0, sum(a * b for a, b in zip(row, light, strict=True)))) for row in EYES[eye])
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def apart(one: str, other: str) -> float:
    """How far apart the two are for the eye that tells them apart the least."""
    return min(dist(lab(one, eye), lab(other, eye)) for eye in EYES)


def nearest(colours) -> float:
    return min(apart(*pair) for pair in combinations(colours, 2))


def test_series_stand_out_from_paper():
    assert all(contrast(colour) >= 3 for colour in SERIES)
    assert contrast(INK) >= 7
    assert contrast(QUIET) >= 4.5


def test_any_two_series_are_told_apart_without_one_kind_of_cone():
    assert nearest(SERIES) >= 20
    assert nearest(STATES.values()) >= 24
    # The test can fail: red and green of traffic lights are one colour for some.
    assert nearest(("#D62728", "#2CA02C")) < 20


def test_of_the_two_palettes_colours_no_six_that_stand_out_are_further_apart():
    candidates = [colour for colour in (*OKABE_ITO, *TOL) if contrast(colour) >= 3]
    pairs = {frozenset(pair): apart(*pair) for pair in combinations(candidates, 2)}
    best = max(min(pairs[frozenset(pair)] for pair in combinations(six, 2)) for six in combinations(candidates, 6))
    assert nearest(SERIES) >= best - 1e-9


def test_shades_only_get_darker_so_they_need_no_eye_for_colours():
    lights = [luminance(shade) for shade in SHADES]
    assert lights == sorted(lights, reverse=True)
    for eye in EYES:
        seen = [lab(shade, eye)[0] for shade in SHADES]
        assert seen == sorted(seen, reverse=True)


def test_numbers_in_cells_can_be_read_on_every_shade():
    def between(share: float) -> str:
        place = min(int(share * (len(SHADES) - 1)), len(SHADES) - 2)
        rest = share * (len(SHADES) - 1) - place
        low, high = SHADES[place], SHADES[place + 1]
        parts = [round(int(low[at : at + 2], 16) * (1 - rest) + int(high[at : at + 2], 16) * rest) for at in (1, 3, 5)]
        return "#" + "".join(f"{part:02X}" for part in parts)

    for percent in range(101):
        ink = PAPER if percent / 100 >= DARK else CELL_INK
        assert contrast(between(percent / 100), ink) >= 4.5, percent
