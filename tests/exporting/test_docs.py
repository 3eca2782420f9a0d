"""The example of docs/exporting.md is run as it stands, and what it says of arguments is what there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from rayces_core.exporting import FORMATS, RECORDS, export

TEXT = (Path(__file__).parents[2] / "docs" / "exporting.md").read_text("utf-8")


@pytest.mark.slow
def test_the_example_runs_as_it_stands(capsys: pytest.CaptureFixture[str], on_the_runs_server: None) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(example, "exporting.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*  # (.*)", example)


def test_every_argument_type_and_format_is_described() -> None:
    for name, parameter in inspect.signature(export).parameters.items():
        assert parameter.kind is not parameter.KEYWORD_ONLY or f"`{name}`" in TEXT, name
    assert [name for name in RECORDS if name not in TEXT] == []
    assert [name for name in FORMATS if f"`{name}`" not in TEXT] == []
