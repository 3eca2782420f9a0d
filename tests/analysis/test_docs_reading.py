"""The example of reading runs as it stands."""

import re

import pytest

from tests.test_docs import ROOT


@pytest.mark.slow
def test_the_example_of_reading_runs_as_it_stands(capsys, on_the_runs_server):
    section = (ROOT / "docs" / "analysis.md").read_text().split("## Reading\n")[1]
    example = section.split("```python\n")[1].split("```")[0]
    exec(compile(example, "analysis.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*# (.*)", example)
