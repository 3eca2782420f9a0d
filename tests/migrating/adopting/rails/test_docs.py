"""docs/adopting.md says what is found, what may be chosen and what the old application still can do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rayces_core.migrating.adopting.finding import CHOICES
from rayces_core.migrating.adopting.rails import access
from rayces_core.migrating.adopting.rails.faults import WORDS

from .conftest import Rails

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[4] / "docs" / "adopting.md").read_text("utf-8")
SECTION = PAGE.partition("# A rayces Rails database")[2]
OF_A_MYHUB = ("emails", "missing-emails", "missing-author", "repeated-likes")


def test_every_kind_and_choice_is_in_the_table() -> None:
    listed: dict[str, set[str]] = {}
    kinds: list[str] = []
    for first, second in re.findall(r"^\| (.*?) ?\| (.*?) \|", SECTION, re.MULTILINE):
        kinds = re.findall(r"`([\w-]+)`", first.partition(":")[0]) or kinds
        for kind in kinds:
            listed.setdefault(kind, set()).update(re.findall(r"`([\w-]+)`", second))
    for kind in (*WORDS, "roles", "other-tables"):
        assert kind in listed, kind
        assert kind in OF_A_MYHUB or listed[kind] == set(CHOICES[kind]), kind


def test_the_example_adopts(small: Rails) -> None:
    blocks = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    assert names["adopt_rails"](small.url).organizations == (1, 2)


def test_the_search_path_is_the_one_that_is_told(adopted: Rails) -> None:
    told = f'schema_search_path: "{access.search_path("public")}"'
    assert told in SECTION
    assert told in " ".join(adopted.adoption().run().words)
