"""Draws docs/images/demo.svg from what `rayces demo` says; run it when the demo has changed."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from rayces_core import Database, demo
from rayces_core.cli.demo_screen import heading, what_was_refused
from rayces_core.cli.demo_walls import KEYS, POLICY, SCOPE, try_everything
from rayces_core.cli.output import GREEN, styled

IMAGE = Path(__file__).parents[1] / "images" / "demo.svg"
WIDTH = 74
WALLS = (SCOPE, POLICY, KEYS)
FONTS = 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace'


def draw() -> str:
    """Part of the demo's real output: of what is refused, the first by each wall."""
    screen = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, markup=False, highlight=False)
    with Database.embedded() as db:
        db.migrate()
        ours, theirs = demo.load_centres(db)
        outcomes = try_everything(db, ours, theirs)
        walls = {outcome.attempt.wall: outcome for outcome in reversed(outcomes) if outcome.attempt.wall in WALLS}
        screen.print("$ rayces demo")
        screen.print(heading(f"{ours.name} reaches for rows of {theirs.name} (organization {theirs.id})"))
        screen.print(what_was_refused("One tenant does", [walls[wall] for wall in WALLS]))
        screen.print(styled(f"All {len(outcomes)} attempts were refused; no row of {theirs.name} has changed.", GREEN))
    drawn = screen.export_svg(title="rayces demo", theme=DIMMED_MONOKAI)
    # The fonts are those of whoever looks: none is loaded from elsewhere.
    drawn = re.sub(r"@font-face \{.*?\}", "", re.sub(r"<!--.*?-->", "", drawn), flags=re.DOTALL)
    return drawn.replace("Fira Code, monospace", FONTS)


if __name__ == "__main__":
    IMAGE.write_text(draw(), "utf-8")
