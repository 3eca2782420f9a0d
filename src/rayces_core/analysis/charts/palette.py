"""Colours of charts, chosen so that people who cannot tell red from green, or blue from yellow, tell them apart.

Series are six colours of Okabe and Ito (2008; Wong, "Points of view: Color blindness", Nature Methods 8, 2011) and of
Paul Tol ("Colour schemes", SRON/EPS/TN/09-002, 2021): of all their sets of six without black that have a contrast of
3:1 with paper (WCAG 2.2, 1.4.11) the one whose two nearest colours lie furthest apart for deuteranopes, protanopes and
tritanopes alike.
Shades are ColorBrewer's Blues (Harrower and Brewer, 2003): one hue whose lightness only falls, which needs no eye for
colours at all and survives a black and white printer. No figure is told by its colour alone: cells have their number
in them, segments a legend in their order, lines a mark of their own shape.
"""

from __future__ import annotations

from typing import Final

SERIES: Final = ("#0072B2", "#EE6677", "#332288", "#999933", "#882255", "#CC79A7")
STATES: Final = {
    "executed": SERIES[0],
    "no_show": SERIES[1],
    "cancelled": SERIES[2],
    "open": SERIES[3],
}
SHADES: Final = ("#F7FBFF", "#DEEBF7", "#C6DBEF", "#9ECAE1", "#6BAED6", "#4292C6", "#2171B5", "#08519C", "#08306B")
MAIN: Final = SERIES[0]
PAPER: Final = "#FFFFFF"
INK: Final = "#1F2933"
CELL_INK: Final = "#000000"  # on shades, the middle ones of which are dark for a softer one
QUIET: Final = "#52606D"  # axes and second lines; 6.5:1 on paper
GRID: Final = "#E4E7EB"  # lines that may be overlooked


def luminance(colour: str) -> float:
    """Relative luminance of "#RRGGBB", 0 to 1 (WCAG 2.2)."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str = PAPER) -> float:
    """Contrast of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
