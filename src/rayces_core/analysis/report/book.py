"""The report as an Excel workbook: a sheet of all figures, one for each metric, and one of what their columns mean.

Rule it guards: a number is a number, a day is a day, money is an amount beside its currency, and a text runs nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import date, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from rayces_core.analysis.charts.definitions import definition_of
from rayces_core.analysis.needed import wanted
from rayces_core.analysis.report.parts import Figure, Scope, Section

if TYPE_CHECKING:
    import polars as pl

NAME: Final = 31  # characters of a sheet's name
EXACT: Final = 2**53
FIRST_DAY: Final = date(1900, 3, 1)  # Excel has a 29 February 1900
CENTS: Final = "_cents"
SHARES: Final = ("rate", "occupancy", "utilisation", "retention", "conversion")
FORMATS: Final = {
    "count": "#,##0",
    "ratio": "0.0%",
    "money": "#,##0.00",
    "days": "#,##0.0",
    "hours": "#,##0.0",
    "day": "yyyy-mm-dd",
    "moment": "yyyy-mm-dd hh:mm",
    "text": "@",
}


def book(scope: Scope, sections: Sequence[Section]) -> bytes:
    """The whole report as a workbook (.xlsx)."""
    file = io.BytesIO()
    made = wanted("xlsxwriter").Workbook(
        file, {"in_memory": True, "strings_to_urls": False, "strings_to_formulas": False}
    )
    made.set_properties({"title": f"{scope.organization} {scope.month:%Y-%m}", "created": _wall(scope, scope.now)})
    sheets = _Sheets(made, scope)
    sheets.summary(sections)
    for section in sections:
        for name, frame in section.frames.items():
            sheets.frame(name, frame)
    sheets.definitions([metric for section in sections for metric in section.metrics])
    made.close()
    return file.getvalue()


class _Sheets:
    """Writes the sheets of one workbook."""

    def __init__(self, made: Any, scope: Scope) -> None:
        self._made, self._scope = made, scope
        self._bold = made.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._wrapped = made.add_format({"text_wrap": True, "valign": "top"})
        self._formats = {kind: made.add_format({"num_format": text}) for kind, text in FORMATS.items()}

    def summary(self, sections: Sequence[Section]) -> None:
        """Every figure, with the month before beside it."""
        write = self._scope.writing
        heads = [write.word("report.question"), write.word("report.figure")]
        heads += [write.month(self._scope.month), write.month(self._scope.before)]
        sheet = self._begin(write.word("report.summary"), heads, [46, 34, 18, 18])
        figures = [(section, figure) for section in sections for figure in section.figures]
        for row, (section, figure) in enumerate(figures, 1):
            sheet.write_string(row, 0, write.word(f"question.{section.key}"))
            sheet.write_string(row, 1, figure.label)
            self._figure(sheet, row, figure)

    def _figure(self, sheet: Any, row: int, figure: Figure) -> None:
        for column, value in ((2, figure.value), (3, figure.before)):
            if value is not None and figure.kind == "text":
                sheet.write_string(row, column, value)
            elif value is not None:
                amount = value / 100 if figure.kind == "money" else value
                sheet.write_number(row, column, amount, self._formats[figure.kind])

    def frame(self, name: str, frame: pl.DataFrame) -> None:
        """A metric's rows, each column in the type that it has."""
        columns = [column for column in frame.columns if column != "organization_id"]
        heads = [column.removesuffix(CENTS) for column in columns]
        sheet = self._begin(name, heads, [max(12, len(head) + 2) for head in heads])
        for place, column in enumerate(columns):
            write = self._writer(sheet, column)
            for row, value in enumerate(frame[column], 1):
                if value is not None:
                    write(row, place, value)
        sheet.autofilter(0, 0, max(frame.height, 1), len(columns) - 1)

    def _writer(self, sheet: Any, column: str) -> Callable[[int, int, Any], object]:
        """How a value of the column is written."""

        def write(row: int, place: int, value: Any) -> object:
            if isinstance(value, bool):
                return sheet.write_boolean(row, place, value)
            if isinstance(value, datetime):
                return sheet.write_datetime(row, place, _wall(self._scope, value), self._formats["moment"])
            if isinstance(value, date) and value >= FIRST_DAY:
                return sheet.write_datetime(row, place, value, self._formats["day"])
            if isinstance(value, int | float) and abs(value) <= EXACT:
                amount = value / 100 if column.endswith(CENTS) else value
                return sheet.write_number(row, place, amount, self._formats[_kind(column, value)])
            return sheet.write_string(row, place, str(value), self._formats["text"])

        return write

    def definitions(self, metrics: Sequence[str]) -> None:
        """What each metric counts, in the reader's language, and what each column is, as the library says it."""
        word = self._scope.writing.word
        heads = [word("report.metric"), word("report.column"), word("report.meaning")]
        sheet = self._begin(word("report.definitions"), heads, [22, 22, 100])
        analysis, row = import_module("rayces_core.analysis"), 1
        for metric in dict.fromkeys(metrics):
            definition = getattr(analysis, metric).definition
            for column, text in [("", definition_of(metric, self._scope.writing)), *definition.columns.items()]:
                for place, value in enumerate((metric, column.removesuffix(CENTS), text)):
                    sheet.write_string(row, place, value, self._wrapped)
                row += 1

    def _begin(self, name: str, heads: Sequence[str], widths: Sequence[int]) -> Any:
        sheet = self._made.add_worksheet(name[:NAME])
        sheet.freeze_panes(1, 0)
        for place, (head, width) in enumerate(zip(heads, widths, strict=True)):
            sheet.set_column(place, place, width)
            sheet.write_string(0, place, head, self._bold)
        return sheet


def _kind(column: str, value: float) -> str:
    if column.endswith(CENTS):
        return "money"
    if column in SHARES or column.endswith("_rate"):
        return "ratio"
    if column.endswith("_id"):
        return "text"  # an identity is no amount: its thousands are not parted
    return "hours" if isinstance(value, float) else "count"


def _wall(scope: Scope, moment: datetime) -> datetime:
    return scope.local(moment).replace(tzinfo=None, microsecond=0)
