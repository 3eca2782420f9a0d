"""docs/sign-in.md: what it shows runs, what it says in figures is so."""

import re
from pathlib import Path

from rayces_core.sign_in import attempts, links, passwords

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sign-in.md").read_text()


def test_all_of_its_examples_run_one_after_the_other(on_the_runs_server):
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(compile(block, "sign-in.md", "exec"), names)
    assert names["mail"]


def test_its_figures_are_those_of_the_code():
    rows = re.findall(r"\| (\d+) \| (\d+) s, doubling \| (\d+) min \|", DOCUMENT)
    limits = [attempts.LIMITS[kind] for kind in ("pair", "address", "email")]
    assert [(int(free), int(first), int(most) * 60) for free, first, most in rows] == limits
    hours, *days = (limit.total_seconds() for limit in links.LASTING.values())
    assert f"{hours / 3600:.0f} hours, a confirmation for {days[0] / 86400:.0f} days, an invitation for" in DOCUMENT
    assert f"an invitation for {days[1] / 86400:.0f}." in DOCUMENT
    assert f"{passwords.SHORTEST} to {passwords.LONGEST:,} characters" in DOCUMENT
