"""What every chart goes through: the frame is checked and divided into panels, and the panels are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayces_core.analysis.charts.definitions import definition_of
from rayces_core.analysis.charts.drawn import Layered, Stacked, finished, nothing
from rayces_core.analysis.charts.frames import Frame, as_polars, by_of, by_word, panels
from rayces_core.analysis.writing import Writing

if TYPE_CHECKING:
    import polars

Panel = Callable[["polars.DataFrame"], "Layered | None"]


@dataclass
class Drawing:
    """A metric's frame on its way to become a chart."""

    frame: polars.DataFrame
    metric: str
    writing: Writing
    by: list[str]
    definition: str | None = None
    span: str = ""

    @classmethod
    def of(cls, frame: Frame, metric: str, figures: Sequence[str], **told: Any) -> Drawing:
        """Check the frame: it needs the metric's `figures`; all other columns are what it is divided by.

        Raises:
            InvalidDataError: this is no such frame, or there are no words of the language.
        """
        read = as_polars(frame, metric, figures)
        writing = Writing.of(told.get("language") or "en", told.get("country"))
        known = [*figures, *told.get("also", ())]
        return cls(read, metric, writing, by_of(read, known), told.get("definition"), told.get("span", ""))

    def chart(self, words: str, panel: Panel) -> Layered | Stacked:
        """The chart whose title and unit are those of `words`, with what `panel` makes of each panel's rows.

        A panel that there is nothing to show in says so.
        """
        drawn: list[tuple[str, Layered]] = []
        currencies: list[str] = []
        for name, currency, rows in panels(self.frame, self.writing):
            made = None if rows.is_empty() else panel(rows)
            drawn.append((name, made if made is not None else nothing(self.writing.word("chart.nothing"))))
            currencies.append(currency)
        facts = {"currency": ", ".join(dict.fromkeys(filter(None, currencies)))}
        by = self.writing.word("chart.by", by=by_word(self.by, self.writing)) if self.by else ""
        return finished(
            drawn,
            title=self.writing.word(f"chart.{words}"),
            unit=self.writing.word(f"chart.{words}_unit", **facts).rstrip(" ,") + by,
            span=self.span,
            definition=definition_of(self.metric, self.writing) if self.definition is None else self.definition,
            writing=self.writing,
        )
