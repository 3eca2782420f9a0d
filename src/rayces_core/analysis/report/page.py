"""The report as one HTML file: no script, nothing loaded from anywhere, readable on a phone and on paper.

Rule it guards: what came from a row is text. All of it is escaped, and a policy in the file itself lets no browser
load or run a thing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Final

from rayces_core.analysis.charts.definitions import definition_of
from rayces_core.analysis.report.parts import Figure, Scope, Section

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
MOST_ROWS: Final = 20
# Only the box that is seen tells how high it is; WeasyPrint would keep the height where the width shrinks.
_SIZE: Final = re.compile(r'(<svg\b[^>]*?) width="[\d.]+" height="[\d.]+"')
_IDENTITY: Final = re.compile(r'(\bid="|url\(#|href="#)')


def page(scope: Scope, sections: Sequence[Section]) -> str:
    """The whole report as HTML."""
    write = scope.writing
    month = write.month(scope.month)
    title = write.word("report.title", organization=scope.organization, month=month)
    style = files("rayces_core.analysis.report").joinpath("style.css").read_text(encoding="utf-8")
    style = style.replace("PAGE", write.word("report.page"))
    answers = "\n".join(_section(scope, place, section) for place, section in enumerate(sections, 1))
    return f"""<!DOCTYPE html>
<html lang="{write.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="rayces-core">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{escape(scope.organization)}</h1>
<p class="month">{escape(month[0].upper() + month[1:])}</p>
{_remarks(scope, sections)}
</header>
<main>
{_glance(scope, sections)}
{answers}
</main>
<footer><p>{escape(_made(scope))}</p></footer>
</body>
</html>
"""


def is_empty(sections: Sequence[Section]) -> bool:
    """Whether there is nothing to tell of the month: every figure of it is 0 or missing."""
    return not any(figure.value for section in sections for figure in section.figures if figure.kind != "text")


def _made(scope: Scope) -> str:
    moment = scope.writing.moment(scope.local(scope.now))
    return scope.writing.word("report.made", moment=moment, zone=scope.zone.key)


def _remarks(scope: Scope, sections: Sequence[Section]) -> str:
    remarks = ["report.running"] * scope.running + ["report.nothing"] * is_empty(sections)
    return "\n".join(f'<p class="remark">{escape(scope.writing.word(key))}</p>' for key in remarks)


def _glance(scope: Scope, sections: Sequence[Section]) -> str:
    """The first figure of each question, with the month before beside it, and the way to its answer."""
    write = scope.writing
    word = write.word
    rows = []
    for place, section in enumerate(sections, 1):
        question = f'<a href="#q{place}">{escape(word(f"question.{section.key}"))}</a>'
        first = section.figures[0]
        now, before = first.written(write)
        label = f'<span class="label">{escape(first.label)}</span>'
        then = "" if section.of_now else f"<small>{escape(_then(scope, before))}</small>"
        rows.append(f"<tr><th scope=row>{question}{label}</th><td>{escape(now)}{then}</td></tr>")
    return f"""<section class="glance" id="questions">
<h2>{escape(word("report.glance"))}</h2>
<table><tbody>
{chr(10).join(rows)}
</tbody></table>
</section>"""


def _cells(*texts: str) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def _section(scope: Scope, place: int, section: Section) -> str:
    word = scope.writing.word
    figures = "\n".join(_figure(scope, section, figure) for figure in section.figures)
    drawn = "\n".join(
        f"<figure>{_apart(chart().svg(), f'q{place}c{number}')}</figure>" for number, chart in enumerate(section.charts)
    )
    of_now = f'<p class="remark">{escape(word("report.of_now"))}</p>' if section.of_now else ""
    definitions = " ".join(definition_of(metric, scope.writing) for metric in section.metrics)
    return f"""<section id="q{place}">
<h2><span class="place">{place}</span> {escape(word(f"question.{section.key}"))}</h2>
{of_now}<dl>
{figures}
</dl>
{_table(scope, section)}<div class="charts">
{drawn}
</div>
<p class="definition"><b>{escape(word("report.definition"))}.</b> {escape(definitions)}</p>
</section>"""


def _figure(scope: Scope, section: Section, figure: Figure) -> str:
    now, before = figure.written(scope.writing)
    then = ""
    if not section.of_now:
        then = f'<dd class="before">{escape(_then(scope, before))}</dd>'
    return f"<div><dt>{escape(figure.label)}</dt><dd>{escape(now)}</dd>{then}</div>"


def _then(scope: Scope, before: str) -> str:
    return f"{scope.writing.month(scope.before)}: {before}"


def _table(scope: Scope, section: Section) -> str:
    if not section.headings:
        return ""
    if not section.rows:
        return f"<p>{escape(scope.writing.word('report.none_open'))}</p>\n"
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in section.headings)
    rows = "\n".join(f"<tr>{_cells(*row)}</tr>" for row in section.rows[:MOST_ROWS])
    left = len(section.rows) - MOST_ROWS
    more = f"<p>{escape(scope.writing.word('heading.more', n=left))}</p>\n" if left > 0 else ""
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>\n{more}'


def _apart(document: str, prefix: str) -> str:
    """An SVG whose names within are its own, as several of them stand in one page, and as wide as its place."""
    return _SIZE.sub(r"\1", _IDENTITY.sub(rf"\g<1>{prefix}-", document), count=1)
