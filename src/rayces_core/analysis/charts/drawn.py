"""Altair charts that give themselves as PNG, SVG and HTML: no browser is started and nothing is loaded from a network.

Rule it guards: a chart says what it shows. Title and unit stand above it, the metric's definition is its tooltip, and
each mark has its figures as one: in SVG by <title>, which browsers show and screen readers read without a script.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any, Final
from xml.etree import ElementTree

import altair
import vl_convert

from rayces_core.analysis.charts.palette import GRID, INK, PAPER, QUIET, SERIES
from rayces_core.analysis.writing import Writing

# The width is that of all, axes and their names as well.
FITTED: Final = altair.AutoSizeParams(type="fit-x", contains="padding")
SVG: Final = "http://www.w3.org/2000/svg"
WIDTH: Final = 400  # pixels in all: on a phone nothing shrinks below 10 px
FONT: Final = "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"
MARK: Final = "graphics-symbol"
GUIDES: Final = ("axis", "header", "legend", "subtitle", "title")


class Picture:
    """What every chart of `analysis.charts` can do beside what altair's charts can."""

    def png(self, *, scale: float = 2.0) -> bytes:
        """The chart as a PNG image; `scale` is pixels for each of the chart's own."""
        return bytes(vl_convert.vegalite_to_png(self._specification(), scale=scale))

    def svg(self) -> str:
        """The chart as an SVG document: the definition is its tooltip, each mark has its figures as one."""
        return _told(vl_convert.vegalite_to_svg(self._specification()), self._title(), self._definition())

    def html(self, *, interactive: bool = False) -> str:
        """The chart as a page of its own: an SVG without script; `interactive` brings Vega along, 900 KiB of it."""
        if interactive:
            return str(self.to_html(inline=True))  # type: ignore[attr-defined]
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{STYLE}'
        head += f"<title>{html.escape(self._title())}</title>"
        return f"<!DOCTYPE html>\n<html><head>{head}</head><body>{self.svg()}</body></html>\n"

    def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, Any]:
        # Altair's own loads Vega from a host of others; a saved notebook would be blank without a network.
        return {"image/svg+xml": self.svg(), "text/plain": f"<chart {self._title()!r}>"}

    def _specification(self) -> dict[str, Any]:
        made: dict[str, Any] = self.to_dict()  # type: ignore[attr-defined]
        return made

    def _title(self) -> str:
        title = self.title  # type: ignore[attr-defined]
        text = getattr(title, "text", title)
        return " ".join(text) if isinstance(text, list) else str(text)

    def _definition(self) -> str:
        return str(self.description)  # type: ignore[attr-defined]


STYLE: Final = "<style>body{margin:1rem}svg{max-width:100%;height:auto}</style>"


class Layered(Picture, altair.LayerChart):
    """One chart."""


class Stacked(Picture, altair.VConcatChart):
    """Charts below each other: one for each currency and organization."""


def finished(
    panels: list[tuple[str, Layered]], *, title: str, unit: str, span: str, definition: str, writing: Writing
) -> Layered | Stacked:
    """One chart of its panels, with what it is called, in which unit it is, and what it is defined as."""
    heading = altair.Title(title, subtitle=[*_lines(unit), *([span] if span else [])])
    panels = [(name, part.transform_calculate(definition=json.dumps(definition))) for name, part in panels]
    if len(panels) == 1:
        chart: Any = panels[0][1].properties(title=heading, description=definition, width=WIDTH - 12, autosize=FITTED)
    else:
        named = [part.properties(title=altair.Title(name, fontSize=12, offset=4)) for name, part in panels]
        chart = Stacked(vconcat=named, spacing=18).properties(title=heading, description=definition)
    made: Layered | Stacked = _themed(chart, writing)
    return made


def nothing(text: str) -> Layered:
    """An empty place of the usual width that says why it is empty."""
    base = altair.Chart(altair.InlineData(values=[{"said": text}]))
    words = base.mark_text(fontSize=13, color=QUIET).encode(text="said:N", description="said:N")
    frame = base.mark_rect(fill=None, stroke=GRID).encode(
        x=altair.value(0), x2=altair.value("width"), y=altair.value(0), y2=altair.value(90)
    )
    return Layered(layer=[frame, words]).properties(width=WIDTH - 12, height=90)


def _lines(text: str, longest: int = 66) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) >= longest:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _themed(chart: Any, writing: Writing) -> Any:
    decimal, thousands = (".", ",") if writing.point else (",", ".")
    numbers = {"decimal": decimal, "thousands": thousands, "grouping": [3], "currency": ["", ""]}
    numbers["percent"] = writing.percent_sign
    return chart.configure(
        font=FONT,
        background=PAPER,
        padding=6,
        locale={"number": numbers},
        range={"category": list(SERIES)},
        view={"stroke": None},
        title=TITLES,
        axis=AXES,
        legend=LEGENDS,
    )


TITLES: Final = {
    "anchor": "start",
    "frame": "bounds",
    "fontSize": 15,
    "color": INK,
    "offset": 12,
    "subtitleFontSize": 11,
    "subtitleColor": QUIET,
    "subtitlePadding": 4,
}
AXES: Final = {
    "labelColor": QUIET,
    "labelFontSize": 11,
    "titleColor": QUIET,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "gridColor": GRID,
    "domainColor": QUIET,
    "tickColor": QUIET,
}
LEGENDS: Final = {
    "orient": "bottom",
    "title": None,
    "labelColor": INK,
    "labelFontSize": 11,
    "symbolType": "square",
    "symbolSize": 110,
    "labelLimit": 110,
}


def _told(document: str, title: str, definition: str) -> str:
    """The SVG with what it says where browsers look for it, and with a width that may shrink."""
    root = ElementTree.fromstring(document)  # noqa: S314 - made here
    for element in root.iter():
        # Written without a prefix, which pages would not read; of the registered ones other libraries have a say too.
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        said = element.attrib.pop("aria-label", None)  # of axes and titles Vega has some as well, in English
        if element.tag == "text":
            element.set("pointer-events", "none")  # what lies beneath is pointed at
        elif said and element.get("role") == MARK and element.get("aria-roledescription") not in GUIDES:
            _first(element, "title", said)
    root.set("xmlns", SVG)
    _first(root, "title", f"{title}. {definition}" if definition else title)
    root.set("role", "img")
    root.set("aria-label", f"{title}. {definition}" if definition else title)
    root.set("style", "max-width:100%;height:auto;overflow:visible")
    return re.sub(r"\s+xmlns:xlink=\"[^\"]*\"", "", ElementTree.tostring(root, encoding="unicode"))


def _first(element: ElementTree.Element, tag: str, text: str) -> None:
    child = ElementTree.Element(tag)
    child.text = text
    element.insert(0, child)
