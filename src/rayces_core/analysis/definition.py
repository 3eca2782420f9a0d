"""Definition: what a metric counts, said once for people, for `help()`, for the documents and for its SQL."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, ParamSpec, Protocol, TypeVar, cast

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer", covariant=True)

LOCAL: Final = "the wall clock of each organization (organizations.time_zone)"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric counts.

    Attributes:
        text: one sentence for people.
        numerator: SQL of what is counted, over the rows that `source` gives.
        denominator: SQL of what that is a part of; None where nothing is.
        source: the tables that are read.
        zone: whose wall clock says on which day something is.
        columns: what each column after the period and `by` is, with its unit.
    """

    text: str
    numerator: str
    denominator: str | None
    source: str
    zone: str
    columns: Mapping[str, str]

    def __str__(self) -> str:
        """The definition as lines of text, as `help()` shows it."""
        lines = [
            self.text,
            f"Numerator: {self.numerator}",
            *([] if self.denominator is None else [f"Denominator: {self.denominator}"]),
            f"Source: {self.source}",
            f"Days: {self.zone}",
            "Columns:",
            *(f"    {name}: {meaning}" for name, meaning in self.columns.items()),
        ]
        return "\n".join(lines)


class Metric(Protocol[Arguments, Answer]):
    """A function that answers a question, and tells by what definition."""

    definition: Definition
    __name__: str

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        """Answer it."""
        ...


def metric(definition: Definition) -> Callable[[Callable[Arguments, Answer]], Metric[Arguments, Answer]]:
    """Give a function its definition, as `.definition` and at the end of its docstring; it keeps its signature."""

    def defined(function: Callable[Arguments, Answer]) -> Metric[Arguments, Answer]:
        described = cast("Metric[Arguments, Answer]", function)
        described.definition = definition
        function.__doc__ = f"{inspect.getdoc(function) or ''}\n\nDefinition\n----------\n{definition}"
        return described

    return defined
