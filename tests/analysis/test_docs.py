"""docs/metrics.md says what the functions say: its definitions are generated, its example runs.

`python -m tests.analysis.test_docs --write` writes the definitions anew.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rayces_core import analysis

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
BLOCK = re.compile(r"(<!-- generated -->\n).*?(<!-- end -->)", re.DOTALL)
METRICS = {
    name: getattr(analysis, name) for name in sorted(analysis.__all__) if hasattr(getattr(analysis, name), "definition")
}


def regenerated(text: str) -> str:
    """The document with the definitions as the functions have them now."""
    sections = "\n".join(_section(name, metric.definition) for name, metric in METRICS.items())
    return BLOCK.sub(lambda block: f"{block[1]}{sections}{block[2]}", text)


def _section(name: str, definition: Any) -> str:
    facts = {"counted": _sql(definition.numerator)}
    if definition.denominator is not None:
        facts["of"] = _sql(definition.denominator)
    facts |= {"source": definition.source, "days": definition.zone}
    told = "".join(f"- {fact}: {value}\n" for fact, value in facts.items())
    columns = "".join(f"| `{column}` | {meaning} |\n" for column, meaning in definition.columns.items())
    return f"### {name}\n\n{definition.text}\n\n{told}\n| column | what it is |\n| --- | --- |\n{columns}"


def _sql(text: str) -> str:
    return f"`{' '.join(text.split())}`"


def test_the_definitions_are_those_of_the_functions():
    written = DOCUMENT.read_text("utf-8")
    assert written == regenerated(written), "run python -m tests.analysis.test_docs --write"


@pytest.mark.slow
def test_the_example_runs_as_it_stands(capsys, on_the_runs_server):
    example, *_ = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)

    exec(compile(example, DOCUMENT.name, "exec"), {})

    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*# (.*)", example)


def test_help_shows_the_definition_of_a_metric_and_its_signature_stays():
    for name, metric in METRICS.items():
        assert inspect.getdoc(metric).endswith(str(metric.definition)), name
        assert metric.definition.text in inspect.getdoc(metric), name
        assert metric.definition.zone
        assert metric.definition.source


if __name__ == "__main__" and "--write" in sys.argv:
    DOCUMENT.write_text(regenerated(DOCUMENT.read_text("utf-8")), "utf-8")
