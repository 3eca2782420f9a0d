"""A machine as a picture for notebooks: a column for each state, a row for each event, from dots to an arrow's head.

Plain SVG in the colours of the page around it, drawn from the declaration; no script, nothing to fetch.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Final

from rayces_core.state_machine.declaration import Transition

LETTER: Final = 7  # width of a letter at this size, about
COLUMN: Final = 110  # between states at least
ROW: Final = 34
HEAD: Final = 46


def picture(title: str, states: Sequence[str], transitions: Sequence[Transition]) -> str:
    """The states, of which the first is where a row begins, and the events as SVG, in the order given."""
    column = max(COLUMN, *(len(text) * LETTER + 16 for text in (*states, *(one.event for one in transitions))))
    places = {state: round((place + 0.5) * column) for place, state in enumerate(states)}
    width, height = column * len(states), HEAD + ROW * len(transitions) + 8
    left = {str(state) for one in transitions if not one.corrects for state in one.sources}
    drawn: list[str] = []
    for state, x in places.items():
        drawn += _state(state, x, height, is_first=state == states[0], is_left=state in left)
    for row, transition in enumerate(transitions):
        drawn += _event(transition, places, HEAD + ROW * (row + 1) - 8)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'style="max-width: 100%; height: auto" role="img" font-family="sans-serif" font-size="12" fill="currentColor" '
        f'stroke="none"><title>{html.escape(title)}</title>{"".join(drawn)}</svg>'
    )


def _state(state: str, x: int, height: int, *, is_first: bool, is_left: bool) -> Iterator[str]:
    half = len(state) * LETTER // 2 + 8
    for frame in (0,) if is_left else (0, 3):  # a final state is framed twice, as in diagrams of automata
        yield (
            f'<rect x="{x - half - frame}" y="{10 - frame}" width="{2 * (half + frame)}" height="{24 + 2 * frame}" '
            'rx="8" fill="none" stroke="currentColor"/>'
        )
    weight = "bold" if is_first else "normal"
    yield f'<text x="{x}" y="26" text-anchor="middle" font-weight="{weight}">{html.escape(state)}</text>'
    yield f'<line x1="{x}" y1="37" x2="{x}" y2="{height}" stroke="currentColor" stroke-opacity=".2"/>'


def _event(transition: Transition, places: dict[str, int], y: int) -> Iterator[str]:
    sources = sorted(places[str(state)] for state in transition.sources)
    target = None if transition.target is None else places[str(transition.target)]
    dash = ' stroke-dasharray="4 3"' if transition.corrects else ""
    ends = sources if target is None else [*sources, target]
    if target is not None:
        yield f'<line x1="{min(ends)}" y1="{y}" x2="{max(ends)}" y2="{y}" stroke="currentColor"{dash}/>'
        for side in {source < target for source in sources}:
            yield _arrow(target, y, from_left=side)
    for x in sources:
        radius = '3.5" fill="none" stroke="currentColor' if target is None else "3.5"
        yield f'<circle cx="{x}" cy="{y}" r="{radius}"/>'
    names = ends if target is None else [(min(ends) + max(ends)) // 2]
    for x in names:
        yield f'<text x="{x}" y="{y - 7}" text-anchor="middle" font-size="11">{html.escape(transition.event)}</text>'


def _arrow(x: int, y: int, *, from_left: bool) -> str:
    back = x - 8 if from_left else x + 8
    return f'<path d="M{x} {y} L{back} {y - 4} L{back} {y + 4} Z"/>'
